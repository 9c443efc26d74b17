//! Random sequences of operations by two owners and a reader, with reopening, rotation and lost
//! indexes in between, against a list in memory.
#![allow(clippy::unwrap_used)] // helpers of a test

mod common;

use std::fs;
use std::path::Path;

use attestry_core::{AuditEntry, Order, Query, StorageBackend, StorageError, Timestamp};
use attestry_file::FileStorage;
use common::{all, entry, folder, open_read_only};
use futures_util::TryStreamExt;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Operation {
    Write { id: u8, moment: i64 },
    Batch { ids: Vec<u8>, moment: i64 },
    Append { count: u8, moment: i64 },
    Delete { id: u8 },
    DeleteUntil { moment: i64 },
    Compact,
    Reopen,
    LoseIndexes,
}

fn operation() -> impl Strategy<Value = Operation> {
    let moment = 0..30i64;
    prop_oneof![
        4 => (any::<u8>(), moment.clone()).prop_map(|(id, moment)| Operation::Write { id: id % 40, moment }),
        2 => (proptest::collection::vec(0..40u8, 0..12), moment.clone())
            .prop_map(|(ids, moment)| Operation::Batch { ids, moment }),
        3 => (1..20u8, moment.clone()).prop_map(|(count, moment)| Operation::Append { count, moment }),
        3 => (0..40u8).prop_map(|id| Operation::Delete { id }),
        1 => moment.prop_map(|moment| Operation::DeleteUntil { moment }),
        1 => Just(Operation::Compact),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::LoseIndexes),
    ]
}

fn at(moment: i64) -> Timestamp {
    Timestamp::from_unix_micros(moment).unwrap()
}

async fn open(path: &Path, evidence: bool) -> FileStorage {
    let builder = FileStorage::builder(path).rotation_size_bytes(4_000);
    #[cfg(feature = "evidence")]
    let builder = if evidence { common::evidence::kept(builder) } else { builder };
    #[cfg(not(feature = "evidence"))]
    assert!(!evidence);
    builder.open().await.unwrap()
}

/// The store is as its tree says, and grew out of every checkpoint that was ever signed.
#[cfg(feature = "evidence")]
async fn is_proven(storage: &FileStorage, checkpoints: &mut Vec<String>, model: &[AuditEntry]) {
    let found = common::evidence::verify(storage, checkpoints).await;
    assert!(found.is_clean(), "{:#?}", found.problems);
    assert_eq!((found.lines, found.not_covered), (model.len() as u64, 0));
    checkpoints.extend(storage.checkpoint().await.ok());
}

#[cfg(not(feature = "evidence"))]
async fn is_proven(_: &FileStorage, _: &mut Vec<String>, _: &[AuditEntry]) {}

/// Writes an entry to the model; whether it may stand there.
fn write(model: &mut Vec<AuditEntry>, entry: &AuditEntry) -> bool {
    match model.iter().find(|stored| stored.id == entry.id) {
        Some(stored) => stored == entry,
        None => {
            model.push(entry.clone());
            true
        }
    }
}

async fn agrees(storage: &FileStorage, model: &[AuditEntry], what: &str) {
    let mut expected = model.to_vec();
    expected.sort_by_key(|entry| entry.timestamp);
    assert!(all(storage).await.unwrap() == expected, "{what}");
    assert_eq!(storage.count().await.unwrap(), model.len() as u64, "{what}");
    for id in 0..40 {
        let id = format!("id-{id}").parse().unwrap();
        let stored = model.iter().find(|entry| entry.id == id);
        assert_eq!(storage.read(&id).await.unwrap().as_ref(), stored, "{what}");
    }
    let query = Query::range(at(5), at(20)).order(Order::Descending).limit(7);
    let found: Vec<_> = storage.scan(query.clone()).try_collect().await.unwrap();
    assert!(found == query.select(expected), "{what}");
}

async fn run(operations: Vec<Operation>, evidence: bool) {
    let (_guard, path) = folder();
    let mut owners = [open(&path, evidence).await, open(&path, evidence).await];
    let mut checkpoints = Vec::new();
    let reader = open_read_only(&path).await;
    let mut model: Vec<AuditEntry> = Vec::new();
    let mut fresh = 0;
    for (number, operation) in operations.into_iter().enumerate() {
        let what = format!("{number}: {operation:?}");
        let owner = &owners[number % 2];
        match operation {
            Operation::Write { id, moment } => {
                let entry = entry(&format!("id-{id}"), moment);
                let outcome = owner.write(&entry).await;
                match write(&mut model, &entry) {
                    true => assert!(outcome.is_ok(), "{what}: {outcome:?}"),
                    false => assert!(
                        matches!(outcome, Err(StorageError::AlreadyExists { .. })),
                        "{what}"
                    ),
                }
            }
            Operation::Batch { ids, moment } => {
                let batch: Vec<_> =
                    ids.iter().map(|id| entry(&format!("id-{id}"), moment)).collect();
                let outcome = owner.write_batch(&batch).await;
                let mut accepted = true;
                for entry in &batch {
                    accepted = write(&mut model, entry);
                    if !accepted {
                        break;
                    }
                }
                assert_eq!(outcome.is_ok(), accepted, "{what}");
            }
            Operation::Append { count, moment } => {
                let batch: Vec<_> = (0..count)
                    .map(|n| entry(&format!("fresh-{}", fresh + u32::from(n)), moment))
                    .collect();
                fresh += u32::from(count);
                owner.append(&batch).await.unwrap();
                model.extend(batch);
            }
            Operation::Delete { id } => {
                let id = format!("id-{id}").parse().unwrap();
                let before = model.len();
                model.retain(|entry| entry.id != id);
                assert_eq!(owner.delete(&id).await.unwrap(), model.len() < before, "{what}");
            }
            Operation::DeleteUntil { moment } => {
                let before = model.len();
                model.retain(|entry| entry.timestamp > at(moment));
                let deleted = owner.delete_until(at(moment)).await.unwrap();
                assert_eq!(deleted as usize, before - model.len(), "{what}");
            }
            Operation::Compact => drop(owner.compact().await.unwrap()),
            Operation::Reopen => {
                owner.close().await.unwrap();
                owners[number % 2] = open(&path, evidence).await;
                assert!(owners[number % 2].recovery().is_clean(), "{what}");
            }
            Operation::LoseIndexes => {
                // As if a disk had lost them, with nobody at work.
                for owner in &owners {
                    owner.close().await.unwrap();
                }
                let _ = fs::remove_dir_all(path.join(".attestry/index"));
                owners = [open(&path, evidence).await, open(&path, evidence).await];
            }
        }
        if number % 5 == 0 {
            for (storage, who) in
                [(&owners[0], "one"), (&owners[1], "the other"), (&reader, "the reader")]
            {
                agrees(storage, &model, &format!("{what}, says {who}")).await;
            }
            if evidence {
                is_proven(&owners[number / 5 % 2], &mut checkpoints, &model).await;
            }
        }
    }
    for storage in [&owners[0], &owners[1], &reader] {
        agrees(storage, &model, "at the end").await;
    }
    if evidence {
        is_proven(&reader, &mut checkpoints, &model).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn two_owners_and_a_reader_agree_with_a_list(operations in proptest::collection::vec(operation(), 1..60)) {
        let run = run(operations, false);
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
    }

    #[cfg(feature = "evidence")]
    #[test]
    fn the_tree_follows_whatever_they_do(operations in proptest::collection::vec(operation(), 1..60)) {
        let run = run(operations, true);
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(run);
    }
}
