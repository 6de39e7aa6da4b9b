//! Bytes taken for log entries.
#![no_main]

#[path = "../../tests/domain/fuzzed.rs"]
#[allow(dead_code)]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::apply_entries(bytes));
