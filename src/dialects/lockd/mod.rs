//! lockd: a lock by its name in the path, and its gRPC service.

pub mod grpc;
pub mod rest;
