//! `vestibule demo`: everything on this computer, from one command, leaving nothing behind.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use clap::Args;

use super::{Exit, print, say, start_failed, stop_signals};
use crate::{
    app,
    config::Config,
    demo::{
        loopback::require_loopback,
        provider::{DemoProvider, DemoProviderSettings},
        try_page, weather,
    },
    telemetry,
    world::World,
};

#[derive(Args)]
pub(super) struct Arguments {
    /// Port of the gateway; the identity provider and the MCP server take the next two
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Keep store and keys in this folder, for the next time
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The address at which a proxy of yours on this computer serves the gateway over TLS
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    telemetry::start("warn");
    let world = World::real();
    match start(arguments, &world) {
        Ok(()) => Exit::Ok,
        Err(Failed::Start(error)) => start_failed(&error),
        Err(Failed::Other(what)) => {
            say(&format!("error[V-RUN-007]: {what}\nNothing was started."));
            Exit::Unexpected
        }
    }
}

enum Failed {
    Start(app::StartError),
    Other(String),
}

fn other(error: impl std::fmt::Display) -> Failed {
    Failed::Other(error.to_string())
}

/// A folder that goes when the demo goes.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn start(arguments: &Arguments, world: &World) -> Result<(), Failed> {
    let beside = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("demo")
        .enable_all()
        .build()
        .map_err(other)?;
    // Before anything is there that would be left behind.
    let asked_to_stop = beside.block_on(async { stop_signals() }).map_err(other)?;
    let folder = folder(arguments, world)?;
    let [gateway, provider_port, server_port] = [0, 1, 2].map(|n| arguments.port.checked_add(n));
    let ports = gateway.zip(provider_port).zip(server_port);
    let Some(((gateway, provider_port), server_port)) = ports else {
        return Err(other("the port must be at most 65533"));
    };
    let local = format!("http://127.0.0.1:{gateway}");
    let origin = arguments
        .public_url
        .clone()
        .unwrap_or_else(|| local.clone());
    let issuer = format!("http://127.0.0.1:{provider_port}");
    let client_secret = hex(&world.random::<32>());
    write_private(&folder.path.join("idp-secret"), &client_secret)?;
    let mut config = configuration(&folder.path, &local, &origin, &issuer, server_port)?;
    config.try_page = true;

    let (stop, _) = tokio::sync::watch::channel(false);
    let stopped = || until(stop.subscribe());
    beside.block_on(async {
        let provider = DemoProvider::new(DemoProviderSettings {
            issuer: issuer.clone(),
            client_id: "vestibule-demo".to_owned(),
            client_secret,
            redirect_uri: format!("{origin}/oauth-callback"),
            signing_key_pkcs8: signing_key()?,
            clock: Arc::new({
                let world = world.clone();
                move || world.now().unix()
            }),
            entropy: Arc::new({
                let world = world.clone();
                move |bytes: &mut [u8]| world.fill(bytes)
            }),
        })
        .map_err(other)?;
        let listener = listen(provider_port).await?;
        tokio::spawn(provider.serve(listener, stopped()));

        let server = weather::router(
            "/weather/mcp",
            vec![format!("127.0.0.1:{server_port}")],
            stopped(),
        );
        let listener = listen(server_port).await?.into_inner();
        let ends = stopped();
        tokio::spawn(async move {
            let _ = axum::serve(listener, server)
                .with_graceful_shutdown(ends)
                .await;
        });
        Ok::<_, Failed>(())
    })?;
    let running = app::start(
        config,
        world,
        Box::new({
            let local = local.clone();
            move |office| try_page::routes(Arc::clone(office), &local)
        }),
    )
    .map_err(Failed::Start)?;
    print(&banner(
        &origin,
        &issuer,
        running.office.console.text(),
        &folder,
    ));
    if !arguments.no_open {
        open(&format!("{origin}/try"));
    }
    running.run_until(asked_to_stop);
    let _ = stop.send(true);
    beside.shutdown_timeout(std::time::Duration::from_secs(2));
    Ok(())
}

async fn until(mut stopped: tokio::sync::watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn listen(port: u16) -> Result<crate::demo::loopback::LoopbackListener, Failed> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error| Failed::Start(app::StartError::Listen { address, error });
    require_loopback(address)
        .map_err(other)?
        .listen()
        .await
        .map_err(failed)
}

fn folder(arguments: &Arguments, world: &World) -> Result<Folder, Failed> {
    let (path, keep) = match &arguments.keep {
        Some(path) => (path.clone(), true),
        None => {
            let name = format!("vestibule-demo-{}", hex(&world.random::<8>()));
            (std::env::temp_dir().join(name), false)
        }
    };
    std::fs::create_dir_all(&path)
        .map_err(|error| other(format!("{}: {error}", path.display())))?;
    Ok(Folder { path, keep })
}

fn configuration(
    folder: &Path,
    local: &str,
    origin: &str,
    issuer: &str,
    server_port: u16,
) -> Result<Config, Failed> {
    let listen = local.trim_start_matches("http://");
    let tls = if origin.starts_with("https://") {
        "tls = \"behind-proxy\"\ntrusted_proxies = [\"127.0.0.0/8\"]"
    } else {
        ""
    };
    let text = format!(
        r#"
public_url = "{origin}"
listen = "{listen}"
{tls}

[instance]
name = "Vestibule demo"

[admin]
listen = "127.0.0.1:0"
people = ["demo-ada"]

[idp]
issuer = "{issuer}"
client_id = "vestibule-demo"
client_secret = {{ file = "idp-secret" }}

[servers.weather]
path = "/weather/mcp"
upstream = "http://127.0.0.1:{server_port}/weather/mcp"
title = "Weather"
scopes = {{ "weather:read" = "Look up cities and their weather", "weather:write" = "Change alerts" }}
default_scopes = ["weather:read"]
tools = {{ "set_*" = "weather:write" }}

[clients.{client}]
name = "Try it"
redirect_uris = ["{origin}/try/callback"]
auth_method = "none"
"#,
        client = try_page::CLIENT_ID,
    );
    Config::read(
        "the demo's configuration",
        &text,
        folder,
        &std::collections::BTreeMap::new(),
    )
    .map_err(other)
}

fn signing_key() -> Result<Vec<u8>, Failed> {
    let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
        .and_then(|pair| pair.to_pkcs8v1())
        .map_err(|_| other("the signing key could not be made"))?;
    Ok(made.as_ref().to_vec())
}

fn write_private(path: &Path, text: &str) -> Result<(), Failed> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| other(format!("{}: {error}", path.display())))
}

fn banner(origin: &str, issuer: &str, console: &str, folder: &Folder) -> String {
    let keys = if folder.keep {
        format!("store and keys stay in {}", folder.path.display())
    } else {
        "store and keys are thrown away at the end".to_owned()
    };
    format!(
        "Vestibule {version} demo – for trying out only, {keys}

  gateway            {origin}
  identity provider  {issuer}   sign in as  ada / ada   or  bob / bob
  MCP server         {origin}/weather/mcp   3 tools

  Open  {origin}/try   and press the button
  or    give {origin}/weather/mcp to any MCP client

  Watch every login  {origin}/flows
  What may act       {origin}/apps
  Console            {console}/console   as ada

  Stop: Ctrl-C
",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// Opens a browser where there is one; where there is none, the banner has the address.
fn open(address: &str) {
    let _ = std::process::Command::new("xdg-open")
        .arg(address)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
