//! LDLM: sessions v1 over HTTP, which is our own API for locks too, and its gRPC service.

mod error;
pub mod grpc;
#[allow(clippy::all, missing_docs)]
pub mod proto;
pub mod rest;
