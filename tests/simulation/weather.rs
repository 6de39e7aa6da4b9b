//! How the simulated network is at a moment.

/// How bytes travel at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// At least this, and up to so much more at random.
    pub delay_ms: u64,
    pub jitter_ms: u64,
    /// In thousand.
    pub lost: u64,
    /// In thousand: chunks after which the connection breaks.
    pub broken: u64,
}

pub const CALM: Weather = Weather { delay_ms: 0, jitter_ms: 3, lost: 0, broken: 0 };
