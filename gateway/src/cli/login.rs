//! `vestibule login URL`: signs in at an MCP server and keeps the login.

use std::path::PathBuf;

use clap::Args;
use url::Url;
use vestibule_core::text::on_one_line;

use super::{
    Exit,
    client::{Failure, encrypted, guide, logins, runtime, server},
    print,
};
use crate::{
    client::{
        credentials::{Login, Logins, short_name},
        login::{self, Wishes},
        web::Web,
    },
    world::World,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// The MCP server, as clients write it
    url: String,
    #[command(flatten)]
    who: Who,
    /// Shows a code to type elsewhere, for a computer without a browser
    #[arg(long)]
    device: bool,
    /// Forgets the login instead
    #[arg(long, conflicts_with_all = ["device", "scope", "client_id"])]
    forget: bool,
    /// The result as JSON, without the tokens
    #[arg(long)]
    json: bool,
}

/// Who signs in, and for what.
#[derive(Args, Default)]
pub(super) struct Who {
    /// Scopes in place of those that the server asks for
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// A client that was added by hand, or the URL of a client document
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// File with its secret
    #[arg(long, value_name = "FILE", requires = "client_id")]
    client_secret_file: Option<PathBuf>,
    /// Shows tokens to a server that is not encrypted
    #[arg(long)]
    pub(super) allow_http: bool,
}

impl Who {
    pub(super) fn wishes(&self, device: bool) -> Result<Wishes, Failure> {
        let client_secret = match &self.client_secret_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let what = format!("{}: {error}", file.display());
                    let fix = "name a file that can be read";
                    Failure::new("V-CMD-011", Exit::Usage, what, fix)
                })?;
                Some(text.trim().to_owned())
            }
            None => None,
        };
        Ok(Wishes {
            client_id: self.client_id.clone(),
            client_secret,
            scope: self.scope.clone(),
            challenged: None,
            device,
        })
    }
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    match sign_in(arguments) {
        Ok(exit) => exit,
        Err(failure) => failure.tell(),
    }
}

fn sign_in(arguments: &Arguments) -> Result<Exit, Failure> {
    let logins = logins()?;
    let url = server(&arguments.url, Some(&logins))?;
    if arguments.forget {
        return forget(&url, &logins, arguments.who.allow_http);
    }
    let url = encrypted(url, arguments.who.allow_http)?;
    let wishes = arguments.who.wishes(arguments.device)?;
    let web = web()?;
    let login = runtime()?.block_on(fresh(&web, &url, &wishes, &logins))?;
    if arguments.json {
        let told = serde_json::json!({
            "server": login.server,
            "issuer": login.issuer,
            "scope": login.scope,
            "expires": login.expires,
            "refreshes": login.refresh_token.is_some(),
        });
        print(&format!("{told:#}\n"));
        return Ok(Exit::Ok);
    }
    let renewed = match (&login.refresh_token, login.expires) {
        (Some(_), _) => "it refreshes by itself".to_owned(),
        (None, Some(expires)) => {
            let left = expires.saturating_sub(World::real().now().unix());
            format!("for {} minutes, without refresh", left / 60)
        }
        (None, None) => "until the server ends it".to_owned(),
    };
    let scope = login.scope.as_deref().unwrap_or("no scopes");
    let scope = on_one_line(scope, 2000);
    print(&format!(
        "ok   signed in to {url} ({scope}); {renewed}\n     kept in {}, for you alone\n     \
         next: vestibule call {}\n",
        logins.path(&url).display(),
        short_name(&url),
    ));
    Ok(Exit::Ok)
}

/// Ends the login here and, where its server can be told, there.
fn forget(url: &Url, logins: &Logins, allow_http: bool) -> Result<Exit, Failure> {
    let web = Web::new().map_err(no_web)?;
    let runtime = runtime()?;
    // Nobody renews it meanwhile and keeps what came.
    let _one = logins.lock(url).map_err(|error| not_kept(&error))?;
    let login = logins.load(url);
    let forgotten = logins.forget(url).map_err(|error| not_kept(&error))?;
    let told = match login {
        Some(login)
            if encrypted(url.clone(), allow_http).is_ok()
                && runtime.block_on(login::revoke(&web, &login)).is_ok() =>
        {
            "forgotten, and its tokens revoked"
        }
        Some(_) => "forgotten; its server could not be told, so its tokens run out by themselves",
        None if forgotten => "forgotten",
        None => "there was no login",
    };
    print(&format!("ok   {url}: {told}\n"));
    Ok(Exit::Ok)
}

pub(super) fn web() -> Result<Web, Failure> {
    // Tools may work for a while.
    Web::patient(std::time::Duration::from_secs(300)).map_err(no_web)
}

/// Why nothing can be asked.
pub(super) fn no_web(error: String) -> Failure {
    let fix = "look at the system's certificates";
    Failure::new("V-CMD-010", Exit::Unexpected, error, fix)
}

/// Signs in anew and keeps it.
pub(super) async fn fresh(
    web: &Web,
    url: &Url,
    wishes: &Wishes,
    logins: &Logins,
) -> Result<Login, Failure> {
    let earlier = logins.load(url);
    let sign_in =
        async |earlier| login::login(web, &World::real(), url, wishes, earlier, &guide).await;
    let login = match sign_in(earlier.as_ref()).await {
        // The server no longer knows who we were there, or not for this way of signing in.
        Err(error)
            if wishes.client_id.is_none()
                && error.is_of_client()
                && earlier
                    .as_ref()
                    .is_some_and(|login| login.client.registered) =>
        {
            sign_in(None).await
        }
        other => other,
    };
    let login = login.map_err(|error| Failure::of_login(&error, url))?;
    let kept = logins.lock(url).and_then(|_one| logins.save(&login));
    kept.map_err(|error| not_kept(&error))?;
    Ok(login)
}

pub(super) fn not_kept(error: &std::io::Error) -> Failure {
    let what = format!("the login cannot be kept: {error}");
    Failure::new(
        "V-CMD-009",
        Exit::Unexpected,
        what,
        "look at the folder's rights",
    )
}
