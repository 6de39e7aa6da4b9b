//! Nodes compare their tables. At equal indexes of the log they are equal; where they are not, a disk has lost, kept or
//! made up something behind the log's back, and a node that differs from the majority must not answer anybody.
//!
//! ```text
//! apply ─► mark: freeze ─► digest ─► follower ──Compare──► leader ─► verdict ─► who differs stands aside
//! ```
//! Which entries are marks follows from the log alone, so all nodes take their digests at the same indexes without a word:
//! each `LeaderStart`, and the first entry in each span of cluster time. Of a large table each digest takes a part in turn,
//! with the head, which nearly every difference shows in.

mod digest;
mod marks;
mod verdict;

pub use digest::take_digests;
pub use marks::{Comparing, Mark};
pub use verdict::{Ballots, Verdict, ask_leader};
