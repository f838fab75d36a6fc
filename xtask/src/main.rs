//! Checks of the repository itself.
//!
//! `cargo run -p xtask -- tidy` fails with a sentence for each rule that is broken.

mod tidy;

use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    match task.as_deref() {
        Some("tidy") => match tidy::broken(std::path::Path::new(".")) {
            Ok(broken) if broken.is_empty() => ExitCode::SUCCESS,
            Ok(broken) => {
                for sentence in broken {
                    say(&sentence);
                }
                ExitCode::FAILURE
            }
            Err(error) => {
                say(&format!("tidy could not look: {error:#}"));
                ExitCode::FAILURE
            }
        },
        _ => {
            say("usage: cargo run -p xtask -- tidy");
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
