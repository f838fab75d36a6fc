//! What was done, in the order in which it was done. The only memory between two runs: it is
//! written before an effect whose answer may be lost, and after each effect.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::Step;
use crate::{secret::Digest, time::Timestamp};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub time: Timestamp,
    /// In which run.
    pub run: String,
    /// In which step.
    pub step: Step,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// What was done. No secret is ever part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "kebab-case")]
pub enum Did {
    /// A run began.
    Began {
        /// The command.
        command: String,
        /// The tenant's id.
        tenant: String,
    },
    /// A name was chosen under which the application is made at most once.
    Named {
        /// See [`Application::unique_name`](super::application::Application::unique_name).
        unique_name: String,
    },
    /// The application was made by us, or found under our name.
    Created {
        /// Its object id.
        object: String,
        /// Its client id.
        app: String,
    },
    /// An application of somebody's was taken over.
    Adopted {
        /// Its object id.
        object: String,
        /// Its client id.
        app: String,
    },
    /// Properties of the application were set.
    Changed {
        /// Which.
        what: Vec<String>,
    },
    /// A redirect URI is about to be added that was not there.
    AddingRedirect {
        /// Which.
        uri: String,
    },
    /// One of ours was removed.
    RemovedRedirect {
        /// Which.
        uri: String,
    },
    /// An API is about to be named so, and clients are about to be let in there without anybody
    /// being asked, that were not before.
    Exposing {
        /// Application ID URIs.
        uris: Vec<String>,
        /// What nobody is asked about any more: a client's id, a space, and a scope's.
        permissions: Vec<String>,
    },
    /// The service principal is about to be made, which was not there.
    AddingPrincipal,
    /// A credential is about to be made.
    Adding {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: String,
    },
    /// It was made, and works.
    Added {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its id there.
        key: String,
        /// Until when, if it ends.
        ends: Option<Timestamp>,
        /// From when those before it are removed.
        retire_others: Timestamp,
        /// Of a secret: by what it is told from another. It is long and random, so this tells
        /// nothing of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
    },
    /// One that was there is in use from now on.
    InUse {
        /// Of which kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Its id there.
        key: String,
        /// From when ours before it are removed.
        retire_others: Timestamp,
    },
    /// It was removed.
    Removed {
        /// Its id there.
        key: String,
    },
    /// The application is about to be deleted.
    Deleting,
    /// The application was deleted; `purged` says that it cannot be brought back.
    Deleted {
        /// For good.
        purged: bool,
    },
    /// All that was ours was taken from the application, which stays.
    LetGo,
    /// The run stopped here.
    Failed {
        /// The error's code.
        code: String,
    },
    /// The run came to its end.
    Ended {
        /// How many things it changed.
        changed: usize,
    },
}

/// Kinds of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A secret.
    Secret,
    /// A certificate.
    Certificate,
    /// Tokens of another issuer.
    Federated,
}

impl Kind {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Federated => "federated credential",
        }
    }
}

/// How long a credential stays that is not the one in use any more, if nobody says otherwise: a
/// gateway that runs still proves itself by it.
pub const GRACE: Duration = Duration::from_secs(86_400);

/// All that a journal says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// The name under which the application is made at most once.
    pub unique_name: Option<String>,
    /// Whether no application of that name was seen yet: the run that was to make it may have.
    pub is_promised: bool,
    /// The application.
    pub app: Option<KnownApp>,
    /// Whether a run was about to delete it.
    pub is_going: bool,
    /// Redirect URIs that we added.
    pub redirects: BTreeSet<String>,
    /// Application ID URIs that we added.
    pub uris: BTreeSet<String>,
    /// What nobody is asked about since we let clients in, as [`Did::Exposing`] has it.
    pub permissions: BTreeSet<String>,
    /// Whether we made the service principal.
    pub principal: bool,
    /// Credentials that we made, the oldest first.
    pub credentials: Vec<Ours>,
    /// The run before, or the one that goes on.
    pub last: Option<Run>,
    /// Where a run failed that no other has made good since.
    pub failed: Option<(Step, Timestamp)>,
}

/// The application, as the journal knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownApp {
    /// Its object id.
    pub object: String,
    /// Its client id.
    pub app: String,
    /// Whether somebody else made it.
    pub adopted: bool,
    /// Since when it is known.
    pub since: Timestamp,
}

/// A credential of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Of which kind.
    pub kind: Kind,
    /// Its name there.
    pub name: String,
    /// Its id there; absent if the run that made it was cut off, and nobody has it.
    pub key: Option<String>,
    /// When.
    pub added: Timestamp,
    /// Until when it works.
    pub ends: Option<Timestamp>,
    /// From when it may go, since a newer one is in use.
    pub retire: Option<Timestamp>,
    /// Of a secret: by what it is told from another.
    pub digest: Option<Digest>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// When it began.
    pub began: Timestamp,
    /// Its command.
    pub command: String,
    /// How it ended; absent if it was cut off.
    pub ended: Option<Ending>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With everything done.
    Done,
    /// At this step.
    Failed {
        /// Which.
        step: Step,
        /// When.
        at: Timestamp,
        /// The error's code.
        code: String,
    },
}

impl Known {
    /// What these lines say, the oldest first.
    pub fn of(entries: &[Entry]) -> Self {
        let mut known = Self::default();
        for entry in entries {
            known.take(entry);
        }
        known
    }

    /// Whether this is a secret of ours that was made and told.
    pub fn holds(&self, digest: Option<Digest>) -> bool {
        let mut told = self.credentials.iter().filter(|ours| ours.key.is_some());
        digest.is_some() && told.any(|ours| ours.digest == digest)
    }

    /// The credential that is in use.
    pub fn current(&self, kind: Kind) -> Option<&Ours> {
        self.credentials
            .iter()
            .rev()
            .find(|ours| ours.kind == kind && ours.key.is_some() && ours.retire.is_none())
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.did {
            Did::Began { command, .. } => {
                self.last = Some(Run {
                    id: entry.run.clone(),
                    began: entry.time,
                    command: command.clone(),
                    ended: None,
                });
            }
            Did::Named { unique_name } => {
                self.unique_name = Some(unique_name.clone());
                self.is_promised = true;
            }
            Did::Created { object, app } => self.found(entry, object, app, false),
            Did::Adopted { object, app } => self.found(entry, object, app, true),
            Did::Changed { .. } => {}
            Did::Deleting => self.is_going = true,
            Did::AddingRedirect { uri } => {
                self.redirects.insert(uri.clone());
            }
            Did::RemovedRedirect { uri } => {
                self.redirects.remove(uri);
            }
            Did::Exposing { uris, permissions } => {
                self.uris.extend(uris.iter().cloned());
                self.permissions.extend(permissions.iter().cloned());
            }
            Did::AddingPrincipal => self.principal = true,
            // A certificate may come back, under the name that it has.
            Did::Adding { name, .. } if self.credentials.iter().any(|ours| &ours.name == name) => {}
            Did::Adding { kind, name } => self.credentials.push(Ours {
                kind: *kind,
                name: name.clone(),
                key: None,
                added: entry.time,
                ends: None,
                retire: None,
                digest: None,
            }),
            Did::Added {
                kind,
                name,
                key,
                ends,
                retire_others,
                digest,
            } => {
                if let Some(ours) = self.use_from_now_on(entry, *kind, name, key, *retire_others) {
                    ours.ends = *ends;
                    ours.digest = *digest;
                }
            }
            Did::InUse {
                kind,
                name,
                key,
                retire_others,
            } => {
                self.use_from_now_on(entry, *kind, name, key, *retire_others);
            }
            Did::Removed { key } => {
                self.credentials
                    .retain(|ours| ours.key.as_ref() != Some(key) && &ours.name != key);
            }
            Did::Deleted { .. } | Did::LetGo => {
                let last = self.last.take();
                *self = Self {
                    last,
                    ..Self::default()
                };
            }
            Did::Failed { code } => {
                self.failed = Some((entry.step, entry.time));
                self.end(Ending::Failed {
                    step: entry.step,
                    at: entry.time,
                    code: code.clone(),
                });
            }
            Did::Ended { .. } => {
                self.failed = None;
                self.end(Ending::Done);
            }
        }
    }

    fn found(&mut self, entry: &Entry, object: &str, app: &str, adopted: bool) {
        self.is_promised = false;
        let again = self
            .app
            .as_ref()
            .is_some_and(|known| known.object == object);
        if !again {
            // Another application: what was ours in the one before is not in this one.
            self.redirects.clear();
            self.uris.clear();
            self.permissions.clear();
            self.credentials.clear();
            self.principal = false;
            self.app = Some(KnownApp {
                object: object.to_owned(),
                app: app.to_owned(),
                adopted,
                since: entry.time,
            });
        }
    }

    /// One of ours is in use, if it is ours; all others of ours retire.
    fn use_from_now_on(
        &mut self,
        entry: &Entry,
        kind: Kind,
        name: &str,
        key: &str,
        retire_others: Timestamp,
    ) -> Option<&mut Ours> {
        let mut in_use = None;
        for ours in &mut self.credentials {
            let is_it =
                ours.kind == kind && (ours.name == name || ours.key.as_deref() == Some(key));
            if is_it {
                ours.key = Some(key.to_owned());
                ours.retire = None;
                in_use = Some(ours);
            } else if ours.key.is_some() && ours.kind == kind {
                ours.retire.get_or_insert(retire_others);
            } else if ours.key.is_some() {
                // A gateway that was not started anew still proves itself by it.
                let later = entry.time.plus(GRACE).max(retire_others);
                ours.retire.get_or_insert(later);
            }
        }
        in_use
    }

    fn end(&mut self, ending: Ending) {
        if let Some(run) = &mut self.last {
            run.ended = Some(ending);
        }
    }
}

/// Lines of a journal, as they are in its file. A last line that was cut off counts as not
/// written.
///
/// # Errors
/// The number of a line, from one, that says nothing.
pub fn read(text: &str) -> Result<Vec<Entry>, usize> {
    let whole = text.ends_with('\n');
    let lines: Vec<&str> = text.lines().collect();
    let mut entries = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if at + 1 == lines.len() && !whole => {}
            Err(_) => return Err(at + 1),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    pub(in crate::entra) fn entry(seconds: u64, step: Step, did: Did) -> Entry {
        Entry {
            time: Timestamp::from_unix(seconds),
            run: "r1".to_owned(),
            step,
            did,
        }
    }

    fn adding(name: &str) -> Did {
        Did::Adding {
            kind: Kind::Secret,
            name: name.to_owned(),
        }
    }

    fn added(name: &str, key: &str, retire: u64) -> Did {
        Did::Added {
            kind: Kind::Secret,
            name: name.to_owned(),
            key: key.to_owned(),
            ends: Some(Timestamp::from_unix(1_000_000)),
            retire_others: Timestamp::from_unix(retire),
            digest: None,
        }
    }

    #[test]
    fn h_4_each_line_has_its_time_and_run_and_reads_back() {
        let lines = [
            entry(
                10,
                Step::SignIn,
                Did::Began {
                    command: "apply".to_owned(),
                    tenant: "t".to_owned(),
                },
            ),
            entry(
                11,
                Step::App,
                Did::Created {
                    object: "o".to_owned(),
                    app: "a".to_owned(),
                },
            ),
            entry(12, Step::Credential, added("n", "k", 5)),
            entry(13, Step::Principal, Did::AddingPrincipal),
        ];
        let text: String = lines
            .iter()
            .map(|line| format!("{}\n", serde_json::to_string(line).expect("JSON")))
            .collect();
        assert!(
            text.lines()
                .all(|line| line.contains("\"time\":1") && line.contains("\"run\":\"r1\""))
        );
        assert_eq!(read(&text).expect("read"), lines);
        let cut = &text[..text.len() - 5];
        assert_eq!(read(cut).expect("read").len(), 3, "a line cut off is none");
        assert_eq!(read(&format!("{text}nonsense\n{text}")), Err(5));
    }

    #[test]
    fn d_6_a_newer_secret_retires_the_one_before_it_after_the_grace() {
        let known = Known::of(&[
            entry(
                10,
                Step::App,
                Did::Created {
                    object: "o".to_owned(),
                    app: "a".to_owned(),
                },
            ),
            entry(20, Step::Credential, adding("one")),
            entry(21, Step::Credential, added("one", "k1", 21)),
            entry(30, Step::Credential, adding("two")),
            entry(31, Step::Credential, added("two", "k2", 100)),
        ]);
        let current = known.current(Kind::Secret).expect("one");
        assert_eq!(current.key.as_deref(), Some("k2"));
        let first = &known.credentials[0];
        assert_eq!(first.retire, Some(Timestamp::from_unix(100)));
        let third = entry(40, Step::Credential, adding("three"));
        let mut cut_off = known.clone();
        cut_off.take(&third);
        let current = cut_off.current(Kind::Secret).expect("one");
        assert_eq!(
            current.key.as_deref(),
            Some("k2"),
            "what nobody has is not in use"
        );
        cut_off.take(&entry(
            41,
            Step::Retire,
            Did::Removed {
                key: "three".to_owned(),
            },
        ));
        assert_eq!(cut_off.credentials, known.credentials);
    }

    #[test]
    fn d_6_a_credential_of_another_kind_goes_a_day_later_and_may_come_back() {
        let certificate = |did: fn(Kind, String) -> Did| did(Kind::Certificate, "c".to_owned());
        let adding = certificate(|kind, name| Did::Adding { kind, name });
        let added = certificate(|kind, name| Did::Added {
            kind,
            name,
            key: "kc".to_owned(),
            ends: None,
            retire_others: Timestamp::from_unix(50),
            digest: None,
        });
        let lines = [
            entry(20, Step::Credential, self::adding("one")),
            entry(21, Step::Credential, self::added("one", "k1", 21)),
            entry(50, Step::Credential, adding.clone()),
            entry(50, Step::Credential, added.clone()),
        ];
        let known = Known::of(&lines);
        let secret = &known.credentials[0];
        assert_eq!(secret.retire, Some(Timestamp::from_unix(50 + 86_400)));
        assert!(known.current(Kind::Certificate).is_some());
        // The same certificate once more: one entry, which is in use.
        let twice: Vec<Entry> = lines
            .iter()
            .cloned()
            .chain([
                entry(60, Step::Credential, adding),
                entry(60, Step::Credential, added),
            ])
            .collect();
        let known = Known::of(&twice);
        assert_eq!(known.credentials.len(), 2);
        assert!(known.current(Kind::Certificate).is_some());
    }

    #[test]
    fn what_was_of_one_application_is_not_of_another() {
        let created = |object: &str| Did::Created {
            object: object.to_owned(),
            app: "a".to_owned(),
        };
        let mut known = Known::of(&[
            entry(10, Step::App, created("o1")),
            entry(
                11,
                Step::Redirect,
                Did::AddingRedirect {
                    uri: "u".to_owned(),
                },
            ),
            entry(12, Step::App, created("o1")),
        ]);
        assert_eq!(known.redirects.len(), 1, "the same one, found again");
        assert_eq!(
            known
                .app
                .as_ref()
                .map(|app| app.since.plus(Duration::ZERO).unix()),
            Some(10)
        );
        known.take(&entry(13, Step::App, created("o2")));
        assert!(known.redirects.is_empty());
        known.take(&entry(14, Step::App, Did::Deleted { purged: false }));
        assert_eq!(known.app, None);
        assert_eq!(
            known.unique_name, None,
            "a deleted one may still hold its name"
        );
    }
}
