//! Measures the gateway beside what people would use otherwise, in one run on one machine.
//! `scripts/bench` builds everything and calls this; `docs/explanation/performance.md` has
//! the method and how to read the tables.

mod browser;
mod gateway;
mod growth;
mod instructions;
mod latency;
mod load;
mod logins;
mod measure;
mod peers;
mod process;
mod program;
mod provider;
mod requests;
mod streams;
mod table;

use std::{io::Write as _, path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Measures the gateway beside its peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Calls at saturation: CPU per request, requests per second, p50 and p99, memory
    Requests(requests::Arguments),
    /// Latency of calls at a fixed rate
    Latency(latency::Arguments),
    /// Complete logins and refreshes: CPU, durable commits, how many in a second
    Logins(logins::Arguments),
    /// Calls, logins and refreshes with an empty store and with a full one
    Growth(growth::Arguments),
    /// Idle event streams: memory, first event, how many; and fairness beside busy ones
    Streams(streams::Arguments),
    /// The program by itself: size, start, memory at rest, the check of a token
    Program(program::Arguments),
    /// Instructions that one call costs, under valgrind
    Instructions(instructions::Arguments),
}

/// What every measurement takes.
#[derive(Args, Debug, Clone)]
struct Common {
    /// The gateway to measure
    #[arg(long, env = "VESTIBULE_BIN")]
    bin: PathBuf,
    /// How often each target gets its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load in each turn
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Write every single figure to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show the change against the file of an earlier run
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

impl Common {
    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> Result<()> {
    match Cli::parse().what {
        What::Requests(arguments) => requests::run(&arguments),
        What::Latency(arguments) => latency::run(&arguments),
        What::Logins(arguments) => logins::run(&arguments),
        What::Growth(arguments) => growth::run(&arguments),
        What::Streams(arguments) => streams::run(&arguments),
        What::Program(arguments) => program::run(&arguments),
        What::Instructions(arguments) => instructions::run(&arguments),
    }
}

/// Prints results.
fn print(text: &str) {
    // Whoever closed the pipe has read enough.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says what is going on.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
