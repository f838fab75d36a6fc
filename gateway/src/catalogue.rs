//! Every error that people are shown, by its code: what it means, and what to do.
//!
//! One source, `errors.toml`, for `vestibule explain`, for the page of each code, for the
//! record of a login that failed, and for `docs/reference/errors.md`.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

/// One error.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// In one sentence, without its full stop.
    pub title: String,
    /// Who can mend it.
    pub who: Who,
    /// What happened, and why it is refused.
    pub cause: String,
    /// How to see that this is the case.
    pub check: String,
    /// What to do.
    pub fix: String,
    /// What is shown.
    pub example: String,
}

/// Who can mend an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Who runs the gateway.
    Operator,
    /// Who signs in, or runs the command.
    Person,
    /// Who makes the app.
    App,
    /// Who administers the identity provider.
    Provider,
}

impl Who {
    /// The message that says it in the language of a page.
    pub fn message(self) -> &'static str {
        match self {
            Self::Operator => "who-operator",
            Self::Person => "who-person",
            Self::App => "who-app",
            Self::Provider => "who-provider",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Operator => "whoever runs this gateway",
            Self::Person => "you",
            Self::App => "whoever makes the app",
            Self::Provider => "whoever administers the identity provider",
        }
    }
}

static ENTRIES: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    // A test reads it, so that what is shipped can be read.
    toml::from_str(include_str!("../errors.toml")).unwrap_or_default()
});

/// All of them, by code.
pub fn all() -> &'static BTreeMap<String, Entry> {
    &ENTRIES
}

/// The one with this code, as people write it: `V-CFG-007`, `v-cfg-7`, `cfg7`.
pub fn find(written: &str) -> Option<(&'static str, &'static Entry)> {
    let upper = written.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("V-").unwrap_or(&upper);
    let digits = bare.find(|c: char| c.is_ascii_digit())?;
    let (area, number) = bare.split_at(digits);
    let number: u16 = number.parse().ok()?;
    let code = format!("V-{}-{number:03}", area.trim_end_matches('-'));
    ENTRIES
        .get_key_value(&code)
        .map(|(code, entry)| (code.as_str(), entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_answers_every_question() {
        let read: Result<BTreeMap<String, Entry>, _> =
            toml::from_str(include_str!("../errors.toml"));
        let read = read.expect("errors.toml");
        assert!(read.len() > 90);
        for (code, entry) in &read {
            let fields = [
                ("title", &entry.title, 10..=90),
                ("cause", &entry.cause, 30..=700),
                ("check", &entry.check, 15..=400),
                ("fix", &entry.fix, 15..=500),
                ("example", &entry.example, 15..=900),
            ];
            for (name, text, length) in fields {
                let text = text.trim();
                assert!(
                    length.contains(&text.len()),
                    "{code}: {name} is {}",
                    text.len()
                );
                assert!(!text.contains('!') || name == "example", "{code}: {name}");
            }
            assert!(!entry.title.ends_with('.'), "{code}");
            let blames = ["oops", "please", "sorry"];
            let all = format!("{} {} {}", entry.cause, entry.check, entry.fix).to_lowercase();
            assert!(!blames.iter().any(|word| all.contains(word)), "{code}");
        }
    }

    #[test]
    fn a_code_is_found_as_people_write_it() {
        for written in ["V-CFG-007", "v-cfg-007", "V-CFG-7", " cfg-7 ", "CFG7"] {
            assert_eq!(
                find(written).map(|(code, _)| code),
                Some("V-CFG-007"),
                "{written}"
            );
        }
        for written in [
            "",
            "V-CFG-",
            "V-XXX-001",
            "V-CFG-7x",
            "V-CFG-99999",
            "../etc",
            "7",
        ] {
            assert!(find(written).is_none(), "{written}");
        }
    }
}
