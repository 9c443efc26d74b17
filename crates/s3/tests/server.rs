//! The backend on a real server, which `cargo xtask s3` starts; the environment says where it is
//! and with which credentials, as it does to every tool of AWS. `cargo test` alone passes it over.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use std::time::{Duration, SystemTime};

use attestry_conformance::Fresh;
use attestry_core::{
    AuditEntry, EntryId, StorageBackend, StorageError, Timestamp, create_entry_id, hash_content,
};
use attestry_s3::aws_sdk_s3::{self, Client, config::Credentials};
use attestry_s3::{
    ConditionalWrites, ConnectError, DeleteFailures, LockMode, RequestError, RequestErrorKind,
    S3Storage, S3StorageBuilder,
};
use aws_smithy_async::time::{StaticTimeSource, SystemTimeSource, TimeSource};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures_util::future::join_all;
use support::{Proxy, checks};

/// The buckets that `cargo xtask s3` makes.
const PLAIN: &str = "attestry-plain";
const VERSIONED: &str = "attestry-versioned";
const LOCKED: &str = "attestry-locked";

/// A store below a prefix that nobody else uses.
fn at(bucket: &str, prefix: &EntryId) -> S3StorageBuilder {
    S3Storage::builder(bucket).prefix(format!("test/{prefix}")).path_style(true)
}

async fn empty(bucket: &str) -> S3Storage {
    at(bucket, &create_entry_id()).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_backend_does() {
    checks::cases(checks::has_no_longest_ids, async || Fresh::new(empty(PLAIN).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_a_simple_model_does() {
    attestry_conformance::model::check(8, async || Fresh::new(empty(PLAIN).await)).await;
}

fn entry(id: EntryId, moment: Timestamp, input: &str) -> AuditEntry {
    AuditEntry::new(id, moment, hash_content(input), hash_content("out"))
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn all(storage: &S3Storage) -> Vec<AuditEntry> {
    storage.list_entries(Timestamp::MIN, Timestamp::MAX).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_of_one_id_one_wins() {
    let prefix = create_entry_id();
    // Stores of their own, as processes have them: no turns are taken between them.
    let stores: Vec<_> =
        join_all((0..8).map(|_| async { at(PLAIN, &prefix).connect().await.unwrap() })).await;
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
async fn the_condition_is_found_to_hold_when_tried_out() {
    let storage =
        at(PLAIN, &create_entry_id()).probe_conditional_writes(true).connect().await.unwrap();
    assert_eq!(storage.conditional_writes(), ConditionalWrites::Atomic);
    assert_eq!(all(&storage).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_page_is_counted_listed_and_deleted() {
    checks::more_than_one_page_is_counted_listed_and_deleted(&empty(PLAIN).await).await;
}

/// A store on this server behind a proxy that can be told to fail.
async fn behind_a_proxy() -> (S3StorageBuilder, Proxy) {
    let proxy = Proxy::start(&std::env::var("AWS_ENDPOINT_URL").unwrap()).await;
    (at(PLAIN, &create_entry_id()).endpoint(proxy.endpoint()), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_on_the_way_is_tried_again() {
    let (builder, proxy) = behind_a_proxy().await;
    checks::broken_connections_are_survived(&builder.connect().await.unwrap(), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_whatever_happened_on_the_way() {
    let (builder, proxy) = behind_a_proxy().await;
    let builder = builder.retries(2).timeout(Duration::from_secs(5));
    checks::acknowledged_is_there(builder.connect().await.unwrap(), &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_counted_whatever_its_ids_begin_with() {
    for bucket in [PLAIN, VERSIONED, LOCKED] {
        let storage = empty(bucket).await;
        let ids = ["!", "#a", "%", "&", "+", "-", ".a", "0", "<'\">", "a", "~", "\u{e4}"];
        for day in ["2026-01-30T10:00:00", "2026-01-31T10:00:00"] {
            let of_day = |id: &&str| {
                // An id is stored once, on whatever day.
                entry(format!("{id}{}", &day[8..10]).parse().unwrap(), moment(day), "in")
            };
            storage.append(&ids.iter().map(of_day).collect::<Vec<_>>()).await.unwrap();
        }
        let entries = all(&storage).await;
        assert_eq!(entries.len(), ids.len() * 2, "{bucket}");
        assert_eq!(storage.count().await.unwrap(), entries.len() as u64, "{bucket}");
        assert!(storage.delete(&entries[0].id).await.unwrap());
        assert_eq!(storage.count().await.unwrap(), entries.len() as u64 - 1, "{bucket}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_entry_is_gone_where_versions_are_kept() {
    let storage = empty(VERSIONED).await;
    let (old, new) = (
        entry(create_entry_id(), moment("2026-01-30T10:00:00"), "old"),
        entry(create_entry_id(), moment("2026-02-02T10:00:00"), "new"),
    );
    storage.append(&[old.clone(), new.clone()]).await.unwrap();
    assert_eq!(storage.count().await.unwrap(), 2);
    assert!(storage.delete(&new.id).await.unwrap());
    assert_eq!(storage.count().await.unwrap(), 1);
    assert!(!storage.delete(&new.id).await.unwrap());
    assert_eq!(storage.read(&new.id).await.unwrap(), None);
    assert_eq!(storage.delete_at_or_before(moment("2026-02-01T00:00:00")).await.unwrap(), 1);
    assert_eq!(storage.count().await.unwrap(), 0);
    assert_eq!(all(&storage).await, []);
}

/// The failures that an error of the backend carries.
fn failures(error: &StorageError) -> &DeleteFailures {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_object_is_reported_and_stays() {
    for mode in [LockMode::Governance, LockMode::Compliance] {
        let prefix = create_entry_id();
        let free = at(LOCKED, &prefix).connect().await.unwrap();
        let locking = at(LOCKED, &prefix).object_lock(mode, 2).connect().await.unwrap();
        let now = Timestamp::now();
        let (loose, kept) =
            (entry(create_entry_id(), now, "a"), entry(create_entry_id(), now, "b"));
        free.append(std::slice::from_ref(&loose)).await.unwrap();
        locking.append(std::slice::from_ref(&kept)).await.unwrap();
        assert_eq!(free.count().await.unwrap(), 2);
        for _ in 0..2 {
            let error = free.delete(&kept.id).await.unwrap_err();
            let failures = failures(&error);
            assert_eq!((failures.deleted, failures.failed), (0, 1), "{error}");
            assert!(failures.failures[0].key.ends_with(&format!("{}.json", kept.id)));
            assert_eq!(free.read(&kept.id).await.unwrap().as_ref(), Some(&kept));
        }
        // Both days on which it may be now are over.
        let error = free.delete_at_or_before(moment("2100-01-01T00:00:00")).await.unwrap_err();
        let failures = failures(&error);
        assert_eq!((failures.deleted, failures.failed), (1, 1), "{error}");
        assert!(failures.failures[0].key.ends_with(&format!("{}.json", kept.id)));
        assert_eq!(free.count().await.unwrap(), 1);
        assert_eq!(all(&free).await, [kept]);
        assert_eq!(free.read(&loose.id).await.unwrap(), None);
    }
}

fn kind(error: &StorageError) -> Option<RequestErrorKind> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<RequestError>().map(RequestError::kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_when_connecting() {
    let prefix = create_entry_id();
    let nowhere = at("no-such-bucket", &prefix).connect().await.unwrap_err();
    assert!(matches!(nowhere, ConnectError::NoSuchBucket { .. }), "{nowhere:?}");
    let wrong = Credentials::new("ATTESTRYTEST", "wrong", None, None, "test");
    let wrong = at(PLAIN, &prefix).credentials(wrong).connect().await.unwrap_err();
    assert!(
        matches!(wrong, ConnectError::BadCredentials { .. } | ConnectError::AccessDenied { .. }),
        "{wrong:?}"
    );
    let unreachable = at(PLAIN, &prefix).endpoint("http://127.0.0.1:9").retries(0).connect().await;
    let unreachable = unreachable.unwrap_err();
    assert!(matches!(unreachable, ConnectError::Unreachable { .. }), "{unreachable:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told() {
    let hour_ago = StaticTimeSource::new(SystemTime::now() - Duration::from_secs(3_600));
    let off = at(PLAIN, &create_entry_id()).client(client_at(hour_ago).await).connect().await;
    let off = off.unwrap_err();
    assert!(matches!(off, ConnectError::ClockSkew { .. }), "{off:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_reads() {
    let prefix = create_entry_id();
    let owner = at(PLAIN, &prefix).connect().await.unwrap();
    let stored = entry(create_entry_id(), Timestamp::now(), "in");
    owner.append(std::slice::from_ref(&stored)).await.unwrap();
    let keys = std::env::var("ATTESTRY_S3_READER").unwrap();
    let (access_key, secret_key) = keys.split_once(':').unwrap();
    let reader = Credentials::new(access_key, secret_key, None, None, "test");
    let reader = at(PLAIN, &prefix).credentials(reader).connect().await.unwrap();
    assert_eq!(all(&reader).await, std::slice::from_ref(&stored));
    assert_eq!(reader.count().await.unwrap(), 1);
    let fresh = entry(create_entry_id(), Timestamp::now(), "in");
    let refused = reader.append(&[fresh]).await.unwrap_err();
    assert_eq!(kind(&refused), Some(RequestErrorKind::AccessDenied), "{refused:?}");
    assert!(!refused.is_retryable());
    let refused = reader.delete(&stored.id).await.unwrap_err();
    assert_eq!(kind(&refused), Some(RequestErrorKind::AccessDenied), "{refused:?}");
    let refused = reader.delete_at_or_before(moment("2100-01-01T00:00:00")).await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused:?}");
    assert_eq!(all(&owner).await, [stored]);
}

/// A client of our own, to look past the backend.
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
async fn settings_of_objects_are_taken() {
    let prefix = create_entry_id();
    let storage = at(PLAIN, &prefix).tag("purpose", "audit & proof").tag("of", "ai");
    let storage = storage.storage_class("STANDARD").connect().await.unwrap();
    let stored = entry(create_entry_id(), moment("2026-01-29T12:00:00"), "in");
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
