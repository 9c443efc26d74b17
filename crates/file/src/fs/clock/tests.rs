//! Every operation while the clock jumps over midnight, forward and back, and while the clocks of two
//! processes show different days.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use attestry_core::{AuditEntry, Query, StorageBackend, Timestamp, hash_content};
use futures_util::TryStreamExt;

use super::Clock;
use super::by_hand::ByHand;
use crate::{Durability, FileStorage, FileStorageBuilder};

const NOON: &str = "2026-01-28T12:00:00";
const BEFORE_MIDNIGHT: &str = "2026-01-28T23:59:00";
/// Late enough that no program still appends to the segment of the day before.
const AFTER_MIDNIGHT: &str = "2026-01-29T00:01:30";

/// So small that a day has several segments.
const ROTATION_BYTES: u64 = 2_000;

/// An entry `moment` microseconds after 1970 began.
fn entry(moment: i64) -> AuditEntry {
    let timestamp = Timestamp::from_unix_micros(moment).unwrap();
    let id = format!("e{moment:05}").parse().unwrap();
    AuditEntry::new(id, timestamp, hash_content("in"), hash_content("out"))
}

/// The expected content of a store, by time; no two entries have the same timestamp.
#[derive(Debug, Default)]
struct Model(Vec<AuditEntry>);

impl Model {
    fn add(&mut self, entries: &[AuditEntry]) {
        self.0.extend_from_slice(entries);
        self.0.sort_by_key(|entry| entry.timestamp);
    }

    fn remove(&mut self, entry: &AuditEntry) {
        self.0.retain(|kept| kept.id != entry.id);
    }

    /// The entry with this number, modulo their count.
    fn nth(&self, number: usize) -> AuditEntry {
        self.0[number % self.0.len()].clone()
    }

    /// Every way to read returns the same.
    async fn assert_held_by(&self, storage: &FileStorage, what: &str) {
        let listed = storage.list_entries(Timestamp::MIN, Timestamp::MAX).await.unwrap();
        let moments = |entries: &[AuditEntry]| -> Vec<i64> {
            entries.iter().map(|entry| entry.timestamp.unix_micros()).collect()
        };
        assert_eq!(moments(&listed), moments(&self.0), "{what}");
        assert!(listed == self.0, "{what}");
        let scanned: Vec<_> = storage.scan(Query::new()).try_collect().await.unwrap();
        assert!(scanned == self.0, "{what}");
        assert_eq!(storage.count().await.unwrap(), self.0.len() as u64, "{what}");
        // The last one and a sample of the others.
        for entry in self.0.iter().rev().step_by(7) {
            assert_eq!(storage.read(&entry.id).await.unwrap().as_ref(), Some(entry), "{what}");
        }
        assert_eq!(storage.read(&"absent".parse().unwrap()).await.unwrap(), None, "{what}");
        let (first, last) = (self.nth(1).timestamp, self.nth(self.0.len() - 2).timestamp);
        let inner = storage.list_entries(first, last).await.unwrap();
        assert!(inner == self.0[1..self.0.len() - 1], "{what}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Write,
    WriteAgain,
    WriteBatch,
    Append,
    DeleteOld,
    DeleteNew,
    DeleteUntil,
    Compact,
}

const OPERATIONS: [Operation; 8] = [
    Operation::Write,
    Operation::WriteAgain,
    Operation::WriteBatch,
    Operation::Append,
    Operation::DeleteOld,
    Operation::DeleteNew,
    Operation::DeleteUntil,
    Operation::Compact,
];

impl Operation {
    /// Executes it with new entries from `moment` on.
    async fn run(self, storage: &FileStorage, model: &mut Model, moment: i64) {
        match self {
            Self::Write => {
                storage.write(&entry(moment)).await.unwrap();
                model.add(&[entry(moment)]);
            }
            Self::WriteAgain => {
                for number in [0, model.0.len() - 1] {
                    storage.write(&model.nth(number)).await.unwrap();
                }
            }
            Self::WriteBatch | Self::Append => {
                // Enough to fill a segment.
                let new: Vec<_> = (moment..moment + 6).map(entry).collect();
                match self {
                    Self::Append => storage.append(&new).await.unwrap(),
                    _ => storage.write_batch(&new).await.unwrap(),
                }
                model.add(&new);
            }
            Self::DeleteOld | Self::DeleteNew => {
                let deleted =
                    model.nth(if self == Self::DeleteOld { 1 } else { model.0.len() - 1 });
                assert!(storage.delete(&deleted.id).await.unwrap());
                assert!(!storage.delete(&deleted.id).await.unwrap());
                model.remove(&deleted);
            }
            Self::DeleteUntil => {
                let cutoff = model.nth(7).timestamp;
                let expired = model.0.iter().filter(|entry| entry.timestamp <= cutoff).count();
                assert_eq!(storage.delete_at_or_before(cutoff).await.unwrap(), expired as u64);
                model.0.drain(..expired);
            }
            Self::Compact => drop(storage.compact().await.unwrap()),
        }
    }
}

fn builder(path: &Path, clock: Clock, with_evidence: bool) -> FileStorageBuilder {
    let mut builder = FileStorage::builder(path).rotation_size_bytes(ROTATION_BYTES);
    builder.settings.clock = clock;
    if with_evidence { keeping_evidence(builder) } else { builder }
}

#[cfg(feature = "evidence")]
fn keeping_evidence(builder: FileStorageBuilder) -> FileStorageBuilder {
    let key = attestry_evidence::SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap();
    builder.evidence(crate::EvidenceOptions::new(key))
}

#[cfg(not(feature = "evidence"))]
fn keeping_evidence(builder: FileStorageBuilder) -> FileStorageBuilder {
    builder
}

async fn open(path: &Path, clock: Clock, with_evidence: bool) -> FileStorage {
    builder(path, clock, with_evidence).open().await.unwrap()
}

async fn reader(path: &Path, clock: Clock) -> FileStorage {
    builder(path, clock, false).read_only(true).open().await.unwrap()
}

/// The tree, if there is one, agrees with the lines.
#[cfg(feature = "evidence")]
async fn assert_proven(storage: &FileStorage, with_evidence: bool, what: &str) {
    if with_evidence {
        let found = storage.verify(crate::VerifyOptions::new()).await.unwrap();
        assert!(found.problems.is_empty(), "{what}: {found:?}");
    }
}

#[cfg(not(feature = "evidence"))]
async fn assert_proven(_: &FileStorage, _: bool, _: &str) {}

/// The names of the segments.
fn names(path: &Path) -> BTreeSet<String> {
    let items = fs::read_dir(path).unwrap().map(|item| item.unwrap().file_name());
    items.map(|name| name.into_string().unwrap()).filter(|name| name != ".attestry").collect()
}

/// Every line of every segment is whole, and none is stored twice.
fn assert_whole(path: &Path, model: &Model, what: &str) {
    let mut found = Vec::new();
    for name in names(path) {
        let text = fs::read_to_string(path.join(&name)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{what}: {name}");
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        found.extend(lines.map(|line| attestry_core::line::decode(line.as_bytes()).unwrap()));
    }
    found.sort_by_key(|entry| entry.timestamp);
    assert!(found == model.0, "{what}");
}

#[tokio::test]
async fn operations_work_after_the_clock_jumped_back() {
    let clock = ByHand::<1>;
    for (operation, with_evidence) in OPERATIONS.iter().flat_map(|&op| [(op, false), (op, true)]) {
        let what = format!("{operation:?}, evidence: {with_evidence}");
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("audit");
        let mut model = Model::default();
        clock.set(NOON);
        let storage = open(&path, clock.clock(), with_evidence).await;
        let watching = reader(&path, clock.clock()).await;
        for (moment, at) in [(100, NOON), (200, AFTER_MIDNIGHT), (150, BEFORE_MIDNIGHT)] {
            clock.set(at);
            for number in 0..3 {
                Operation::WriteBatch.run(&storage, &mut model, moment + 10 * number).await;
            }
            model.assert_held_by(&storage, &what).await;
            model.assert_held_by(&watching, &what).await;
        }
        // No segment replaced another, on either day.
        let numbered = |day: u32, count: u32| {
            (1..=count).map(move |number| format!("audit_{day}_{number:03}.jsonl"))
        };
        let of_days = numbered(20_260_128, 7).chain(numbered(20_260_129, 3));
        let growing = ["audit_20260128.jsonl", "audit_20260129.jsonl"].map(str::to_owned);
        assert_eq!(names(&path), of_days.chain(growing).collect(), "{what}");
        operation.run(&storage, &mut model, 190).await;
        // Again, at each time for the second time.
        for (moment, at) in [(300, BEFORE_MIDNIGHT), (250, AFTER_MIDNIGHT)] {
            clock.set(at);
            model.assert_held_by(&storage, &what).await;
            operation.run(&storage, &mut model, moment).await;
            Operation::Append.run(&storage, &mut model, moment + 10).await;
            model.assert_held_by(&storage, &what).await;
            model.assert_held_by(&watching, &what).await;
            assert_whole(&path, &model, &what);
        }
        assert_proven(&storage, with_evidence, &what).await;
        storage.close().await.unwrap();
        for at in [BEFORE_MIDNIGHT, AFTER_MIDNIGHT] {
            clock.set(at);
            let again = open(&path, clock.clock(), with_evidence).await;
            assert!(again.recovery().is_clean(), "{what}");
            model.assert_held_by(&again, &what).await;
            assert_proven(&again, with_evidence, &what).await;
            again.close().await.unwrap();
            model.assert_held_by(&reader(&path, clock.clock()).await, &what).await;
        }
    }
}

#[tokio::test]
async fn operations_are_visible_with_one_clock_a_day_ahead() {
    let (behind, ahead) = (ByHand::<2>, ByHand::<3>);
    behind.set(BEFORE_MIDNIGHT);
    ahead.set(AFTER_MIDNIGHT);
    for (operation, with_evidence) in OPERATIONS.iter().flat_map(|&op| [(op, false), (op, true)]) {
        let what = format!("{operation:?}, evidence: {with_evidence}");
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("audit");
        let mut model = Model::default();
        let stores = [behind.clock(), ahead.clock()];
        let readers = stores;
        let stores = [
            open(&path, stores[0], with_evidence).await,
            open(&path, stores[1], with_evidence).await,
        ];
        let readers = [reader(&path, readers[0]).await, reader(&path, readers[1]).await];
        for round in 0..2 {
            for (number, storage) in stores.iter().enumerate() {
                let moment = 1_000 + 100 * round + 50 * number as i64;
                // Several in a row: the second one finds the segment open.
                for step in 0..3 {
                    Operation::Append.run(storage, &mut model, moment + 10 * step).await;
                    for other in stores.iter().chain(&readers) {
                        model.assert_held_by(other, &format!("{what}, {moment}, {step}")).await;
                    }
                }
                operation.run(storage, &mut model, moment + 40).await;
                for other in stores.iter().chain(&readers) {
                    model.assert_held_by(other, &format!("{what}, {moment}")).await;
                }
                assert_whole(&path, &model, &what);
            }
        }
        for storage in &stores {
            assert_proven(storage, with_evidence, &what).await;
            storage.close().await.unwrap();
        }
        for clock in [behind.clock(), ahead.clock()] {
            let again = open(&path, clock, with_evidence).await;
            assert!(again.recovery().is_clean(), "{what}");
            model.assert_held_by(&again, &what).await;
        }
    }
}

/// For any difference of the clocks and any durability.
#[tokio::test]
async fn lines_of_a_clock_far_behind_are_visible_immediately() {
    let (behind, ahead) = (ByHand::<4>, ByHand::<5>);
    ahead.set(AFTER_MIDNIGHT);
    for (at, durability) in [
        (BEFORE_MIDNIGHT, Durability::Sync),
        ("1970-01-01T00:00:07", Durability::Sync),
        ("1970-01-01T00:00:07", Durability::Buffered),
    ] {
        behind.set(at);
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("audit");
        let mut model = Model::default();
        let with = |clock| {
            let builder = builder(&path, clock, false).rotation_size_bytes(1 << 20);
            builder.durability(durability).open()
        };
        let (late, early) =
            (with(behind.clock()).await.unwrap(), with(ahead.clock()).await.unwrap());
        let watching = reader(&path, ahead.clock()).await;
        for moment in 0..30 {
            // The segment of the clock behind is open before a later one exists.
            let storage = if moment % 10 == 3 { &early } else { &late };
            storage.append(&[entry(moment)]).await.unwrap();
            model.add(&[entry(moment)]);
            for other in [&early, &late, &watching] {
                assert_eq!(other.count().await.unwrap(), model.0.len() as u64, "{at}, {moment}");
                let found = other.read(&entry(moment).id).await.unwrap();
                assert_eq!(found, Some(entry(moment)), "{at}, {moment}");
            }
            // A duplicate is recognised.
            early.write(&entry(moment)).await.unwrap();
        }
        assert_whole(&path, &model, at);
    }
}

#[tokio::test]
async fn operations_work_when_midnight_passes() {
    let clock = ByHand::<6>;
    for operation in OPERATIONS {
        let what = format!("{operation:?}");
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("audit");
        let mut model = Model::default();
        clock.set(BEFORE_MIDNIGHT);
        let storage = open(&path, clock.clock(), true).await;
        let watching = reader(&path, clock.clock()).await;
        for moment in [100, 110, 120] {
            Operation::Append.run(&storage, &mut model, moment).await;
        }
        for (day, at) in
            [AFTER_MIDNIGHT, "2026-02-28T00:00:00", "2027-01-01T00:00:00"].iter().enumerate()
        {
            clock.set(at);
            model.assert_held_by(&storage, &what).await;
            operation.run(&storage, &mut model, 200 + 100 * day as i64).await;
            Operation::Append.run(&storage, &mut model, 250 + 100 * day as i64).await;
            model.assert_held_by(&storage, &what).await;
            model.assert_held_by(&watching, &what).await;
            assert_whole(&path, &model, &what);
        }
        assert!(names(&path).contains("audit_20270101.jsonl"), "{what}");
        assert_proven(&storage, true, &what).await;
        storage.close().await.unwrap();
        model.assert_held_by(&open(&path, clock.clock(), true).await, &what).await;
    }
}

/// A segment that is active because the clock jumped back is not compacted, although it is not the newest.
#[tokio::test]
async fn compact_skips_the_active_segment_behind_a_newer_one() {
    let clock = ByHand::<7>;
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("audit");
    let mut model = Model::default();
    clock.set(AFTER_MIDNIGHT);
    let storage = builder(&path, clock.clock(), false).rotation_size_bytes(1 << 20);
    let storage = storage.open().await.unwrap();
    Operation::Append.run(&storage, &mut model, 100).await;
    clock.set(BEFORE_MIDNIGHT);
    Operation::Append.run(&storage, &mut model, 200).await;
    Operation::DeleteNew.run(&storage, &mut model, 0).await;
    assert_eq!(storage.compact().await.unwrap(), 0);
    Operation::Append.run(&storage, &mut model, 300).await;
    model.assert_held_by(&storage, "active").await;
    clock.set(AFTER_MIDNIGHT);
    assert!(storage.compact().await.unwrap() > 0);
    Operation::Append.run(&storage, &mut model, 400).await;
    model.assert_held_by(&storage, "sealed").await;
    assert_whole(&path, &model, "compacted");
}

/// The Python package determines the day, then opens the file of that day, without a lock.
#[tokio::test]
async fn late_appends_of_the_python_package_are_visible_and_kept() {
    let clock = ByHand::<10>;
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("audit");
    let mut model = Model::default();
    clock.set(BEFORE_MIDNIGHT);
    let storage = open(&path, clock.clock(), false).await;
    let watching = reader(&path, clock.clock()).await;
    for moment in [100, 110, 120] {
        Operation::Append.run(&storage, &mut model, moment).await;
    }
    clock.set("2026-01-29T00:00:01");
    Operation::Append.run(&storage, &mut model, 200).await;
    Operation::DeleteOld.run(&storage, &mut model, 0).await;
    model.assert_held_by(&storage, "before").await;
    model.assert_held_by(&watching, "before").await;
    let yesterday = path.join("audit_20260128.jsonl");
    let length = fs::metadata(&yesterday).unwrap().len();
    storage.compact().await.unwrap();
    assert_eq!(fs::metadata(&yesterday).unwrap().len(), length, "it may have the file open");
    let mut file = fs::OpenOptions::new().append(true).open(&yesterday).unwrap();
    std::io::Write::write_all(&mut file, &attestry_core::line::encode(&entry(300)).unwrap())
        .unwrap();
    model.add(&[entry(300)]);
    model.assert_held_by(&storage, "late").await;
    model.assert_held_by(&watching, "late").await;
    clock.set(AFTER_MIDNIGHT);
    Operation::Append.run(&storage, &mut model, 400).await;
    storage.compact().await.unwrap();
    model.assert_held_by(&storage, "compacted").await;
    model.assert_held_by(&watching, "compacted").await;
}
