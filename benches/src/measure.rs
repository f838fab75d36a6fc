//! Figures of many turns, and what is said of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All figures of one target in one setting, one of each for each round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Series(pub(crate) BTreeMap<String, Vec<f64>>);

impl Series {
    /// One more turn.
    pub(crate) fn push(&mut self, name: &str, value: f64) {
        self.0.entry(name.to_owned()).or_default().push(value);
    }

    /// All turns.
    pub(crate) fn of(&self, name: &str) -> &[f64] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Median, least and most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self {
            median,
            least,
            most,
        })
    }

    /// Ratios of two series, round by round: what one moment did to the machine it did to
    /// both.
    pub(crate) fn ratio(of: &[f64], to: &[f64]) -> Option<Self> {
        Self::of(of.iter().zip(to).map(|(of, to)| of / to))
    }

    /// As text with so many digits behind the point.
    pub(crate) fn text(self, digits: usize) -> String {
        let Self {
            median,
            least,
            most,
        } = self;
        format!("{median:.digits$} ({least:.digits$}..{most:.digits$})")
    }
}

/// A percentile of values in order; `at` from 0 to 1.
pub(crate) fn percentile(sorted: &[f64], at: f64) -> f64 {
    let place = (sorted.len() as f64 * at) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
