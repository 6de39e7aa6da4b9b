//! Who belongs to the cluster, and how this node stands in it.

mod changes;
pub mod completion;
pub mod member;
pub mod node_state;
