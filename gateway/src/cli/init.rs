//! `vestibule init`: asks the identity provider what it can, writes the configuration, and
//! says what to register there.

mod entra;

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, builder::PossibleValuesParser};
use serde::Deserialize;
use url::Url;
use vestibule_core::{
    provider_preset::{self, IssuerShape, PRESETS, ProviderPreset},
    uri::Issuer,
};

use super::{Exit, check, client::Failure, print, say};
use crate::{fetch, trust::Trust};

#[derive(Args)]
pub(super) struct Arguments {
    /// Kind of identity provider
    #[arg(long, value_name = "KIND", default_value = "oidc", value_parser = kinds())]
    idp: String,
    /// Its issuer, such as https://id.example.com
    #[arg(long, value_name = "URL", required_if_eq("idp", "oidc"))]
    issuer: Option<String>,
    /// With --idp google: the organization whose accounts are let in, such as example.com
    #[arg(long, value_name = "DOMAIN", required_if_eq("idp", "google"))]
    hosted_domain: Option<String>,
    /// With github: an organization whose members may sign in, by its number, or "any"
    #[arg(long, value_name = "ID")]
    organization: Vec<String>,
    /// With --idp entra: the tenant's id, or a domain of it
    #[arg(long, value_name = "TENANT", required_if_eq("idp", "entra"))]
    tenant: Option<String>,
    /// With --idp entra: Microsoft Entra of another cloud
    #[arg(long, value_name = "URL")]
    authority: Option<String>,
    /// With --idp entra: Microsoft Graph of another cloud
    #[arg(long, value_name = "URL")]
    graph: Option<String>,
    /// The name under which this gateway is registered there
    #[arg(long, value_name = "ID", default_value = "vestibule")]
    client_id: String,
    /// File with the secret from there; without it the secret is read from standard input
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// Where clients will reach this gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    public_url: String,
    /// An MCP server behind it, such as weather=http://127.0.0.1:8123/mcp; may repeat
    #[arg(long = "server", value_name = "NAME=URL", required = true)]
    servers: Vec<String>,
    /// The file to write
    #[arg(short, long, default_value = "vestibule.toml")]
    config: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Try a real login at the end; what is printed before must be registered by then
    #[arg(long)]
    login: bool,
}

fn kinds() -> PossibleValuesParser {
    let kinds = PRESETS.iter().map(|preset| preset.kind);
    PossibleValuesParser::new(kinds.chain(["entra"]))
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    scopes_supported: Option<Vec<String>>,
}

impl Discovery {
    /// GitHub has none, and an account for everybody.
    fn of_github(arguments: &Arguments, issuer: String) -> Result<Self, Refused> {
        if arguments.organization.is_empty() {
            let what = "everybody who has an account at GitHub would be let in";
            let fix =
                "--organization ID, which api.github.com/orgs/NAME tells, or --organization any";
            return Err(refused("V-CFG-052", what, fix, Exit::Usage));
        }
        Ok(Self {
            authorization_endpoint: issuer.clone(),
            issuer,
            scopes_supported: None,
        })
    }
}

/// Why nothing was written.
pub(super) struct Refused {
    code: &'static str,
    what: String,
    fix: String,
    exit: Exit,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new(refused.code, refused.exit, refused.what, refused.fix)
    }
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    match init(arguments) {
        Ok(told) => {
            print(&told);
            match arguments.login {
                true => check::login_of(&arguments.config),
                false => Exit::Ok,
            }
        }
        Err(refused) => {
            say(&format!(
                "error[{}]: {}\n  fix: {}\nNothing was written.",
                refused.code, refused.what, refused.fix
            ));
            refused.exit
        }
    }
}

fn refused(
    code: &'static str,
    what: impl Into<String>,
    fix: impl Into<String>,
    exit: Exit,
) -> Refused {
    Refused {
        code,
        what: what.into(),
        fix: fix.into(),
        exit,
    }
}

fn init(arguments: &Arguments) -> Result<String, Refused> {
    let public_url = Issuer::parse(&arguments.public_url).map_err(|error| {
        let what = format!("--public-url {error}");
        refused(
            "V-INI-001",
            what,
            "write it as https://mcp.example.com",
            Exit::Usage,
        )
    })?;
    let servers = arguments
        .servers
        .iter()
        .map(|text| server(text))
        .collect::<Result<Vec<_>, _>>()?;
    if arguments.config.exists() && !arguments.force {
        let what = format!("{} is there already", arguments.config.display());
        let fix = "choose another with -c, or write over it with --force";
        return Err(refused("V-INI-002", what, fix, Exit::Refused));
    }
    if arguments.idp == "entra" {
        let tenant = entra::tenant(arguments)?;
        let idp = entra::idp(arguments, &tenant);
        write(arguments, &configuration(&public_url, &servers, &idp))?;
        return Ok(entra::told(arguments, &public_url, &tenant));
    }
    let preset = provider_preset::of_kind(&arguments.idp).unwrap_or(&PRESETS[0]);
    let issuer = issuer(arguments, preset)?;
    let discovery = match preset.kind {
        "github" => Discovery::of_github(arguments, issuer)?,
        _ => discover(&issuer)?,
    };
    let folder = arguments.config.parent().unwrap_or(Path::new(""));
    let secret = match &arguments.client_secret_file {
        Some(file) => named_secret(folder, file)?,
        None => keep_secret(folder)?,
    };
    let idp = idp(arguments, preset, &discovery, &secret);
    write(arguments, &configuration(&public_url, &servers, &idp)).inspect_err(|_| {
        if arguments.client_secret_file.is_none() {
            // Nothing half-done stays.
            let _ = std::fs::remove_file(folder.join(&secret));
        }
    })?;
    Ok(told(arguments, preset, &public_url, &servers, &discovery))
}

/// The issuer, in the form that this kind of provider has.
fn issuer(arguments: &Arguments, preset: &ProviderPreset) -> Result<String, Refused> {
    let issuer = match (&arguments.issuer, preset.issuer) {
        (Some(issuer), _) => issuer.clone(),
        (None, IssuerShape::Only(only) | IssuerShape::Usual(only)) => only.to_owned(),
        (None, _) => {
            let what = format!("--idp {} needs --issuer", preset.kind);
            let fix = format!("--issuer {}", preset.issuer.example());
            return Err(refused("V-INI-009", what, fix, Exit::Usage));
        }
    };
    if preset.issuer.fits(&issuer) {
        return Ok(issuer);
    }
    let what = format!(
        "{issuer} is not what an issuer of {} looks like",
        preset.name
    );
    let fix = format!("write it like {}", preset.issuer.example());
    Err(refused("V-CFG-051", what, fix, Exit::Usage))
}

fn write(arguments: &Arguments, text: &str) -> Result<(), Refused> {
    std::fs::write(&arguments.config, text).map_err(|error| {
        let what = format!("{}: {error}", arguments.config.display());
        refused(
            "V-INI-003",
            what,
            "choose a folder that can be written",
            Exit::Unexpected,
        )
    })
}

pub(super) fn server(text: &str) -> Result<(String, String), Refused> {
    let wrong = || {
        let what = format!("--server {text} is not NAME=URL");
        refused(
            "V-INI-004",
            what,
            "write weather=http://127.0.0.1:8123/mcp",
            Exit::Usage,
        )
    };
    let (name, url) = text.split_once('=').ok_or_else(wrong)?;
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let url_ok = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if plain && url_ok {
        Ok((name.to_owned(), url.to_owned()))
    } else {
        Err(wrong())
    }
}

fn unreachable(what: String, address: &str) -> Refused {
    let fix = format!("look at the address; this must answer:  curl {address}");
    refused("V-INI-005", what, fix, Exit::Unreachable)
}

fn client() -> Result<reqwest::Client, String> {
    let trust = Trust::load(None)?;
    fetch::provider_client(&trust, std::time::Duration::from_secs(15))
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

fn discover(issuer: &str) -> Result<Discovery, Refused> {
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let unreachable = |what: String| unreachable(what, &address);
    let client = client().map_err(unreachable)?;
    let runtime = runtime().map_err(unreachable)?;
    let (status, body) = runtime
        .block_on(fetch::whole(client.get(&address)))
        .map_err(|error| unreachable(format!("the identity provider: {error}")))?;
    let discovery: Discovery = serde_json::from_slice(&body).map_err(|_| {
        unreachable(format!(
            "{address} answered {status} and no discovery document"
        ))
    })?;
    if discovery.issuer != issuer {
        let what = format!(
            "the provider calls itself {}, not {issuer}",
            discovery.issuer
        );
        let fix = format!("--issuer {}", discovery.issuer);
        return Err(refused("V-INI-006", what, fix, Exit::Usage));
    }
    Ok(discovery)
}

/// A file of the person's own, as the configuration must name it: there, paths begin at its
/// own folder and not at ours.
fn named_secret(folder: &Path, file: &Path) -> Result<PathBuf, Refused> {
    let failed = |error: std::io::Error| {
        let what = format!("{}: {error}", file.display());
        let fix = "name a file that is there and can be read";
        refused("V-INI-007", what, fix, Exit::Usage)
    };
    std::fs::File::open(file).map_err(failed)?;
    if folder.as_os_str().is_empty() {
        return Ok(file.to_owned());
    }
    std::path::absolute(file).map_err(failed)
}

/// Where to listen for a public address in plain HTTP, which is on this computer.
fn listen_address(authority: &str) -> String {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "80"),
    };
    // A name is no address to listen on.
    let host = if host == "localhost" {
        "127.0.0.1"
    } else {
        host
    };
    format!("{host}:{port}")
}

/// Reads the secret and puts it beside the configuration, for this user only.
fn keep_secret(folder: &Path) -> Result<PathBuf, Refused> {
    let name = PathBuf::from("idp-secret");
    let path = folder.join(&name);
    let failed = |error: std::io::Error| {
        let what = format!("{}: {error}", path.display());
        refused(
            "V-INI-007",
            what,
            "name a file with --client-secret-file",
            Exit::Unexpected,
        )
    };
    let secret = if std::io::stdin().is_terminal() {
        rpassword::prompt_password("Client secret from the identity provider: ").map_err(failed)?
    } else {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(failed)?;
        line
    };
    let secret = secret.trim();
    if secret.is_empty() {
        let fix = "type it, pipe it in, or name a file with --client-secret-file";
        return Err(refused(
            "V-INI-007",
            "there is no client secret",
            fix,
            Exit::Usage,
        ));
    }
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    file.write_all(secret.as_bytes()).map_err(failed)?;
    Ok(name)
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

pub(super) fn configuration(
    public_url: &Issuer,
    servers: &[(String, String)],
    idp: &str,
) -> String {
    use std::fmt::Write as _;
    let mut out = format!("public_url = {}\n", quoted(public_url.text()));
    if public_url.is_plain_http() {
        let listen = listen_address(public_url.authority());
        let _ = writeln!(out, "listen     = {}", quoted(&listen));
    } else {
        out.push_str(
            "listen     = \"127.0.0.1:8080\"\n\
             tls        = \"behind-proxy\"          # a proxy in front ends TLS\n\
             trusted_proxies = [\"127.0.0.0/8\"]    # the proxy's networks\n",
        );
    }
    out.push_str(idp);
    for (name, url) in servers {
        let _ = write!(
            out,
            "\n[servers.{name}]\npath     = {}\nupstream = {}\ntitle    = {}\n",
            quoted(&format!("/{name}/mcp")),
            quoted(url),
            quoted(name),
        );
    }
    out
}

/// The table `[idp]`.
fn idp(
    arguments: &Arguments,
    preset: &ProviderPreset,
    discovery: &Discovery,
    secret: &Path,
) -> String {
    let kind = match preset.kind {
        "oidc" => String::new(),
        kind => format!("kind          = {}\n", quoted(kind)),
    };
    let mut out = format!(
        "\n[idp]\n{kind}issuer        = {}\nclient_id     = {}\nclient_secret = {{ file = {} }}\n",
        quoted(&discovery.issuer),
        quoted(&arguments.client_id),
        quoted(&secret.display().to_string()),
    );
    if let Some(domain) = &arguments.hosted_domain {
        out.push_str(&format!("hosted_domain = {}\n", quoted(domain)));
    }
    if !arguments.organization.is_empty() {
        let ids: Vec<String> = arguments.organization.iter().map(|id| quoted(id)).collect();
        out.push_str(&format!("organizations = [{}]\n", ids.join(", ")));
    }
    // Without it a person must sign in again whenever the provider's answer has aged.
    let offline = discovery
        .scopes_supported
        .as_ref()
        .is_none_or(|scopes| scopes.iter().any(|scope| scope == "offline_access"));
    if !offline && preset.kind == "oidc" {
        out.push_str("scopes        = [\"openid\", \"profile\", \"email\"]\n");
    }
    out
}

fn told(
    arguments: &Arguments,
    preset: &ProviderPreset,
    public_url: &Issuer,
    servers: &[(String, String)],
    discovery: &Discovery,
) -> String {
    use std::fmt::Write as _;
    let config = arguments.config.display();
    let mut out = format!(
        "ok   {config} written

Register this at {host}:
  client id         {id}
  kind              web application with a secret (confidential)
  redirect address  {public_url}/oauth-callback
  scopes            {scopes}
",
        host = vestibule_core::uri::host_for_people(&discovery.authorization_endpoint),
        id = arguments.client_id,
        scopes = preset.scopes_at(&discovery.issuer).join(" "),
    );
    if preset.kind != "github" {
        let _ = writeln!(
            out,
            "  if it has them    back-channel logout address {public_url}/backchannel-logout"
        );
    }
    for line in preset.register {
        let _ = writeln!(out, "  {:<17} {line}", preset.name);
    }
    let _ = write!(
        out,
        "
Then:
  vestibule check -c {config} --login    # tries a real login
  vestibule serve -c {config}

Your MCP clients connect to:
"
    );
    for (name, _) in servers {
        let _ = writeln!(out, "  {public_url}/{name}/mcp");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listened_on_is_an_address() {
        for (authority, listen) in [
            ("localhost:8080", "127.0.0.1:8080"),
            ("localhost", "127.0.0.1:80"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.1", "127.0.0.1:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::1]", "[::1]:80"),
        ] {
            assert_eq!(listen_address(authority), listen);
            let parsed: Result<std::net::SocketAddr, _> = listen.parse();
            assert!(parsed.is_ok(), "{listen}");
        }
    }

    #[test]
    fn a_secret_that_is_named_is_found_from_the_configuration_s_folder() {
        let temp = tempfile::tempdir().expect("a folder");
        let file = temp.path().join("secret");
        std::fs::write(&file, "x").expect("written");
        let named = named_secret(Path::new("etc"), &file);
        assert!(named.is_ok_and(|path| path.is_absolute()));
        let here = named_secret(Path::new(""), &file);
        assert!(here.is_ok_and(|path| path == file));
        let missing = named_secret(Path::new(""), Path::new("/nowhere/secret"));
        assert_eq!(missing.err().map(|refused| refused.code), Some("V-INI-007"));
    }
}
