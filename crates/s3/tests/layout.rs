//! The objects in the bucket: written by Attestry, by the Python package, or by neither.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use attestry_core::{Order, Query, StorageBackend, StorageError, Timestamp};
use attestry_s3::{LockMode, ServerSideEncryption};
use futures_util::{StreamExt, TryStreamExt};
use support::{Server, at, body_of, entry, error_chain, ids, key_of, list_all};

/// The output of `json.dumps(entry.to_dict())` in rotalabs-comply 1.1.0.
const PYTHON: &str = r#"{"id": "7e153360-d024-4c93-8a15-9a03fb9cf8bc", "timestamp": "2026-01-30T09:15:00.000123", "input_hash": "aa", "output_hash": "bb", "input_content": "caf\u00e9", "output_content": null, "provider": "openai", "model": null, "conversation_id": null, "safety_passed": true, "detectors_triggered": [], "block_reason": null, "alerts": [], "latency_ms": NaN, "input_tokens": null, "output_tokens": 8, "metadata": {"z": 1, "a": 123456789012345678901234567890}}"#;
const PYTHON_KEY: &str = "audit/2026-01-30/7e153360-d024-4c93-8a15-9a03fb9cf8bc.json";

#[tokio::test]
async fn object_is_that_of_python_plus_a_sequence_number() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let written = entry("a-1", "2026-01-31T23:59:59.999999");
    storage.write(&written).await.unwrap();
    assert_eq!(server.keys(), ["audit/2026-01-31/a-1.json"]);
    let object = server.object("audit/2026-01-31/a-1.json");
    assert_eq!(object.body, body_of(&written));
    assert_eq!(object.content_type.as_deref(), Some("application/json"));
    assert!(object.checksum.is_some(), "no SHA-256 was sent");
    let sequence = &object.metadata["attestry-sequence"];
    assert_eq!(sequence.len(), 20);
    assert!(sequence.bytes().all(|byte| byte.is_ascii_digit()), "{sequence}");
    assert_eq!((object.encryption, object.lock_mode, object.tagging), (None, None, None));
}

#[tokio::test]
async fn object_options_are_sent() {
    let server = Server::start().await;
    let key_id = Some("alias/audit".to_owned());
    let storage = server
        .builder()
        .prefix("logs//")
        .server_side_encryption(ServerSideEncryption::Kms { key_id: key_id.clone() })
        .object_lock(LockMode::Compliance, 30)
        .storage_class("STANDARD_IA")
        .tag("team", "trust & safety")
        .tag("kind", "audit")
        .connect()
        .await
        .unwrap();
    let mut new = entry("new", "2026-01-28");
    new.timestamp = Timestamp::now();
    let old = entry("old", "2020-01-01");
    storage.append(&[new.clone(), old]).await.unwrap();
    let object = server.object(&key_of(&new).replace("audit/", "logs/"));
    assert_eq!(object.encryption.as_deref(), Some("aws:kms"));
    assert_eq!(object.kms_key, key_id);
    assert_eq!(object.storage_class.as_deref(), Some("STANDARD_IA"));
    assert_eq!(object.tagging.as_deref(), Some("team=trust+%26+safety&kind=audit"));
    assert_eq!(object.lock_mode.as_deref(), Some("COMPLIANCE"));
    let end = new.timestamp.unix_micros() / 1_000_000 + 30 * 86_400;
    let expected = std::time::UNIX_EPOCH + std::time::Duration::from_secs(end.unsigned_abs());
    assert_eq!(object.retained_until, Some(expected.into()));
    // S3 refuses a lock that has ended.
    assert_eq!(server.object("logs/2020-01-01/old.json").lock_mode, None);
}

#[tokio::test]
async fn sse_s3_is_requested() {
    let server = Server::start().await;
    let storage = server.builder().server_side_encryption(ServerSideEncryption::S3);
    storage.connect().await.unwrap().write(&entry("a", "2026-01-28")).await.unwrap();
    let object = server.object("audit/2026-01-28/a.json");
    assert_eq!((object.encryption.as_deref(), object.kms_key), (Some("AES256"), None));
}

/// Only another program writes such a bucket.
#[tokio::test]
async fn id_on_two_days_is_read_from_the_later() {
    let server = Server::start().await;
    let [earlier, later] = ["2026-01-27", "2026-01-29"].map(|day| entry("twice", day));
    [&earlier, &later].into_iter().for_each(|entry| server.put_entry(entry));
    server.put_entry(&entry("other", "2026-01-28"));
    let storage = server.connect().await;
    assert_eq!(storage.read(&later.id).await.unwrap().as_ref(), Some(&later));
    assert_eq!(storage.read_near(&later.id, at("2026-01-27")).await.unwrap(), Some(earlier));
    assert!(storage.delete(&later.id).await.unwrap());
    assert_eq!(server.keys(), ["audit/2026-01-28/other.json"]);
}

#[tokio::test]
async fn python_objects_are_read_byte_for_byte() {
    let server = Server::start().await;
    server.put(PYTHON_KEY, PYTHON);
    let storage = server.connect().await;
    let id = "7e153360-d024-4c93-8a15-9a03fb9cf8bc".parse().unwrap();
    let read = storage.read(&id).await.unwrap().unwrap();
    assert_eq!(read.input_content.as_deref(), Some("café"));
    assert_eq!(storage.count().await.unwrap(), 1);
    let lines: Vec<_> = storage.scan_lines(Query::new()).try_collect().await.unwrap();
    assert_eq!(lines, [PYTHON.as_bytes()]);
    assert!(storage.delete(&id).await.unwrap());
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn every_day_of_a_month_is_listed() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let entries: Vec<_> = (1..=31)
        .map(|day| entry(&format!("d{day}"), &format!("2026-01-{day:02}T12:00:00")))
        .collect();
    entries.iter().for_each(|entry| server.put_entry(entry));
    let (start, end) = (at("2026-01-01"), at("2026-01-31T23:59:59"));
    assert_eq!(ids(&storage.list_entries(start, end).await.unwrap()), ids(&entries));
    let (start, end) = (at("2026-01-29"), at("2026-01-30T12:00:00"));
    assert_eq!(ids(&storage.list_entries(start, end).await.unwrap()), ["d29", "d30"]);
}

#[tokio::test]
async fn ties_without_sequence_are_ordered_by_modification() {
    let server = Server::start().await;
    let moment = "2026-01-28T09:15:00";
    for (id, seconds) in [("c", 100), ("b", 200), ("a", 200), ("d", 50)] {
        let entry = entry(id, moment);
        server.put_at(&key_of(&entry), body_of(&entry), seconds);
    }
    let storage = server.connect().await;
    storage.write(&entry("0-ours", moment)).await.unwrap();
    assert_eq!(ids(&list_all(&storage).await.unwrap()), ["d", "c", "a", "b", "0-ours"]);
}

#[tokio::test]
async fn several_pages_in_a_day() {
    let server = Server::start().await;
    let storage = server.connect().await;
    let entries: Vec<_> = (0..2_500)
        .map(|n| entry(&format!("e{:04}", n * 7 % 2_500), &format!("2026-01-28T09:15:00.{n:06}")))
        .collect();
    entries.iter().for_each(|entry| server.put_entry(entry));
    server.take_requests();
    assert_eq!(storage.count().await.unwrap(), 2_500);
    assert_eq!(server.take_requests(), vec!["list"; 4], "the days, and three pages");
    assert_eq!(ids(&list_all(&storage).await.unwrap()), ids(&entries));
    assert_eq!(storage.delete_at_or_before(at("2026-01-29")).await.unwrap(), 2_500);
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn foreign_and_corrupt_objects_are_named() {
    let server = Server::start().await;
    let good = [entry("a", "2026-01-27T10:00:00"), entry("b", "2026-01-28T10:00:00")];
    good.iter().for_each(|entry| server.put_entry(entry));
    // Folder markers.
    server.put("audit/", "");
    server.put("audit/2026-01-28/", "");
    // Foreign, outside of days and within.
    server.put("audit/README.txt", "hello");
    server.put("audit/old/2026-01-28/x.json", body_of(&good[0]));
    server.put("audit/2026-01-28/notes.txt", "hello");
    // Corrupt.
    server.put("audit/2026-01-28/torn.json", "{\"id\": \"to");
    server.put("audit/2026-01-28/other.json", body_of(&good[1]));
    server.put("audit/2026-01-28/a.json", body_of(&good[0]));
    // Outside of the store.
    server.put("auditor/2026-01-28/x.json", "hello");

    let storage = server.connect().await;
    let found: Vec<_> = storage.scan(Query::new()).collect().await;
    let items: Vec<String> = found
        .iter()
        .map(|found| match found {
            Ok(entry) => entry.id.to_string(),
            Err(StorageError::Corrupt(record)) => record.location.clone(),
            Err(error) => panic!("{error:?}"),
        })
        .collect();
    assert_eq!(
        items,
        [
            "s3://bucket/audit/old/",
            "s3://bucket/audit/README.txt",
            "a",
            "s3://bucket/audit/2026-01-28/a.json",
            "s3://bucket/audit/2026-01-28/notes.txt",
            "s3://bucket/audit/2026-01-28/other.json",
            "s3://bucket/audit/2026-01-28/torn.json",
            "b",
        ]
    );
    let error = |index: usize| found[index].as_ref().unwrap_err().to_string();
    let wrong_day = "the day of the entry, 2026-01-27, is not the day in the key";
    assert!(error(3).ends_with(wrong_day), "{}", error(3));
    let wrong_id = "the id of the entry is not the id in the key";
    assert!(error(5).ends_with(wrong_id), "{}", error(5));

    assert!(matches!(list_all(&storage).await, Err(StorageError::Corrupt(_))));
    assert!(matches!(storage.read(&"torn".parse().unwrap()).await, Err(StorageError::Corrupt(_))));
    assert_eq!(ids(&[storage.read(&"b".parse().unwrap()).await.unwrap().unwrap()]), ["b"]);
    // Unreadable entries count, foreign objects do not.
    assert_eq!(storage.count().await.unwrap(), 5);
    // Errors do not count towards a limit.
    let query = Query::new().order(Order::Descending).limit(1);
    let ok = storage.scan(query).filter_map(async |found| found.ok()).collect::<Vec<_>>().await;
    assert_eq!(ids(&ok), ["b"]);
}

#[tokio::test]
async fn ids_that_only_python_accepts_are_found() {
    let server = Server::start().await;
    let storage = server.connect().await;
    for id in ["with/slash", "line\nbreak", "a..b", "no\u{1}xml", "<&>'\""] {
        let mut odd = entry("odd", "2026-01-28T10:00:00");
        odd.id = attestry_core::EntryId::new_unchecked(id);
        server.put_entry(&odd);
        assert_eq!(storage.read(&odd.id).await.unwrap().as_ref(), Some(&odd), "{id:?}");
        assert_eq!(list_all(&storage).await.unwrap(), [odd.clone()], "{id:?}");
        assert_eq!(storage.count().await.unwrap(), 1, "{id:?}");
        assert!(storage.delete(&odd.id).await.unwrap(), "{id:?}");
    }
}

#[tokio::test]
async fn empty_prefix_is_the_whole_bucket() {
    let server = Server::start().await;
    let storage = server.builder().prefix("").connect().await.unwrap();
    assert_eq!((storage.bucket(), storage.prefix()), ("bucket", ""));
    let only = entry("a", "2026-01-28");
    storage.write(&only).await.unwrap();
    assert_eq!(server.keys(), ["2026-01-28/a.json"]);
    assert_eq!(list_all(&storage).await.unwrap(), [only]);
}

#[tokio::test]
async fn corrupt_object_is_not_overwritten() {
    let server = Server::start().await;
    server.put("audit/2026-01-28/a.json", "torn");
    let storage = server.connect().await;
    let error = storage.write(&entry("a", "2026-01-28")).await.unwrap_err();
    assert!(error_chain(&error).contains("s3://bucket/audit/2026-01-28/a.json"), "{error}");
    assert_eq!(server.object("audit/2026-01-28/a.json").body, b"torn");
}
