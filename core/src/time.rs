//! Points in time as whole seconds, with arithmetic that cannot wrap.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch. The core never reads a clock; the edge passes one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `seconds` after the Unix epoch.
    pub const fn from_unix(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since the Unix epoch.
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// This moment and `span` more, staying at the end of time rather than wrapping.
    #[must_use]
    pub const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.as_secs()))
    }

    /// This moment less `span`, staying at the epoch rather than wrapping.
    #[must_use]
    pub const fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// How long after `earlier` this is; nothing if `earlier` lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_within_time() {
        let end = Timestamp::from_unix(u64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        let start = Timestamp::from_unix(0);
        assert_eq!(start.minus(Duration::from_secs(1)), start);
        assert_eq!(
            start.since(end),
            Duration::ZERO,
            "a clock turned back is no age"
        );
    }
}
