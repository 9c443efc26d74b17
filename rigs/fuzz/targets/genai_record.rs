//! One record of another program's format: the first byte chooses the format.
#![no_main]

use attestry_genai::{CallRecord, Format, Joiner, UnmappedTexts, decode};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((first, record)) = input.split_first() else { return };
    let format = Format::ALL[usize::from(*first) % Format::ALL.len()];
    let _ = Format::detect(record);
    let Ok(decoded) = decode(format, record) else { return };
    let mut joiner = Joiner::new(usize::MAX);
    for record in decoded.records.iter().chain(&decoded.records) {
        assert!(joiner.push(record.clone()).is_empty());
    }
    let calls = joiner.finish();
    if format.is_joined() {
        assert!(calls.len() <= decoded.records.len(), "records are joined with themselves");
    }
    for call in calls {
        let id = call.id();
        let read = CallRecord::from_json(&call.to_json()).expect("what was written is read");
        assert_eq!(read.id(), id);
        assert_eq!(read.join_keys(), call.join_keys());
        let interaction = call.clone().into_interaction(UnmappedTexts::Hash);
        assert_eq!(interaction.given_id(), id.as_ref());
        let again = call.into_interaction(UnmappedTexts::Hash);
        assert_eq!((interaction.input(), interaction.output()), (again.input(), again.output()));
    }
});
