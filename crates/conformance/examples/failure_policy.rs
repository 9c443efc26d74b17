//! Tests of an application's failure policy, with a backend that fails on demand.
//!
//! In your own crate, `record` is your code and the two functions are tests.

use std::error::Error;
use std::sync::{Arc, mpsc};

use attestry_conformance::{FailingBackend, Failure, Operation};
use attestry_core::StorageBackend;
use attestry_logger::{AuditError, AuditLogger, FailurePolicy, Interaction};
use attestry_memory::MemoryStorage;

type Storage = Arc<FailingBackend<MemoryStorage>>;

/// The code under test: answers a question, and records question and answer first.
async fn answer(logger: &AuditLogger) -> Result<&'static str, AuditError> {
    logger.log(Interaction::new("What is 2+2?", "4").model("gpt-4")).await?;
    Ok("4")
}

/// Fail closed: an answer that cannot be recorded is not given.
async fn fail_closed() -> Result<(), Box<dyn Error>> {
    let storage = Storage::new(FailingBackend::new(MemoryStorage::new()));
    let logger = AuditLogger::builder(Arc::clone(&storage)).build();

    storage.fail(Failure::disk_full().on(Operation::WRITES).nth_call(2));
    assert_eq!(answer(&logger).await?, "4");
    let error = answer(&logger).await.expect_err("the second append fails");
    assert!(matches!(&error, AuditError::Storage(cause) if cause.is_retryable()));
    assert_eq!(answer(&logger).await?, "4");

    assert_eq!(storage.count().await?, 2);
    Ok(())
}

/// Fail open: the answer is given, and the entry goes to a handler that stores it later.
async fn fail_open() -> Result<(), Box<dyn Error>> {
    let storage = Storage::new(FailingBackend::new(MemoryStorage::new()));
    let (sender, missed) = mpsc::channel();
    let policy = FailurePolicy::fail_open(move |entry, _| {
        sender.send(entry.clone()).expect("the receiver lives as long as the logger");
    });
    let logger = AuditLogger::builder(Arc::clone(&storage)).failure_policy(policy).build();

    // One append is not stored; of the other only the response is lost.
    storage.fail(Failure::unreachable().on([Operation::Append]).nth_call(1));
    storage.fail(Failure::unreachable().on([Operation::Append]).nth_call(2).after_call());
    assert_eq!(answer(&logger).await?, "4");
    assert_eq!(answer(&logger).await?, "4");
    assert_eq!(storage.count().await?, 1);

    // `write` is idempotent: both can be repeated, whether they were stored or not.
    storage.recover();
    let missed: Vec<_> = missed.try_iter().collect();
    assert_eq!(missed.len(), 2);
    for entry in &missed {
        storage.write(entry).await?;
    }
    assert_eq!(storage.count().await?, 2);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    fail_closed().await?;
    fail_open().await?;
    Ok(())
}
