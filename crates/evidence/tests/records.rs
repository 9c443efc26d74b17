//! Signed records: their form, and which keys may sign them.
#![allow(clippy::unwrap_used)] // code outside of the test functions

use attestry_core::Timestamp;
use attestry_evidence::{
    ErasureRecord, Hash, InvalidRecord, KeyRange, LogKeys, OpenError, Policy, Record, RecordError,
    SignedRecord, SigningKey, Statement, Tree,
};

const ORIGIN: &str = "example.com/log";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

fn officer() -> SigningKey {
    SigningKey::from_seed("example.com/dpo", &[99; 32]).unwrap()
}

fn at() -> Timestamp {
    "2026-01-28T09:15:00.000123".parse().unwrap()
}

fn erasure() -> Statement {
    let record = ErasureRecord::new(3, 2, Hash::EMPTY_TREE, at(), "why\n\"so\" ✓", "dpo");
    Statement::Erasure(record.unwrap())
}

fn signed(statement: &Statement, keys: &[&SigningKey]) -> SignedRecord {
    SignedRecord::sign(ORIGIN, statement, keys).unwrap()
}

fn changed(old: &SigningKey, new: &SigningKey) -> SignedRecord {
    let statement = Statement::NewKey { old: old.public(), new: new.public(), at: at() };
    signed(&statement, &[old, new])
}

fn ended(key: &SigningKey, size: u64, by: &SigningKey) -> SignedRecord {
    let (by_name, reason) = ("ops".to_owned(), "stolen".to_owned());
    let statement = Statement::KeyEnded { key: key.public(), size, at: at(), by: by_name, reason };
    signed(&statement, &[by])
}

#[test]
fn text_form_is_stable() {
    let record = signed(&erasure(), &[&key(7)]);
    let text = "attestry-record/v1\nexample.com/log\n{\"erasure\":{\"leaf\":3,\"count\":2,\
                \"hash\":\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\",\
                \"erased_at\":\"2026-01-28T09:15:00.000123\",\"reason\":\"why\\n\\\"so\\\" ✓\",\"by\":\"dpo\"}}\n\n\
                — example.com/log ";
    assert!(record.note().starts_with(text), "{}", record.note());
    assert_eq!(record.signers().len(), 1);
    assert!(record.signers()[0].starts_with("example.com/log+"));
    // Any other program verifies it: it is a signed note.
    let note = signed_note::Note::from_bytes(record.note().as_bytes()).unwrap();
    let vkey = key(7).public().to_string();
    let verifier = signed_note::StandardVerifier::new(&vkey).unwrap();
    let verifiers = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    assert_eq!(note.verify(&verifiers).unwrap().0.len(), 1);
}

#[test]
fn lines_of_both_forms_round_trip() {
    let Statement::Erasure(unsigned) = erasure() else { unreachable!() };
    for record in [Record::from(unsigned), signed(&erasure(), &[&key(7)]).into()] {
        let line = record.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(Record::from_line(&line).unwrap(), record);
        assert_eq!(Record::from_line(&format!("{line}\n")).unwrap(), record);
        for other in [format!("{line} "), format!(" {line}"), line.replace('✓', "\\u2713")] {
            assert!(Record::from_line(&other).is_err(), "{other}");
        }
    }
}

#[test]
fn altered_notes_are_not_records_or_not_authentic() {
    let record = signed(&erasure(), &[&key(7)]);
    let keys = LogKeys::new(key(7).public());
    assert_eq!(keys.check(9, &record), Ok(&key(7).public()));
    let note = record.note();
    for at in 0..note.len() {
        let mut bytes = note.as_bytes().to_vec();
        bytes[at] ^= 1;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        if let Ok(changed) = SignedRecord::from_note(&text) {
            assert!(keys.check(9, &changed).is_err(), "byte {at}");
        }
    }
    let long = Statement::Accepted {
        size: 0,
        root: Hash::EMPTY_TREE,
        at: at(),
        by: String::new(),
        reason: "x".repeat(1025),
    };
    let error = SignedRecord::sign(ORIGIN, &long, &[&key(7)]).unwrap_err();
    assert!(matches!(error, InvalidRecord::TooLong { field: "reason", length: 1025 }));
    assert!(SignedRecord::sign("a\nb", &erasure(), &[&key(7)]).is_err());
    assert!(SignedRecord::sign(ORIGIN, &erasure(), &[]).is_err());
}

#[test]
fn checkpoint_and_record_are_never_taken_for_each_other() {
    // Even of a log with an unfortunate name.
    let key = SigningKey::from_seed(SignedRecord::HEADER, &[7; 32]).unwrap();
    let record = SignedRecord::sign(SignedRecord::HEADER, &erasure(), &[&key]).unwrap();
    let opened = Policy::new(key.public()).open(record.note());
    assert!(matches!(opened, Err(OpenError::NotACheckpoint(_))), "{opened:?}");
    assert!(SignedRecord::from_note(key.sign(0, Hash::EMPTY_TREE).as_str()).is_err());
}

#[test]
fn records_of_other_keys_and_logs_are_rejected() {
    let keys = LogKeys::new(key(7).public());
    let other = keys.check(9, &signed(&erasure(), &[&key(8)])).unwrap_err();
    assert!(matches!(other, RecordError::UnknownKey { .. }), "{other}");
    let of_other_log = SignedRecord::sign("example.com/other", &erasure(), &[&key(7)]).unwrap();
    let other = keys.check(9, &of_other_log).unwrap_err();
    assert!(matches!(other, RecordError::OtherLog { .. }), "{other}");
}

#[test]
fn erasure_key_signs_erasures_once_it_is_authorised() {
    let statement = Statement::ErasureKey { key: officer().public(), at: at() };
    let by_stranger = signed(&statement, &[&officer()]);
    let authorised = signed(&statement, &[&key(7)]);
    let erased = signed(&erasure(), &[&officer()]);

    let mut keys = LogKeys::new(key(7).public());
    keys.follow([(3, &by_stranger)]);
    assert!(keys.check(9, &erased).is_err());
    keys.follow([(5, &authorised)]);
    assert!(keys.check(4, &erased).is_err());
    assert_eq!(keys.check(9, &erased), Ok(&officer().public()));
    // Nothing but erasures.
    let adopted = Statement::Adopted { leaves: 1, at: at() };
    assert!(keys.check(9, &signed(&adopted, &[&officer()])).is_err());
    assert!(!keys.signs(&officer().public(), 9) && keys.erases(&officer().public(), 9));
    // Until it is ended.
    let mut keys = LogKeys::new(key(7).public());
    let end = ended(&officer(), 20, &key(7));
    keys.follow([(5, &authorised), (30, &end)]);
    assert!(keys.check(19, &erased).is_ok());
    assert!(matches!(keys.check(20, &erased), Err(RecordError::NotInForce { leaf: 20, .. })));
}

#[test]
fn any_key_of_a_chain_leads_to_the_others() {
    let (first, second) = (changed(&key(1), &key(2)), changed(&key(2), &key(3)));
    for known in 1..=3 {
        let mut keys = LogKeys::new(key(known).public());
        keys.follow([(100, &first), (200, &second)]);
        for (size, signer) in [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3), (999, 3)] {
            for seed in 1..=3 {
                let signs = keys.signs(&key(seed).public(), size);
                assert_eq!(signs, seed == signer, "known {known}, size {size}, key {seed}");
            }
        }
        assert!(keys.check(100, &first).is_ok() && keys.check(200, &second).is_ok());
        assert!(keys.check(150, &second).is_err());
        assert!(keys.check(99, &signed(&erasure(), &[&key(1)])).is_ok());
        assert!(keys.check(101, &signed(&erasure(), &[&key(1)])).is_err());
        let policy = Policy::with_keys(keys).unwrap();
        let root = Tree::new().root();
        assert!(policy.open(key(1).sign(100, root)).is_ok());
        let late = policy.open(key(1).sign(101, root)).unwrap_err();
        assert!(matches!(late, OpenError::NotInForce { size: 101, .. }), "{late}");
    }
}

#[test]
fn new_key_needs_both_signatures_and_a_key_in_force() {
    let statement = Statement::NewKey { old: key(1).public(), new: key(2).public(), at: at() };
    let half = [signed(&statement, &[&key(1)]), signed(&statement, &[&key(2)])];
    let stolen = changed(&key(1), &key(4));
    let real = changed(&key(1), &key(2));
    for known in 1..=2 {
        let mut keys = LogKeys::new(key(known).public());
        keys.follow(half.iter().map(|record| (10, record)));
        assert_eq!(keys.signing().len(), 1);
        assert!(half.iter().all(|record| keys.check(10, record).is_err()));
        // The old key announces another one after it was replaced.
        keys.follow([(100, &real), (150, &stolen)]);
        assert!(!keys.signs(&key(4).public(), 500), "known {known}");
        assert!(keys.check(150, &stolen).is_err());
    }
}

#[test]
fn compromised_key_ends_at_a_size() {
    let change = changed(&key(1), &key(2));
    let end = ended(&key(1), 50, &key(2));
    let by_itself = ended(&key(2), 0, &key(2));
    let by_the_old_one = ended(&key(2), 0, &key(1));
    let mut keys = LogKeys::new(key(2).public());
    keys.follow([(100, &change), (101, &end), (102, &by_itself), (103, &by_the_old_one)]);
    assert!(keys.signs(&key(1).public(), 50) && !keys.signs(&key(1).public(), 51));
    assert!(keys.signs(&key(2).public(), 1_000));
    assert!(keys.check(49, &signed(&erasure(), &[&key(1)])).is_ok());
    assert!(keys.check(50, &signed(&erasure(), &[&key(1)])).is_err());
}

#[test]
fn ranges_given_by_the_verifier_are_kept() {
    let ranges = [
        KeyRange::new(key(1).public(), 0, 100),
        KeyRange::new(key(2).public(), 100, Tree::MAX_SIZE),
    ];
    let policy = Policy::with_keys(LogKeys::with_ranges(ORIGIN, ranges)).unwrap();
    let open = |seed, size| policy.open(key(seed).sign(size, Tree::new().root())).is_ok();
    assert!(open(1, 100) && !open(1, 101) && open(2, 101) && !open(2, 100));
    assert!(Policy::with_keys(LogKeys::with_ranges(ORIGIN, [])).is_none());
}
