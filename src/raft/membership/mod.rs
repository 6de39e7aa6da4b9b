//! The members of the cluster, changes to them, and the state of this node among them.
//!
//! What may not live here: who leads (`election`), and how a cluster begins (`bootstrap`).

pub mod changes;
pub mod node_state;
