//! The logger: entries, content policy, queries, and failing storage.
#![allow(clippy::unwrap_used)] // test helpers

use std::sync::{Arc, Mutex};

use attestry_conformance::{FailingBackend, Failure, Operation};
use attestry_core::{
    AuditEntry, CorruptRecord, Cursor, EntryId, EntryStream, ErrorKind, IdScheme, Order, Query,
    StorageBackend, StorageError, Timestamp, async_trait, hash_content,
};
use attestry_logger::{
    AuditError, AuditLogger, ContentField, ContentHash, DeleteMode, FailurePolicy, HashKey,
    Interaction,
};
use attestry_memory::MemoryStorage;
use futures_util::{StreamExt, TryStreamExt, stream};

fn logger() -> AuditLogger {
    AuditLogger::builder(MemoryStorage::new()).build()
}

async fn log(logger: &AuditLogger, interaction: Interaction<'_>) -> AuditEntry {
    let id = logger.log(interaction).await.unwrap();
    logger.get_entry(&id).await.unwrap().expect("just logged")
}

#[tokio::test]
async fn defaults_match_the_specification() {
    let logger = logger();
    assert_eq!(logger.retention_days(), 365);
    assert!(!logger.store_content());
    let before = Timestamp::now();
    let entry = log(&logger, Interaction::new("What is 2+2?", "4")).await;
    assert!((before..=Timestamp::now()).contains(&entry.timestamp));
    assert_eq!(entry.id.as_str().as_bytes()[14], b'4', "a UUID of version 4");
    let expected = AuditEntry::new(
        entry.id.clone(),
        entry.timestamp,
        hash_content("What is 2+2?"),
        hash_content("4"),
    );
    assert_eq!(entry, expected, "hashes only, and every default");
}

/// More entries than are read at once.
#[tokio::test]
async fn delete_matching_deletes_what_the_query_selects() {
    let logger = logger();
    for n in 0..2_500 {
        let user = if n % 5 == 0 { "other" } else { "u-17" };
        let text = n.to_string();
        logger.log(Interaction::new(&text, "").metadata("user.id", user)).await.unwrap();
    }
    let of_user = Query::new().metadata_equals("user.id", "u-17");
    let expected: Vec<_> =
        logger.query(of_user.clone()).map_ok(|entry| entry.id).try_collect().await.unwrap();
    for mode in [DeleteMode::DryRun, DeleteMode::Delete] {
        let mut ids = Vec::new();
        let on_entry = |id: &EntryId| ids.push(id.clone());
        let deletion = logger.delete_matching(of_user.clone(), mode, on_entry).await.unwrap();
        assert_eq!((deletion.entries, deletion.unreadable.len()), (2_000, 0));
        assert_eq!(ids, expected, "{mode:?}");
        let left = if mode == DeleteMode::DryRun { 2_500 } else { 500 };
        assert_eq!(logger.count().await.unwrap(), left, "{mode:?}");
    }
    // Fewer than a batch: the end of the scan is met within it.
    let others = logger.delete_matching(Query::new(), DeleteMode::Delete, |_| ()).await.unwrap();
    assert_eq!(others.entries, 500);
    let empty = Query::new().text_contains("");
    let error = logger.delete_matching(empty, DeleteMode::Delete, |_| ()).await.unwrap_err();
    assert!(matches!(error, AuditError::Storage(StorageError::InvalidQuery(_))), "{error:?}");
}

#[tokio::test]
async fn every_parameter_is_stored_in_the_entry() {
    let interaction = Interaction::from_json(
        r#"{"input": "in", "output": "out", "provider": "p", "model": "m", "conversation_id": "c",
            "safety_passed": false, "detectors_triggered": ["d1", "d2"], "block_reason": "b",
            "alerts": ["a"], "latency_ms": 1.5, "input_tokens": 3, "output_tokens": 4,
            "metadata": {"z": [1], "a": null}, "timestamp": "2026-01-28T10:15:00+01:00"}"#
            .as_bytes(),
    )
    .unwrap();
    let built = Interaction::new("in", "out")
        .provider("p")
        .model("m")
        .conversation_id("c")
        .safety_passed(false)
        .detectors_triggered(["d1", "d2"])
        .block_reason("b")
        .alerts(["a"])
        .latency(std::time::Duration::from_micros(1_500))
        .input_tokens(3)
        .output_tokens(4)
        .metadata("z", vec![1])
        .metadata("a", ())
        .timestamp("2026-01-28T09:15:00".parse::<Timestamp>().unwrap());
    let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    for interaction in [interaction, built] {
        let entry = log(&logger, interaction).await;
        let mut value = entry.to_value();
        value["id"] = "x".into();
        assert_eq!(
            value,
            serde_json::json!({
                "id": "x", "timestamp": "2026-01-28T09:15:00", "input_hash": hash_content("in"),
                "output_hash": hash_content("out"), "input_content": "in", "output_content": "out",
                "provider": "p", "model": "m", "conversation_id": "c", "safety_passed": false,
                "detectors_triggered": ["d1", "d2"], "block_reason": "b", "alerts": ["a"],
                "latency_ms": 1.5, "input_tokens": 3, "output_tokens": 4,
                "metadata": {"z": [1], "a": null},
            })
        );
    }
}

#[test]
fn interaction_errors_name_the_key_and_quote_no_content() {
    for (json, expected) in [
        (r#"{"input": "confidential"}"#, "missing field `output`"),
        (r#"{"input": "confidential", "output": 4}"#, "expected a string"),
        (
            r#"{"input": "a", "output": "b", "alerts": "confidential"}"#,
            "a string, expected a sequence",
        ),
        (r#"{"input": "a", "output": "b", "colour": 1}"#, "unknown field `colour`"),
        (r#"{"input": "a", "output": "b", "timestamp": "soon"}"#, "is not a time"),
        (r#"{"input": "a", "output": "b", "latency_ms": NaN}"#, "expected value"),
        ("", "EOF"),
        (r#"["confidential", "b"]"#, "expected a JSON object"),
    ] {
        let error = Interaction::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
        assert!(!error.contains("confidential"), "{error}");
    }
    // Python's None for a list.
    let nulls = br#"{"input": "a", "output": "b", "alerts": null, "metadata": null, "detectors_triggered": null}"#;
    assert!(Interaction::from_json(nulls).is_ok());
}

#[tokio::test]
async fn log_batch_matches_single_logs_in_order() {
    let logger = AuditLogger::builder(MemoryStorage::new()).id_scheme(IdScheme::V7).build();
    let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
    let interactions = (0..5).map(|n| Interaction::new(format!("in {n}"), "out").timestamp(at(7)));
    let ids = logger.log_batch(interactions).await.unwrap();
    let entries: Vec<_> = logger.query(Query::new()).try_collect().await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(entries[3].input_hash, hash_content("in 3"));
    assert_eq!(logger.get_entries(at(7), at(7)).await.unwrap(), entries);
    assert!(ids.iter().all(|id| id.as_str().as_bytes()[14] == b'7'));

    // All interactions are validated before any is stored.
    let invalid = [Interaction::new("a", "b"), Interaction::new("c", "d").latency_ms(f64::NAN)];
    assert!(logger.log_batch(invalid).await.is_err());
    assert_eq!(logger.count().await.unwrap(), 5);
}

#[tokio::test]
async fn log_with_a_given_id_is_idempotent() {
    let logger = logger();
    let id = EntryId::new("order-1").unwrap();
    let interaction = Interaction::new("in", "out").id(id.clone()).timestamp(Timestamp::now());
    for _ in 0..2 {
        assert_eq!(logger.log(interaction.clone()).await.unwrap(), id);
    }
    logger.log_batch([interaction.clone()]).await.unwrap();
    assert_eq!(logger.count().await.unwrap(), 1);
    let other = logger.log(interaction.provider("other")).await;
    assert!(matches!(other, Err(AuditError::Storage(StorageError::AlreadyExists { .. }))));
}

#[tokio::test]
async fn cleanup_deletes_expired_entries_only() {
    let logger = AuditLogger::builder(MemoryStorage::new()).retention_days(30).build();
    for days in [0, 29, 31, 400] {
        let timestamp = Timestamp::now().saturating_sub_days(days);
        log(&logger, Interaction::new("in", "out").timestamp(timestamp)).await;
    }
    assert_eq!(logger.cleanup_expired().await.unwrap(), 2);
    assert_eq!(logger.cleanup_expired().await.unwrap(), 0);
    assert_eq!(logger.count().await.unwrap(), 2);
    // An entry whose age is exactly the retention period has expired.
    let builder = AuditLogger::builder(MemoryStorage::new()).retention_days(0);
    let logger = builder.allow_large_cleanup(true).build();
    log(&logger, Interaction::new("in", "out")).await;
    assert_eq!(logger.cleanup_expired().await.unwrap(), 1);
}

#[tokio::test]
async fn cleanup_of_more_than_half_needs_permission() {
    let builder = AuditLogger::builder(MemoryStorage::new()).retention_days(30);
    let logger = builder.build();
    for days in [0, 31, 400] {
        let timestamp = Timestamp::now().saturating_sub_days(days);
        log(&logger, Interaction::new("in", "out").timestamp(timestamp)).await;
    }
    match logger.cleanup_expired().await.unwrap_err() {
        AuditError::LargeCleanup { expired: 2, entries: 3, cutoff } => {
            assert!(cutoff <= logger.expiry_cutoff());
        }
        error => panic!("{error}"),
    }
    assert_eq!(logger.count().await.unwrap(), 3, "nothing is deleted");
    // With one more it is half.
    log(&logger, Interaction::new("in", "out")).await;
    assert_eq!(logger.cleanup_expired().await.unwrap(), 2);
}

#[tokio::test]
async fn content_is_verified_by_plain_or_keyed_hash() {
    let key = HashKey::new([7; 32]).unwrap();
    let plain = logger();
    let keyed = AuditLogger::builder(MemoryStorage::new())
        .content_hash(ContentHash::HmacSha256(key))
        .build();
    for logger in [&plain, &keyed] {
        let entry = log(logger, Interaction::new("in", "out")).await;
        assert!(logger.verify_content(&entry, "in", "out").unwrap().both());
        let half = logger.verify_content(&entry, "in", "other").unwrap();
        assert!(half.input && !half.output && !half.both());
    }
    let entry = log(&keyed, Interaction::new("in", "out")).await;
    assert!(entry.input_hash.starts_with("hmac-sha256:"));
    let error = plain.verify_content(&entry, "in", "out").unwrap_err();
    assert!(matches!(error, AuditError::NoHashKey { .. }), "{error}");
}

#[tokio::test]
async fn plain_content_is_checked_against_its_hash() {
    let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    let mut entry = log(&logger, Interaction::new("in", "out")).await;
    let content = logger.decrypt_entry(&entry).unwrap();
    assert_eq!((content.input.as_deref(), content.output.as_deref()), (Some("in"), Some("out")));
    entry.output_content = Some("forged".into());
    let error = logger.decrypt_entry(&entry).unwrap_err();
    assert!(
        matches!(error, AuditError::HashMismatch { field: ContentField::Output, .. }),
        "{error}"
    );
    assert!(matches!(logger.decrypt_content("x"), Err(AuditError::NoEncryption)));
}

#[cfg(feature = "encryption")]
mod encryption {
    use attestry_crypto::{DecryptError, EncryptionManager, generate_key};

    use super::*;

    fn encrypting(manager: &EncryptionManager) -> AuditLogger {
        AuditLogger::builder(MemoryStorage::new())
            .encryption(manager.clone())
            .store_content(true)
            .build()
    }

    #[tokio::test]
    async fn content_is_encrypted_decrypted_and_checked() {
        let manager = EncryptionManager::generate();
        let logger = encrypting(&manager);
        let entry = log(&logger, Interaction::new("the question", "the answer ü")).await;
        let stored = entry.output_content.clone().unwrap();
        assert!(logger.encryption().is_some_and(|configured| configured.key() == manager.key()));
        let bad = logger.decrypt_content("not a token");
        assert!(matches!(bad, Err(AuditError::Decrypt(DecryptError::NotBase64))), "{bad:?}");
        assert!(!stored.contains("answer"));
        assert_eq!(
            entry.output_hash,
            hash_content("the answer ü"),
            "the hash is of the plain text"
        );
        assert_eq!(logger.decrypt_content(&stored).unwrap(), "the answer ü");
        let content = logger.decrypt_entry(&entry).unwrap();
        assert_eq!(content.input.as_deref(), Some("the question"));
        assert!(!format!("{content:?}").contains("question"));

        // Authentic but not the hashed content: exchanged with knowledge of the key.
        let exchanged = AuditEntry { input_content: entry.output_content.clone(), ..entry.clone() };
        let error = logger.decrypt_entry(&exchanged).unwrap_err();
        assert!(
            matches!(error, AuditError::HashMismatch { field: ContentField::Input, .. }),
            "{error}"
        );

        // One content altered: the other one shows that the key is right.
        let other = EncryptionManager::generate();
        let altered =
            AuditEntry { input_content: Some(other.encrypt("the question")), ..entry.clone() };
        let error = logger.decrypt_entry(&altered).unwrap_err();
        assert!(matches!(error, AuditError::Altered { field: ContentField::Input, .. }), "{error}");

        // Neither is authentic: reported as a wrong key.
        let error = encrypting(&other).decrypt_entry(&entry).unwrap_err();
        assert!(matches!(error, AuditError::Decrypt(DecryptError::NotAuthentic)), "{error}");
        let error = super::logger().decrypt_entry(&entry).unwrap_err();
        assert!(matches!(error, AuditError::NoEncryption), "{error}");
    }

    #[tokio::test]
    async fn plain_and_encrypted_content_of_several_keys_can_be_mixed() {
        let (old, new) = (generate_key(), generate_key());
        let storage = Arc::new(MemoryStorage::new());
        let with = |manager: Option<EncryptionManager>| {
            let builder = AuditLogger::builder(storage.clone()).store_content(true);
            match manager {
                Some(manager) => builder.encryption(manager).build(),
                None => builder.build(),
            }
        };
        let mut entries = Vec::new();
        for logger in [with(None), with(Some(EncryptionManager::new(old.clone())))] {
            entries.push(log(&logger, Interaction::new("in", "out")).await);
        }
        let logger = with(Some(EncryptionManager::with_keys(new, [old])));
        entries.push(log(&logger, Interaction::new("in", "out")).await);
        for entry in entries {
            assert_eq!(logger.decrypt_entry(&entry).unwrap().input.as_deref(), Some("in"));
        }
    }
}

/// Reports one corrupt record before the entries of each scan.
#[derive(Debug, Default)]
struct WithCorruptRecord(MemoryStorage);

#[async_trait]
impl StorageBackend for WithCorruptRecord {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.0.write(entry).await
    }
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        self.0.read(id).await
    }
    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.0.list_entries(start, end).await
    }
    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.0.delete(id).await
    }
    async fn count(&self) -> Result<u64, StorageError> {
        self.0.count().await
    }
    fn scan(&self, query: Query) -> EntryStream<'_> {
        let corrupt = CorruptRecord::new("audit.jsonl", "expected a JSON object").at_offset(7);
        Box::pin(stream::iter([Err(corrupt.into())]).chain(self.0.scan(query)))
    }
}

fn failing() -> Arc<FailingBackend<MemoryStorage>> {
    Arc::new(FailingBackend::new(MemoryStorage::new()))
}

#[tokio::test]
async fn storage_failures_are_returned_by_default() {
    let storage = failing();
    let logger = AuditLogger::builder(storage.clone()).build();
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    let error = logger.log(Interaction::new("in", "out")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(error.kind(), ErrorKind::Io);
    storage.recover();
    logger.log(Interaction::new("in", "out")).await.unwrap();
}

#[tokio::test]
async fn fail_open_passes_unrecorded_entries_to_the_handler() {
    let storage = failing();
    let missed = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let missed = missed.clone();
        move |entry: &AuditEntry, error: &StorageError| {
            missed.lock().unwrap().push((entry.clone(), error.to_string()));
        }
    };
    let logger = AuditLogger::builder(storage.clone())
        .failure_policy(FailurePolicy::fail_open(handler))
        .build();
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    let id = logger.log(Interaction::new("in", "out")).await.unwrap();
    let ids =
        logger.log_batch([Interaction::new("a", "b"), Interaction::new("c", "d")]).await.unwrap();
    // An invalid entry is still an error of the caller.
    assert!(logger.log(Interaction::new("in", "out").latency_ms(f64::NAN)).await.is_err());

    storage.recover();
    let missed = std::mem::take(&mut *missed.lock().unwrap());
    assert_eq!(
        missed.iter().map(|(entry, _)| entry.id.clone()).collect::<Vec<_>>(),
        [vec![id], ids].concat()
    );
    for (entry, error) in missed {
        assert_eq!(error, "cannot append to /failing-backend");
        logger.storage().write(&entry).await.unwrap();
    }
    assert_eq!(logger.count().await.unwrap(), 3);
}

#[tokio::test]
async fn invalid_ids_and_unknown_ids_are_distinguished() {
    let logger = logger();
    assert_eq!(logger.get_entry("unknown").await.unwrap(), None);
    for id in ["../x", "a/b", "a\nb", ""] {
        assert!(matches!(logger.get_entry(id).await, Err(AuditError::InvalidId(_))), "{id:?}");
    }
    let (start, end) = (Timestamp::MAX, Timestamp::MIN);
    let error = logger.get_entries(start, end).await.unwrap_err();
    assert!(matches!(error, AuditError::Storage(StorageError::InvalidQuery(_))), "{error}");
}

#[test]
fn futures_are_send() {
    fn send<T: Send>(_: T) {}
    let logger = logger();
    send(logger.log(Interaction::new("a", "b")));
    send(logger.log_batch([Interaction::new("a", "b")]));
    send(logger.get_entry("a"));
    send(logger.cleanup_expired());
    send(logger.page(Query::new()));
    send(logger.query(Query::new()));
    send(logger.delete("a"));
    send(logger.close());
}

#[tokio::test]
async fn query_stream_outlives_the_logger_and_continues_after_errors() {
    let logger = AuditLogger::builder(WithCorruptRecord::default()).build();
    let ids = logger.log_batch((0..600).map(|_| Interaction::new("in", "out"))).await.unwrap();
    let mut found = logger.query(Query::new().limit(500));
    drop(logger);
    let results = tokio::spawn(async move {
        let mut results = Vec::new();
        while let Some(result) = found.next().await {
            results.push(result);
        }
        assert!(found.next().await.is_none(), "polling it after the end is allowed");
        results
    });
    let mut results = results.await.unwrap().into_iter();
    assert!(matches!(results.next(), Some(Err(StorageError::Corrupt(_)))));
    let entries: Vec<_> = results.map(Result::unwrap).collect();
    assert_eq!(entries.len(), 500);
    assert!(entries.iter().all(|entry| ids.contains(&entry.id)));
}

#[tokio::test]
async fn pages_say_whether_more_follow() {
    let logger = logger();
    for n in 0..7 {
        let at = Timestamp::from_unix_micros(n / 2).unwrap();
        log(&logger, Interaction::new("in", "out").timestamp(at)).await;
    }
    for order in [Order::Ascending, Order::Descending] {
        let query = Query::new().order(order);
        let all = logger.page(query.clone()).await.unwrap();
        assert_eq!((all.entries.len(), &all.next), (7, &None));
        for size in 1..9 {
            let (mut seen, mut cursor, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = logger.page(query.clone().limit(size).after(cursor)).await.unwrap();
                assert!(page.entries.len() == size || page.next.is_none());
                seen.extend(page.entries);
                pages += 1;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
                assert_eq!(cursor, seen.last().map(Cursor::from));
            }
            assert_eq!((&seen, pages), (&all.entries, 7_usize.div_ceil(size)), "{order:?}, {size}");
        }
    }
    let reversed = Query::range(Timestamp::MAX, Timestamp::MIN);
    assert!(logger.page(reversed).await.is_err());
}

#[tokio::test]
async fn pages_report_corrupt_records_beside_the_entries() {
    let logger = AuditLogger::builder(WithCorruptRecord::default()).build();
    logger.log_batch([Interaction::new("a", "b"), Interaction::new("c", "d")]).await.unwrap();
    let page = logger.page(Query::new().limit(2)).await.unwrap();
    assert_eq!((page.entries.len(), page.next), (2, None));
    assert_eq!(page.corrupt[0].offset, Some(7));
}

#[tokio::test]
async fn entries_are_counted_and_deleted() {
    let logger = logger();
    let entry = log(&logger, Interaction::new("in", "out").provider(None::<&str>)).await;
    assert_eq!(logger.count().await.unwrap(), 1);
    assert!(logger.delete(&entry.id).await.unwrap());
    assert!(!logger.delete(entry.id.as_str()).await.unwrap());
    assert!(matches!(logger.delete("../x").await, Err(AuditError::InvalidId(_))));
    assert_eq!(logger.compact().await.unwrap(), 0);
    logger.flush().await.unwrap();
    assert_eq!(logger.count().await.unwrap(), 0);
}
