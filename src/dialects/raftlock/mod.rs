//! RaftLock: lock and unlock as JSON, and its gRPC service.

pub mod grpc;
pub mod rest;
