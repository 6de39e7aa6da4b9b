//! The messages of the `.proto` files beside this one, generated; `tests/grpc/generated.rs` keeps them as they are.

#[allow(clippy::all, missing_docs)]
pub mod ldlm {
    include!("generated/ldlm.rs");
}

#[allow(clippy::all, missing_docs)]
pub mod kufuli {
    include!("generated/api.rs");
}

#[allow(clippy::all, missing_docs)]
pub mod lockd {
    include!("generated/lockapi.rs");
}

#[allow(clippy::all, missing_docs)]
pub mod health {
    include!("generated/grpc.health.v1.rs");
}

#[allow(clippy::all, missing_docs)]
pub mod raftlock {
    include!("generated/raftlock.rs");
}

/// All files and what they import, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");
