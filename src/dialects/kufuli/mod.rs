//! kufuli: a gRPC service.

pub mod grpc;
