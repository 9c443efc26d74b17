//! What the logger makes of an interaction, and of a storage that fails.
#![allow(clippy::unwrap_used)] // helpers of a test

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use attestry_core::{
    AuditEntry, EntryId, IdScheme, Query, StorageBackend, StorageError, Timestamp, async_trait,
    hash_content,
};
use attestry_logger::{
    AuditError, AuditLogger, ContentField, ContentHash, FailurePolicy, HashKey, Interaction,
};
use attestry_memory::MemoryStorage;
use futures_util::TryStreamExt;

fn logger() -> AuditLogger {
    AuditLogger::builder(MemoryStorage::new()).build()
}

async fn log(logger: &AuditLogger, interaction: Interaction<'_>) -> AuditEntry {
    let id = logger.log(interaction).await.unwrap();
    logger.get_entry(&id).await.unwrap().expect("it was logged")
}

#[tokio::test]
async fn the_defaults_are_the_specifications() {
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

#[tokio::test]
async fn every_parameter_of_log_reaches_the_entry() {
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
        .timestamp("2026-01-28T09:15:00".parse().unwrap());
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
fn an_interaction_that_is_not_one_is_named_and_not_quoted() {
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
async fn a_batch_is_logging_each_in_order() {
    let logger = AuditLogger::builder(MemoryStorage::new()).id_scheme(IdScheme::V7).build();
    let at = |micros| Timestamp::from_unix_micros(micros).unwrap();
    let interactions = (0..5).map(|n| Interaction::new(format!("in {n}"), "out").timestamp(at(7)));
    let ids = logger.log_batch(interactions).await.unwrap();
    let entries: Vec<_> = logger.query(Query::new()).try_collect().await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(entries[3].input_hash, hash_content("in 3"));
    assert_eq!(logger.get_entries(at(7), at(7)).await.unwrap(), entries);
    assert!(ids.iter().all(|id| id.as_str().as_bytes()[14] == b'7'));

    // One that is invalid is found before any is stored.
    let invalid = [Interaction::new("a", "b"), Interaction::new("c", "d").latency_ms(f64::NAN)];
    assert!(logger.log_batch(invalid).await.is_err());
    assert_eq!(logger.storage().count().await.unwrap(), 5);
}

#[tokio::test]
async fn a_call_with_its_own_id_can_be_repeated() {
    let logger = logger();
    let id = EntryId::new("order-1").unwrap();
    let interaction = Interaction::new("in", "out").id(id.clone()).timestamp(Timestamp::now());
    for _ in 0..2 {
        assert_eq!(logger.log(interaction.clone()).await.unwrap(), id);
    }
    logger.log_batch([interaction.clone()]).await.unwrap();
    assert_eq!(logger.storage().count().await.unwrap(), 1);
    let other = logger.log(interaction.provider("other")).await;
    assert!(matches!(other, Err(AuditError::Storage(StorageError::AlreadyExists { .. }))));
}

#[tokio::test]
async fn cleanup_takes_what_is_old_enough() {
    let logger = AuditLogger::builder(MemoryStorage::new()).retention_days(30).build();
    for days in [0, 29, 31, 400] {
        let timestamp = Timestamp::now().saturating_sub_days(days);
        log(&logger, Interaction::new("in", "out").timestamp(timestamp)).await;
    }
    assert_eq!(logger.cleanup_expired().await.unwrap(), 2);
    assert_eq!(logger.cleanup_expired().await.unwrap(), 0);
    assert_eq!(logger.storage().count().await.unwrap(), 2);
    // Exactly as old as is kept has expired.
    let logger = AuditLogger::builder(MemoryStorage::new()).retention_days(0).build();
    log(&logger, Interaction::new("in", "out")).await;
    assert_eq!(logger.cleanup_expired().await.unwrap(), 1);
}

#[tokio::test]
async fn content_is_verified_by_hash_plain_or_keyed() {
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

        // Authentic, and not what was hashed: exchanged by someone who has the key.
        let exchanged = AuditEntry { input_content: entry.output_content.clone(), ..entry.clone() };
        let error = logger.decrypt_entry(&exchanged).unwrap_err();
        assert!(
            matches!(error, AuditError::HashMismatch { field: ContentField::Input, .. }),
            "{error}"
        );

        // One altered: its sibling shows that the key is right.
        let other = EncryptionManager::generate();
        let altered =
            AuditEntry { input_content: Some(other.encrypt("the question")), ..entry.clone() };
        let error = logger.decrypt_entry(&altered).unwrap_err();
        assert!(matches!(error, AuditError::Altered { field: ContentField::Input, .. }), "{error}");

        // Neither authentic: the key is wrong, as far as can be told.
        let error = encrypting(&other).decrypt_entry(&entry).unwrap_err();
        assert!(matches!(error, AuditError::Decrypt(DecryptError::NotAuthentic)), "{error}");
        let error = super::logger().decrypt_entry(&entry).unwrap_err();
        assert!(matches!(error, AuditError::NoEncryption), "{error}");
    }

    #[tokio::test]
    async fn a_store_may_hold_plain_and_encrypted_content_of_several_keys() {
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

/// Fails on demand.
#[derive(Debug, Default)]
struct Failing {
    fails: AtomicBool,
    storage: MemoryStorage,
}

#[async_trait]
impl StorageBackend for Failing {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        if self.fails.load(Ordering::Relaxed) {
            let full = std::io::ErrorKind::StorageFull.into();
            return Err(StorageError::io("append to", "/audit", full));
        }
        self.storage.write(entry).await
    }
    async fn read(&self, id: &EntryId) -> Result<Option<AuditEntry>, StorageError> {
        self.storage.read(id).await
    }
    async fn list_entries(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<AuditEntry>, StorageError> {
        self.storage.list_entries(start, end).await
    }
    async fn delete(&self, id: &EntryId) -> Result<bool, StorageError> {
        self.storage.delete(id).await
    }
    async fn count(&self) -> Result<u64, StorageError> {
        self.storage.count().await
    }
}

#[tokio::test]
async fn a_storage_failure_is_the_callers_by_default() {
    let storage = Arc::new(Failing::default());
    let logger = AuditLogger::builder(storage.clone()).build();
    storage.fails.store(true, Ordering::Relaxed);
    let error = logger.log(Interaction::new("in", "out")).await.unwrap_err();
    assert!(matches!(&error, AuditError::Storage(storage) if storage.is_retryable()), "{error}");
    storage.fails.store(false, Ordering::Relaxed);
    logger.log(Interaction::new("in", "out")).await.unwrap();
}

#[tokio::test]
async fn who_would_rather_serve_gets_what_could_not_be_recorded() {
    let storage = Arc::new(Failing::default());
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
    storage.fails.store(true, Ordering::Relaxed);
    let id = logger.log(Interaction::new("in", "out")).await.unwrap();
    let ids =
        logger.log_batch([Interaction::new("a", "b"), Interaction::new("c", "d")]).await.unwrap();
    // An entry that is invalid is still the caller's to mend.
    assert!(logger.log(Interaction::new("in", "out").latency_ms(f64::NAN)).await.is_err());

    storage.fails.store(false, Ordering::Relaxed);
    let missed = std::mem::take(&mut *missed.lock().unwrap());
    assert_eq!(
        missed.iter().map(|(entry, _)| entry.id.clone()).collect::<Vec<_>>(),
        [vec![id], ids].concat()
    );
    for (entry, error) in missed {
        assert_eq!(error, "cannot append to /audit");
        logger.storage().write(&entry).await.unwrap();
    }
    assert_eq!(logger.storage().count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_text_that_cannot_be_an_id_is_told_from_one_that_is_unknown() {
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
fn its_futures_can_be_spawned() {
    fn send<T: Send>(_: T) {}
    let logger = logger();
    send(logger.log(Interaction::new("a", "b")));
    send(logger.log_batch([Interaction::new("a", "b")]));
    send(logger.get_entry("a"));
    send(logger.cleanup_expired());
    send(logger.close());
}
