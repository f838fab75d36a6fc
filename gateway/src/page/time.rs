//! Times as people say them.

use chrono::{DateTime, Datelike as _, Utc};
use vestibule_core::time::Timestamp;

use super::language::{self, Argument, Language};

/// A day: `12 Nov 2026`, by UTC, in the language of the request.
pub fn day(at: Timestamp) -> String {
    day_in(language::now(), at)
}

fn day_in(language: &Language, at: Timestamp) -> String {
    let Some(moment) = moment_of(at) else {
        return "–".to_owned();
    };
    // A year is no number that is counted, and gets no separators.
    let year = moment.year().to_string();
    language.with(
        "date",
        &[
            ("day", Argument::Number(u64::from(moment.day()))),
            ("month", Argument::Number(u64::from(moment.month()))),
            ("year", Argument::Text(&year)),
        ],
    )
}

/// A moment: `2026-11-12 14:03:07Z`.
pub fn moment(at: Timestamp) -> String {
    format(at, "%Y-%m-%d %H:%M:%SZ")
}

/// A moment as RFC 3339 has it: `2026-11-12T14:03:07Z`.
pub fn rfc3339(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// How long ago, to the largest unit: `3 days ago`, in the language of the request.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    ago_in(language::now(), at, now)
}

fn ago_in(language: &Language, at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).as_secs();
    match seconds {
        0..60 => language.text("just-now"),
        60..3600 => language.count("minutes-ago", seconds / 60),
        3600..86_400 => language.count("hours-ago", seconds / 3600),
        _ => language.count("days-ago", seconds / 86_400),
    }
}

fn moment_of(at: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::<Utc>::from_timestamp(i64::try_from(at.unix()).ok()?, 0)
}

fn format(at: Timestamp, form: &str) -> String {
    match moment_of(at) {
        Some(moment) => moment.format(form).to_string(),
        // A moment beyond the calendar is one of no clock.
        None => "–".to_owned(),
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
        assert_eq!(day(at(u64::MAX)), "–");
        let german = language::choose(Some("de"), None);
        assert_eq!(day_in(german, at(1_794_441_600)), "12. Nov. 2026");
        assert_eq!(ago_in(german, at(0), at(7200)), "vor 2 Stunden");
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
