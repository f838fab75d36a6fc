//! What `probe`, `login` and `call` share: the address, the browser, the errors.

use std::{
    io::IsTerminal as _,
    process::{Command, Stdio},
};

use url::Url;
use vestibule_core::{discovery::is_loopback, text::on_one_line};

use super::{Exit, say};
use crate::{
    client::{
        credentials::{Logins, short_name},
        login::{LoginError, Step},
    },
    fetch::FetchError,
};

/// Why a command did not do what it was asked to.
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) what: String,
    pub(super) fix: String,
    pub(super) exit: Exit,
}

impl Failure {
    pub(super) fn new(
        code: &'static str,
        exit: Exit,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            fix: fix.into(),
            exit,
        }
    }

    pub(super) fn tell(&self) -> Exit {
        // A server's words make no second line, which would read as ours.
        let line = |text: &str| on_one_line(text, 2000);
        say(&format!(
            "error[{}]: {}\n  fix: {}",
            self.code,
            line(&self.what),
            line(&self.fix)
        ));
        self.exit
    }

    pub(super) fn unreachable(server: &Url, error: FetchError) -> Self {
        let what = format!("{server}: {error}");
        let fix = "look at the address, and whether the server runs";
        Self::new("V-CMD-002", Exit::Unreachable, what, fix)
    }

    pub(super) fn of_login(error: &LoginError, server: &Url) -> Self {
        let (code, exit, fix) = match error {
            LoginError::Fetch { .. } => (
                "V-CMD-002",
                Exit::Unreachable,
                "look at the address, and whether the server runs".to_owned(),
            ),
            LoginError::Open => (
                "V-CMD-003",
                Exit::Refused,
                format!("call it right away: vestibule call {server}"),
            ),
            LoginError::NoRegistration => (
                "V-CMD-004",
                Exit::Usage,
                "have a client added there, and name it with --client-id".to_owned(),
            ),
            LoginError::Broken { .. } => (
                "V-CMD-002",
                Exit::Unreachable,
                "try again later; its log says more".to_owned(),
            ),
            LoginError::TooLate => (
                "V-CMD-005",
                Exit::SignIn,
                format!(
                    "try again; if its page said that this app is not known, first: \
                     vestibule login {server} --forget"
                ),
            ),
            LoginError::Refused { error, .. } => (
                "V-CMD-006",
                refused(error),
                "the server's own words are above; its log says more".to_owned(),
            ),
            LoginError::Listen(_) => (
                "V-CMD-007",
                Exit::Unexpected,
                "try again, or with --device".to_owned(),
            ),
            LoginError::NotProtected(_)
            | LoginError::Discovery { .. }
            | LoginError::Missing(_)
            | LoginError::Answer(_)
            | LoginError::Foreign(_) => (
                "V-CMD-008",
                Exit::Refused,
                format!("see what is wrong with it: vestibule probe {server}"),
            ),
        };
        Self::new(code, exit, error.to_string(), fix)
    }
}

/// Whether a person can do something about it by signing in again, by an OAuth error code.
fn refused(error: &str) -> Exit {
    match error {
        "invalid_grant"
        | "invalid_client"
        | "expired_token"
        | "login_required"
        | "interaction_required"
        | "consent_required" => Exit::SignIn,
        "temporarily_unavailable" | "server_error" => Exit::Unreachable,
        _ => Exit::Refused,
    }
}

/// `server`, if tokens may go there: over TLS, on this computer, or because the person said
/// so (RFC 6750 §5.3).
pub(super) fn encrypted(server: Url, allow_http: bool) -> Result<Url, Failure> {
    if server.scheme() == "https" || allow_http || is_loopback(&server) {
        return Ok(server);
    }
    Err(Failure::new(
        "V-CMD-016",
        Exit::Usage,
        format!("{server} is not encrypted: everybody on the way would have your token"),
        "write https, or --allow-http on a network that you trust",
    ))
}

/// The server that is meant: a URL, or the short name of one that was signed in to.
pub(super) fn server(text: &str, logins: Option<&Logins>) -> Result<Url, Failure> {
    if text.contains("://") {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.host_str().is_some()
                && url.fragment().is_none()
        });
        return url.ok_or_else(|| {
            let what = format!("{text} is not a web address");
            Failure::new(
                "V-CMD-001",
                Exit::Usage,
                what,
                "write it as https://mcp.example.com/weather/mcp",
            )
        });
    }
    let all = logins.map(Logins::all).unwrap_or_default();
    let mut named = all.iter().filter(|login| short_name(&login.server) == text);
    match (named.next(), named.next()) {
        (Some(login), None) => Ok(login.server.clone()),
        (Some(_), Some(_)) => Err(Failure::new(
            "V-CMD-001",
            Exit::Usage,
            format!("{text} is the name of more than one server"),
            "write the whole address",
        )),
        (None, _) => {
            let known: Vec<&str> = all.iter().map(|login| short_name(&login.server)).collect();
            let fix = if known.is_empty() {
                "sign in first: vestibule login https://…".to_owned()
            } else {
                format!("you are signed in to {}", known.join(", "))
            };
            let what = format!("there is no server \"{text}\"");
            Err(Failure::new("V-CMD-001", Exit::Usage, what, fix))
        }
    }
}

/// Where this user's logins are.
pub(super) fn logins() -> Result<Logins, Failure> {
    Logins::of_user(|name| std::env::var(name).ok()).ok_or_else(|| {
        Failure::new(
            "V-CMD-009",
            Exit::Unexpected,
            "there is no folder to keep a login in",
            "set HOME or XDG_CONFIG_HOME",
        )
    })
}

/// A runtime for one command.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                "V-CMD-010",
                Exit::Unexpected,
                error.to_string(),
                "look at the limits of this user",
            )
        })
}

/// Whose page it is, as one word: nothing in it reads as ours.
fn whose(issuer: &str) -> String {
    Url::parse(issuer).map_or_else(|_| "an unknown server".to_owned(), String::from)
}

/// Sends the person where they must go.
pub(super) fn guide(step: Step<'_>) {
    match step {
        Step::Open {
            address,
            issuer,
            server,
        } => {
            say(&format!("Signing in at {} for {server}.", whose(issuer)));
            let opened = open(address);
            let how = if opened {
                "Opening your browser. If it does not open:"
            } else {
                "Open this in your browser:"
            };
            say(&format!("{how}\n  {address}\nWaiting for you …"));
        }
        Step::Type {
            address,
            code,
            issuer,
            server,
        } => say(&format!(
            "Signing in at {} for {server}.\nOpen this anywhere:\n  {address}\nand compare the code:\n  {code}\nWaiting for you …",
            whose(issuer),
        )),
    }
}

/// Whether a browser can be opened for somebody.
pub(super) fn has_browser() -> bool {
    std::env::var_os("BROWSER").is_some() || std::io::stderr().is_terminal()
}

pub(super) fn open(address: &str) -> bool {
    let system = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let program = std::env::var("BROWSER").unwrap_or_else(|_| system.to_owned());
    Command::new(program)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
