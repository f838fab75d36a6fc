//! The command line. Results go to stdout, talk to stderr.

mod access;
mod call;
mod check;
mod client;
mod control;
mod demo;
mod doctor;
mod entra;
mod explain;
mod flows;
mod import;
mod init;
mod keys;
mod login;
mod probe;

use std::{collections::BTreeMap, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use vestibule_core::text;

use crate::{
    app::{self, StartError},
    config::Config,
    telemetry,
    world::World,
};

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Ok = 0,
    Unexpected = 1,
    Usage = 2,
    SignIn = 3,
    Unreachable = 4,
    Failed = 5,
    Refused = 6,
    Partly = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// One door between MCP clients and a company's MCP servers.
#[derive(Parser)]
#[command(name = "vestibule", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try it out: gateway, identity provider and weather server, on this computer only
    Demo(demo::Arguments),
    /// Serve
    #[command(alias = "run")]
    Serve(ConfigFile),
    /// Write a configuration for your identity provider and MCP servers
    Init(init::Arguments),
    /// Register the gateway at Microsoft Entra ID, without a portal
    #[command(subcommand)]
    Entra(entra::Command),
    /// Look at the keys, and rotate them
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look at logins: which failed, why, and what to do
    #[command(subcommand)]
    Flows(flows::Command),
    /// Look at clients, and decide about them
    #[command(subcommand)]
    Clients(access::Clients),
    /// Look at people, and whether they are let in
    #[command(subcommand)]
    People(access::People),
    /// Look at what may act for a person, and end it
    #[command(subcommand)]
    Grants(access::Grants),
    /// Make somebody an operator
    #[command(subcommand)]
    Operators(access::Operators),
    /// Look at who called which tool, and what was done to access
    Audit(access::Audit),
    /// Check a configuration without starting anything
    Check(check::Arguments),
    /// Take over what another gateway was given
    #[command(subcommand)]
    Import(import::Command),
    /// Look at everything that a login and a call need, without changing anything
    Doctor(doctor::Arguments),
    /// Look at any MCP server from outside, and say what is wrong with it
    Probe(probe::Arguments),
    /// Sign in at any MCP server
    Login(login::Arguments),
    /// Call a tool of any MCP server
    Call(call::Arguments),
    /// Say what an error code means, and what to do
    Explain(explain::Arguments),
}

/// The one argument that most commands share.
#[derive(Args)]
struct ConfigFile {
    /// The configuration
    #[arg(
        short,
        long,
        default_value = "vestibule.toml",
        env = "VESTIBULE_CONFIG"
    )]
    config: PathBuf,
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Everything that speaks TLS relies on this.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let exit = match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Entra(command) => entra::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Flows(command) => flows::run(&command),
        Command::Clients(command) => access::clients(&command),
        Command::People(command) => access::people(&command),
        Command::Grants(command) => access::grants(&command),
        Command::Operators(command) => access::operators(&command),
        Command::Audit(arguments) => access::audit(&arguments),
        Command::Serve(file) => serve(&file.config),
        Command::Check(arguments) => check::run(&arguments),
        Command::Import(command) => import::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Login(arguments) => login::run(&arguments),
        Command::Call(arguments) => call::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
    };
    exit.into()
}

/// The configuration, or what was said of it.
fn load(path: &std::path::Path) -> Result<Config, Exit> {
    Config::load(path, &environment()).map_err(|report| {
        say(&report.to_string());
        Exit::Usage
    })
}

fn serve(path: &std::path::Path) -> Exit {
    telemetry::start("info");
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let issuer = config.public_url.clone();
    let plain = issuer.is_plain_http();
    match app::start(config, &World::real(), Box::new(|_| axum::Router::new())) {
        Ok(running) => {
            if plain {
                tracing::warn!(
                    event = "started.plain_http",
                    "plain http on loopback: cookies have no __Host- prefix; for trying out only",
                );
            }
            tracing::info!(
                event = "started",
                issuer = issuer.text(),
                listen = %running.public,
                admin = %running.admin,
                console = format!("{}/console", running.office.console),
            );
            if running.office.roles.is_empty() {
                tracing::info!(
                    event = "started.no_roles",
                    "nobody is an operator by admin.groups or admin.people: vestibule operators \
                     link makes one",
                );
            }
            let stop = {
                let _inside = running.handle().enter();
                stop_signals()
            };
            match stop {
                Ok(stop) => running.run_until(stop),
                Err(error) => {
                    running.stop();
                    return start_failed(&StartError::Threads(error));
                }
            }
            tracing::info!(event = "stopped");
            Exit::Ok
        }
        Err(error) => start_failed(&error),
    }
}

fn start_failed(error: &StartError) -> Exit {
    let (code, fix, exit) = match error {
        StartError::Listen { .. } => (
            "V-RUN-001",
            "stop what listens there, or choose another address",
            Exit::Unreachable,
        ),
        StartError::Store(_) => (
            "V-RUN-002",
            "the store is in store.url: stop whoever uses it, or look at its rights and its disk",
            Exit::Unexpected,
        ),
        StartError::Keys(_) => (
            "V-RUN-003",
            "the root key is in keys.dir: it must be the one of this store, and only this user's",
            Exit::Usage,
        ),
        StartError::Outgoing(_) => ("V-RUN-004", "look at outbound.extra_ca_file", Exit::Usage),
        StartError::Upstream(_) => (
            "V-RUN-005",
            "write it as http://host:port/path",
            Exit::Usage,
        ),
        StartError::Threads(_) => (
            "V-RUN-006",
            "look at the limits of this user",
            Exit::Unexpected,
        ),
    };
    say(&format!(
        "error[{code}]: {error}\n  fix: {fix}\nNothing was started."
    ));
    exit
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Ctrl-C or SIGTERM, listened for from now on; without listening they end the process at
/// once and leave lying what it had begun.
///
/// # Errors
/// What the operating system says.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A result, on stdout. Words of others in it were cleaned by who put them there.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Talk, on stderr. What servers and arguments say is part of it, and steers no terminal.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", text::on_lines(text));
}
