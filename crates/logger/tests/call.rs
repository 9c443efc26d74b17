//! Calls: an entry at the start, an entry at the end, whatever happens in between.
#![allow(clippy::unwrap_used)] // test helpers

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attestry_conformance::{FailingBackend, Failure, Operation};
use attestry_core::{
    AppendFuture, AuditEntry, EntryId, Order, Query, StorageBackend, StorageError, Timestamp,
    async_trait, hash_content, metadata,
};
use attestry_logger::{
    AuditError, AuditLogger, Call, ContentHash, FailurePolicy, HashKey, Interaction, StartRecord,
};
use attestry_memory::MemoryStorage;
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

fn logger() -> AuditLogger {
    AuditLogger::builder(MemoryStorage::new()).store_content(true).build()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

async fn entries(logger: &AuditLogger) -> Vec<AuditEntry> {
    logger.query(Query::new().order(Order::Ascending)).try_collect().await.unwrap()
}

/// The entry of this phase.
fn phase<'a>(entries: &'a [AuditEntry], phase: &str) -> &'a AuditEntry {
    let mut found = entries.iter().filter(|entry| entry.metadata[metadata::PHASE] == phase);
    let entry = found.next().unwrap_or_else(|| panic!("no entry has the phase {phase}"));
    assert!(found.next().is_none(), "two entries have the phase {phase}");
    entry
}

fn outcome(entry: &AuditEntry) -> Option<&str> {
    entry.metadata.get(metadata::OUTCOME).map(|outcome| outcome.as_str().unwrap())
}

fn question() -> Interaction<'static> {
    Interaction::new("What is 2+2?", "").provider("openai").model("gpt-4").metadata("k", 1)
}

async fn started(logger: &AuditLogger) -> Call {
    let mut call = logger.start(question()).await.unwrap();
    call.push("The answer");
    call
}

/// The only end entry of a store in which one call was dropped after [`started`].
fn assert_abandoned(logger: &AuditLogger) {
    let entries = runtime().block_on(async {
        logger.close().await.unwrap();
        entries(logger).await
    });
    let (start, end) = (phase(&entries, "start"), phase(&entries, "end"));
    assert_eq!(entries.len(), 2);
    assert_eq!(end.metadata[metadata::CALL], start.id.as_str());
    assert_eq!(outcome(end), Some(metadata::OUTCOME_ABANDONED));
    assert_eq!(end.output_content.as_deref(), Some("The answer"));
}

#[tokio::test]
async fn start_entry_is_stored_before_the_call() {
    let logger = logger();
    let call = logger.start(question()).await.unwrap();
    let entries = entries(&logger).await;
    assert_eq!(entries.len(), 1);
    let start = phase(&entries, "start");
    assert_eq!(call.id(), Some(&start.id));
    assert_eq!(start.input_hash, hash_content("What is 2+2?"));
    assert_eq!(start.input_content.as_deref(), Some("What is 2+2?"));
    assert_eq!(start.output_hash, hash_content(""));
    assert_eq!(start.output_content.as_deref(), Some(""));
    assert_eq!((start.provider.as_deref(), start.latency_ms), (Some("openai"), 0.0));
    drop(call);
}

#[tokio::test]
async fn end_entry_is_what_log_stores_of_the_call() {
    let logger = logger();
    let mut call = logger.start(question()).await.unwrap();
    call.push("The answer");
    call.push(" is 4.");
    call.set(|fields| fields.output_tokens(6).metadata("finish", "stop"));
    call.set(|fields| fields.latency_ms(12.5));
    let start = call.id().unwrap().clone();
    let end = call.finish().await.unwrap();
    let end = logger.get_entry(&end).await.unwrap().unwrap();
    let start = logger.get_entry(&start).await.unwrap().unwrap();
    assert!(start.timestamp <= end.timestamp);

    let whole = Interaction::new("What is 2+2?", "The answer is 4.")
        .provider("openai")
        .model("gpt-4")
        .metadata("k", 1)
        .output_tokens(6)
        .latency_ms(12.5)
        .metadata("finish", "stop")
        .metadata(metadata::PHASE, "end")
        .metadata(metadata::CALL, start.id.as_str())
        .id(end.id.clone())
        .timestamp(end.timestamp);
    assert_eq!(end, logger.prepare(whole).unwrap());
}

#[tokio::test]
async fn latency_is_the_elapsed_time_unless_it_is_set() {
    let logger = logger();
    let start = Timestamp::UNIX_EPOCH;
    let call = logger.start(question().timestamp(start)).await.unwrap();
    let end = call.finish().await.unwrap();
    let end = logger.get_entry(&end).await.unwrap().unwrap();
    assert!(end.latency_ms > 0.0);
    let elapsed = (end.timestamp.unix_micros() - start.unix_micros()) as f64 / 1e3;
    assert!((elapsed - end.latency_ms).abs() <= 0.001, "{elapsed} {}", end.latency_ms);
}

#[tokio::test]
async fn failed_and_cut_off_calls_say_so() {
    let logger = logger();
    let id = started(&logger).await.fail("timeout").await.unwrap();
    let entry = logger.get_entry(&id).await.unwrap().unwrap();
    assert_eq!(outcome(&entry), Some(metadata::OUTCOME_FAILED));
    assert_eq!(entry.metadata[metadata::ERROR_TYPE], "timeout");
    let id = started(&logger).await.cut_off().await.unwrap();
    let entry = logger.get_entry(&id).await.unwrap().unwrap();
    assert_eq!(outcome(&entry), Some(metadata::OUTCOME_CUT_OFF));
    assert_eq!(entry.output_content.as_deref(), Some("The answer"));
    let id = started(&logger).await.finish().await.unwrap();
    assert_eq!(outcome(&logger.get_entry(&id).await.unwrap().unwrap()), None);
}

#[test]
fn call_dropped_in_a_runtime_is_stored_as_abandoned() {
    let logger = logger();
    runtime().block_on(async { drop(started(&logger).await) });
    assert_abandoned(&logger);
}

#[test]
fn call_dropped_outside_a_runtime_is_stored_as_abandoned() {
    let logger = logger();
    let call = runtime().block_on(started(&logger));
    drop(call);
    assert_abandoned(&logger);
}

#[test]
fn call_dropped_by_a_panic_is_stored_as_abandoned() {
    let logger = logger();
    let call = runtime().block_on(started(&logger));
    let panicking = catch_unwind(AssertUnwindSafe(move || {
        let _call = call;
        panic!("expected by the test");
    }));
    assert!(panicking.is_err());
    assert_abandoned(&logger);
}

#[test]
fn call_dropped_by_a_runtime_shutdown_is_stored() {
    let logger = logger();
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let call = runtime.block_on(started(&logger));
    runtime.spawn(async move {
        let _call = call;
        pending::<()>().await;
    });
    runtime.shutdown_background();
    // The task, and with it the call, is dropped by the runtime's own thread.
    while self::runtime().block_on(entries(&logger)).len() < 2 {
        std::thread::yield_now();
    }
    assert_abandoned(&logger);
}

#[test]
fn close_waits_for_many_dropped_calls() {
    let logger = logger();
    runtime().block_on(async {
        for _ in 0..500 {
            drop(started(&logger).await);
        }
        logger.close().await.unwrap();
        assert_eq!(logger.count().await.unwrap(), 1_000);
    });
}

/// Another logger may close the store after that.
#[test]
fn flush_waits_for_many_dropped_calls() {
    let storage = Arc::new(MemoryStorage::new());
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    let other = AuditLogger::builder(storage).build();
    runtime().block_on(async {
        for _ in 0..500 {
            drop(started(&logger).await);
        }
        logger.flush().await.unwrap();
        assert_eq!(logger.count().await.unwrap(), 1_000);
        other.close().await.unwrap();
        logger.close().await.unwrap();
    });
}

#[tokio::test]
async fn flush_reports_an_end_entry_that_was_not_stored() {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    let call = started(&logger).await;
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    drop(call);
    assert!(matches!(logger.flush().await, Err(AuditError::Storage(_))));
    logger.flush().await.unwrap();
}

/// Stores what is appended, but its `append` never returns.
#[derive(Debug, Default)]
struct Stuck(MemoryStorage);

#[async_trait]
impl StorageBackend for Stuck {
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
    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let stored = self.0.append(entries);
        Box::pin(async move {
            stored.await?;
            pending().await
        })
    }
}

#[tokio::test]
async fn cancelled_finish_stores_the_end_entry_once() {
    let logger = AuditLogger::builder(Stuck::default()).store_content(true).build();
    let id: EntryId = "start".parse().unwrap();
    let mut call = logger.start(question().id(id)).await.unwrap();
    call.push("The answer");
    assert!(call.finish().now_or_never().is_none(), "`append` never returns");
    logger.close().await.unwrap();
    let entries = entries(&logger).await;
    assert_eq!(entries.len(), 2);
    let end = phase(&entries, "end");
    assert_eq!((outcome(end), end.output_content.as_deref()), (None, Some("The answer")));
}

#[tokio::test]
async fn start_fails_if_it_cannot_be_recorded() {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    assert!(matches!(logger.start(question()).await, Err(AuditError::Storage(_))));
    storage.recover();
    logger.close().await.unwrap();
    assert_eq!(logger.count().await.unwrap(), 0, "no end of a call that was not made");
}

#[tokio::test]
async fn fail_open_handler_receives_start_and_end_entries() {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let missed = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let missed = Arc::clone(&missed);
        move |entry: &AuditEntry, _: &StorageError| missed.lock().unwrap().push(entry.clone())
    };
    let logger = AuditLogger::builder(Arc::clone(&storage))
        .failure_policy(FailurePolicy::fail_open(handler))
        .build();
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    started(&logger).await.finish().await.unwrap();
    drop(started(&logger).await);
    logger.close().await.unwrap();
    let missed = missed.lock().unwrap();
    let phases: Vec<_> = missed.iter().map(|entry| &entry.metadata[metadata::PHASE]).collect();
    assert_eq!(phases, ["start", "end", "start", "end"]);
}

#[tokio::test]
async fn close_reports_an_end_entry_that_was_not_stored() {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    let call = started(&logger).await;
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    drop(call);
    assert!(matches!(logger.close().await, Err(AuditError::Storage(_))));
    logger.close().await.unwrap();
}

#[tokio::test]
async fn skipped_start_stores_one_entry_like_log() {
    let logger = logger();
    let id: EntryId = "chosen".parse().unwrap();
    let question = question().id(id.clone());
    let mut call = logger.start_with(question, StartRecord::Skip).await.unwrap();
    assert_eq!((call.id(), logger.count().await.unwrap()), (None, 0));
    call.push("4");
    assert_eq!(call.finish().await.unwrap(), id);
    let entry = logger.get_entry(&id).await.unwrap().unwrap();
    assert!(!entry.metadata.contains_key(metadata::PHASE));
    assert!(!entry.metadata.contains_key(metadata::CALL));
    assert!(logger.verify_content(&entry, "What is 2+2?", "4").unwrap().both());
}

#[tokio::test]
async fn long_output_is_kept_in_part_and_hashed_whole() {
    let key = || ContentHash::HmacSha256(HashKey::new([7; 32]).unwrap());
    for hash in [ContentHash::Sha256, key()] {
        let logger = AuditLogger::builder(MemoryStorage::new())
            .store_content(true)
            .max_content_bytes(10)
            .content_hash(hash.clone())
            .build();
        let mut call = logger.start(question()).await.unwrap();
        for piece in ["12345678", "9é", "z"] {
            call.push(piece);
        }
        let id = call.finish().await.unwrap();
        let entry = logger.get_entry(&id).await.unwrap().unwrap();
        // The é has two bytes and does not fit; what follows is not kept either.
        assert_eq!(logger.decrypt_entry(&entry).unwrap().output.as_deref(), Some("123456789"));
        assert_eq!(entry.metadata[metadata::TRUNCATED], serde_json::json!(["output"]));
        assert_eq!(entry.metadata[metadata::OUTPUT_BYTES], 12);
        assert_eq!(entry.metadata[metadata::OUTPUT_HASH], hash.hash("123456789éz"));
    }
}

/// A stream of pieces that may end with an error, recorded by a call.
async fn response(
    logger: &AuditLogger,
    pieces: Vec<Result<&'static str, AuditError>>,
) -> impl Stream<Item = Result<&'static str, AuditError>> + use<> {
    let call = logger.start(question()).await.unwrap();
    call.tee(stream::iter(pieces), |call, piece| call.push(piece))
}

#[tokio::test]
async fn tee_finishes_the_call_at_the_end_of_the_stream() {
    let logger = logger();
    let mut response = response(&logger, vec![Ok("The "), Ok("answer")]).await;
    assert_eq!(response.next().await.unwrap().unwrap(), "The ");
    assert_eq!(response.next().await.unwrap().unwrap(), "answer");
    assert!(response.next().await.is_none() && response.next().await.is_none());
    let entries = entries(&logger).await;
    let end = phase(&entries, "end");
    assert_eq!((outcome(end), end.output_content.as_deref()), (None, Some("The answer")));
}

#[tokio::test]
async fn tee_cuts_the_call_off_at_an_error_of_the_stream() {
    let logger = logger();
    let pieces = vec![Ok("The "), Err(AuditError::NoEncryption), Ok("answer")];
    let mut response = response(&logger, pieces).await;
    assert_eq!(response.next().await.unwrap().unwrap(), "The ");
    assert!(matches!(response.next().await, Some(Err(AuditError::NoEncryption))));
    assert!(response.next().await.is_none());
    let entries = entries(&logger).await;
    let end = phase(&entries, "end");
    assert_eq!(outcome(end), Some(metadata::OUTCOME_CUT_OFF));
    assert_eq!(end.output_content.as_deref(), Some("The "));
}

#[tokio::test]
async fn tee_yields_the_error_of_an_end_that_is_not_stored() {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    let mut response = response(&logger, vec![Ok("The ")]).await;
    assert_eq!(response.next().await.unwrap().unwrap(), "The ");
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    assert!(matches!(response.next().await, Some(Err(AuditError::Storage(_)))));
    assert!(response.next().await.is_none());
}

#[tokio::test]
async fn dropped_tee_is_stored_as_abandoned() {
    let logger = logger();
    let mut response = response(&logger, vec![Ok("The answer"), Ok(" is 4.")]).await;
    response.next().await.unwrap().unwrap();
    drop(response);
    logger.close().await.unwrap();
    let entries = entries(&logger).await;
    let end = phase(&entries, "end");
    assert_eq!(outcome(end), Some(metadata::OUTCOME_ABANDONED));
    assert_eq!(end.output_content.as_deref(), Some("The answer"));
}

#[test]
fn debug_shows_no_content() {
    let call = runtime().block_on(started(&logger()));
    let shown = format!("{call:?}");
    assert!(shown.contains("output_bytes: Some(10)") && !shown.contains("answer"), "{shown}");
}

#[test]
fn calls_and_their_futures_are_send() {
    fn send<T: Send>(_: T) {}
    let logger = logger();
    send(logger.start(question()));
    let call = || runtime().block_on(started(&logger));
    send(call());
    send(call().finish());
    send(call().fail("timeout"));
    send(call().cut_off());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pieces_do_not_change_the_entry(
        pieces in proptest::collection::vec("[aé€😀]{0,4}", 0..12), limit in 0..60_usize, content in any::<bool>(),
    ) {
        let whole = pieces.concat();
        let stored = |pieces: &[String]| {
            let logger = AuditLogger::builder(MemoryStorage::new())
                .store_content(content)
                .max_content_bytes(limit)
                .build();
            runtime().block_on(async {
                let mut call = logger.start_with(question().latency_ms(1.0), StartRecord::Skip).await.unwrap();
                pieces.iter().for_each(|piece| call.push(piece));
                let id = call.finish().await.unwrap();
                let entry = logger.get_entry(&id).await.unwrap().unwrap();
                (entry.output_content, entry.output_hash, entry.metadata)
            })
        };
        let (kept, hash, metadata) = stored(&pieces);
        prop_assert_eq!(&(kept.clone(), hash.clone(), metadata.clone()), &stored(std::slice::from_ref(&whole)));
        let truncated = metadata.contains_key(metadata::TRUNCATED);
        prop_assert_eq!(truncated, content && whole.len() > limit);
        prop_assert_eq!(hash, hash_content(kept.as_deref().unwrap_or(&whole)));
        prop_assert!(whole.starts_with(&kept.unwrap_or_default()));
    }
}

#[test]
fn open_calls_are_those_without_an_end_that_started_before_the_grace_period() {
    runtime().block_on(async {
        let logger = logger();
        let hour = Duration::from_secs(3_600);
        let long_ago = Timestamp::now().saturating_sub(hour);
        let call = async |timestamp| logger.start(question().timestamp(timestamp)).await.unwrap();
        let ended = call(long_ago).await;
        let open = call(long_ago).await;
        let running = started(&logger).await;
        ended.finish().await.unwrap();
        logger.log(question()).await.unwrap();
        let found = async |grace| -> Vec<EntryId> {
            logger.open_calls(grace).map_ok(|entry| entry.id).try_collect().await.unwrap()
        };
        let [open_id, running_id] = [&open, &running].map(|call| call.id().unwrap().clone());
        assert_eq!(found(hour / 2).await, std::slice::from_ref(&open_id));
        assert_eq!(found(hour * 2).await, []);
        assert_eq!(found(Duration::ZERO).await, [open_id, running_id]);
        assert_eq!(found(Duration::MAX).await, []);
        drop(open);
        running.finish().await.unwrap();
        logger.close().await.unwrap();
        assert_eq!(found(Duration::ZERO).await, []);
    });
}
