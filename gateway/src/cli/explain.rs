//! `vestibule explain CODE`: what an error means, and what to do.

use clap::Args;

use super::{Exit, client::Failure, print};
use crate::catalogue::{self, Entry};

#[derive(Args)]
pub(super) struct Arguments {
    /// A code as it was shown, V-CFG-007; without one, all of them
    code: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Characters on a line.
const WIDTH: usize = 80;

pub(super) fn run(arguments: &Arguments) -> Exit {
    let Some(written) = &arguments.code else {
        print(&if arguments.json {
            json(catalogue::all())
        } else {
            list()
        });
        return Exit::Ok;
    };
    let Some((code, entry)) = catalogue::find(written) else {
        let what = format!("there is no error \"{written}\"");
        let fix = "see all of them: vestibule explain";
        return Failure::new("V-CMD-017", Exit::Usage, what, fix).tell();
    };
    print(&if arguments.json {
        json(&serde_json::json!({ "code": code, "entry": entry }))
    } else {
        one(code, entry)
    });
    Exit::Ok
}

fn json(what: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(what).unwrap_or_default() + "\n"
}

fn list() -> String {
    catalogue::all()
        .iter()
        .map(|(code, entry)| format!("{code}  {}\n", entry.title))
        .collect()
}

fn one(code: &str, entry: &Entry) -> String {
    let mut out = format!("{code}  {}\n\n", entry.title);
    let fix = format!("{} (by {})", entry.fix.trim(), entry.who.words());
    for (name, text) in [
        ("cause", entry.cause.as_str()),
        ("check", &entry.check),
        ("fix", &fix),
    ] {
        for (at, line) in wrapped(text, WIDTH - 9).iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            out += &format!("  {name:<5}  {line}\n");
        }
    }
    out += "\n  example\n";
    for line in entry.example.trim_end().lines() {
        out += &format!("    {line}\n");
    }
    out
}

/// The words of a text in lines of at most `width` characters, where words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        assert_eq!(wrapped("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrapped("  a\n b ", 80), ["a b"]);
        assert_eq!(wrapped("longer than it", 3), ["longer", "than", "it"]);
        assert_eq!(wrapped("", 3), [""]);
    }

    #[test]
    fn every_explanation_fits_a_terminal() {
        for (code, entry) in catalogue::all() {
            let text = one(code, entry);
            for line in text.lines().take_while(|line| *line != "  example") {
                let command = line.split_whitespace().any(|word| word.len() > 60);
                assert!(line.chars().count() <= 100 || command, "{code}: {line}");
            }
        }
    }
}
