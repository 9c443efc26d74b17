//! OTLP over HTTP.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::common::spans::{Call, logs, messages, other_span, traces};
use crate::common::{Answer, JSON, TestServer};
use attestry::memory::MemoryStorage;
use attestry_conformance::{FailingBackend, Failure, Operation};
use attestry_serve::{Limits, Role};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde_json::{Value, json};

const PROTOBUF: &str = "application/x-protobuf";

fn protobuf(spans: &[Value]) -> Vec<u8> {
    let request: ExportTraceServiceRequest = serde_json::from_value(traces(spans)).unwrap();
    request.encode_to_vec()
}

async fn entries(server: &TestServer) -> Vec<Value> {
    let page = server.get("/v1/entries?limit=1000").await.json();
    page["entries"].as_array().unwrap().clone()
}

fn assert_is_entry(entry: &Value, call: &Call) {
    assert_eq!(entry["provider"], "openai");
    assert_eq!(entry["model"], "gpt-4");
    assert_eq!(entry["input_tokens"], 5);
    let text = |role: &str, text: &Option<String>| {
        text.as_ref().map_or(String::new(), |text| {
            let messages = attestry::messages::Messages::parse(&messages(role, text)).unwrap();
            messages.canonical()
        })
    };
    let (input, output) = (text("user", &call.input), text("assistant", &call.output));
    assert_eq!(entry["input_content"], input.as_str());
    assert_eq!(entry["input_hash"], attestry::hash_content(&input));
    assert_eq!(entry["output_hash"], attestry::hash_content(&output));
    assert_eq!(entry["metadata"]["gen_ai.response.id"], call.response_id());
    assert_eq!(entry["metadata"]["service.name"], "shop");
}

#[tokio::test]
async fn span_becomes_an_entry_before_the_answer() {
    let server = TestServer::start().await;
    let calls = [Call::new(1), Call::new(2)];
    let mut span = calls[0].span();
    span["endTimeUnixNano"] = 1_769_591_700_002_000_000_u64.into(); // a number is as good as a text
    let answer = server.post_json("/v1/traces", &traces(&[span, other_span()])).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    assert_eq!(answer.headers["content-type"], JSON);
    let answer = server.post("/v1/traces", PROTOBUF, protobuf(&[calls[1].span()])).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], PROTOBUF);
    let response = ExportTraceServiceResponse::decode(answer.body).unwrap();
    assert_eq!(response, ExportTraceServiceResponse::default());
    let entries = entries(&server).await;
    assert_eq!(entries.len(), 2);
    entries.iter().zip(&calls).for_each(|(entry, call)| assert_is_entry(entry, call));
    let metrics = server.get("/metrics").await.text();
    for line in ["otlp_received_total 2", "otlp_ignored_total 1", "recorded_entries_total 2"] {
        assert!(metrics.contains(&format!("\nattestry_{line}\n")), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn request_without_spans_is_accepted() {
    let server = TestServer::start().await;
    for body in ["{}", " {\n}", r#"{"resourceSpans": []}"#] {
        assert_eq!(server.post("/v1/traces", JSON, body).await.status.as_u16(), 200, "{body}");
    }
    assert_eq!(server.post("/v1/logs", PROTOBUF, "").await.status.as_u16(), 200);
    assert!(entries(&server).await.is_empty());
}

#[tokio::test]
async fn compressed_requests_are_decompressed() {
    let server = TestServer::start().await;
    for (number, encoding) in (0..).zip(["gzip", "deflate", "zstd"]) {
        let body = traces(&[Call::new(number).span()]).to_string().into_bytes();
        let answer = post_encoded(&server, encoding, &compress(encoding, &body)).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    }
    assert_eq!(entries(&server).await.len(), 3);
    let answer = post_encoded(&server, "br", b"x").await;
    assert_eq!(answer.status.as_u16(), 415);
    let answer = post_encoded(&server, "gzip", b"{}").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!(3)));
}

fn compress(encoding: &str, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::best();
    match encoding {
        "gzip" => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
            gzip.write_all(body).unwrap();
            gzip.finish().unwrap()
        }
        "deflate" => {
            let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
            zlib.write_all(body).unwrap();
            zlib.finish().unwrap()
        }
        _ => ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest),
    }
}

async fn post_encoded(server: &TestServer, encoding: &str, body: &[u8]) -> Answer {
    let request = server
        .request(Method::POST, "/v1/traces")
        .header("content-type", JSON)
        .header("content-encoding", encoding)
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap();
    server.send(request).await
}

#[tokio::test]
async fn large_request_is_refused_before_and_after_decompression() {
    let limits = Limits { encoded_body: 1 << 16, body: 1 << 18, ..Limits::default() };
    let server = TestServer::with(|options| options.limits(limits), |open| open).await;
    let answer = server.post("/v1/traces", JSON, vec![b' '; 1 << 17]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (413, &json!(8)));
    for encoding in ["gzip", "deflate", "zstd"] {
        let bomb = compress(encoding, &vec![b' '; 1 << 22]);
        assert!(bomb.len() < 1 << 16);
        let answer = post_encoded(&server, encoding, &bomb).await;
        assert_eq!(answer.status.as_u16(), 413, "{encoding}");
        assert!(answer.json()["message"].as_str().unwrap().contains("262144 bytes decompressed"));
    }
    let answer = server.post_json("/v1/traces", &traces(&[Call::new(1).span()])).await;
    assert_eq!(answer.status.as_u16(), 200);
}

#[tokio::test]
async fn malformed_request_is_refused_in_its_encoding() {
    let server = TestServer::start().await;
    for body in ["", "[]", "{", r#"{"spans": []}"#, "{\"a\": 1, \"a\": 2}"] {
        let answer = server.post("/v1/traces", JSON, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (400, &json!(3)), "{body}");
        assert_eq!(answer.headers["content-type"], JSON);
    }
    let answer = server.post("/v1/traces", PROTOBUF, "no message").await;
    assert_eq!(answer.status.as_u16(), 400);
    assert_eq!(answer.headers["content-type"], PROTOBUF);
    assert_eq!(answer.body[..2], [8, 3]); // code INVALID_ARGUMENT
    let answer = server.post("/v1/traces", "text/plain", "x").await;
    assert!(answer.problem(415).contains("application/x-protobuf"));
}

#[tokio::test]
async fn only_the_role_record_may_send() {
    let server = TestServer::with_tokens().await;
    let body = traces(&[Call::new(1).span()]);
    for (role, status) in
        [(Role::Record, 200), (Role::Admin, 200), (Role::Read, 403), (Role::Content, 403)]
    {
        for path in ["/v1/traces", "/v1/logs"] {
            let request = server
                .request(Method::POST, path)
                .header("authorization", format!("Bearer {}", server.secret(role)))
                .header("content-type", JSON)
                .body(Full::from(body.to_string()))
                .unwrap();
            let answer = server.send(request).await;
            assert_eq!(answer.status.as_u16(), status, "{role} {path}");
        }
    }
    let answer = server.post_json("/v1/traces", &body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (401, &json!(16)));
}

#[tokio::test]
async fn span_that_cannot_be_stored_is_named_and_the_others_are_stored() {
    let limits = Limits {
        encoded_body: 64 << 20,
        body: 128 << 20,
        received_bytes: 512 << 20,
        ..Limits::default()
    };
    let server = TestServer::with(|options| options.limits(limits), |open| open).await;
    // Longer than a line.
    let large = Call { input: Some("x".repeat(65 << 20)), ..Call::new(1) };
    let body = traces(&[Call::new(0).span(), large.span(), Call::new(2).span()]).to_string();
    let answer = post_encoded(&server, "gzip", &compress("gzip", body.as_bytes())).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], "1");
    assert!(!partial["errorMessage"].as_str().unwrap().is_empty());
    assert_eq!(entries(&server).await.len(), 2);
}

#[tokio::test]
async fn what_is_not_durable_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(FailingBackend::new(MemoryStorage::new()));
    let logger = attestry::AuditLogger::builder(Arc::clone(&storage)).build();
    let inbox = folder.path().join("inbox");
    let server = TestServer::serve(folder, logger, |options| options.inbox(inbox)).await;
    storage.fail(Failure::disk_full().on(Operation::WRITES));
    let body = traces(&[Call::new(1).span()]);
    let answer = server.post_json("/v1/traces", &body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (503, &json!(14)));
    assert!(answer.headers.contains_key("retry-after"));
    // Its parts are in the inbox, and written when the store works again.
    let part = server.post_json("/v1/logs", &logs(&[Call::new(2).event()])).await;
    assert_eq!(part.status.as_u16(), 200);
    storage.recover();
    assert_eq!(server.post_json("/v1/traces", &body).await.status.as_u16(), 200);
    assert_eq!(entries(&server).await.len(), 1);
    let span = traces(&[Call::new(2).without_content().span()]);
    assert_eq!(server.post_json("/v1/traces", &span).await.status.as_u16(), 200);
    while entries(&server).await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn store_without_a_folder_for_an_inbox_receives_nothing() {
    let logger = attestry::AuditLogger::builder(MemoryStorage::new()).build();
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::serve(folder, logger, |options| options).await;
    let answer = server.post_json("/v1/traces", &traces(&[Call::new(1).span()])).await;
    assert_eq!(answer.status.as_u16(), 501);
    assert!(answer.json()["message"].as_str().unwrap().contains("--inbox"));
}

#[tokio::test]
async fn more_bytes_than_allowed_are_refused_for_now() {
    let limits = Limits { received_bytes: 1 << 10, ..Limits::default() };
    let server = TestServer::with(|options| options.limits(limits), |open| open).await;
    let call = Call { input: Some("x".repeat(2000)), ..Call::new(1) };
    let answer = server.post_json("/v1/traces", &traces(&[call.span()])).await;
    assert_eq!(answer.status.as_u16(), 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(entries(&server).await.is_empty());
}
