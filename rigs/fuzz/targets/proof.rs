//! Valid and altered proofs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::evidence::proof(bytes));
