//! The gRPC dialects over the real transport: their services, sessions by connection, health, reflection.

mod generated;
mod kufuli;
mod ldlm;
mod raftlock;
mod reflection;
mod sessions;
mod streams;
mod transport;
