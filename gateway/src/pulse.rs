//! What happened in the last day, in numbers, for the console's charts. In memory: the audit
//! and the record of logins are what is kept.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use vestibule_core::{audit::Outcome, time::Timestamp};

/// Seconds of a slot.
pub const SLOT: u64 = 900;

/// Slots of a day.
pub const SLOTS: usize = 96;

/// Times to the head of an answer are counted by powers of two of a millisecond.
const TIMES: usize = 18;

/// See the module.
pub struct Pulse {
    started: Timestamp,
    day: Mutex<Day>,
}

#[derive(Default)]
struct Day {
    slots: Vec<Slot>,
    servers: BTreeMap<String, ServerPulse>,
}

/// A quarter of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slot {
    number: u64,
    /// Logins that ended with a code for the app.
    pub logins_ok: u32,
    /// Logins that failed.
    pub logins_failed: u32,
    /// Calls of tools that were answered.
    pub calls_ok: u32,
    /// Calls that were not let through.
    pub calls_denied: u32,
    /// Calls that failed.
    pub calls_failed: u32,
    times: [u32; TIMES],
}

/// How an MCP server does, by the calls of tools since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerPulse {
    /// Calls that it answered.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// The last one that it answered.
    pub last_ok: Option<Timestamp>,
    /// The last one that failed.
    pub last_failed: Option<Timestamp>,
}

impl Slot {
    /// Calls in all.
    pub fn calls(&self) -> u32 {
        self.calls_ok + self.calls_denied + self.calls_failed
    }

    /// Milliseconds within which 95 of 100 calls had the head of their answer, to a power of
    /// two; `None` without calls.
    pub fn p95(&self) -> Option<u64> {
        let all: u32 = self.times.iter().sum();
        let mut left = u64::from(all) * 95;
        if all == 0 {
            return None;
        }
        for (power, count) in (0_u32..).zip(self.times) {
            let weight = u64::from(count) * 100;
            if left <= weight {
                return Some(1 << power);
            }
            left -= weight;
        }
        None
    }

    /// This and another together.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.logins_ok += other.logins_ok;
        self.logins_failed += other.logins_failed;
        self.calls_ok += other.calls_ok;
        self.calls_denied += other.calls_denied;
        self.calls_failed += other.calls_failed;
        for (mine, theirs) in self.times.iter_mut().zip(other.times) {
            *mine += theirs;
        }
        self
    }
}

impl Pulse {
    /// Begins to count.
    pub fn new(now: Timestamp) -> Self {
        Self {
            started: now,
            day: Mutex::default(),
        }
    }

    /// Since when it counts.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    fn day(&self) -> MutexGuard<'_, Day> {
        self.day.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login that ended.
    pub fn login(&self, at: Timestamp, ok: bool) {
        let mut day = self.day();
        let slot = day.slot(at);
        if ok {
            slot.logins_ok += 1;
        } else {
            slot.logins_failed += 1;
        }
    }

    /// A call of a tool that ended.
    pub fn call(&self, at: Timestamp, server: &str, outcome: Outcome, milliseconds: u32) {
        let mut day = self.day();
        let slot = day.slot(at);
        match outcome {
            Outcome::Ok => slot.calls_ok += 1,
            Outcome::Denied => slot.calls_denied += 1,
            Outcome::Failed => slot.calls_failed += 1,
        }
        if outcome == Outcome::Denied {
            return;
        }
        let power = milliseconds.max(1).next_power_of_two().trailing_zeros() as usize;
        slot.times[power.min(TIMES - 1)] += 1;
        if !day.servers.contains_key(server) {
            day.servers
                .insert(server.to_owned(), ServerPulse::default());
        }
        let Some(server) = day.servers.get_mut(server) else {
            return;
        };
        if outcome == Outcome::Ok {
            server.ok += 1;
            server.last_ok = server.last_ok.max(Some(at));
        } else {
            server.failed += 1;
            server.last_failed = server.last_failed.max(Some(at));
        }
    }

    /// The last day, the oldest quarter of an hour first.
    pub fn last_day(&self, now: Timestamp) -> Vec<Slot> {
        let day = self.day();
        let newest = now.unix() / SLOT;
        let oldest = newest.saturating_sub(SLOTS as u64 - 1);
        (oldest..=newest)
            .map(|number| {
                let known = day.slots.iter().find(|slot| slot.number == number);
                known.copied().unwrap_or_default()
            })
            .collect()
    }

    /// How a server does.
    pub fn server(&self, name: &str) -> ServerPulse {
        self.day().servers.get(name).copied().unwrap_or_default()
    }
}

impl Day {
    fn slot(&mut self, at: Timestamp) -> &mut Slot {
        let number = at.unix() / SLOT;
        let known = self.slots.iter().rposition(|slot| slot.number == number);
        let at = known.unwrap_or_else(|| {
            let oldest = number.saturating_sub(SLOTS as u64);
            self.slots.retain(|slot| slot.number > oldest);
            self.slots.push(Slot {
                number,
                ..Slot::default()
            });
            self.slots.len() - 1
        });
        &mut self.slots[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: u64) -> Timestamp {
        Timestamp::from_unix(slot * SLOT + 1)
    }

    #[test]
    fn a_day_has_its_quarters_and_forgets_the_one_before() {
        let pulse = Pulse::new(at(1000));
        pulse.login(at(1000), true);
        pulse.login(at(1000), false);
        pulse.login(at(1001), true);
        let day = pulse.last_day(at(1001));
        assert_eq!(day.len(), SLOTS);
        let all = day.iter().fold(Slot::default(), |sum, slot| sum.with(slot));
        assert_eq!((all.logins_ok, all.logins_failed), (2, 1));
        assert_eq!(day[SLOTS - 1].logins_ok, 1, "the newest is the last");
        pulse.login(at(1000 + SLOTS as u64), true);
        let day = pulse.last_day(at(1000 + SLOTS as u64));
        let all = day.iter().fold(Slot::default(), |sum, slot| sum.with(slot));
        assert_eq!((all.logins_ok, all.logins_failed), (2, 0));
        assert!(pulse.day().slots.len() <= SLOTS);
    }

    #[test]
    fn servers_and_times_are_told_by_their_calls() {
        let pulse = Pulse::new(at(1005));
        for milliseconds in [0, 3, 3, 3, 900] {
            pulse.call(at(1005), "a", Outcome::Ok, milliseconds);
        }
        pulse.call(at(1006), "a", Outcome::Failed, 1);
        pulse.call(at(1006), "b", Outcome::Denied, 0);
        let a = pulse.server("a");
        assert_eq!((a.ok, a.failed), (5, 1));
        assert_eq!((a.last_ok, a.last_failed), (Some(at(1005)), Some(at(1006))));
        assert_eq!(
            pulse.server("b"),
            ServerPulse::default(),
            "it was not asked"
        );
        let day = pulse.last_day(at(1006));
        assert_eq!(day[SLOTS - 2].p95(), Some(1024));
        assert_eq!(Slot::default().p95(), None);
        assert_eq!(day[SLOTS - 1].calls(), 2);
    }
}
