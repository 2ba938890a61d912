//! Content codings undone.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy::fuzz::coding(input));
