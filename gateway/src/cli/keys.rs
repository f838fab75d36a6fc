//! `vestibule keys …`: the names and times of the keys, and their rotation.

use std::sync::Arc;

use clap::Subcommand;
use vestibule_core::keyring::Purpose;

use super::{ConfigFile, Exit, environment, print, say};
use crate::{
    config::Config,
    keys::{self, Keys, KeysError},
    store::{StoreError, sqlite::Sqlite},
    world::World,
};

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
    let (path, purpose) = match command {
        Command::List(file) => (&file.config, None),
        Command::Rotate { purpose, file } => match Purpose::parse(purpose) {
            Some(purpose) => (&file.config, Some(purpose)),
            None => {
                say(&format!(
                    "error[V-KEY-001]: there are no keys for \"{purpose}\"\n  fix: one of access, browser, signing, registration, vault"
                ));
                return Exit::Usage;
            }
        },
    };
    let config = match Config::load(path, &environment()) {
        Ok(config) => config,
        Err(report) => {
            say(&report.to_string());
            return Exit::Usage;
        }
    };
    match with_store(&config, purpose) {
        Ok(told) => {
            print(&told);
            Exit::Ok
        }
        Err(error @ KeysError::Store(StoreError::Failed(_))) => {
            say(&format!(
                "error[V-KEY-002]: {error}\n  fix: if the gateway runs, stop it first; otherwise look at the file of store.url\nNothing was changed."
            ));
            Exit::Refused
        }
        Err(error) => {
            say(&format!("error[V-KEY-003]: {error}\nNothing was changed."));
            Exit::Unexpected
        }
    }
}

fn with_store(config: &Config, rotate: Option<Purpose>) -> Result<String, KeysError> {
    let world = World::real();
    let store = Sqlite::open(&config.store, Arc::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| StoreError::Failed(error.to_string()))?;
    runtime.block_on(async {
        let mut told = String::new();
        if let Some(purpose) = rotate {
            // Founds the ring if this is the first use of this store.
            Keys::load(&config.keys_dir, config.public_url.text(), &store, &world).await?;
            let id = Keys::rotate(&config.keys_dir, purpose, &store, &world).await?;
            told.push_str(&format!(
                "ok   new {} key {id}, in use in {} s\n",
                purpose.word(),
                keys::PUBLISHED_BEFORE_USE.as_secs()
            ));
        }
        let keys = Keys::load(&config.keys_dir, config.public_url.text(), &store, &world).await?;
        let now = world.now();
        for key in &keys.list {
            let state = match key.retires {
                Some(retires) if retires <= now => "retired".to_owned(),
                Some(retires) => format!("opens for another {} s", retires.since(now).as_secs()),
                None if key.active_from > now => {
                    format!("in use in {} s", key.active_from.since(now).as_secs())
                }
                None => "in use".to_owned(),
            };
            told.push_str(&format!(
                "{:<13} {}  {:>4} d old  {state}\n",
                key.purpose.word(),
                key.id,
                now.since(key.created).as_secs() / 86_400,
            ));
        }
        Ok(told)
    })
}
