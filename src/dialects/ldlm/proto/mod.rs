//! The messages of `ldlm.proto`, generated; `tests/grpc/generated.rs` compares them with it.

include!("ldlm.rs");

/// The file and what it imports, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("descriptors.bin");
