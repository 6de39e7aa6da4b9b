//! Bytes taken for commands and scripts of the Redis protocol.
#![no_main]

#[path = "../../tests/dialects/redis_fuzzed.rs"]
#[allow(dead_code)]
mod redis_fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| redis_fuzzed::read_all(bytes));
