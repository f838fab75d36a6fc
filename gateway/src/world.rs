//! The real clock and the real entropy, and the only place that touches them.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use vestibule_core::time::Timestamp;

/// Where the time and random bytes come from. Made once by `app`, and passed.
#[derive(Clone)]
pub struct World(Arc<dyn Source>);

/// A source of time and randomness; tests bring their own.
pub trait Source: Send + Sync {
    /// The present time.
    fn now(&self) -> Timestamp;
    /// Fills `bytes` with random ones from a source fit for keys.
    fn fill(&self, bytes: &mut [u8]);
}

struct Real;

impl Source for Real {
    #[allow(clippy::disallowed_methods)] // the one place
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Timestamp::from_unix(since.as_secs())
    }

    #[allow(clippy::disallowed_methods)] // the one place
    fn fill(&self, bytes: &mut [u8]) {
        // Without entropy nothing here is safe; going on would be worse than stopping.
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
    }
}

impl World {
    /// The real one.
    pub fn real() -> Self {
        Self(Arc::new(Real))
    }

    /// One of a test's own.
    pub fn of(source: impl Source + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The present time.
    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// Random bytes into `out`.
    pub fn fill(&self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}
