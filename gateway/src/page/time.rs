//! Times as people say them.

use chrono::{DateTime, Utc};
use vestibule_core::time::Timestamp;

/// A day: `12 Nov 2026`, by UTC.
pub fn day(at: Timestamp) -> String {
    format(at, "%-d %b %Y")
}

/// A moment: `2026-11-12 14:03:07Z`.
pub fn moment(at: Timestamp) -> String {
    format(at, "%Y-%m-%d %H:%M:%SZ")
}

/// How long ago, to the largest unit: `3 days ago`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

fn format(at: Timestamp, form: &str) -> String {
    // A moment beyond the calendar is one of no clock.
    let seconds = i64::try_from(at.unix()).unwrap_or(i64::MAX);
    match DateTime::<Utc>::from_timestamp(seconds, 0) {
        Some(moment) => moment.format(form).to_string(),
        None => "never".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let at = Timestamp::from_unix;
        assert_eq!(day(at(1_794_441_600)), "12 Nov 2026");
        assert_eq!(moment(at(0)), "1970-01-01 00:00:00Z");
        assert_eq!(day(at(u64::MAX)), "never");
        for (seconds, said) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
        ] {
            assert_eq!(ago(at(1000), at(1000 + seconds)), said);
        }
        assert_eq!(ago(at(1000), at(1)), "just now", "a clock turned back");
    }
}
