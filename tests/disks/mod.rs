//! Disks that lie, fill up, or go away.

mod audit;
mod directory;
mod failing;
mod full;
mod kit;
mod snapshots;
