//! The example of a streaming chat, with real connections.
#![allow(clippy::unwrap_used, missing_docs)] // test helpers; the example is a program

use attestry::{AuditEntry, AuditLogger, Query};
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[allow(dead_code, unreachable_pub)] // its `main` is not called
#[path = "../examples/streaming_chat.rs"]
mod streaming_chat;

/// A running service, a connection that has sent `prompt`, and the task of the service.
async fn request(prompt: &str) -> (AuditLogger, TcpStream, tokio::task::JoinHandle<()>) {
    let log = attestry::open_url("memory:").store_content(true).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = streaming_chat::app(log.clone());
    let service = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut connection = TcpStream::connect(address).await.unwrap();
    let body = serde_json::json!({"prompt": prompt}).to_string();
    let request = format!(
        "POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    (log, connection, service)
}

async fn entries(log: &AuditLogger) -> Vec<AuditEntry> {
    log.query(Query::new()).try_collect().await.unwrap()
}

#[tokio::test]
async fn whole_answer_is_recorded_before_the_response_ends() {
    let (log, mut connection, service) = request("three two one").await;
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    let (_, id) = response.split_once("audit-id: ").expect("the id of the start entry");
    let entries = entries(&log).await;
    assert_eq!(entries.len(), 2);
    assert!(id.starts_with(entries[0].id.as_str()));
    assert_eq!(entries[1].output_content.as_deref(), Some("onetwo three "));
    assert_eq!(entries[1].metadata["attestry.call"], entries[0].id.as_str());
    assert!(!entries[1].metadata.contains_key("attestry.outcome"));
    service.abort();
}

#[tokio::test]
async fn disconnecting_client_is_recorded_as_abandoned() {
    let (log, mut connection, service) = request(&"word ".repeat(100_000)).await;
    let mut first = [0; 1];
    connection.read_exact(&mut first).await.unwrap();
    assert_eq!(entries(&log).await.len(), 1, "the start is on record");
    drop(connection);
    while entries(&log).await.len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let entries = entries(&log).await;
    assert_eq!(entries[1].metadata["attestry.outcome"], "abandoned");
    assert_eq!(entries[1].metadata["attestry.call"], entries[0].id.as_str());
    service.abort();
}
