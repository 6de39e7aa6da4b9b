//! How a cluster begins: with one node, with several empty nodes, or from a snapshot.

pub mod cluster;
pub mod single;
pub mod snapshot;
