//! The standard gRPC services: health and reflection.

pub mod health;
pub mod reflection;
