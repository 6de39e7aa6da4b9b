//! The documents: every block that claims to run is run, every link leads somewhere, and no fact is an old copy of the code.
//!
//! A fence `sh` or `python` runs, in the order of its page, beside the server that `latchd serve` starts. A fence
//! `console` is for the reader alone, and `fences.rs` has the reason of each.

mod cluster;
mod fences;
mod generated;
mod links;
mod markdown;
mod names;
mod numbers;
mod run;
mod tour;

pub use generated::exposition;
pub use markdown::block;
