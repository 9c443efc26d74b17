//! Audits of logs that were tampered with, against a signed checkpoint.
#![allow(clippy::unwrap_used)] // helpers outside of the test functions

use attestry_evidence::{
    Audit, AuditReport, Checkpoint, ErasureRecord, Finding, Hash, Mismatch, Policy, Record,
    SignedRecord, SigningKey, Statement, Tree, leaf_hash, line_hash,
};
use proptest::prelude::*;

fn line(entry: u64) -> String {
    format!("{{\"id\": \"{entry}\", \"timestamp\": \"2026-01-28T09:15:{entry:02}\"}}")
}

fn hash(entry: u64) -> Hash {
    line_hash(line(entry).as_bytes()).unwrap()
}

fn record(leaf: u64, leaves: &[Hash]) -> Record {
    let all = ErasureRecord::range_hash(leaves.iter().copied());
    let at = "2026-02-01".parse().unwrap();
    let erasure =
        ErasureRecord::new(leaf, leaves.len() as u64, all, at, "Art. 17 GDPR", "dpo").unwrap();
    // Both forms, in turn.
    if leaf.is_multiple_of(2) {
        return erasure.into();
    }
    let key = SigningKey::from_seed("example.com/log", &[7; 32]).unwrap();
    SignedRecord::sign("example.com/log", &Statement::Erasure(erasure), &[&key]).unwrap().into()
}

fn checkpoint(leaves: impl IntoIterator<Item = Hash>) -> Checkpoint {
    let key = SigningKey::from_seed("example.com/log", &[7; 32]).unwrap();
    let mut tree = Tree::new();
    tree.extend(leaves);
    let signed = key.sign(tree.size(), tree.root());
    Policy::new(key.public()).open(&signed).unwrap().checkpoint().clone()
}

/// The audit of a log with these lines and nothing erased.
fn audit_of(lines: &[String]) -> Audit {
    let mut audit = Audit::new([]);
    lines.iter().for_each(|line| audit.line(line_hash(line.as_bytes()).unwrap()));
    audit
}

#[test]
fn any_change_of_lines_is_detected() {
    let signed = checkpoint((0..20).map(hash));
    let honest: Vec<String> = (0..20).map(line).collect();
    assert_eq!(audit_of(&honest).check(&signed), Ok(()));

    let mut altered = honest.clone();
    altered[7] = altered[7].replace("\"7\"", "\"8\"");
    let mut white_space = honest.clone();
    white_space[7].push(' ');
    let mut reordered = honest.clone();
    reordered.swap(7, 8);
    let mut replaced = honest.clone();
    replaced.remove(7);
    replaced.insert(3, line(99));
    // Back-dated: an early timestamp, inserted at the matching position.
    let mut backdated = honest.clone();
    backdated.insert(3, line(2).replace("\"2\"", "\"new\""));
    backdated.pop();
    let mut doubled = honest.clone();
    doubled[8] = doubled[7].clone();
    for lines in [altered, white_space, reordered, replaced, backdated, doubled] {
        let audit = audit_of(&lines);
        let (expected, found) = (signed.root(), audit.root());
        assert_eq!(audit.check(&signed), Err(Mismatch::Root { size: 20, expected, found }));
    }

    let too_few = Mismatch::Size { checkpoint: 20, found: 19 };
    assert_eq!(audit_of(&honest[..19]).check(&signed), Err(too_few));
    // Lines after the checkpoint are not covered, but must come after it.
    let mut longer = audit_of(&honest);
    assert_eq!(longer.check(&signed), Ok(()));
    longer.line(hash(20));
    assert_eq!(longer.check(&signed), Err(Mismatch::Size { checkpoint: 20, found: 21 }));
}

/// A log of six leaves: entries 0 to 4, of which 1 and 2 are erased, and the record of that.
fn erased(record: &Record) -> Audit {
    let mut audit = Audit::new([record.clone()]);
    audit.line(hash(0));
    audit.erased(hash(1));
    audit.erased(hash(2));
    audit.line(hash(3));
    audit.line(hash(4));
    audit
}

fn findings(audit: Audit) -> Vec<Finding> {
    audit.finish().findings().to_vec()
}

#[test]
fn recorded_erasure_is_clean() {
    let record = record(1, &[hash(1), hash(2)]);
    let signed = checkpoint((0..5).map(hash).chain([record.leaf_hash()]));
    let mut audit = erased(&record);
    // The checkpoint from before the erasure still holds.
    assert_eq!(audit.check(&checkpoint((0..5).map(hash))), Ok(()));
    audit.record(&record);
    assert_eq!(audit.check(&signed), Ok(()));
    let report = audit.finish();
    assert!(report.is_clean());
    assert_eq!((report.size(), report.root()), (6, signed.root()));
    assert_eq!((report.lines(), report.erased(), report.records()), (3, 2, 1));
}

#[test]
fn missing_line_without_record_is_found() {
    let mut audit = audit_of(&[line(0)]);
    audit.erased(hash(1));
    audit.erased(hash(2));
    audit.line(hash(3));
    // The hashes match the signed tree, but no record covers the lines.
    assert_eq!(audit.check(&checkpoint((0..4).map(hash))), Ok(()));
    assert_eq!(findings(audit), [Finding::Missing { leaf: 1, count: 2 }]);

    // A forged hash leads to a wrong root.
    let mut audit = audit_of(&[line(0)]);
    audit.erased(leaf_hash(b"made up"));
    assert!(matches!(
        audit.check(&checkpoint((0..2).map(hash))),
        Err(Mismatch::Root { size: 2, .. })
    ));
}

#[test]
fn record_must_be_logged_later_and_match() {
    // The record covers both, but was never logged.
    let good = record(1, &[hash(1), hash(2)]);
    assert_eq!(findings(erased(&good)), [Finding::RecordNotLogged { leaf: 1, count: 2 }]);

    // The record covers only one of the two.
    let half = record(1, &[hash(1)]);
    let mut audit = erased(&half);
    audit.record(&half);
    assert_eq!(findings(audit), [Finding::Missing { leaf: 2, count: 1 }]);

    // The record has the hash of another line.
    let other = record(1, &[hash(1), hash(4)]);
    let mut audit = erased(&other);
    audit.record(&other);
    let expected = Finding::RecordOfOtherLine { record: 5, leaf: 1, count: 2 };
    assert_eq!(findings(audit), [expected]);

    // The record precedes the lines.
    let mut audit = Audit::new([good.clone()]);
    audit.record(&good);
    audit.erased(hash(1));
    audit.erased(hash(2));
    assert_eq!(findings(audit), [Finding::RecordTooEarly { record: 0, leaf: 1, count: 2 }]);

    // The record exceeds the end.
    let long = record(4, &[hash(4), hash(5), hash(6)]);
    let mut beyond = Audit::new([long.clone()]);
    (0..5).for_each(|entry| beyond.line(hash(entry)));
    beyond.record(&long);
    assert!(findings(beyond).contains(&Finding::RecordTooEarly { record: 5, leaf: 4, count: 3 }));
}

#[test]
fn erasure_of_a_record_is_found() {
    // A second record covers the first.
    let first = record(0, &[hash(0)]);
    let second = record(1, &[first.leaf_hash()]);
    let mut audit = Audit::new([second.clone()]);
    audit.erased(hash(0));
    audit.erased(first.leaf_hash());
    audit.record(&second);
    assert_eq!(findings(audit), [Finding::Missing { leaf: 0, count: 1 }]);

    let mut audit = Audit::new([first.clone(), second.clone()]);
    audit.erased(hash(0));
    audit.record(&first);
    audit.record(&second);
    let expected = Finding::RecordErased { record: 2, leaf: 1, count: 1 };
    assert_eq!(findings(audit), [expected]);
}

#[test]
fn entry_line_is_not_a_record() {
    let record = record(0, &[hash(0)]);
    // The text of a record, logged as an entry, covers nothing.
    let mut audit = Audit::new([record.clone()]);
    audit.erased(hash(0));
    audit.line(line_hash(record.to_line().as_bytes()).unwrap());
    assert_eq!(findings(audit), [Finding::RecordNotLogged { leaf: 0, count: 1 }]);
    let unsigned = ErasureRecord::PREFIX.to_owned() + &record.to_line();
    assert_eq!(leaf_hash(unsigned.as_bytes()), record.leaf_hash());
    assert!(line_hash(unsigned.as_bytes()).is_err());
    let signed = self::record(1, &[hash(1)]);
    let note = signed.signed().unwrap().note();
    assert_eq!(leaf_hash(note.as_bytes()), signed.leaf_hash());
    assert!(line_hash(note.as_bytes()).is_err());
}

#[test]
fn hashes_above_the_leaves_are_those_of_the_tree() {
    let (mut audit, mut tree) = (Audit::new([]), Tree::new());
    let (mut taken, mut expected) = (Vec::new(), Vec::new());
    for entry in 0..70_000 {
        let leaf = leaf_hash(&u64::to_le_bytes(entry));
        audit.line(leaf);
        tree.push_with(leaf, |stored| expected.push(stored));
        if entry % 1000 == 0 {
            taken.extend(audit.take_stored());
        }
    }
    taken.extend(audit.take_stored());
    expected.retain(|stored| stored.level > 0);
    assert_eq!(expected.len(), 273 + 1);
    assert_eq!(format!("{taken:?}"), format!("{expected:?}"));
}

#[test]
fn restored_and_altered_lines_are_found() {
    let record = record(1, &[hash(1), hash(2)]);
    let mut audit = Audit::new([record.clone()]);
    (0..3).for_each(|entry| audit.line(hash(entry)));
    audit.altered(hash(3));
    audit.altered(hash(4));
    audit.record(&record);
    assert_eq!(
        findings(audit),
        [Finding::StillThere { leaf: 1, count: 2 }, Finding::Altered { leaf: 3, count: 2 }]
    );
}

#[test]
fn repeated_and_overlapping_records_are_clean() {
    let (both, one) = (record(1, &[hash(1), hash(2)]), record(2, &[hash(2)]));
    let mut audit = Audit::new([one.clone(), both.clone(), both.clone()]);
    audit.line(hash(0));
    audit.erased(hash(1));
    audit.erased(hash(2));
    audit.record(&both);
    audit.record(&one);
    audit.record(&both);
    assert!(audit.finish().is_clean());
}

#[test]
fn findings_are_bounded() {
    let mut audit = Audit::new([]);
    for entry in 0..2 * AuditReport::MAX_FINDINGS as u64 + 10 {
        if entry % 2 == 0 { audit.line(hash(entry)) } else { audit.erased(hash(entry)) }
    }
    let report = audit.finish();
    assert_eq!((report.findings().len(), report.unlisted()), (AuditReport::MAX_FINDINGS, 5));
    assert!(!report.is_clean());
}

proptest! {
    /// Any erasures with a record per run or per line are clean; without any one of the records they are
    /// not.
    #[test]
    fn every_erasure_needs_its_record(
        gone in prop::collection::vec(any::<bool>(), 1..60),
        apart in any::<bool>(),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut runs: Vec<(u64, Vec<Hash>)> = Vec::new();
        for (entry, _) in (0..).zip(&gone).filter(|(_, gone)| **gone) {
            match runs.last_mut() {
                Some((first, run)) if !apart && *first + run.len() as u64 == entry => {
                    run.push(hash(entry));
                }
                _ => runs.push((entry, vec![hash(entry)])),
            }
        }
        let records: Vec<Record> =
            runs.iter().map(|(first, run)| record(*first, run)).collect();
        let audit = |records: &[Record]| {
            let mut audit = Audit::new(records.to_vec());
            for (entry, gone) in (0..).zip(&gone) {
                if *gone { audit.erased(hash(entry)) } else { audit.line(hash(entry)) }
            }
            records.iter().for_each(|record| audit.record(record));
            audit.finish()
        };
        prop_assert!(audit(&records).is_clean());
        if !records.is_empty() {
            let mut fewer = records.clone();
            fewer.remove(pick.index(records.len()));
            prop_assert!(!audit(&fewer).is_clean());
        }
    }
}
