//! Logs, metrics and traces, set up once. What is counted or said is decided by the rooms that do the work.
//!
//! A log message can be read alone, and carries its values again as fields. No secret, token or key is ever logged.

pub mod gauges;
mod lines;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod requests;
pub mod traces;

pub use metrics::Metrics;
