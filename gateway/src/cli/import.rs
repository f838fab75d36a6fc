//! `vestibule import apim-lab params.json`: what the Azure API Management lab was given becomes
//! a configuration of ours. The file is read, and nothing of Azure is asked.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;
use vestibule_core::{entra::token::is_tenant_id, uri::Issuer};

use super::{
    Exit,
    client::Failure,
    init::{self, quoted},
    print,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// The parameters of the Azure-Samples lab of MCP client authorization
    ApimLab(Arguments),
}

#[derive(Args)]
pub(super) struct Arguments {
    /// The file that the lab's notebook wrote
    params: PathBuf,
    /// Where clients will reach this gateway
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    public_url: String,
    /// An MCP server behind it; may repeat
    #[arg(
        long = "server",
        value_name = "NAME=URL",
        default_value = "weather=http://127.0.0.1:8123/weather/mcp"
    )]
    servers: Vec<String>,
    /// The file to write
    #[arg(short, long, default_value = "vestibule.toml")]
    config: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// What of the lab's has no place here, and why.
const NOT_CARRIED: [(&str, &str); 4] = [
    (
        "encryption",
        "keys are made at the first start, and never written into a configuration",
    ),
    (
        "mcpclientid",
        "clients register themselves, or bring a document",
    ),
    (
        "apim",
        "there is no API Management to size or to give keys for",
    ),
    (
        "inference",
        "model backends are another matter; see the documentation",
    ),
];

pub(super) fn run(command: &Command) -> Exit {
    let Command::ApimLab(arguments) = command;
    match import(arguments) {
        Ok(told) => {
            print(&told);
            Exit::Ok
        }
        Err(failure) => failure.tell(),
    }
}

fn import(arguments: &Arguments) -> Result<String, Failure> {
    let usage = |code, what: String, fix: &str| Failure::new(code, Exit::Usage, what, fix);
    let path = arguments.params.display();
    let text = std::fs::read_to_string(&arguments.params).map_err(|error| {
        usage(
            "V-INI-010",
            format!("{path}: {error}"),
            "name the file params.json of the lab",
        )
    })?;
    let file: Value = serde_json::from_str(&text).map_err(|error| {
        usage(
            "V-INI-010",
            format!("{path} is not JSON: {error}"),
            "name the file params.json of the lab",
        )
    })?;
    let parameters = file["parameters"].as_object().ok_or_else(|| {
        usage(
            "V-INI-010",
            format!("{path} has no parameters"),
            "name the file params.json of the lab, which has a member parameters",
        )
    })?;
    // The lab's names changed over time; what they mean is in each of them.
    let named = |part: &str| {
        parameters.iter().find_map(|(name, parameter)| {
            let plain = name.to_ascii_lowercase();
            let ours = plain.contains(part) && !plain.contains("mcpclient");
            ours.then(|| parameter.get("value").unwrap_or(parameter))
        })
    };
    let needed = |part: &str, what: &str| {
        let text = named(part).and_then(Value::as_str).map(str::trim);
        let text = text.filter(|text| !text.is_empty());
        // The notebook goes on after a failed cell, and writes null.
        text.map(str::to_owned).ok_or_else(|| {
            usage(
                "V-INI-010",
                format!(
                    "{path} has no {what}: a cell of the notebook failed before it was written"
                ),
                "start anew instead: vestibule init --idp entra --tenant DOMAIN",
            )
        })
    };
    let tenant = needed("tenantid", "tenant id")?;
    let client_id = needed("clientid", "client id")?;
    let secret = needed("clientsecret", "client secret")?;
    if !is_tenant_id(&tenant) {
        let what = format!("{path}: \"{tenant}\" is no tenant's id");
        return Err(usage(
            "V-INI-010",
            what,
            "correct it, or start anew: vestibule init --idp entra",
        ));
    }
    let public_url = Issuer::parse(&arguments.public_url).map_err(|error| {
        usage(
            "V-INI-001",
            format!("--public-url {error}"),
            "write it as https://mcp.example.com",
        )
    })?;
    let servers = arguments.servers.iter().map(|text| init::server(text));
    let servers = servers
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::from)?;
    if arguments.config.exists() && !arguments.force {
        let what = format!("{} is there already", arguments.config.display());
        let fix = "choose another with -c, or write over it with --force";
        return Err(Failure::new("V-INI-002", Exit::Refused, what, fix));
    }
    let folder = arguments.config.parent().unwrap_or(Path::new(""));
    let place = folder.join("entra");
    let made = !place.exists();
    let written = write(&place, &client_id, &secret).and_then(|()| {
        let idp = idp(&tenant);
        let text = init::configuration(&public_url, &servers, &idp);
        std::fs::write(&arguments.config, text)
    });
    if let Err(error) = written {
        // Nothing half-done stays.
        if made {
            let _ = std::fs::remove_dir_all(&place);
        }
        let what = format!("{}: {error}", arguments.config.display());
        let fix = "choose a folder that can be written";
        return Err(Failure::new("V-INI-003", Exit::Unexpected, what, fix));
    }
    let scopes = named("scopes").and_then(Value::as_str).unwrap_or_default();
    Ok(told(
        arguments,
        parameters.keys(),
        scopes,
        &public_url,
        &client_id,
    ))
}

fn idp(tenant: &str) -> String {
    format!(
        "\n[idp]\nkind          = \"entra\"\ntenant        = {}\n\
         client_id     = {{ file = \"entra/client_id\" }}\n\
         client_secret = {{ file = \"entra/client_secret\" }}\n",
        quoted(tenant),
    )
}

/// The two files, where `vestibule entra` has them too; for this user only.
fn write(place: &Path, client_id: &str, secret: &str) -> std::io::Result<()> {
    use std::{
        io::Write as _,
        os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(place)?;
    for (name, text) in [("client_id", client_id), ("client_secret", secret)] {
        // A credential that is there already is somebody's.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(place.join(name))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

fn told<'n>(
    arguments: &Arguments,
    names: impl Iterator<Item = &'n String>,
    scopes: &str,
    public_url: &Issuer,
    client_id: &str,
) -> String {
    use std::fmt::Write as _;
    let config = arguments.config.display();
    let mut out = format!(
        "ok   {config} written: tenant, client id, and the secret in a file of its own\n\nNot carried over:\n"
    );
    if !scopes.is_empty() {
        let _ = writeln!(
            out,
            "  {:<24} asked {scopes}; the gateway asks for a sign-in only, and servers have scopes of their own",
            "oauthScopes"
        );
    }
    for name in names {
        let plain = name.to_ascii_lowercase();
        if let Some((_, why)) = NOT_CARRIED.iter().find(|(part, _)| plain.contains(part)) {
            let _ = writeln!(out, "  {name:<24} {why}");
        }
    }
    let _ = write!(
        out,
        "
The registration needs the redirect address {public_url}/oauth-callback:
  vestibule entra adopt -c {config} --app-id {client_id}    # takes it over, and keeps it right
  vestibule check -c {config} --login
  vestibule serve -c {config}

The secret stands in {params} in clear: delete that file, make another secret
  vestibule entra rotate -c {config}
and remove the one before by hand, since it was not made by this program:
  az ad app credential list --id {client_id}
",
        params = arguments.params.display(),
    );
    out
}
