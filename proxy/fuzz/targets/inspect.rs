//! Request bodies through the inspector.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy::fuzz::inspect(input));
