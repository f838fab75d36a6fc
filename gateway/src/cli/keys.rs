//! `vestibule keys …`: the names and times of the keys, and their rotation.

use clap::Subcommand;
use serde_json::{Value, json};
use vestibule_core::keyring::Purpose;

use super::{
    ConfigFile, Exit,
    control::{Control, Said},
    print, say,
};
use crate::{keys, world::World};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Names, purposes and times; nothing of the keys themselves
    List(ConfigFile),
    /// Make a new key; older ones go on opening what they sealed
    Rotate {
        /// access, browser, signing, registration or vault
        purpose: String,
        #[command(flatten)]
        file: ConfigFile,
    },
}

pub(super) fn run(command: &Command) -> Exit {
    let (file, purpose) = match command {
        Command::List(file) => (file, None),
        Command::Rotate { purpose, file } => match Purpose::parse(purpose) {
            Some(purpose) => (file, Some(purpose)),
            None => {
                say(&format!(
                    "error[V-KEY-001]: there are no keys for \"{purpose}\"\n  fix: one of access, browser, signing, registration, vault"
                ));
                return Exit::Usage;
            }
        },
    };
    told(file, purpose).unwrap_or_else(|said| said)
}

fn told(file: &ConfigFile, rotate: Option<Purpose>) -> Result<Exit, Said> {
    let control = Control::open(&file.config)?;
    let mut told = String::new();
    if let Some(purpose) = rotate {
        let path = format!("/keys/{}/rotate", purpose.word());
        let made = control.post(&path, &json!({}))?;
        told.push_str(&format!(
            "ok   new {} key {}, in use in {} s\n",
            purpose.word(),
            made["key"].as_str().unwrap_or_default(),
            keys::PUBLISHED_BEFORE_USE.as_secs()
        ));
    }
    let answer = control.get("/keys")?;
    let now = World::real().now().unix();
    for key in answer["keys"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let created = key["created"].as_u64().unwrap_or(now);
        told.push_str(&format!(
            "{:<13} {}  {:>4} d old  {}\n",
            text(&key["purpose"]),
            text(&key["key"]),
            now.saturating_sub(created) / 86_400,
            text(&key["state"]),
        ));
    }
    print(&told);
    Ok(Exit::Ok)
}
