//! LDLM: sessions v1 over HTTP, which is our own API for locks too, and its gRPC service.

pub mod grpc;
pub mod rest;
