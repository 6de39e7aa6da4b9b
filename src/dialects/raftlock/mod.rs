//! RaftLock: lock and unlock as JSON, and its gRPC service.

pub mod grpc;
#[allow(clippy::all, missing_docs)]
pub mod proto;
pub mod rest;
