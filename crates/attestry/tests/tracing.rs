//! Events of the feature `tracing`: each occurs, and none shows content.
#![allow(clippy::unwrap_used)] // helpers of a test

use std::fmt::{self, Write as _};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use attestry::evidence::{EvidenceOptions, SigningKey};
use attestry::file::FileStorage;
use attestry::{AuditEntry, AuditLogger, FailurePolicy, Interaction, Timestamp};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Occurs in every content, and in texts that a user controls and that are not ids.
const SECRET: &str = "s3cr3t";

/// Writes everything it receives to a text: one line an event or span, with its level and all fields.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Capture {
    fn line(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields<'_>)) {
        let mut text = self.0.lock().unwrap();
        write!(text, "{} {} {}", metadata.level(), metadata.target(), metadata.name()).unwrap();
        record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.line(attributes.metadata(), |fields| attributes.record(fields));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.line(event.metadata(), |fields| event.record(fields));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn secret(user: &str) -> Interaction<'_> {
    Interaction::new("my card is s3cr3t", "I noted s3cr3t")
        .provider(format!("{SECRET} provider"))
        .conversation_id(format!("{SECRET} conversation"))
        .metadata("user.id", user)
        .metadata("note", SECRET)
        .block_reason(SECRET)
}

async fn open(path: &Path) -> AuditLogger {
    let key = SigningKey::from_seed("example.com/audit", &[7; 32]).unwrap();
    let evidence = EvidenceOptions::new(key).every(std::time::Duration::MAX);
    let storage = FileStorage::builder(path)
        .rotation_size_bytes(1_000)
        .evidence(evidence)
        .open()
        .await
        .unwrap();
    AuditLogger::builder(storage)
        .store_content(true)
        .retention_days(30)
        .failure_policy(FailurePolicy::fail_open(|_, _| ()))
        .build()
}

fn file(logger: &AuditLogger) -> &FileStorage {
    logger.storage().as_any().unwrap().downcast_ref().unwrap()
}

/// A segment of yesterday whose last line a crash has cut short.
fn tear_a_line(path: &Path) {
    let entry = AuditEntry::new(
        attestry::create_entry_id(),
        Timestamp::now(),
        SECRET.into(),
        SECRET.into(),
    );
    let line = attestry::line::encode(&entry).unwrap();
    let torn = path.join("audit_20260127.jsonl");
    let mut file = OpenOptions::new().create(true).append(true).open(torn).unwrap();
    file.write_all(&line[..line.len() / 2]).unwrap();
}

/// What happens to a store, and the message of each event with its level.
async fn run(path: &Path) {
    let logger = open(path).await;
    for user in ["a", "b", "c"] {
        logger.log(secret(user)).await.unwrap();
    }
    logger.log(secret("old").timestamp(Timestamp::UNIX_EPOCH)).await.unwrap();
    logger.start(secret("call")).await.unwrap().fail(SECRET).await.unwrap();
    drop(logger.start(secret("call")).await.unwrap());
    logger.log(secret("x").id(attestry::EntryId::new_unchecked("a/b"))).await.unwrap_err();
    let deleted = attestry::Query::new().metadata_equals("user.id", "b");
    logger.delete_matching(deleted, attestry::DeleteMode::Delete, |_| ()).await.unwrap();
    logger.compact().await.unwrap();
    assert_eq!(logger.cleanup_expired().await.unwrap(), 1);
    file(&logger).checkpoint().await.unwrap();
    logger.close().await.unwrap();
    logger.log(secret("closed")).await.unwrap();
    tear_a_line(path);
    let logger = open(path).await;
    // The name of the active segment is taken by a folder.
    let active = format!("audit_{}.jsonl", &Timestamp::now().to_string()[..10].replace('-', ""));
    fs::rename(path.join(&active), path.join("moved")).unwrap_or_default();
    fs::create_dir(path.join(&active)).unwrap();
    logger.log(secret("fails")).await.unwrap();
    fs::remove_dir(path.join(&active)).unwrap();
    logger.close().await.unwrap();
    // Another key of the same name cannot continue the log.
    let other = SigningKey::from_seed("example.com/audit", &[8; 32]).unwrap();
    let builder = FileStorage::builder(path).evidence(EvidenceOptions::new(other));
    let storage = builder.open().await.unwrap();
    storage.checkpoint().await.unwrap_err();
}

const EXPECTED: &[(Level, &str)] = &[
    (Level::INFO, "store opened"),
    (Level::DEBUG, "batch committed"),
    (Level::TRACE, "jobs taken"),
    (Level::INFO, "segment sealed"),
    (Level::DEBUG, "index file written"),
    (Level::DEBUG, "call started"),
    (Level::DEBUG, "call ended"),
    (Level::WARN, "entries refused"),
    (Level::INFO, "entries erased"),
    (Level::INFO, "store compacted"),
    (Level::INFO, "entries expired"),
    (Level::INFO, "checkpoint signed"),
    (Level::INFO, "store closed"),
    (Level::WARN, "entries failed open"),
    (Level::WARN, "torn line repaired"),
    (Level::WARN, "store recovered"),
    (Level::WARN, "checkpoint failed"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_event_occurs_and_none_shows_content() {
    let capture = Capture::default();
    // For all threads of the process, which runs no other test.
    tracing::subscriber::set_global_default(capture.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    run(&folder.path().join("audit")).await;
    let output = capture.take();
    for (level, message) in EXPECTED {
        let found = output.lines().any(|line| {
            line.starts_with(level.as_str()) && line.contains(&format!("message={message}"))
        });
        assert!(found, "no event {message:?} of level {level} in:\n{output}");
    }
    assert!(output.lines().all(|line| line.contains(" attestry_")), "{output}");
    for part in [SECRET, "card", "noted"] {
        assert!(!output.contains(part), "{part:?} in:\n{output}");
    }
    assert!(output.contains("entries=1 bytes=") && output.contains("sync_us="), "{output}");
}
