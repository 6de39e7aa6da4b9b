//! What every test needs to meet the real binary: a process harness, a certificate and a raw HTTP/1.1 client and a gRPC one.
//! Nothing here knows a dialect; those helpers live beside the tests of each dialect.
#![allow(dead_code, reason = "a toolbox: the benchmark includes it too and uses only some of its tools")]

pub mod audit;
pub mod certificate;
pub mod client;
pub mod console;
pub mod frames;
pub mod grpc;
pub mod http;
pub mod in_time;
pub mod log_file;
pub mod machine;
pub mod output;
pub mod process;
pub mod redis;
pub mod spec;
pub mod sse;
