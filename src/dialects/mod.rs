//! The wire dialects of the five predecessors and of other tools: thin translations between HTTP, gRPC or RESP and the
//! engine's facade.
//!
//! One folder per predecessor or tool, with what it speaks in `rest` and `grpc`. What may not live here: decisions about locks,
//! clocks, sockets, and code that more than one dialect needs, which belongs into `http`.

pub mod doubledutch;
pub mod kufuli;
pub mod ldlm;
pub mod lockd;
pub mod raftlock;
pub mod redis;
pub mod terraform;

use crate::http::Declaration;

/// Every dialect. To add one: a folder with its declaration, and a line here.
pub static ALL: [&Declaration; 10] = [
    &ldlm::rest::DECLARATION,
    &doubledutch::rest::DECLARATION,
    &raftlock::rest::DECLARATION,
    &lockd::rest::DECLARATION,
    &terraform::rest::DECLARATION,
    &ldlm::grpc::DECLARATION,
    &kufuli::grpc::DECLARATION,
    &lockd::grpc::DECLARATION,
    &raftlock::grpc::DECLARATION,
    &redis::DECLARATION,
];
