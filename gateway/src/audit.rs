//! The audit of tool calls: noted on the data path, and written a moment later, many
//! together.
//!
//! A call costs a note in memory. What waits is bounded: while the store takes none of it,
//! further calls are refused rather than made without a trace. Ended by force, the process
//! loses what waited, half a second at most.

mod lately;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::sync::Cache;
use smallvec::SmallVec;
use tokio::time::Instant;
use vestibule_core::{
    access_token::AccessToken,
    audit::{ARGUMENTS_MAX, CALLS_MAX, Call, Ended, Figures, Filter, Page, Record, Subject},
    bearer::Caller,
    caller_identity::Profile,
    id::{ClientRef, GrantId, PersonId},
    time::Timestamp,
};

pub use self::lately::Lately;
use crate::{
    config::Auditing,
    pulse::Pulse,
    store::{Sought, Store, StoreError},
};

/// Calls that wait for the store, at most.
const WAITING_MAX: usize = 65_536;

/// Names that are remembered, one entry for each grant.
const NAMES_MAX: usize = 10_000;

/// Rows of the store that one search looks at, and calls; whoever wants more goes on from
/// there.
const ROWS_MAX: usize = 20_000;
const LOOKED_AT_MAX: usize = 500_000;

/// Rows that are read at once: one may have thousands of calls with arguments.
const ROWS: u32 = 16;

/// Calls of one row, if their arguments are kept.
const WITH_ARGUMENTS_MAX: usize = 256;

/// See the module.
pub struct Audit {
    settings: Auditing,
    store: Arc<dyn Store>,
    waiting: Mutex<Vec<Noted>>,
    /// Held while calls move to the store, so that nobody finds them twice or not at all.
    moving: tokio::sync::Mutex<()>,
    names: Cache<GrantId, Subject>,
    shown: Cache<(PersonId, u64), Arc<Lately>>,
    pulse: Arc<Pulse>,
}

/// The parties of a token, which have names in the store.
type Who = (GrantId, PersonId, ClientRef);

/// A call without the names of its parties.
struct Noted {
    at: Timestamp,
    who: Who,
    server: Arc<str>,
    called: Called,
    ended: Ended,
    milliseconds: u32,
}

/// A tool that is called, with its arguments if they are kept.
#[derive(Debug)]
pub struct Called {
    /// The tool.
    pub tool: Box<str>,
    /// As JSON.
    pub arguments: Option<Box<str>>,
}

/// Calls of one request, most often one.
pub type Tools = SmallVec<[Called; 1]>;

/// Calls of one request, noted when this is dropped, whichever way that comes about.
pub struct Pending {
    audit: Arc<Audit>,
    at: Timestamp,
    begun: Instant,
    who: Who,
    server: Arc<str>,
    tools: Tools,
    ended: Ended,
}

/// What waits is as much as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit cannot be kept right now")]
pub struct Full;

/// Where a search goes on: a row of the store, and how many calls of it were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    row: u64,
    seen: usize,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.row, self.seen)
    }
}

impl Cursor {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (row, seen) = text.split_once('.')?;
        Some(Self {
            row: row.parse().ok()?,
            seen: seen.parse().ok()?,
        })
    }
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The newest first.
    pub calls: Vec<Call>,
    /// Where to look further back, if there may be more.
    pub next: Option<Cursor>,
}

impl Audit {
    /// An audit that is kept in `store`.
    pub fn new(settings: Auditing, store: Arc<dyn Store>, pulse: Arc<Pulse>) -> Self {
        Self {
            pulse,
            settings,
            store,
            waiting: Mutex::default(),
            moving: tokio::sync::Mutex::default(),
            names: Cache::new(NAMES_MAX),
            shown: Cache::new(lately::SHOWN_MAX),
        }
    }

    /// How long it is kept.
    pub fn retention(&self) -> Duration {
        self.settings.retention
    }

    /// Whether calls are noted.
    pub fn keeps_calls(&self) -> bool {
        self.settings.tool_calls
    }

    /// Whether the arguments of calls are to be noted.
    pub fn wants_arguments(&self) -> bool {
        self.settings.tool_calls && self.settings.arguments
    }

    /// Begins to note a request's calls: each tool with its arguments.
    ///
    /// # Errors
    /// [`Full`]; then no call may be made.
    pub fn begin(
        self: &Arc<Self>,
        caller: Option<&Caller>,
        server: &Arc<str>,
        tools: Tools,
        now: Timestamp,
    ) -> Result<Option<Pending>, Full> {
        // Where nobody is known there is nobody to name, and strangers would fill the disk.
        let Some(caller) = caller else {
            return Ok(None);
        };
        if tools.is_empty() || !self.settings.tool_calls {
            return Ok(None);
        }
        if self.waiting().len() >= WAITING_MAX {
            return Err(Full);
        }
        Ok(Some(Pending {
            audit: Arc::clone(self),
            at: now,
            begun: Instant::now(),
            who: {
                let token = caller.token();
                if let Some(profile) = caller.profile() {
                    self.know(token, profile);
                }
                (token.grant, token.subject, token.client)
            },
            server: Arc::clone(server),
            tools,
            ended: Ended::ClientLeft,
        }))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Noted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what waits to the store; to its end even if whoever asked goes away.
    pub async fn keep(self: &Arc<Self>) {
        let audit = Arc::clone(self);
        let _ = tokio::spawn(async move { audit.move_all().await }).await;
    }

    async fn move_all(&self) {
        let _moving = self.moving.lock().await;
        let most = match self.settings.arguments {
            true => WITH_ARGUMENTS_MAX,
            false => CALLS_MAX,
        };
        let mut waiting = std::mem::take(&mut *self.waiting());
        while !waiting.is_empty() {
            let rest = waiting.split_off(waiting.len().min(most));
            if let Err(error) = self.write(&waiting).await {
                tracing::error!(event = "audit.unwritten", %error, calls = waiting.len());
                let mut later = self.waiting();
                waiting.extend(rest);
                waiting.append(&mut later);
                *later = waiting;
                return;
            }
            waiting = rest;
        }
    }

    async fn write(&self, noted: &[Noted]) -> Result<(), StoreError> {
        let mut page = Page::new();
        for call in noted {
            let subject = match page.subject(&call.who) {
                Some(named) => named,
                None => page.name(call.who, self.subject(call.who).await?),
            };
            let figures = Figures {
                at: call.at,
                ended: call.ended,
                milliseconds: call.milliseconds,
                arguments: call.called.arguments.as_deref().map(str::to_owned),
            };
            page.add(subject, &call.server, &call.called.tool, figures);
        }
        self.store.audit(Record::Calls(page.calls())).await?;
        for call in noted {
            let outcome = call.ended.outcome();
            self.pulse
                .call(call.at, &call.server, outcome, call.milliseconds);
        }
        Ok(())
    }

    /// Remembers who somebody is of whom the store knows nothing: what is in the audit must say
    /// who it was for as long as it is kept.
    fn know(&self, token: &AccessToken, profile: &Profile) {
        if self.names.get(&token.grant).is_some() {
            return;
        }
        let Profile { subject, .. } = profile;
        let name = profile.email.as_ref().or(profile.name.as_ref());
        let shown = name.map_or(subject.clone(), |name| format!("{name} ({subject})"));
        let subject = Subject {
            person: Some(token.subject),
            shown,
            client: Some(token.client),
            client_name: profile.client_id.clone().unwrap_or_default(),
            flow: None,
        };
        self.names.insert(token.grant, subject);
    }

    async fn subject(&self, who: Who) -> Result<Subject, StoreError> {
        let (grant, person, client) = who;
        // A token that was exchanged has its grant's person and another client.
        let known = self.names.get(&grant);
        if let Some(known) = known.filter(|known| known.client == Some(client)) {
            return Ok(known);
        }
        let subject = self.store.subject(grant, person, client).await?;
        self.names.insert(grant, subject.clone());
        Ok(subject)
    }

    /// Looks for calls, the newest first, from `after` on backwards.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn calls(
        self: &Arc<Self>,
        filter: &Filter,
        after: Option<Cursor>,
        most: usize,
    ) -> Result<Found, StoreError> {
        self.keep().await;
        let mut found = Found::default();
        let (mut rows_seen, mut calls_seen) = (0, 0);
        // The row of a cursor is read once more.
        let mut before = after.map(|cursor| cursor.row + 1);
        let mut skip = after.map_or(0, |cursor| cursor.seen);
        while rows_seen < ROWS_MAX && calls_seen < LOOKED_AT_MAX {
            let rows = self.store.audited(Sought {
                kind: Some("calls"),
                before,
                from: filter.from,
                until: filter.until,
                most: ROWS,
            });
            let rows = rows.await?;
            if rows.is_empty() {
                return Ok(found);
            }
            for (row, record) in rows {
                rows_seen += 1;
                before = Some(row);
                let Record::Calls(page) = record else {
                    continue;
                };
                for (seen, call) in page.calls().rev().enumerate().skip(skip) {
                    calls_seen += 1;
                    if !filter.finds(&call) {
                        continue;
                    }
                    if found.calls.len() == most {
                        found.next = Some(Cursor { row, seen });
                        return Ok(found);
                    }
                    found.calls.push(call);
                }
                skip = 0;
            }
        }
        found.next = before.map(|row| Cursor {
            row: row.saturating_sub(1),
            seen: 0,
        });
        Ok(found)
    }
}

impl Pending {
    /// How it ended.
    pub fn ended(&mut self, ended: Ended) {
        self.ended = ended;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let milliseconds = self.begun.elapsed().as_millis();
        let milliseconds = u32::try_from(milliseconds).unwrap_or(u32::MAX);
        let mut waiting = self.audit.waiting();
        for called in self.tools.drain(..) {
            waiting.push(Noted {
                at: self.at,
                who: self.who,
                server: Arc::clone(&self.server),
                called,
                ended: self.ended,
                milliseconds,
            });
        }
    }
}

/// The arguments of a call as they are kept: their JSON, or its beginning.
pub fn arguments(json: &str) -> Box<str> {
    if json.len() <= ARGUMENTS_MAX {
        return json.into();
    }
    let mut end = ARGUMENTS_MAX;
    while !json.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &json[..end]).into()
}
