//! Who belongs to the cluster, and how this node stands in it.

pub mod changes;
pub mod member;
pub mod node_state;
