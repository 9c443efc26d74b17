//! Parts of one call that arrive in different requests.

use std::time::Duration;

use crate::common::TestServer;
use crate::common::spans::{Call, logs, traces};
use attestry::crypto::EncryptionManager;
use attestry::file::FileStorage;
use attestry::{Query, StorageBackend as _};
use attestry_serve::{Limits, ServeError, Server, ServerOptions};
use serde_json::Value;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);

async fn with_deadline(deadline: Duration) -> TestServer {
    TestServer::with(|options| options.join_deadline(deadline), |open| open).await
}

async fn send(server: &TestServer, kind: &str, records: &[Value]) {
    let body = if kind == "traces" { traces(records) } else { logs(records) };
    let answer = server.post_json(&format!("/v1/{kind}"), &body).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"));
}

async fn entries(server: &TestServer) -> Vec<Value> {
    let page = server.get("/v1/entries?limit=1000").await.json();
    page["entries"].as_array().unwrap().clone()
}

/// Waits until there are `count` entries.
async fn wait_for(server: &TestServer, count: usize) -> Vec<Value> {
    loop {
        let entries = entries(server).await;
        assert!(entries.len() <= count, "{entries:#?}");
        if entries.len() == count {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn metric(server: &TestServer, name: &str) -> u64 {
    let metrics = server.get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("attestry_{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

async fn wait_for_metric(server: &TestServer, name: &str, value: u64) {
    while metric(server, name).await != value {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn span_and_event_become_one_entry_in_any_order() {
    let server = with_deadline(LONG).await;
    let call = Call::new(1);
    send(&server, "traces", &[call.clone().without_content().span()]).await;
    assert!(entries(&server).await.is_empty());
    assert_eq!(metric(&server, "otlp_waiting_calls").await, 1);
    send(&server, "logs", &[call.event()]).await;
    let first = wait_for(&server, 1).await.remove(0);
    let call = Call::new(2);
    send(&server, "logs", &[call.event()]).await;
    send(&server, "traces", &[call.without_content().span()]).await;
    let second = wait_for(&server, 2).await.remove(1);
    for entry in [first, second] {
        assert!(entry["input_content"].as_str().unwrap().contains("question"));
        assert!(entry["output_content"].as_str().unwrap().contains("answer"));
        assert_eq!(entry["latency_ms"], 0.5);
        assert_eq!(entry["metadata"]["span_id"].as_str().unwrap().len(), 16);
    }
    wait_for_metric(&server, "otlp_waiting_calls", 0).await;
}

#[tokio::test]
async fn part_is_written_alone_after_the_deadline() {
    let server = with_deadline(SHORT).await;
    send(&server, "traces", &[Call::new(1).without_content().span()]).await;
    let entry = wait_for(&server, 1).await.remove(0);
    assert_eq!(entry["metadata"]["attestry.missing"], serde_json::json!(["input", "output"]));
}

#[tokio::test]
async fn late_part_that_says_more_becomes_an_entry_that_names_the_first() {
    let server = with_deadline(SHORT).await;
    let call = Call::new(1);
    send(&server, "traces", &[call.clone().without_content().span()]).await;
    let first = wait_for(&server, 1).await.remove(0);
    send(&server, "logs", &[call.event()]).await;
    let entries = wait_for(&server, 2).await;
    let late = entries.iter().find(|entry| entry["id"] != first["id"]).unwrap();
    assert_eq!(late["metadata"]["attestry.adds_to"], first["id"]);
    assert!(late["input_content"].as_str().unwrap().contains("question 1"));
    assert_eq!(metric(&server, "otlp_late_total").await, 1);
}

#[tokio::test]
async fn late_part_that_says_nothing_more_is_counted() {
    let server = with_deadline(SHORT).await;
    let call = Call::new(1);
    send(&server, "traces", &[call.span()]).await;
    // The client did not get the answer.
    send(&server, "traces", &[call.span()]).await;
    send(&server, "logs", &[call.event()]).await;
    wait_for_metric(&server, "otlp_repeated_total", 2).await;
    assert_eq!(entries(&server).await.len(), 1);
    // Also after a restart.
    let server = restart(server, LONG).await;
    send(&server, "traces", &[call.span()]).await;
    wait_for_metric(&server, "otlp_repeated_total", 1).await;
    assert_eq!(entries(&server).await.len(), 1);
}

#[tokio::test]
async fn shutdown_writes_what_waits() {
    let server = with_deadline(LONG).await;
    send(&server, "traces", &[Call::new(1).without_content().span()]).await;
    let folder = server.shut_down().await;
    let store = folder.path().join("audit");
    let log = attestry::open(&store).await.unwrap();
    assert_eq!(log.page(Query::new()).await.unwrap().entries.len(), 1);
    let inbox = FileStorage::builder(store.join(".attestry/inbox")).open().await.unwrap();
    assert_eq!(inbox.count().await.unwrap(), 0);
}

/// Serves the same store again.
async fn restart(server: TestServer, deadline: Duration) -> TestServer {
    let folder = server.shut_down().await;
    let store = folder.path().join("audit");
    let logger = attestry::open(store).store_content(true).await.unwrap();
    TestServer::serve(folder, logger, |options| options.join_deadline(deadline)).await
}

/// The folder as a killed process leaves it.
async fn killed(server: &TestServer) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&server.store(), &copy.path().join("audit"));
    copy
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn serve_again(folder: tempfile::TempDir, deadline: Duration) -> TestServer {
    let logger = attestry::open(folder.path().join("audit")).store_content(true).await.unwrap();
    TestServer::serve(folder, logger, |options| options.join_deadline(deadline)).await
}

#[tokio::test]
async fn parts_survive_a_crash() {
    let server = with_deadline(LONG).await;
    let call = Call::new(1);
    send(&server, "logs", &[call.event()]).await;
    let again = serve_again(killed(&server).await, LONG).await;
    assert_eq!(metric(&again, "otlp_waiting_calls").await, 1);
    send(&again, "traces", &[call.without_content().span()]).await;
    let entry = wait_for(&again, 1).await.remove(0);
    assert!(entry["output_content"].as_str().unwrap().contains("answer 1"));
    assert_eq!(entry["latency_ms"], 0.5);
}

/// The entry is in the store, and its parts are still in the inbox without a mark.
#[tokio::test]
async fn crash_between_entry_and_mark_duplicates_nothing() {
    let server = with_deadline(LONG).await;
    let call = Call::new(1);
    // Without the id of the response the span alone would have another id than the whole.
    let mut event = call.event();
    let attributes = event["attributes"].as_array_mut().unwrap();
    attributes.retain(|attribute| attribute["key"] != "gen_ai.response.id");
    send(&server, "logs", &[event]).await;
    send(&server, "logs", &[Call::new(2).event()]).await;
    let before = killed(&server).await;
    send(&server, "traces", &[call.clone().without_content().span()]).await;
    wait_for(&server, 1).await;
    let after = killed(&server).await;
    // The main store of after, the inbox of before: of the joined parts one is there, as if its removal had been
    // all that was done.
    let inbox = after.path().join("audit/.attestry/inbox");
    std::fs::remove_dir_all(&inbox).unwrap();
    copy_folder(&before.path().join("audit/.attestry/inbox"), &inbox);
    let again = serve_again(after, SHORT).await;
    let entries = wait_for(&again, 2).await;
    assert!(entries.iter().all(|entry| entry["metadata"].get("attestry.adds_to").is_none()));
    wait_for_metric(&again, "otlp_waiting_calls", 0).await;
    assert_eq!(metric(&again, "otlp_repeated_total").await, 1);
    assert_eq!(wait_for(&again, 2).await.len(), 2);
}

#[tokio::test]
async fn parts_are_removed_once_their_calls_are_written() {
    let server = with_deadline(LONG).await;
    for number in 0..50 {
        send(&server, "logs", &[Call::new(number).event()]).await;
        send(&server, "traces", &[Call::new(number).without_content().span()]).await;
    }
    wait_for(&server, 50).await;
    let folder = server.shut_down().await;
    let inbox = folder.path().join("audit/.attestry/inbox");
    let inbox = FileStorage::builder(inbox).open().await.unwrap();
    assert_eq!(inbox.count().await.unwrap(), 0);
}

#[tokio::test]
async fn too_many_parts_are_written_before_their_deadline() {
    let limits = Limits { waiting_bytes: 50_000, ..Limits::default() };
    let options = |options: ServerOptions| options.limits(limits).join_deadline(LONG);
    let server = TestServer::with(options, |open| open).await;
    for number in 0..200 {
        send(&server, "traces", &[Call::new(number).without_content().span()]).await;
    }
    loop {
        let (waiting, bytes) = (
            metric(&server, "otlp_waiting_calls").await,
            metric(&server, "otlp_waiting_bytes").await,
        );
        // A call that has been taken may not be written yet.
        if bytes <= 50_000 && entries(&server).await.len() as u64 == 200 - waiting {
            assert!(waiting > 0 && waiting < 200, "{waiting}");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn inbox_is_encrypted_as_the_store_is() {
    let folder = tempfile::tempdir().unwrap();
    let manager = EncryptionManager::generate();
    let open = |folder: &std::path::Path| {
        attestry::open(folder.join("audit")).store_content(true).encryption(manager.clone())
    };
    let logger = open(folder.path()).await.unwrap();
    let server = TestServer::serve(folder, logger, |options| options.join_deadline(LONG)).await;
    send(&server, "logs", &[Call::new(1).event()]).await;
    let left = killed(&server).await;
    let inbox = left.path().join("audit/.attestry/inbox");
    for file in std::fs::read_dir(&inbox).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            assert!(!bytes.windows(8).any(|bytes| bytes == b"question"));
        }
    }
    // With the key the parts are read again; without it, the server does not start.
    let without = attestry::open(left.path().join("audit")).store_content(true).await.unwrap();
    let options = ServerOptions::new(([127, 0, 0, 1], 0).into());
    let error = Server::bind(without, options).await.unwrap_err();
    assert!(matches!(error, ServeError::Inbox { .. }), "{error}");
    let logger = open(left.path()).await.unwrap();
    let again = TestServer::serve(left, logger, |options| options.join_deadline(SHORT)).await;
    wait_for(&again, 1).await;
}

#[tokio::test]
async fn second_server_is_refused_the_inbox() {
    let server = TestServer::start().await;
    let logger = attestry::open(server.store()).await.unwrap();
    let error =
        Server::bind(logger, ServerOptions::new(([127, 0, 0, 1], 0).into())).await.unwrap_err();
    let ServeError::Inbox { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("another server"));
}

#[tokio::test]
async fn late_part_sent_again_is_stored_once_also_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let manager = EncryptionManager::generate();
    let logger = attestry::open(folder.path().join("audit"))
        .store_content(true)
        .encryption(manager)
        .await
        .unwrap();
    let server = TestServer::serve(folder, logger, |options| options.join_deadline(SHORT)).await;
    let call = Call::new(1);
    send(&server, "traces", &[call.clone().without_content().span()]).await;
    wait_for(&server, 1).await;
    send(&server, "logs", &[call.event()]).await;
    wait_for(&server, 2).await;
    // The client did not get the answer. The shutdown writes what waits.
    send(&server, "logs", &[call.event()]).await;
    let folder = server.shut_down().await;
    let log = attestry::open(folder.path().join("audit")).await.unwrap();
    assert_eq!(log.page(Query::new()).await.unwrap().entries.len(), 2);
}

#[tokio::test]
async fn read_only_store_has_no_inbox_anywhere() {
    let server = with_deadline(LONG).await;
    let folder = server.shut_down().await;
    let logger = attestry::open(folder.path().join("audit")).read_only(true).await.unwrap();
    let inbox = folder.path().join("inbox");
    let server = TestServer::serve(folder, logger, |options| options.inbox(inbox.clone())).await;
    let answer = server.post_json("/v1/traces", &traces(&[Call::new(1).span()])).await;
    assert_eq!(answer.status.as_u16(), 501, "{}", answer.text());
    assert!(!inbox.exists());
}

#[tokio::test]
async fn overload_is_no_failed_write() {
    let limits = Limits { received_bytes: 0, ..Limits::default() };
    let server = TestServer::with(|options| options.limits(limits), |open| open).await;
    let answer = server.post_json("/v1/traces", &traces(&[Call::new(1).span()])).await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
    assert_eq!(server.get("/readyz").await.status.as_u16(), 200);
}
