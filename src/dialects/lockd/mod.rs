//! lockd: a lock by its name in the path, and its gRPC service, two generations of one product.

pub mod grpc;
#[allow(clippy::all, missing_docs)]
pub mod proto;
mod release;
pub mod rest;
