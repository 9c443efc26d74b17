//! The backend on a real server. `cargo xtask s3` starts it and passes its endpoint and credentials in the
//! variables of the AWS tools. `cargo test` alone does not run these tests.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::time::{Duration, SystemTime};

use attestry_conformance::Fresh;
use attestry_core::{
    AuditEntry, EntryId, StorageBackend, StorageError, Timestamp, create_entry_id, hash_content,
};
use attestry_s3::{
    ConditionalWrites, ConnectError, DeleteFailures, LockMode, RequestError, RequestErrorKind,
    S3Storage, S3StorageBuilder,
};
use aws_sdk_s3::{Client, config::Credentials};
use aws_smithy_async::time::{StaticTimeSource, SystemTimeSource, TimeSource};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures_util::future::join_all;
use support::{Proxy, checks};

/// The buckets that `cargo xtask s3` creates.
const PLAIN: &str = "attestry-plain";
const VERSIONED: &str = "attestry-versioned";
const LOCKED: &str = "attestry-locked";

/// A store below a prefix of the test.
fn builder(bucket: &str, prefix: &EntryId) -> S3StorageBuilder {
    S3Storage::builder(bucket).prefix(format!("test/{prefix}")).path_style(true)
}

async fn empty_store(bucket: &str) -> S3Storage {
    builder(bucket, &create_entry_id()).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn suite_passes() {
    checks::run_cases(checks::has_no_longest_ids, async || Fresh::new(empty_store(PLAIN).await))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn model_agrees() {
    attestry_conformance::model::check(8, async || Fresh::new(empty_store(PLAIN).await)).await;
}

fn entry(id: EntryId, timestamp: Timestamp, input: &str) -> AuditEntry {
    AuditEntry::new(id, timestamp, hash_content(input), hash_content("out"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn list_all(storage: &S3Storage) -> Vec<AuditEntry> {
    storage.list_entries(Timestamp::MIN, Timestamp::MAX).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_writers_of_an_id_wins() {
    let prefix = create_entry_id();
    // Separate stores, as in separate processes: they share no locks.
    let stores: Vec<_> =
        join_all((0..8).map(|_| async { builder(PLAIN, &prefix).connect().await.unwrap() })).await;
    for _ in 0..20 {
        let id = create_entry_id();
        let now = Timestamp::now();
        let entries: Vec<_> =
            (0..stores.len()).map(|n| entry(id.clone(), now, &n.to_string())).collect();
        let writes = stores.iter().zip(&entries).map(|(store, entry)| store.write(entry));
        let outcomes = join_all(writes).await;
        let winners: Vec<_> =
            outcomes.iter().zip(&entries).filter(|(outcome, _)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        let refused = |outcome: &&Result<_, _>| matches!(outcome, Err(StorageError::AlreadyExists { id: named, .. }) if *named == id);
        assert_eq!(outcomes.iter().filter(refused).count(), stores.len() - 1, "{outcomes:?}");
        assert_eq!(stores[0].read(&id).await.unwrap().as_ref(), Some(winners[0].1));
    }
    assert_eq!(stores[0].conditional_writes(), ConditionalWrites::Atomic);
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_confirms_conditional_writes() {
    let storage =
        builder(PLAIN, &create_entry_id()).probe_conditional_writes(true).connect().await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
    assert_eq!(list_all(&storage).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pages_are_counted_listed_and_deleted() {
    checks::several_pages_are_counted_listed_and_deleted(&empty_store(PLAIN).await).await;
}

/// A store on this server behind a proxy that injects faults.
async fn behind_a_proxy() -> (S3StorageBuilder, Proxy) {
    let proxy = Proxy::start(&std::env::var("AWS_ENDPOINT_URL").unwrap()).await;
    (builder(PLAIN, &create_entry_id()).endpoint(proxy.endpoint()), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_retried() {
    let (builder, proxy) = behind_a_proxy().await;
    checks::broken_connections_are_retried(&builder.connect().await.unwrap(), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_entries_survive_faults() {
    let (builder, proxy) = behind_a_proxy().await;
    let builder = builder.max_retries(2).timeout(Duration::from_secs(5));
    checks::acknowledged_entries_survive_faults(builder.connect().await.unwrap(), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn count_includes_ids_with_any_first_character() {
    for bucket in [PLAIN, VERSIONED, LOCKED] {
        let storage = empty_store(bucket).await;
        let ids = ["!", "#a", "%", "&", "+", "-", ".a", "0", "<'\">", "a", "~", "\u{e4}"];
        for day in ["2026-01-30T10:00:00", "2026-01-31T10:00:00"] {
            let of_day = |id: &&str| {
                // Ids are unique across days.
                entry(format!("{id}{}", &day[8..10]).parse().unwrap(), at(day), "in")
            };
            storage.append(&ids.iter().map(of_day).collect::<Vec<_>>()).await.unwrap();
        }
        let entries = list_all(&storage).await;
        assert_eq!(entries.len(), ids.len() * 2, "{bucket}");
        assert_eq!(storage.count().await.unwrap(), entries.len() as u64, "{bucket}");
        assert!(storage.delete(&entries[0].id).await.unwrap());
        assert_eq!(storage.count().await.unwrap(), entries.len() as u64 - 1, "{bucket}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_entries_are_gone_in_a_versioned_bucket() {
    let storage = empty_store(VERSIONED).await;
    let (old, new) = (
        entry(create_entry_id(), at("2026-01-30T10:00:00"), "old"),
        entry(create_entry_id(), at("2026-02-02T10:00:00"), "new"),
    );
    storage.append(&[old.clone(), new.clone()]).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 2);
    assert!(storage.delete(&new.id).await.unwrap());
    assert_eq!(storage.count().await.unwrap(), 1);
    assert!(!storage.delete(&new.id).await.unwrap());
    assert_eq!(storage.read(&new.id).await.unwrap(), None);
    assert_eq!(storage.delete_at_or_before(at("2026-02-01T00:00:00")).await.unwrap(), 1);
    assert_eq!(storage.count().await.unwrap(), 0);
    assert_eq!(list_all(&storage).await, []);
}

fn delete_failures(error: &StorageError) -> &DeleteFailures {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_object_is_reported_and_stays() {
    for mode in [LockMode::Governance, LockMode::Compliance] {
        let prefix = create_entry_id();
        let without_lock = builder(LOCKED, &prefix).connect().await.unwrap();
        let with_lock = builder(LOCKED, &prefix).object_lock(mode, 2).connect().await.unwrap();
        let now = Timestamp::now();
        let (unlocked, locked) =
            (entry(create_entry_id(), now, "a"), entry(create_entry_id(), now, "b"));
        without_lock.append(std::slice::from_ref(&unlocked)).await.unwrap();
        with_lock.append(std::slice::from_ref(&locked)).await.unwrap();
        assert_eq!(without_lock.count().await.unwrap(), 2);
        for _ in 0..2 {
            let error = without_lock.delete(&locked.id).await.unwrap_err();
            let failures = delete_failures(&error);
            assert_eq!((failures.deleted, failures.failed), (0, 1), "{error}");
            assert!(failures.failures[0].key.ends_with(&format!("{}.json", locked.id)));
            assert_eq!(without_lock.read(&locked.id).await.unwrap().as_ref(), Some(&locked));
        }
        // A cutoff after both days on which the test may run.
        let error = without_lock.delete_at_or_before(at("2100-01-01T00:00:00")).await.unwrap_err();
        let failures = delete_failures(&error);
        assert_eq!((failures.deleted, failures.failed), (1, 1), "{error}");
        assert!(failures.failures[0].key.ends_with(&format!("{}.json", locked.id)));
        assert_eq!(without_lock.count().await.unwrap(), 1);
        assert_eq!(list_all(&without_lock).await, [locked]);
        assert_eq!(without_lock.read(&unlocked.id).await.unwrap(), None);
    }
}

fn request_error_kind(error: &StorageError) -> Option<RequestErrorKind> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<RequestError>().map(RequestError::kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_errors_name_the_problem() {
    let prefix = create_entry_id();
    let missing = builder("no-such-bucket", &prefix).connect().await.unwrap_err();
    assert!(matches!(missing, ConnectError::NoSuchBucket { .. }), "{missing:?}");
    let wrong = Credentials::new("ATTESTRYTEST", "wrong", None, None, "test");
    let wrong = builder(PLAIN, &prefix).credentials(wrong).connect().await.unwrap_err();
    assert!(
        matches!(wrong, ConnectError::BadCredentials { .. } | ConnectError::AccessDenied { .. }),
        "{wrong:?}"
    );
    let unreachable =
        builder(PLAIN, &prefix).endpoint("http://127.0.0.1:9").max_retries(0).connect().await;
    let unreachable = unreachable.unwrap_err();
    assert!(matches!(unreachable, ConnectError::Unreachable { .. }), "{unreachable:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_is_reported() {
    let hour_ago = StaticTimeSource::new(SystemTime::now() - Duration::from_secs(3_600));
    let skewed =
        builder(PLAIN, &create_entry_id()).client(client_at(hour_ago).await).connect().await;
    let skewed = skewed.unwrap_err();
    assert!(matches!(skewed, ConnectError::ClockSkew { .. }), "{skewed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_credentials_can_read() {
    let prefix = create_entry_id();
    let owner = builder(PLAIN, &prefix).connect().await.unwrap();
    let stored = entry(create_entry_id(), Timestamp::now(), "in");
    owner.append(std::slice::from_ref(&stored)).await.unwrap();
    let keys = std::env::var("ATTESTRY_S3_READER").unwrap();
    let (access_key, secret_key) = keys.split_once(':').unwrap();
    let reader = Credentials::new(access_key, secret_key, None, None, "test");
    let reader = builder(PLAIN, &prefix).credentials(reader).connect().await.unwrap();
    assert_eq!(list_all(&reader).await, std::slice::from_ref(&stored));
    assert_eq!(reader.count().await.unwrap(), 1);
    let fresh = entry(create_entry_id(), Timestamp::now(), "in");
    let refused = reader.append(&[fresh]).await.unwrap_err();
    assert_eq!(request_error_kind(&refused), Some(RequestErrorKind::AccessDenied), "{refused:?}");
    assert!(!refused.is_retryable());
    let refused = reader.delete(&stored.id).await.unwrap_err();
    assert_eq!(request_error_kind(&refused), Some(RequestErrorKind::AccessDenied), "{refused:?}");
    let refused = reader.delete_at_or_before(at("2100-01-01T00:00:00")).await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused:?}");
    assert_eq!(list_all(&owner).await, [stored]);
}

/// What the place `s3://…?lock=compliance` of checkpoints writes.
#[tokio::test(flavor = "multi_thread")]
async fn object_under_lock_is_neither_replaced_nor_deleted() {
    for mode in [LockMode::Governance, LockMode::Compliance] {
        let prefix = create_entry_id();
        let connect = builder(LOCKED, &prefix).object_lock(mode, 2).connect_objects();
        let objects = connect.await.unwrap();
        assert!(objects.put("checkpoint", "text/plain", "seven leaves").await.unwrap());
        assert!(!objects.put("checkpoint", "text/plain", "other leaves").await.unwrap());
        let (key, client) = (format!("test/{prefix}/checkpoint"), client().await);
        let get = || client.get_object().bucket(LOCKED).key(&key);
        let stored = get().send().await.unwrap();
        let version = stored.version_id().unwrap().to_owned();
        let expected = match mode {
            LockMode::Governance => "GOVERNANCE",
            _ => "COMPLIANCE",
        };
        assert_eq!(stored.object_lock_mode().map(|mode| mode.as_str()), Some(expected));
        let until = stored.object_lock_retain_until_date().unwrap().secs();
        let now =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!((86_400..3 * 86_400).contains(&(until - now)), "{until} {now}");
        // Not even by its version, which is what a lock is for.
        let delete = client.delete_object().bucket(LOCKED).key(&key).version_id(&version);
        assert!(delete.send().await.is_err(), "{mode:?}");
        let stored = get().version_id(&version).send().await.unwrap();
        assert_eq!(stored.body.collect().await.unwrap().to_vec(), b"seven leaves");
    }
}

/// A client of the SDK, to inspect objects without the backend.
async fn client() -> Client {
    client_at(SystemTimeSource::new()).await
}

async fn client_at(clock: impl TimeSource + 'static) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http);
    let config = aws_sdk_s3::config::Builder::from(&config.load().await).force_path_style(true);
    Client::from_conf(config.time_source(clock).build())
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_content_type_are_stored() {
    let prefix = create_entry_id();
    let storage = builder(PLAIN, &prefix).tag("purpose", "audit & proof").tag("of", "ai");
    let storage = storage.storage_class("STANDARD").connect().await.unwrap();
    let stored = entry(create_entry_id(), at("2026-01-29T12:00:00"), "in");
    storage.append(std::slice::from_ref(&stored)).await.unwrap();
    let key = format!("test/{prefix}/2026-01-29/{}.json", stored.id);
    let client = client().await;
    let tags = client.get_object_tagging().bucket(PLAIN).key(&key).send().await.unwrap();
    let mut tags: Vec<_> = tags.tag_set().iter().map(|tag| (tag.key(), tag.value())).collect();
    tags.sort_unstable();
    assert_eq!(tags, [("of", "ai"), ("purpose", "audit & proof")]);
    let object = client.get_object().bucket(PLAIN).key(&key).send().await.unwrap();
    assert_eq!(object.content_type(), Some("application/json"));
    let body = object.body.collect().await.unwrap().to_vec();
    assert_eq!(attestry_core::line::decode(&body).unwrap(), stored);
}
