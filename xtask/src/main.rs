//! Checks of the repository itself.
//!
//! - `cargo run -p xtask -- tidy` fails with a sentence for each rule that is broken.
//! - `cargo run -p xtask -- ids [--missing]` says which rules of the protocol have a test.
//! - `cargo run -p xtask -- standards` writes `docs/reference/standards.md`.
//! - `cargo run -p xtask -- errors` writes `docs/reference/errors.md`.

mod errors;
mod rules;
mod tidy;

use std::{io::Write as _, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(".");
    let done = match arguments.as_slice() {
        ["tidy"] => tidy::broken(root).map(|broken| {
            for sentence in &broken {
                say(sentence);
            }
            broken.is_empty()
        }),
        ["ids"] => rules::ids(root, false).map(|text| print(&text)),
        ["ids", "--missing"] => rules::ids(root, true).map(|text| print(&text)),
        ["standards"] => rules::write_page(root).map(|()| true),
        ["errors"] => errors::write_page(root).map(|()| true),
        _ => {
            say("usage: cargo run -p xtask -- tidy | ids [--missing] | standards | errors");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> bool {
    std::io::stdout().write_all(text.as_bytes()).is_ok()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
