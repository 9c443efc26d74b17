//! Spans become entries.
#![allow(clippy::unwrap_used)] // test helpers

use std::sync::Arc;

use attestry_conformance::{FailingBackend, Failure, Operation};
use attestry_core::{
    AppendFuture, AuditEntry, EntryId, Query, StorageBackend, StorageError, Timestamp, async_trait,
    hash_content,
};
use attestry_logger::AuditLogger;
use attestry_memory::MemoryStorage;
use attestry_tracing::{AuditHandle, AuditLayer};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tracing::field::Empty;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt;

fn logger() -> AuditLogger {
    AuditLogger::builder(MemoryStorage::new()).store_content(true).build()
}

/// Runs `work` with a layer that records with `logger`.
fn traced(logger: &AuditLogger, queue: usize, work: impl FnOnce()) -> AuditHandle {
    let layer = AuditLayer::with_queue(logger.clone(), queue).unwrap();
    let handle = layer.handle();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, work);
    handle
}

async fn entries(logger: &AuditLogger) -> Vec<AuditEntry> {
    logger.query(Query::new()).try_collect().await.unwrap()
}

fn chat() -> tracing::Span {
    info_span!(
        "chat",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "openai",
        gen_ai.request.model = "gpt-4",
        gen_ai.response.model = Empty,
        gen_ai.response.finish_reasons = Empty,
        gen_ai.conversation.id = 17,
        gen_ai.request.temperature = 0.5,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.prompt = Empty,
        gen_ai.completion = Empty,
        error.type = Empty,
        user.id = 42,
        team = "search",
    )
}

#[tokio::test]
async fn span_with_its_fields_and_events_becomes_an_entry() {
    let logger = logger();
    let before = Timestamp::now();
    let handle = traced(&logger, 8, || {
        let span = chat();
        let entered = span.enter();
        info!(gen_ai.prompt = "What is 2+2?", "prompt sent");
        info!("unrelated");
        span.record("gen_ai.response.model", "gpt-4-0613");
        span.record("gen_ai.response.finish_reasons", tracing::field::debug(["stop"]));
        span.record("gen_ai.usage.input_tokens", 5_u64);
        span.record("gen_ai.usage.output_tokens", 1);
        info_span!("inner", http.request.method = "POST").in_scope(|| {
            info!(gen_ai.completion = "4", "answered");
        });
        drop(entered);
    });
    handle.flush().await;
    let entries = entries(&logger).await;
    let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    assert_eq!(entry.input_content.as_deref(), Some("What is 2+2?"));
    assert_eq!(entry.output_hash, hash_content("4"));
    assert_eq!(entry.provider.as_deref(), Some("openai"));
    assert_eq!(entry.model.as_deref(), Some("gpt-4-0613"));
    assert_eq!(entry.conversation_id.as_deref(), Some("17"));
    assert_eq!((entry.input_tokens, entry.output_tokens), (Some(5), Some(1)));
    assert!(before <= entry.timestamp && entry.latency_ms > 0.0);
    let expected = json!({
        "gen_ai.request.model": "gpt-4", "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.operation.name": "chat", "gen_ai.request.temperature": 0.5, "user.id": "42",
        "team": "search",
    });
    assert_eq!(Value::from(entry.metadata.clone()), expected);
    assert_eq!((handle.counts().recorded, handle.counts().refused), (1, 0));
}

#[tokio::test]
async fn span_with_an_error_is_a_failed_call() {
    let logger = logger();
    let handle = traced(&logger, 8, || {
        chat().record("error.type", "timeout");
    });
    handle.flush().await;
    let entry = entries(&logger).await.remove(0);
    assert_eq!((entry.outcome(), entry.error_type()), ("failed", Some("timeout")));
}

#[tokio::test]
async fn other_spans_are_not_recorded() {
    let logger = logger();
    let handle = traced(&logger, 8, || {
        info_span!("request", http.route = "/chat").in_scope(|| info!(gen_ai.prompt = "lost"));
    });
    handle.flush().await;
    assert_eq!(handle.counts(), Default::default());
    assert_eq!(logger.count().await.unwrap(), 0);
}

#[tokio::test]
async fn nested_calls_are_recorded_each() {
    let logger = logger();
    let handle = traced(&logger, 8, || {
        info_span!("agent", gen_ai.operation.name = "invoke_agent").in_scope(|| drop(chat()));
    });
    handle.flush().await;
    let mut operations: Vec<_> =
        entries(&logger).await.iter().map(|entry| entry.operation().unwrap().to_owned()).collect();
    operations.sort();
    assert_eq!(operations, ["chat", "invoke_agent"]);
}

/// Stores only when permitted; traces each write as a call itself.
#[derive(Debug)]
struct Gated(MemoryStorage, Semaphore);

#[async_trait]
impl StorageBackend for Gated {
    async fn write(&self, entry: &AuditEntry) -> Result<EntryId, StorageError> {
        self.0.write(entry).await
    }
    async fn write_batch(&self, entries: &[AuditEntry]) -> Result<(), StorageError> {
        drop(chat());
        self.1.acquire().await.unwrap().forget();
        self.0.write_batch(entries).await
    }
    fn append(&self, entries: &[AuditEntry]) -> AppendFuture<'_> {
        let entries = entries.to_vec();
        Box::pin(async move { self.write_batch(&entries).await })
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
}

#[tokio::test]
async fn full_queue_refuses_and_counts_without_waiting() {
    let gated = Arc::new(Gated(MemoryStorage::new(), Semaphore::new(0)));
    let logger = AuditLogger::builder(Arc::clone(&gated)).build();
    // Nothing is stored meanwhile: at most a batch is taken from the queue, and 10 calls wait in it.
    let handle = traced(&logger, 10, || (0..1_000).for_each(|_| drop(chat())));
    let refused = handle.counts().refused;
    assert!((1..=990).contains(&refused), "{refused}");
    gated.1.add_permits(1_000);
    handle.flush().await;
    assert_eq!(handle.counts().recorded + refused, 1_000);
    assert_eq!(logger.count().await.unwrap(), handle.counts().recorded);
}

#[test]
fn spans_of_the_storage_itself_are_not_recorded() {
    let gated = Arc::new(Gated(MemoryStorage::new(), Semaphore::new(1_000)));
    let logger = AuditLogger::builder(gated).build();
    let layer = AuditLayer::new(logger.clone()).unwrap();
    let handle = layer.handle();
    // A global subscriber, as programs set it: it is the default of every thread of this process.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();
    drop(chat());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(handle.flush());
    runtime.block_on(handle.flush());
    assert_eq!(handle.counts().recorded, 1);
}

#[tokio::test]
async fn call_that_is_not_stored_is_counted_and_hides_no_other() {
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();
    let handle = traced(&logger, 8, || {
        drop(chat());
        // A key of the vocabulary with a value of the wrong type.
        drop(info_span!("bad", gen_ai.request.seed = "seven"));
        drop(chat());
    });
    handle.flush().await;
    assert_eq!((handle.counts().recorded, handle.counts().failed), (2, 1));
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    let handle = traced(&logger, 8, || drop(chat()));
    handle.flush().await;
    assert_eq!((handle.counts().recorded, handle.counts().failed), (0, 1));
    assert_eq!(logger.count().await.unwrap(), 2);
}
