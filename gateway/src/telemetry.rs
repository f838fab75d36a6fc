//! Where log events go. Everybody else only emits them.

use std::io::IsTerminal as _;

use tracing_subscriber::{
    filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Text on a terminal, one JSON object per line otherwise; always on stderr.
/// `VESTIBULE_LOG` sets the level, for all or by module: `info`, `warn,vestibule=debug`.
/// (The filter of `tracing` that also knows spans and fields brings regular expressions:
/// half a megabyte that every process would touch at its start.)
pub fn start(default: &str) {
    let wanted = std::env::var("VESTIBULE_LOG").ok();
    let filter = wanted
        .and_then(|text| text.parse::<Targets>().ok())
        .or_else(|| default.parse().ok())
        .unwrap_or_default();
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as in tests, keeps the first.
    let _ = if std::io::stderr().is_terminal() {
        registry
            .with(fmt::layer().with_writer(std::io::stderr).with_target(false))
            .try_init()
    } else {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr)
                    .with_target(false),
            )
            .try_init()
    };
}
