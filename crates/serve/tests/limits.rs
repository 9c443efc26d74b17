//! Clients that are slow, large or many.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;
use std::time::Duration;

use attestry_serve::Limits;
use common::{JSON, NDJSON, TestServer, interaction};
use http::Method;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn with(limits: Limits) -> TestServer {
    TestServer::with(|options| options.limits(limits), |open| open).await
}

/// Sends `bytes` on a connection of its own; returns what comes back until the server closes it.
async fn raw(server: &TestServer, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn large_body_is_refused() {
    let limits = Limits { encoded_body: 1 << 16, body: 1 << 20, ..Limits::default() };
    let server = with(limits).await;
    let large = interaction(&"x".repeat(1 << 17), "out").to_string();
    let answer = server.post("/v1/entries", JSON, large).await;
    assert_eq!(answer.status.as_u16(), 413);
    // A small body that becomes a large one.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b' '; 8 << 20]).unwrap();
    let request = server
        .request(Method::POST, "/v1/entries")
        .header("content-type", NDJSON)
        .header("content-encoding", "gzip")
        .body(Full::new(gzip.finish().unwrap().into()))
        .unwrap();
    let answer = server.send(request).await;
    assert!(answer.problem(413).contains("1048576 bytes decompressed"));
    server.record(&interaction("a", "b")).await;
}

#[tokio::test]
async fn slow_client_is_cut() {
    let limits = Limits {
        head: Duration::from_millis(200),
        receive: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = with(limits).await;
    for silent in [&b""[..], b"POST /v1/ent", b"GET /healthz HTTP/1.1\r\nhost: a\r\n"] {
        let answer = raw(&server, silent).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    let half = "POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    assert!(raw(&server, half.as_bytes()).await.starts_with("HTTP/1.1 408"));
    assert!(raw(&server, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.contains("200 OK"));
}

#[tokio::test]
async fn client_that_does_not_read_is_cut() {
    let limits = Limits { stalled: Duration::from_millis(200), ..Limits::default() };
    let server = with(limits).await;
    let lines: String = (0..40)
        .map(|n| format!("{}\n", interaction(&format!("{n}{}", "x".repeat(1 << 18)), "out")))
        .collect();
    assert_eq!(server.post("/v1/entries", NDJSON, lines).await.status.as_u16(), 200);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /v1/entries HTTP/1.1\r\nhost: a\r\naccept: {NDJSON}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    // The server gives up: what it recorded says how far the client could have got.
    let accesses = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let log = attestry::open(server.store().join(".attestry/access")).read_only(true);
        let page = log.await.unwrap().page(attestry::Query::new()).await.unwrap();
        if page.entries.len() == 2 {
            break page.entries;
        }
    };
    assert_eq!(accesses[1].metadata["attestry.outcome"], "abandoned");
    assert!(accesses[1].metadata["attestry.access.count"].as_u64().unwrap() < 40);
    drop(stream);
}

#[tokio::test]
async fn more_requests_than_allowed_are_refused_at_once() {
    let server = with(Limits { requests: 1, ..Limits::default() }).await;
    let mut waiting = TcpStream::connect(server.address).await.unwrap();
    let half = "POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                content-length: 30\r\n\r\n";
    waiting.write_all(half.as_bytes()).await.unwrap();
    let refused = loop {
        let answer = server.get("/v1/entries").await;
        if answer.status.as_u16() == 503 {
            break answer;
        }
    };
    assert!(refused.problem(503).contains("too many requests"));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(server.get("/healthz").await.status.as_u16(), 200);
    waiting.write_all(br#"{"input": "a", "output": "bcd"}"#.get(..30).unwrap()).await.unwrap();
    let mut answer = [0; 12];
    waiting.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "));
    while server.get("/v1/entries").await.status.as_u16() != 200 {}
}

#[tokio::test]
async fn idle_connections_do_not_block_others() {
    let server = with(Limits { connections: 2000, ..Limits::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.record(&interaction("a", "b")).await;
    drop(idle);
}
