//! Recording over HTTP.

use std::sync::Arc;

use crate::common::{JSON, NDJSON, TestServer, interaction};
use attestry::Query;
use attestry::memory::MemoryStorage;
use attestry_conformance::{FailingBackend, Failure, Operation};
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::json;

#[tokio::test]
async fn recorded_interaction_is_in_the_store() {
    let server = TestServer::start().await;
    let answer = server.post_json("/v1/entries", &interaction("What is 2+2?", "4")).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.headers["location"], format!("/v1/entries/{id}"));
    let folder = server.shut_down().await;
    let log = attestry::open(folder.path().join("audit")).await.unwrap();
    let entry = log.get_entry(id.as_str()).await.unwrap().unwrap();
    assert!(log.verify_content(&entry, "What is 2+2?", "4").unwrap().both());
    assert_eq!(entry.provider.as_deref(), Some("openai"));
}

#[tokio::test]
async fn lines_are_answered_in_order() {
    let server = TestServer::start().await;
    let lines: String =
        (0..50).map(|n| format!("{}\n\n", interaction(&n.to_string(), "out"))).collect();
    let answer = server.post("/v1/entries", NDJSON, lines).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let ids: Vec<_> =
        answer.lines().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 50);
    for (number, id) in ids.iter().enumerate() {
        let entry = server.get(&format!("/v1/entries/{id}")).await.json();
        assert_eq!(entry["input_content"], number.to_string());
    }
}

#[tokio::test]
async fn one_refused_line_refuses_all() {
    let server = TestServer::start().await;
    let lines = format!(
        "{}\n{{\"input\": 5}}\n{}\n",
        interaction("a", "b"),
        json!({ "input": "a", "output": "b", "colour": "secret-value" })
    );
    let answer = server.post("/v1/entries", NDJSON, lines).await;
    assert!(answer.problem(422).starts_with("2 lines are refused, and nothing was stored"));
    let errors = answer.json()["errors"].clone();
    assert_eq!((&errors[0]["line"], &errors[1]["line"]), (&json!(2), &json!(3)));
    assert!(!answer.text().contains("secret-value"));
    assert_eq!(server.get("/v1/entries").await.json()["entries"], json!([]));
}

#[tokio::test]
async fn id_makes_a_request_idempotent() {
    let server = TestServer::start().await;
    let mut given = interaction("a", "b");
    given["id"] = "order-4711".into();
    let first = server.post_json("/v1/entries", &given).await;
    assert_eq!((first.status.as_u16(), first.json()), (201, json!({ "id": "order-4711" })));
    // Without a time of its own it gets another one.
    let again = server.post_json("/v1/entries", &given).await;
    let present = json!({ "id": "order-4711", "present": true });
    assert_eq!((again.status.as_u16(), again.json()), (200, present));
    given["output"] = "c".into();
    let other = server.post_json("/v1/entries", &given).await;
    assert!(other.problem(409).contains("never replaced"));
    let stored = server.get("/v1/entries/order-4711").await.json();
    assert_eq!(stored["output_content"], "b");
    // In a batch the others are stored.
    let lines = format!("{given}\n{}\n", interaction("x", "y"));
    let batch = server.post("/v1/entries", NDJSON, lines).await;
    batch.problem(409);
    assert_eq!(batch.json()["entries"][0]["differs"], true);
    let id = batch.json()["entries"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/v1/entries/{id}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_requests_say_what_to_do() {
    let server = TestServer::start().await;
    let answer = server.post("/v1/entries", "text/plain", "x").await;
    assert!(answer.problem(415).contains("application/x-ndjson"));
    let answer = server.post("/v1/entries", JSON, "{\"input\": \"a\"}").await;
    assert!(answer.problem(422).contains("output"), "{}", answer.text());
    let answer = server.post("/v1/entries", JSON, "").await;
    answer.problem(422);
    assert!(server.get("/v1/entrys").await.problem(404).contains("/v1/entrys"));
    let request = server.request(Method::PUT, "/v1/entries").body(Full::default()).unwrap();
    assert!(server.send(request).await.problem(405).contains("PUT"));
    let answer = server.get("/healthz").await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["x-frame-options"], "DENY");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("'none'"));
}

#[tokio::test]
async fn compressed_body_is_decompressed() {
    use std::io::Write as _;
    let server = TestServer::start().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(interaction("a", "b").to_string().as_bytes()).unwrap();
    let request = server
        .request(Method::POST, "/v1/entries")
        .header("content-type", JSON)
        .header("content-encoding", "gzip")
        .body(Full::new(gzip.finish().unwrap().into()))
        .unwrap();
    assert_eq!(server.send(request).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn store_that_is_read_only_refuses() {
    let server = TestServer::start().await;
    server.record(&interaction("a", "b")).await;
    let folder = server.shut_down().await;
    let logger = attestry::open(folder.path().join("audit")).read_only(true).await.unwrap();
    let server = TestServer::serve(folder, logger, |options| options).await;
    let answer = server.post_json("/v1/entries", &interaction("a", "b")).await;
    assert!(answer.problem(403).contains("read-only"), "{}", answer.text());
    assert_eq!(server.get("/v1/entries").await.json()["entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn failed_write_is_retryable_and_makes_the_server_unready() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = attestry::AuditLogger::builder(Arc::clone(&storage)).build();
    let server = TestServer::serve(folder, logger, |options| options).await;
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    let answer = server.post_json("/v1/entries", &interaction("a", "b")).await;
    answer.problem(503);
    assert!(answer.headers.contains_key("retry-after"));
    server.get("/readyz").await.problem(503);
    assert_eq!(server.get("/healthz").await.status, StatusCode::OK);
    storage.recover();
    server.record(&interaction("a", "b")).await;
    assert_eq!(server.get("/readyz").await.status, StatusCode::OK);
    assert!(server.get("/metrics").await.text().contains("\nattestry_recorded_entries_total 1\n"));
}

#[tokio::test]
async fn shutdown_answers_what_was_accepted() {
    let server = TestServer::start().await;
    let id = server.record(&interaction("a", "b")).await;
    let path = server.store();
    let _folder = server.shut_down().await;
    let log = attestry::open(path).await.unwrap();
    let page = log.page(Query::new()).await.unwrap();
    assert_eq!(page.entries[0].id.as_str(), id);
}

#[tokio::test]
async fn messages_become_canonical_text() {
    let server = TestServer::start().await;
    let one = json!({
        "input": [{ "role": "user", "content": "2+2?" }],
        "output": { "content": "4", "role": "assistant" },
        "latency_ms": null,
    });
    let id = server.record(&one).await;
    let entry = server.get(&format!("/v1/entries/{id}")).await.json();
    let input = r#"[{"parts":[{"content":"2+2?","type":"text"}],"role":"user"}]"#;
    assert_eq!(entry["input_content"], input);
    assert_eq!(entry["input_hash"], attestry::hash_content(input));
    assert_eq!(entry["metadata"]["attestry.content"], "messages/v1");
    let other = json!({ "input": { "b": 1, "a": [2] }, "output": "x" });
    let id = server.record(&other).await;
    let entry = server.get(&format!("/v1/entries/{id}")).await.json();
    assert_eq!(entry["input_content"], r#"{"a":[2],"b":1}"#);
    let wrong = json!({ "input": 5, "output": "x" });
    let problem = server.post_json("/v1/entries", &wrong).await.problem(422);
    assert!(problem.contains("input: expected text, messages or other JSON"), "{problem}");
}
