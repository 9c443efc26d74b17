//! The example of a recording client, with a real server.
#![allow(clippy::unwrap_used, missing_docs)] // test helpers; the example is a program

use std::time::Duration;

use attestry::{AuditEntry, AuditLogger, Query};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::TryStreamExt;
use tokio::net::TcpListener;

#[allow(dead_code, unreachable_pub)] // its `main` is not called
#[path = "../examples/recording_client.rs"]
mod recording_client;

const BODY: &str = r#"{"model": "echo-1", "prompt": "2+2?"}"#;

/// The address of a running service.
async fn serve() -> String {
    let app = Router::new()
        .route("/answer", post(async || ([("x-model", "echo-1")], "4")))
        .route("/refuse", post(async || (StatusCode::TOO_MANY_REQUESTS, "later")))
        .route("/hang", post(std::future::pending::<&'static str>));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

/// An address where nothing listens.
async fn closed_port() -> String {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    format!("http://{address}")
}

async fn memory() -> AuditLogger {
    attestry::open_url("memory:").store_content(true).await.unwrap()
}

async fn entries(log: &AuditLogger) -> Vec<AuditEntry> {
    log.query(Query::new()).try_collect().await.unwrap()
}

#[tokio::test]
async fn response_is_passed_on_and_recorded() {
    let (url, log) = (serve().await, memory().await);
    let client = recording_client::client(log.clone());
    let response = client.post(format!("{url}/answer")).body(BODY).send().await.unwrap();
    assert_eq!(response.headers()["x-model"], "echo-1");
    assert_eq!(response.text().await.unwrap(), "4");
    let entries = entries(&log).await;
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].metadata["attestry.phase"], "start");
    let end = &entries[1];
    assert_eq!(end.input_content.as_deref(), Some(BODY));
    assert_eq!(end.output_content.as_deref(), Some("4"));
    assert_eq!(
        (end.provider.as_deref(), end.model.as_deref()),
        (Some("127.0.0.1"), Some("echo-1"))
    );
    assert_eq!(end.metadata["http.response.status_code"], 200);
    assert_eq!(end.metadata["attestry.call"], entries[0].id.as_str());
}

#[tokio::test]
async fn failures_are_recorded_with_their_kind() {
    let (url, log) = (serve().await, memory().await);
    let client = recording_client::client(log.clone());
    let response = client.post(format!("{url}/refuse")).body(BODY).send().await.unwrap();
    assert_eq!(
        (response.status(), response.text().await.unwrap()),
        (StatusCode::TOO_MANY_REQUESTS, "later".into())
    );
    client.post(closed_port().await).body(BODY).send().await.unwrap_err();
    let ends: Vec<_> = entries(&log).await.into_iter().skip(1).step_by(2).collect();
    let kinds: Vec<_> =
        ends.iter().map(|end| end.metadata["error.type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["429", "connect"]);
    assert!(ends.iter().all(|end| end.metadata["attestry.outcome"] == "failed"));
}

#[tokio::test]
async fn call_that_is_dropped_is_recorded_as_abandoned() {
    let (url, log) = (serve().await, memory().await);
    let client = recording_client::client(log.clone());
    let hanging = client.post(format!("{url}/hang")).body(BODY).send();
    tokio::time::timeout(Duration::from_millis(100), hanging).await.unwrap_err();
    while log.metrics().open_calls > 0 || entries(&log).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(entries(&log).await[1].metadata["attestry.outcome"], "abandoned");
}

#[tokio::test]
async fn call_that_cannot_be_recorded_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let closed = attestry::open(folder.path().join("audit")).await.unwrap();
    closed.close().await.unwrap();
    // A request would fail with another error: the port is closed.
    let port = closed_port().await;
    let request = recording_client::client(closed).post(port).body(BODY).send();
    let error = request.await.unwrap_err();
    assert!(error.is_middleware(), "{error:?}");
}
