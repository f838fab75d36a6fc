use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    super::{
        application::{Application, FederatedCredential},
        change::Change,
        journal::{Did, Entry},
        plan::{
            plan,
            tests::{DAY, app, found, journal, lines, wanted},
        },
    },
    *,
};

#[test]
fn d_6_a_secret_is_made_anew_when_it_ends_is_lost_or_is_rotated() {
    let known = journal(&[]);
    let renewed = |wanted: &Wanted, known: &Known| lines(&plan(wanted, known, &found(app())));
    let late = Wanted {
        now: Timestamp::from_unix(187 * DAY),
        ..wanted()
    };
    let both = ["+ secret \"vestibule r9\"", "- secret \"vestibule r1\""];
    // A gateway that runs still has the one before.
    assert_eq!(renewed(&late, &known), both[..1]);
    let lost = Wanted {
        proof: Some(Proof::Secret {
            held: None,
            life: Duration::from_secs(DAY),
        }),
        ..wanted()
    };
    assert_eq!(renewed(&lost, &known), both[..1]);
    let rotated = Wanted {
        rotate: Some(Duration::from_secs(DAY)),
        ..wanted()
    };
    assert_eq!(renewed(&rotated, &known), ["+ secret \"vestibule r9\""]);
    let at_once = Wanted {
        rotate: Some(Duration::ZERO),
        ..wanted()
    };
    assert_eq!(renewed(&at_once, &known), both);
    // Somebody took ours away.
    let mut without = app();
    without.password_credentials.clear();
    let planned = plan(&wanted(), &known, &found(without));
    assert_eq!(lines(&planned), ["+ secret \"vestibule r9\""]);
}

#[test]
fn d_6_only_what_is_ours_and_over_is_removed() {
    let mut there = app();
    for (key, name) in [
        ("k2", "vestibule r2"),
        ("k3", "vestibule r3"),
        ("k4", "by hand"),
    ] {
        there.password_credentials.push(Credential {
            key_id: key.to_owned(),
            display_name: Some(name.to_owned()),
            end_date_time: None,
        });
    }
    let adding = |name: &str| Did::Adding {
        kind: Kind::Secret,
        name: name.to_owned(),
    };
    let added = Did::Added {
        kind: Kind::Secret,
        name: "vestibule r2".to_owned(),
        key: "k2".to_owned(),
        ends: Some(Timestamp::from_unix(300 * DAY)),
        retire_others: Timestamp::from_unix(150 * DAY),
        digest: digest_of("the second"),
    };
    // r3 was cut off: its text is nobody's.
    let known = journal(&[adding("vestibule r2"), added, adding("vestibule r3")]);
    let holds = |now: u64| Wanted {
        proof: Some(Proof::Secret {
            held: digest_of("the second"),
            life: Duration::from_secs(180 * DAY),
        }),
        now: Timestamp::from_unix(now * DAY),
        ..wanted()
    };
    let planned = plan(&holds(100), &known, &found(there.clone()));
    assert_eq!(lines(&planned), ["- secret \"vestibule r3\""]);
    let later = holds(150);
    let planned = plan(&later, &known, &found(there));
    assert_eq!(
        lines(&planned),
        ["- secret \"vestibule r1\"", "- secret \"vestibule r3\""]
    );
}

#[test]
fn d_11_a_federated_credential_is_made_once_for_its_issuer_and_subject() {
    let federated = Wanted {
        proof: Some(Proof::Federated {
            issuer: "https://issuer.example".to_owned(),
            subject: "system:serviceaccount:mcp:vestibule".to_owned(),
        }),
        ..wanted()
    };
    let planned = plan(&federated, &journal(&[]), &found(app()));
    let act = planned.changes.iter().find_map(|change| change.act.clone());
    let Some(Act::AddFederated { name, .. }) = act else {
        panic!("{planned:?}");
    };
    assert!(!name.contains(' '));
    let mut there = found(app());
    there.federated.push(FederatedCredential {
        id: "f".to_owned(),
        name,
        issuer: "https://issuer.example".to_owned(),
        subject: "system:serviceaccount:mcp:vestibule".to_owned(),
        audiences: vec![EXCHANGE_AUDIENCE.to_owned()],
    });
    let taken = lines(&plan(&federated, &journal(&[]), &there));
    assert_eq!(taken, ["~ federated credential \"vestibule-r9\""]);
    there.federated[0].audiences = vec!["api://other".to_owned()];
    let made = lines(&plan(&federated, &journal(&[]), &there));
    assert_eq!(made, ["+ federated credential"]);
}

#[test]
fn d_11_a_federated_credential_whose_run_was_cut_off_is_kept() {
    let federated = Wanted {
        proof: Some(Proof::Federated {
            issuer: "https://issuer.example".to_owned(),
            subject: "s".to_owned(),
        }),
        ..wanted()
    };
    let known = journal(&[Did::Adding {
        kind: Kind::Federated,
        name: "vestibule-r1".to_owned(),
    }]);
    let mut there = found(app());
    there.federated.push(FederatedCredential {
        id: "f".to_owned(),
        name: "vestibule-r1".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        subject: "s".to_owned(),
        audiences: vec![EXCHANGE_AUDIENCE.to_owned()],
    });
    let planned = lines(&plan(&federated, &known, &there));
    assert_eq!(planned, ["~ federated credential \"vestibule-r1\""]);
}

#[test]
fn d_6_what_is_in_use_is_not_retired_where_its_successor_may_not_be_made() {
    let lost = Wanted {
        proof: Some(Proof::Secret {
            held: None,
            life: Duration::from_secs(DAY),
        }),
        rotate: Some(Duration::ZERO),
        steps: vec![Step::Retire],
        ..wanted()
    };
    assert!(plan(&lost, &journal(&[]), &found(app())).is_done());
}

#[test]
fn d_6_a_file_that_holds_another_secret_is_not_taken_for_ours() {
    let other = Wanted {
        proof: Some(Proof::Secret {
            held: digest_of("another"),
            life: Duration::from_secs(180 * DAY),
        }),
        ..wanted()
    };
    let planned = plan(&other, &journal(&[]), &found(app()));
    assert_eq!(lines(&planned), ["+ secret \"vestibule r9\""]);
}

#[test]
fn d_6_a_short_life_comes_to_rest() {
    let short = Wanted {
        proof: Some(Proof::Secret {
            held: digest_of("the secret"),
            life: Duration::from_secs(10 * DAY),
        }),
        now: Timestamp::from_unix(195 * DAY),
        ..wanted()
    };
    assert!(plan(&short, &journal(&[]), &found(app())).is_done());
}

/// What a configuration names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Names {
    Secret,
    Certificate(u8),
    Federated(u8),
}

/// A directory, a journal and a file, and a gateway that runs.
#[derive(Default)]
struct World {
    there: Found,
    journal: Vec<Entry>,
    file: Option<String>,
    staged: Option<String>,
    now: u64,
    runs: u32,
    /// When each credential was last the one in use.
    used: BTreeMap<String, u64>,
    /// When it was last said that nothing of before is to stay.
    hasty: Option<u64>,
    /// Where the process is killed, counted in effects.
    cut: Option<u32>,
}

/// The process was killed.
struct Killed;

impl World {
    fn new() -> Self {
        let mut world = Self {
            there: Found {
                app: Some(Application {
                    password_credentials: Vec::new(),
                    ..app()
                }),
                principal: true,
                federated: Vec::new(),
            },
            now: 1000 * DAY,
            ..Self::default()
        };
        world.push(Did::Created {
            object: "object".to_owned(),
            app: "client".to_owned(),
        });
        world
    }

    fn push(&mut self, did: Did) {
        self.journal.push(Entry {
            time: Timestamp::from_unix(self.now),
            run: format!("r{}", self.runs),
            step: Step::Credential,
            did,
        });
    }

    /// One effect, or the end of the process in its place.
    fn effect(&mut self) -> Result<(), Killed> {
        match &mut self.cut {
            Some(0) => Err(Killed),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, did: Did) -> Result<(), Killed> {
        self.effect()?;
        self.push(did);
        Ok(())
    }

    fn wanted(&self, names: Names, rotate: Option<Duration>) -> Wanted {
        Wanted {
            proof: Some(match names {
                Names::Secret => Proof::Secret {
                    held: self.file.as_deref().and_then(digest_of),
                    life: Duration::from_secs(180 * DAY),
                },
                Names::Certificate(n) => Proof::Certificate {
                    der: vec![n],
                    fingerprint: format!("{n:064}"),
                },
                Names::Federated(n) => Proof::Federated {
                    issuer: format!("https://{n}.example"),
                    subject: "s".to_owned(),
                },
            }),
            rotate,
            run: format!("r{}", self.runs),
            now: Timestamp::from_unix(self.now),
            ..wanted()
        }
    }

    /// The id of what the gateway proves itself with, if it is there.
    fn in_use(&self, names: Names) -> Option<String> {
        let id_of = |kind, name: &str| {
            let all = there(&self.there, kind);
            all.into_iter().find(|(_, n)| n == name).map(|(id, _)| id)
        };
        match names {
            Names::Secret => id_of(Kind::Secret, self.file.as_deref()?),
            Names::Certificate(n) => {
                id_of(Kind::Certificate, &certificate_name(&format!("{n:064}")))
            }
            Names::Federated(n) => self
                .there
                .federated
                .iter()
                .find(|there| there.issuer == format!("https://{n}.example"))
                .map(|there| there.id.clone()),
        }
    }

    /// As the command does at its start.
    fn settle(&mut self) {
        let known = Known::of(&self.journal);
        if let Some(staged) = self.staged.take()
            && known.holds(digest_of(&staged))
        {
            self.file = Some(staged);
        }
    }

    fn apply(&mut self, names: Names, rotate: Option<Duration>) -> Result<(), Killed> {
        self.runs += 1;
        if rotate == Some(Duration::ZERO) {
            self.hasty = Some(self.now);
        }
        self.settle();
        let known = Known::of(&self.journal);
        let planned = plan(&self.wanted(names, rotate), &known, &self.there);
        for change in &planned.changes {
            self.carry_out(change, names)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, change: &Change, names: Names) -> Result<(), Killed> {
        let made = |kind, name: &str, key: &str, retire_others, digest| Did::Added {
            kind,
            name: name.to_owned(),
            key: key.to_owned(),
            ends: (kind == Kind::Secret).then(|| Timestamp::from_unix(u64::MAX / 2)),
            retire_others,
            digest,
        };
        match &change.act {
            Some(Act::AddSecret {
                name,
                retire_others,
                ..
            }) => {
                let kind = Kind::Secret;
                self.write(Did::Adding {
                    kind,
                    name: name.clone(),
                })?;
                self.effect()?;
                let key = format!("key of {name}");
                let app = self.there.app.as_mut().expect("there");
                app.password_credentials.push(Credential {
                    key_id: key.clone(),
                    display_name: Some(name.clone()),
                    end_date_time: None,
                });
                self.effect()?;
                self.staged = Some(name.clone());
                self.write(made(kind, name, &key, *retire_others, digest_of(name)))?;
                self.effect()?;
                self.file = self.staged.take();
            }
            Some(Act::AddCertificate {
                name,
                retire_others,
                ..
            }) => {
                let kind = Kind::Certificate;
                self.write(Did::Adding {
                    kind,
                    name: name.clone(),
                })?;
                self.effect()?;
                let key = format!("key of {name} {}", self.runs);
                let there = there(&self.there, kind)
                    .into_iter()
                    .find(|(_, n)| n == name);
                let key = if let Some((there, _)) = there {
                    there
                } else {
                    let app = self.there.app.as_mut().expect("there");
                    app.key_credentials
                        .push(serde_json::json!({ "keyId": key, "displayName": name }));
                    key
                };
                self.write(made(kind, name, &key, *retire_others, None))?;
            }
            Some(Act::AddFederated {
                name,
                issuer,
                subject,
                retire_others,
            }) => {
                let kind = Kind::Federated;
                self.write(Did::Adding {
                    kind,
                    name: name.clone(),
                })?;
                self.effect()?;
                let key = format!("key of {name}");
                self.there.federated.push(FederatedCredential {
                    id: key.clone(),
                    name: name.clone(),
                    issuer: issuer.clone(),
                    subject: subject.clone(),
                    audiences: vec![EXCHANGE_AUDIENCE.to_owned()],
                });
                self.write(made(kind, name, &key, *retire_others, None))?;
            }
            Some(Act::Use {
                kind,
                name,
                key,
                retire_others,
            }) => self.write(Did::InUse {
                kind: *kind,
                name: name.clone(),
                key: key.clone(),
                retire_others: *retire_others,
            })?,
            Some(Act::RemoveCredential { key, known_as, .. }) => {
                assert_ne!(self.in_use(names).as_ref(), Some(key), "in use: {change:?}");
                let used = self.used.get(key).copied();
                let over = used
                    .is_none_or(|at| at + GRACE.as_secs() <= self.now || self.hasty >= Some(at));
                assert!(over, "a gateway may still run with it: {change:?}");
                self.effect()?;
                let app = self.there.app.as_mut().expect("there");
                app.password_credentials
                    .retain(|there| &there.key_id != key);
                app.key_credentials
                    .retain(|there| there["keyId"] != key.as_str());
                self.there.federated.retain(|there| &there.id != key);
                self.write(Did::Removed {
                    key: known_as.clone(),
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&self) -> usize {
        [Kind::Secret, Kind::Certificate, Kind::Federated]
            .into_iter()
            .map(|kind| there(&self.there, kind).len())
            .sum()
    }
}

fn names() -> impl Strategy<Value = Names> {
    prop_oneof![
        Just(Names::Secret),
        (0..2u8).prop_map(Names::Certificate),
        (0..2u8).prop_map(Names::Federated),
    ]
}

proptest! {
    /// Whatever the configuration names one after the other, wherever a run is killed, and
    /// however much time passes: what is in use stays, and in the end nothing else of ours.
    #[test]
    fn d_6_d_11_what_is_in_use_stays_and_nothing_else_of_ours(
        runs in prop::collection::vec(
            (names(), prop::option::of(0..9u32), 0..40u64, 0..4u8),
            1..12,
        )
    ) {
        let mut world = World::new();
        let mut last = Names::Secret;
        for (names, cut, hours, rotates) in runs {
            world.now += hours * 3600;
            world.cut = cut;
            let rotate = match rotates {
                0 => Some(Duration::ZERO),
                1 => Some(GRACE),
                _ => None,
            };
            last = names;
            if world.apply(names, rotate).is_err() {
                continue;
            }
            let in_use = world.in_use(names);
            prop_assert!(in_use.is_some(), "{names:?} proves nothing");
            world.used.insert(in_use.unwrap_or_default(), world.now);
            let known = Known::of(&world.journal);
            let again = plan(&world.wanted(names, None), &known, &world.there);
            prop_assert!(again.is_done(), "{again:?}");
        }
        world.cut = None;
        for _ in 0..3 {
            prop_assert!(world.apply(last, None).is_ok());
            world.now += 2 * GRACE.as_secs();
        }
        prop_assert!(world.in_use(last).is_some());
        prop_assert_eq!(world.count(), 1, "{:?}", world.there);
    }
}
