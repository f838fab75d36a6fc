//! What the apps of one person called lately, for that person. Everybody may look, so a look is
//! short and repeated at most every half minute.

use std::{collections::HashMap, sync::Arc, time::Duration};

use vestibule_core::{
    audit::{Call, Record},
    id::{ClientRef, PersonId},
    time::Timestamp,
};

use super::{Audit, ROWS};
use crate::store::{Sought, StoreError};

/// How far a look at somebody's own calls goes.
struct Effort {
    rows: usize,
    calls: usize,
}

/// Everybody may look at their own calls.
const OF_PEOPLE: Effort = Effort {
    rows: 2_000,
    calls: 50_000,
};

/// The same where a call has its arguments.
const WITH_ARGUMENTS: Effort = Effort {
    rows: 2_000,
    calls: 2_000,
};

/// How long what a person was shown is shown again, in seconds; and to how many.
const SHOWN_AGAIN: u64 = 30;
pub(super) const SHOWN_MAX: usize = 1_000;

/// How far the order of writing may be from that of time.
const SHUFFLED: Duration = Duration::from_secs(3600);

/// What the apps of one person called lately.
#[derive(Debug, Default)]
pub struct Lately {
    /// The last few calls, the newest first.
    pub last: Vec<Call>,
    /// How often each app called a tool.
    pub counts: HashMap<ClientRef, u64>,
    /// Whether that is all of it.
    pub whole: bool,
}

impl Audit {
    /// What the apps of one person called within `window` before now, as far as a short look
    /// finds it; the same for half a minute, however often somebody asks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lately(
        &self,
        person: PersonId,
        now: Timestamp,
        window: Duration,
        most: usize,
    ) -> Result<Arc<Lately>, StoreError> {
        let key = (person, now.unix() / SHOWN_AGAIN);
        let look = async {
            let since = now.minus(window);
            self.look(person, since, most).await.map(Arc::new)
        };
        self.shown.get_or_insert_async(&key, look).await
    }

    async fn look(
        &self,
        person: PersonId,
        since: Timestamp,
        most: usize,
    ) -> Result<Lately, StoreError> {
        let effort = match self.settings.arguments {
            true => WITH_ARGUMENTS,
            false => OF_PEOPLE,
        };
        let mut lately = Lately::default();
        let (mut rows_seen, mut calls_seen) = (0, 0);
        let mut before = None;
        // By number alone: the store would go through all that is older to find that it is.
        while rows_seen < effort.rows && calls_seen < effort.calls {
            let rows = self.store.audited(Sought {
                kind: Some("calls"),
                before,
                most: ROWS,
                ..Sought::default()
            });
            let rows = rows.await?;
            if rows.is_empty() {
                lately.whole = true;
                return Ok(lately);
            }
            for (row, record) in rows {
                rows_seen += 1;
                before = Some(row);
                if record
                    .times()
                    .is_some_and(|(_, until)| until < since.minus(SHUFFLED))
                {
                    lately.whole = true;
                    return Ok(lately);
                }
                let Record::Calls(page) = record else {
                    continue;
                };
                for call in page.calls().rev() {
                    calls_seen += 1;
                    if call.subject.person == Some(person) && call.at >= since {
                        lately.add(call, most);
                    }
                }
            }
        }
        Ok(lately)
    }
}

impl Lately {
    fn add(&mut self, call: Call, most: usize) {
        if let Some(client) = call.subject.client {
            *self.counts.entry(client).or_default() += 1;
        }
        if self.last.len() < most {
            self.last.push(call);
        }
    }
}
