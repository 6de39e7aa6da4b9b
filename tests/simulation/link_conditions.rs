//! The conditions on the links of the simulated network.

/// How bytes travel at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConditions {
    /// The smallest delay, and how much more there may be at random.
    pub delay_ms: u64,
    pub jitter_ms: u64,
    /// Lost packets in a thousand.
    pub lost: u64,
    /// In a thousand chunks, those after which the connection breaks.
    pub broken: u64,
}

pub const CALM: LinkConditions = LinkConditions { delay_ms: 0, jitter_ms: 3, lost: 0, broken: 0 };
