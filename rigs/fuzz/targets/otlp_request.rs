//! A request of OTLP as a client sends it, compressed or not: the first byte says how it is encoded.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let _ = attestry_serve::fuzz_otlp(input);
});
