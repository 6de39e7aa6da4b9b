//! kufuli: a gRPC service.

pub mod grpc;
#[allow(clippy::all, missing_docs)]
pub mod proto;
