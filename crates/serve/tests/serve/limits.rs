//! Clients that are slow, large or many.

use std::io::Write as _;
use std::time::Duration;

use crate::common::{JSON, NDJSON, TestServer, interaction};
use attestry_serve::{Limits, Role};
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

/// A client that sends its whole body before it reads must see the answer, not a closed connection.
#[tokio::test]
async fn refused_body_is_read_to_its_end() {
    let size = 8 << 20;
    let limits = Limits { received_bytes: 1 << 20, ..Limits::default() };
    let server = TestServer::with_tokens_and(|options| options.limits(limits)).await;
    let secret = server.secret(Role::Record);
    let known = format!("authorization: Bearer {secret}\r\ncontent-type: application/json\r\n");
    let other = format!("authorization: Bearer {secret}\r\ncontent-type: text/plain\r\n");
    for (path, headers, status) in [
        ("/v1/traces", &known, 503),
        ("/v1/traces", &other, 415),
        ("/v1/entries", &other, 415),
        ("/v1/entries", &String::new(), 401),
        ("/v1/traces", &String::new(), 401),
        ("/v1/nothing", &known, 404),
        ("/healthz", &known, 405),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}");
        let length = format!("content-length: {size}\r\n\r\n");
        stream.write_all((head + &length).as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; size]).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer, format!("HTTP/1.1 {status}"), "{path}");
    }
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
    let request =
        format!("GET /v1/entries HTTP/1.1\r\nhost: localhost\r\naccept: {NDJSON}\r\n\r\n");
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

#[tokio::test]
async fn body_of_a_gigabyte_is_refused_unread() {
    let server = with(Limits::default()).await;
    let head = "POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: 1073741824\r\n\r\n");
    assert!(raw(&server, announced.as_bytes()).await.starts_with("HTTP/1.1 413"));
    // Without its length.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".to_vec(), vec![b' '; 1 << 20], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 1 << 30 && stream.write_all(&chunk).await.is_ok() {
        sent += 1 << 20;
    }
    // The limit, and what the buffers of both sides hold.
    assert!(sent < 64 << 20, "{sent}");
    server.record(&interaction("a", "b")).await;
}

#[tokio::test]
async fn head_that_comes_byte_by_byte_is_cut() {
    let server = with(Limits { head: Duration::from_millis(300), ..Limits::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = b"GET /healthz HTTP/1.1\r\nx-endless: ".iter().chain(std::iter::repeat(&b'x'));
    for byte in head {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.get("/healthz").await.status.as_u16(), 200);
}

#[tokio::test]
async fn half_closed_client_gets_an_answer_or_none() {
    let server = with(Limits::default()).await;
    let body = interaction("a", "b").to_string();
    let request = format!(
        "POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut acknowledged = 0;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 201"), "{answer}");
        acknowledged += usize::from(!answer.is_empty());
    }
    let stored = server.get("/v1/entries").await.json()["entries"].as_array().unwrap().len();
    assert!((acknowledged..=20).contains(&stored), "{acknowledged} {stored}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_idle_ones_to_end() {
    let limits = Limits { connections: 20, head: Duration::from_millis(500), ..Limits::default() };
    let server = with(limits).await;
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.record(&interaction("a", "b")).await;
}
