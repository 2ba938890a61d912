//! Streamed answers through the meter.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy::fuzz::sse(input));
