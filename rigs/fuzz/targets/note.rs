//! Any text as each text format of the evidence.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| attestry_fuzz::evidence::note(bytes));
