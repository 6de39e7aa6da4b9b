//! The standard gRPC services: health and reflection.

pub mod health;
#[allow(clippy::all, missing_docs)]
pub mod proto;
pub mod reflection;
