//! Any bytes as the reply of a timestamp authority.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::timestamps::timestamp(bytes));
