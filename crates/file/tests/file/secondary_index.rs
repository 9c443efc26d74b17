//! Queries by conversation and metadata select what reading everything selects, whatever keys are indexed,
//! by whom the lines were written, and what has happened to the index files.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::common::indexes::indexes;
use crate::common::{entry, folder, segments};
use attestry_core::{AuditEntry, Cursor, Order, Query, StorageBackend, Timestamp};
use attestry_file::FileStorage;
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The metadata keys of the entries.
const KEYS: [&str; 4] = ["user.id", "trace_id", "ticket", "attestry.call"];
/// What the handles index; the first is the default.
const INDEXED: [Option<&[&str]>; 4] =
    [None, Some(&["ticket"]), Some(&[]), Some(&["trace_id", "ticket", "user.id", "other"])];

#[derive(Debug, Clone)]
enum Operation {
    Append {
        entries: Vec<Stored>,
        micros: i64,
    },
    WriteBatch {
        entries: Vec<Stored>,
        micros: i64,
    },
    /// As another program writes: with its own spacing, and without the lock.
    Foreign {
        entries: Vec<Stored>,
        micros: i64,
    },
    Delete {
        number: usize,
    },
    DeleteAtOrBefore {
        micros: i64,
    },
    Compact,
    Reopen {
        indexed: usize,
    },
    LoseIndexes,
    FlipBit {
        file: usize,
        at: usize,
    },
    Truncate {
        file: usize,
        at: usize,
    },
}

/// The searched parts of an entry; 0 is none. A ticket of 7 is a number.
#[derive(Debug, Clone)]
struct Stored {
    conversation: u8,
    values: [u8; KEYS.len()],
}

fn value(key: &str, number: u8) -> Value {
    match (key, number) {
        ("ticket", 7) => json!(7),
        (_, number) => json!(format!("väl-{number}")),
    }
}

impl Stored {
    fn entry(&self, number: usize, micros: i64) -> AuditEntry {
        let mut entry = entry(&format!("e{number:05}"), micros);
        entry.conversation_id =
            (self.conversation > 0).then(|| format!("conversation-{}", self.conversation));
        for (key, &number) in KEYS.iter().zip(&self.values).filter(|(_, number)| **number > 0) {
            entry.metadata.insert((*key).to_owned(), value(key, number));
        }
        entry
    }
}

fn stored() -> impl Strategy<Value = Vec<Stored>> {
    let one = (0..4u8, [0..8u8, 0..8, 0..8, 0..8])
        .prop_map(|(conversation, values)| Stored { conversation, values });
    proptest::collection::vec(one, 1..12)
}

fn operation() -> impl Strategy<Value = Operation> {
    let micros = 0..30i64;
    let damage = || (0..8usize, any::<usize>());
    prop_oneof![
        5 => (stored(), micros.clone()).prop_map(|(entries, micros)| Operation::Append { entries, micros }),
        3 => (stored(), micros.clone()).prop_map(|(entries, micros)| Operation::WriteBatch { entries, micros }),
        3 => (stored(), micros.clone()).prop_map(|(entries, micros)| Operation::Foreign { entries, micros }),
        4 => any::<usize>().prop_map(|number| Operation::Delete { number }),
        1 => micros.prop_map(|micros| Operation::DeleteAtOrBefore { micros }),
        1 => Just(Operation::Compact),
        3 => (0..INDEXED.len()).prop_map(|indexed| Operation::Reopen { indexed }),
        1 => Just(Operation::LoseIndexes),
        2 => damage().prop_map(|(file, at)| Operation::FlipBit { file, at }),
        1 => damage().prop_map(|(file, at)| Operation::Truncate { file, at }),
    ]
}

fn queries() -> Vec<Query> {
    let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
    let conversation = || Query::new().conversation_id("conversation-2");
    let has = |query: Query, key, number| query.metadata_equals(key, value(key, number));
    let user = || has(Query::new(), "user.id", 1);
    let mut queries = vec![
        conversation(),
        user(),
        has(Query::new(), "ticket", 3),
        has(Query::new(), "ticket", 7),
        Query::new().metadata_equals("ticket", "7"),
        Query::new().metadata_exists("ticket").conversation_id("conversation-1"),
        has(has(conversation(), "ticket", 2), "user.id", 4),
        has(user(), "user.id", 2),
        Query::new().conversation_id("conversation-none"),
    ];
    queries.extend([conversation(), user()].map(|query| query.since(at(5)).until(at(20))));
    let descending: Vec<_> =
        queries.iter().map(|query| query.clone().order(Order::Descending)).collect();
    queries.extend(descending);
    queries
}

async fn found(storage: &FileStorage, query: &Query) -> Vec<AuditEntry> {
    storage.scan(query.clone()).try_collect().await.unwrap()
}

/// Checks every query, as a whole and by pages, against the entries in write order.
async fn assert_selects(storage: &FileStorage, model: &[AuditEntry], what: &str) {
    let mut sorted = model.to_vec();
    sorted.sort_by_key(|entry| entry.timestamp);
    for query in queries() {
        let expected = query.select(sorted.clone());
        assert_eq!(found(storage, &query).await, expected, "{what}: {query:?}");
        let mut paged = Vec::new();
        let mut page = query.clone().limit(3);
        loop {
            let next = found(storage, &page).await;
            let Some(last) = next.last() else { break };
            page = page.after(Cursor::from(last));
            paged.extend(next);
        }
        assert_eq!(paged, expected, "{what}, in pages: {query:?}");
    }
}

async fn open(path: &Path, indexed: usize, read_only: bool) -> FileStorage {
    let builder = FileStorage::builder(path).rotation_size_bytes(6_000).read_only(read_only);
    let builder = match INDEXED[indexed] {
        Some(keys) => builder.indexed_metadata_keys(keys.iter().copied()),
        None => builder,
    };
    builder.open().await.unwrap()
}

/// Appends lines with spacing of their own to the newest active segment; creates that of today if there is
/// none.
fn append_foreign(path: &Path, entries: &[AuditEntry]) {
    let is_active =
        |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().matches('_').count() == 1;
    let newest = segments(path).into_iter().rfind(is_active);
    let newest = newest.unwrap_or_else(|| {
        let (year, month, day) = Timestamp::now().date();
        path.join(format!("audit_{year:04}{month:02}{day:02}.jsonl"))
    });
    let mut file = OpenOptions::new().append(true).create(true).open(newest).unwrap();
    for entry in entries {
        writeln!(file, " {}", serde_json::to_string(entry).unwrap()).unwrap();
    }
}

fn damage(path: &Path, file: usize, change: impl Fn(&Path, Vec<u8>)) {
    let indexes = indexes(path);
    if let Some(victim) = indexes.get(file % indexes.len().max(1)) {
        change(victim, fs::read(victim).unwrap());
    }
}

async fn run(operations: Vec<Operation>) {
    let (_guard, path) = folder();
    let mut writers = [open(&path, 0, false).await, open(&path, 1, false).await];
    let mut model: Vec<AuditEntry> = Vec::new();
    let reader = open(&path, 3, true).await;
    let mut next = 0;
    let mut new = |entries: &[Stored], micros| -> Vec<AuditEntry> {
        let numbers = next..next + entries.len();
        next = numbers.end;
        numbers.zip(entries).map(|(number, stored)| stored.entry(number, micros)).collect()
    };
    for (number, operation) in operations.into_iter().enumerate() {
        let what = format!("{number}: {operation:?}");
        let writer = &writers[number % 2];
        match operation {
            Operation::Append { entries, micros } => {
                let entries = new(&entries, micros);
                writer.append(&entries).await.unwrap();
                model.extend(entries);
            }
            Operation::WriteBatch { entries, micros } => {
                let entries = new(&entries, micros);
                // The first line of the batch is dropped, as it is stored.
                let stored = model.get(number % model.len().max(1)).cloned();
                let batch: Vec<_> = stored.into_iter().chain(entries.clone()).collect();
                writer.write_batch(&batch).await.unwrap();
                model.extend(entries);
            }
            Operation::Foreign { entries, micros } => {
                let entries = new(&entries, micros);
                append_foreign(&path, &entries);
                model.extend(entries);
            }
            Operation::Delete { number } => {
                if !model.is_empty() {
                    let deleted = model.remove(number % model.len());
                    assert!(writer.delete(&deleted.id).await.unwrap(), "{what}");
                }
            }
            Operation::DeleteAtOrBefore { micros } => {
                let at = Timestamp::from_unix_micros(micros).unwrap();
                writer.delete_at_or_before(at).await.unwrap();
                model.retain(|entry| entry.timestamp > at);
            }
            Operation::Compact => drop(writer.compact().await.unwrap()),
            Operation::Reopen { indexed } => {
                writer.close().await.unwrap();
                writers[number % 2] = open(&path, indexed, false).await;
            }
            Operation::LoseIndexes => {
                indexes(&path).iter().for_each(|path| fs::remove_file(path).unwrap())
            }
            Operation::FlipBit { file, at } => damage(&path, file, |victim, mut bytes| {
                let at = at % bytes.len().max(1);
                bytes[at] ^= 1 << (at % 8);
                // In place, as in the medium.
                OpenOptions::new().write(true).open(victim).unwrap().write_all(&bytes).unwrap();
            }),
            Operation::Truncate { file, at } => damage(&path, file, |victim, bytes| {
                let length = at % bytes.len().max(1);
                OpenOptions::new()
                    .write(true)
                    .open(victim)
                    .unwrap()
                    .set_len(length as u64)
                    .unwrap();
            }),
        }
        if number % 4 == 0 {
            assert_selects(&writers[number / 4 % 2], &model, &what).await;
            assert_selects(&reader, &model, &what).await;
        }
    }
    assert_selects(&writers[0], &model, "at the end").await;
    assert_selects(&writers[1], &model, "at the end").await;
    for indexed in 0..INDEXED.len() {
        assert_selects(&open(&path, indexed, true).await, &model, "reopened").await;
    }
    for writer in &writers {
        writer.close().await.unwrap();
        assert_selects(writer, &model, "closed").await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn queries_agree_with_reading_everything(operations in proptest::collection::vec(operation(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(run(operations));
    }
}
