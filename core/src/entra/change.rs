//! A plan: what is to be done to an application, line by line, and the act behind each.

use serde_json::Value;

use super::{Step, journal::Kind};
use crate::time::Timestamp;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In order.
    pub changes: Vec<Change>,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The step that does it.
    pub step: Step,
    /// What happens to it.
    pub mark: Mark,
    /// What it is.
    pub what: String,
    /// More about it.
    pub details: Vec<String>,
    /// What does it; nothing for what is kept.
    pub act: Option<Act>,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It stays as it is.
    Keep,
    /// It is changed.
    Change,
    /// It is made.
    Create,
    /// It is removed.
    Remove,
}

impl Mark {
    /// As one character.
    pub const fn sign(self) -> char {
        match self {
            Self::Keep => '=',
            Self::Change => '~',
            Self::Create => '+',
            Self::Remove => '-',
        }
    }

    /// As a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Change => "change",
            Self::Create => "create",
            Self::Remove => "remove",
        }
    }
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Make the application.
    CreateApp {
        /// Its properties.
        body: Value,
    },
    /// Set properties of it.
    UpdateApp {
        /// Which, to what.
        patch: Value,
    },
    /// Add redirect URIs and remove some of ours; all others stay.
    Redirects {
        /// What to add.
        add: Vec<String>,
        /// What to remove.
        remove: Vec<String>,
    },
    /// Make the service principal.
    AddPrincipal,
    /// Make a secret, and put it where the gateway reads it.
    AddSecret {
        /// Its name.
        name: String,
        /// Until when it works.
        ends: Timestamp,
        /// From when those before it are removed.
        retire_others: Timestamp,
    },
    /// Register the certificate beside those that are there.
    AddCertificate {
        /// Its name.
        name: String,
        /// It, in DER.
        der: Vec<u8>,
        /// From when those before it are removed.
        retire_others: Timestamp,
    },
    /// Trust tokens of the platform.
    AddFederated {
        /// Its name.
        name: String,
        /// Their issuer.
        issuer: String,
        /// Of whom they are.
        subject: String,
        /// From when those before it are removed.
        retire_others: Timestamp,
    },
    /// Write down that a credential that is there is the one in use from now on.
    Use {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its id there.
        key: String,
        /// From when ours before it are removed.
        retire_others: Timestamp,
    },
    /// Remove a credential of ours.
    RemoveCredential {
        /// Of which kind.
        kind: Kind,
        /// Its id there.
        key: String,
        /// How the journal calls it: its id, or its name if it was never completed.
        known_as: String,
    },
    /// Delete the application.
    DeleteApp,
    /// Strike the application from the journal, where nothing of ours is left in it.
    LetGo,
}

impl Act {
    /// The request that it is at Microsoft Graph.
    pub fn request(&self, object: &str) -> String {
        match self {
            Self::CreateApp { .. } => {
                "PATCH /applications(uniqueName='…')  Prefer: create-if-missing".to_owned()
            }
            Self::UpdateApp { .. } | Self::Redirects { .. } | Self::AddCertificate { .. } => {
                format!("PATCH /applications/{object}")
            }
            Self::AddPrincipal => "POST /servicePrincipals".to_owned(),
            Self::AddSecret { .. } => format!("POST /applications/{object}/addPassword"),
            Self::AddFederated { .. } => {
                format!("POST /applications/{object}/federatedIdentityCredentials")
            }
            Self::RemoveCredential { kind, key, .. } => match kind {
                Kind::Secret => format!("POST /applications/{object}/removePassword"),
                Kind::Certificate => format!("PATCH /applications/{object}"),
                Kind::Federated => {
                    format!("DELETE /applications/{object}/federatedIdentityCredentials/{key}")
                }
            },
            Self::DeleteApp => format!("DELETE /applications/{object}"),
            Self::Use { .. } | Self::LetGo => "nothing: a line of the journal".to_owned(),
        }
    }
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_done(&self) -> bool {
        self.changes.iter().all(|change| change.act.is_none())
    }

    /// Steps in which something is to be done, each once, in order.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for change in self.changes.iter().filter(|change| change.act.is_some()) {
            if !steps.contains(&change.step) {
                steps.push(change.step);
            }
        }
        steps
    }

    /// Leaves out what is not of these steps.
    pub fn only(&mut self, steps: &[Step]) {
        self.changes.retain(|change| steps.contains(&change.step));
    }

    pub(super) fn push(
        &mut self,
        step: Step,
        mark: Mark,
        what: impl Into<String>,
        act: Option<Act>,
    ) {
        self.changes.push(Change {
            step,
            mark,
            what: what.into(),
            details: Vec::new(),
            act,
        });
    }

    pub(super) fn detail(&mut self, text: impl Into<String>) {
        if let Some(last) = self.changes.last_mut() {
            last.details.push(text.into());
        }
    }
}
