//! Tests of the engine, through its facade.

mod cluster_of_one;
mod comparing;
mod damage;
mod events;
mod events_across_nodes;
mod events_kit;
mod leaders;
mod levels;
mod limits_across_nodes;
mod refusals;
mod restoring;
mod restoring_crafted;
pub mod service;
mod unflushed;
