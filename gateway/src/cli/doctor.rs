//! `vestibule doctor`: everything that a login and a call need, looked at without changing
//! anything. Each finding says what, and what to do.

mod front;
mod here;
mod listening;
mod public;
mod there;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{ConfigFile, Exit, client::runtime, load, print};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Takes for a fault what is right on one's own computer only
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Asks nobody else: neither provider nor servers
    #[arg(long)]
    offline: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profile {
    Production,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Note,
    /// It does not work, or must not be so.
    Wrong,
    /// Nobody looked, for the reason that is said.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    /// What was looked at.
    about: &'static str,
    /// How it is, and why.
    what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// What is found, in order.
struct Findings {
    all: Vec<Finding>,
    production: bool,
}

impl Findings {
    fn add(&mut self, state: State, about: &'static str, what: impl Into<String>) -> &mut Finding {
        self.all.push(Finding {
            state,
            about,
            what: what.into(),
            fix: None,
        });
        self.all.last_mut().expect("it was just pushed")
    }

    fn ok(&mut self, about: &'static str, what: impl Into<String>) {
        self.add(State::Ok, about, what);
    }

    fn wrong(&mut self, about: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        self.add(State::Wrong, about, what).fix = Some(fix.into());
    }

    /// What is right on one's own computer only.
    fn weak(&mut self, about: &'static str, what: impl Into<String>, fix: impl Into<String>) {
        let state = if self.production {
            State::Wrong
        } else {
            State::Note
        };
        self.add(state, about, what).fix = Some(fix.into());
    }

    fn skipped(&mut self, about: &'static str, why: impl Into<String>) {
        self.add(State::Skipped, about, why);
    }
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let path = &arguments.file.config;
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut findings = Findings {
        all: Vec::new(),
        production: arguments.profile == Some(Profile::Production),
    };
    let servers = config.servers.len();
    let plural = if servers == 1 { "" } else { "s" };
    findings.ok(
        "configuration",
        format!("{}, {} server{plural}", path.display(), servers),
    );
    here::look(&config, &mut findings);
    here::registration(path, &mut findings);
    listening::look(&config, &mut findings);
    if arguments.offline {
        findings.skipped("provider and servers", "--offline");
    } else {
        match runtime() {
            Ok(runtime) => {
                runtime.block_on(there::look(&config, &mut findings));
                front::look(&config, &mut findings);
            }
            Err(failure) => return failure.tell(),
        }
    }
    print(&if arguments.json {
        serde_json::to_string_pretty(&findings.all).unwrap_or_default() + "\n"
    } else {
        told(&findings.all)
    });
    if findings.all.iter().any(|one| one.state == State::Wrong) {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn told(all: &[Finding]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let width = all.iter().map(|one| one.about.len()).max().unwrap_or(0);
    for one in all {
        let state = match one.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Wrong => "WRONG",
            State::Skipped => "-",
        };
        let _ = writeln!(out, "{state:<6}{:<width$}  {}", one.about, one.what);
        if let Some(fix) = &one.fix {
            let _ = writeln!(out, "{:<6}{:<width$}  fix: {fix}", "", "");
        }
    }
    let count = |state| all.iter().filter(|one| one.state == state).count();
    let _ = writeln!(
        out,
        "\n{} ok, {} to know, {} wrong, {} not looked at",
        count(State::Ok),
        count(State::Note),
        count(State::Wrong),
        count(State::Skipped)
    );
    out
}
