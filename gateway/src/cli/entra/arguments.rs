//! What `vestibule entra` is asked for.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use vestibule_core::entra::Step;

#[derive(Subcommand)]
pub(in crate::cli) enum Command {
    /// Say who is signed in, to which tenant, and what is allowed
    Whoami(Common),
    /// Say what apply would do; nothing is changed
    Plan(Common),
    /// Make the app registration what the configuration says
    Apply(Apply),
    /// Make a new credential, and retire the one before
    Rotate(Rotate),
    /// Take over an app registration that was made by hand
    Adopt(Adopt),
    /// Remove what apply made, and nothing else
    Destroy(Destroy),
}

#[derive(Args)]
pub(in crate::cli) struct Common {
    #[command(flatten)]
    pub(super) file: crate::cli::ConfigFile,
    /// The app of this server (mode = "direct") in place of the gateway's own
    #[arg(long, value_name = "NAME")]
    pub(super) server: Option<String>,
    /// How to sign in to Microsoft Graph
    #[arg(long, value_enum, default_value_t = Auth::Az)]
    pub(super) auth: Auth,
    /// The program to sign in as, with --auth device, secret or certificate
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// File with that program's secret
    #[arg(long, value_name = "FILE")]
    pub(super) client_secret_file: Option<PathBuf>,
    /// That program's certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    pub(super) certificate: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, value_name = "FILE")]
    pub(super) certificate_key: Option<PathBuf>,
    /// How long to wait for what is not everywhere in the directory yet
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = span)]
    pub(super) wait: Duration,
    /// Show the request behind each line
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args)]
pub(in crate::cli) struct Apply {
    #[command(flatten)]
    pub(super) common: Common,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Only this step; may repeat
    #[arg(long, value_name = "STEP", value_parser = step)]
    pub(super) only: Vec<Step>,
    /// From this step on
    #[arg(long, value_name = "STEP", value_parser = step, conflicts_with = "only")]
    pub(super) from: Option<Step>,
    /// Ask before each step
    #[arg(long, conflicts_with = "yes")]
    pub(super) step: bool,
    /// Go on where a run stopped; apply always does
    #[arg(long, hide = true)]
    pub(super) resume: bool,
}

#[derive(Args)]
pub(in crate::cli) struct Rotate {
    #[command(flatten)]
    pub(super) common: Common,
    /// How long the credential before stays, such as 24h; 0s removes it once the new one works
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = span)]
    pub(super) grace: Duration,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

#[derive(Args)]
pub(in crate::cli) struct Adopt {
    #[command(flatten)]
    pub(super) common: Common,
    /// Its application (client) id
    #[arg(long, value_name = "ID")]
    pub(super) app_id: String,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
}

#[derive(Args)]
pub(in crate::cli) struct Destroy {
    #[command(flatten)]
    pub(super) common: Common,
    /// Its application (client) id, where journal and tag are lost
    #[arg(long, value_name = "ID")]
    pub(super) app_id: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Only say what would go
    #[arg(long)]
    pub(super) dry_run: bool,
    /// For good: otherwise Entra keeps a deleted app for thirty days
    #[arg(long)]
    pub(super) purge: bool,
    /// Delete the app although others have put things of theirs into it
    #[arg(long)]
    pub(super) even_if_shared: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Auth {
    /// The Azure CLI, which is signed in
    Az,
    /// By typing a code on another screen
    Device,
    /// As a program with a secret
    Secret,
    /// As a program with a certificate
    Certificate,
    /// As this machine
    ManagedIdentity,
}

fn step(text: &str) -> Result<Step, String> {
    Step::parse(text).ok_or_else(|| {
        let names: Vec<&str> = Step::ALL.iter().map(|step| step.name()).collect();
        format!("a step is one of {}", names.join(", "))
    })
}

fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("write it as 30m, 24h or 7d".to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .map(Duration::from_secs)
        .ok_or_else(|| "write it as 30m, 24h or 7d".to_owned())
}
