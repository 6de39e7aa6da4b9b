//! Medians, spreads and percentiles.

use std::time::Duration;

/// The value in the middle (the mean of the two in the middle when their count is even).
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

/// (max - min) / median, in percent.
pub fn spread_percent(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (high - low) / median(values) * 100.0
}

/// Percentiles of a set of durations, in milliseconds.
#[derive(Clone, Copy, Default)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Percentiles {
    pub fn of(mut durations: Vec<Duration>) -> Self {
        if durations.is_empty() {
            return Self::default();
        }
        durations.sort_unstable();
        let at = |share: f64| {
            let index = ((durations.len() - 1) as f64 * share).round() as usize;
            durations[index].as_secs_f64() * 1000.0
        };
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }

    /// The median of each percentile over several passes.
    pub fn medians(passes: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(&passes.iter().map(field).collect::<Vec<_>>());
        Self { p50: of(|p| p.p50), p99: of(|p| p.p99), p999: of(|p| p.p999), max: of(|p| p.max) }
    }
}
