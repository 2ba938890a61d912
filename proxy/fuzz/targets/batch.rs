//! Bodies that make message batches through the reader of their items.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| proxy::fuzz::batch(input));
