//! OTLP over gRPC.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::common::TestServer;
use crate::common::spans::{Call, logs, traces};
use attestry_serve::{Limits, Role, ServeError, Server, ServerOptions};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

struct Response {
    /// Headers and trailers.
    fields: HeaderMap,
    message: Bytes,
}

impl Response {
    fn code(&self) -> &str {
        self.fields["grpc-status"].to_str().unwrap()
    }

    fn text(&self) -> String {
        let text = self.fields.get("grpc-message").map_or("", |text| text.to_str().unwrap());
        text.replace("%20", " ")
    }
}

async fn with(options: impl FnOnce(ServerOptions) -> ServerOptions) -> TestServer {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    TestServer::with(|given| options(given.grpc(any)), |open| open).await
}

async fn call(
    server: &TestServer,
    path: &str,
    message: &[u8],
    headers: &[(&str, &str)],
) -> Response {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut request = Request::post(format!("http://{}{path}", server.grpc.unwrap()))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let is_compressed = headers.iter().any(|(name, _)| *name == "grpc-encoding");
    let mut body = vec![u8::from(is_compressed)];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let response = client.request(request.body(Full::from(body)).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let mut fields = head.headers;
    fields.extend(body.trailers().cloned().unwrap_or_default());
    let bytes = body.to_bytes();
    Response { fields, message: bytes.slice(bytes.len().min(5)..) }
}

fn trace_message(spans: &[Value]) -> Vec<u8> {
    let request: ExportTraceServiceRequest = serde_json::from_value(traces(spans)).unwrap();
    request.encode_to_vec()
}

async fn count(server: &TestServer) -> usize {
    server.get("/v1/entries?limit=1000").await.json()["entries"].as_array().unwrap().len()
}

#[tokio::test]
async fn spans_and_log_records_are_stored_before_the_answer() {
    let server = with(|options| options.join_deadline(Duration::from_secs(3600))).await;
    let response = call(&server, TRACES, &trace_message(&[Call::new(1).span()]), &[]).await;
    assert_eq!(response.code(), "0", "{}", response.text());
    let decoded = ExportTraceServiceResponse::decode(response.message).unwrap();
    assert_eq!(decoded, ExportTraceServiceResponse::default());
    assert_eq!(count(&server).await, 1);
    let span = Call::new(2).without_content().span();
    call(&server, TRACES, &trace_message(&[span]), &[]).await;
    let request: ExportLogsServiceRequest =
        serde_json::from_value(logs(&[Call::new(2).event()])).unwrap();
    assert_eq!(call(&server, LOGS, &request.encode_to_vec(), &[]).await.code(), "0");
    while count(&server).await < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn gzip_is_decompressed_within_the_limit() {
    let server =
        with(|options| options.limits(Limits { body: 1 << 18, ..Limits::default() })).await;
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let compressed = [("grpc-encoding", "gzip")];
    let message = gzip(&trace_message(&[Call::new(1).span()]));
    assert_eq!(call(&server, TRACES, &message, &compressed).await.code(), "0");
    let bomb = gzip(&vec![0; 1 << 24]);
    assert_eq!(call(&server, TRACES, &bomb, &compressed).await.code(), "8");
    let large = vec![0; 1 << 19];
    assert_eq!(call(&server, TRACES, &large, &[]).await.code(), "8");
    assert_eq!(call(&server, TRACES, &message, &[("grpc-encoding", "snappy")]).await.code(), "12");
    assert_eq!(count(&server).await, 1);
}

#[tokio::test]
async fn stream_of_unknown_length_ends_at_the_limit() {
    let limits = Limits { encoded_body: 1 << 16, ..Limits::default() };
    let server = with(|options| options.limits(limits)).await;
    let message = (1_u32 << 17).to_be_bytes();
    let start = [&[0][..], &message].concat();
    let chunks = std::iter::once(start).chain((0..16).map(|_| vec![0; 1 << 13]));
    let chunks = futures_util::stream::iter(chunks.map(Ok::<_, std::io::Error>));
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    let request = Request::post(format!("http://{}{TRACES}", server.grpc.unwrap()))
        .header("content-type", "application/grpc")
        .body(Body::from_stream(chunks));
    let response = client.request(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "8");
}

#[tokio::test]
async fn errors_have_their_codes() {
    let server =
        with(|options| options.limits(Limits { received_bytes: 2 << 20, ..Limits::default() }))
            .await;
    assert_eq!(call(&server, TRACES, b"no message", &[]).await.code(), "3");
    assert_eq!(call(&server, "/opentelemetry.proto.Other/Export", b"", &[]).await.code(), "12");
    // More bytes than may be held: later there may be room.
    let large = Call { input: Some("x".repeat(3 << 20)), ..Call::new(1) };
    let response = call(&server, TRACES, &trace_message(&[large.span()]), &[]).await;
    assert_eq!(response.code(), "14", "{}", response.text());
    let details = &response.fields["grpc-status-details-bin"];
    let details = base64_decode(details.as_bytes());
    assert!(details.windows(20).any(|bytes| bytes == b"google.rpc.RetryInfo"));
}

fn base64_decode(text: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| DIGITS.iter().position(|digit| digit == byte).unwrap() as u32;
    let digits: Vec<u32> = text.iter().filter(|byte| **byte != b'=').map(digit).collect();
    let group = |group: &[u32]| {
        let bits =
            group.iter().enumerate().fold(0, |bits, (at, digit)| bits | digit << (18 - 6 * at));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

#[tokio::test]
async fn only_the_role_record_may_send() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = TestServer::with_tokens_and(|options| options.grpc(any)).await;
    let message = trace_message(&[Call::new(1).span()]);
    for (role, code) in
        [(Role::Record, "0"), (Role::Admin, "0"), (Role::Read, "7"), (Role::Content, "7")]
    {
        let bearer = format!("Bearer {}", server.secret(role));
        let response = call(&server, TRACES, &message, &[("authorization", &bearer)]).await;
        assert_eq!(response.code(), code, "{role}");
    }
    for headers in [&[][..], &[("authorization", "Bearer attestry_0")]] {
        assert_eq!(call(&server, TRACES, &message, headers).await.code(), "16");
    }
}

#[tokio::test]
async fn client_that_sends_nothing_is_cut() {
    let limits = Limits { head: Duration::from_millis(200), ..Limits::default() };
    let server = with(|options| options.limits(limits)).await;
    let mut stream = TcpStream::connect(server.grpc.unwrap()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn address_that_others_reach_needs_tokens_and_tls() {
    let folder = tempfile::tempdir().unwrap();
    let logger = attestry::open(folder.path()).await.unwrap();
    let options = ServerOptions::new(([127, 0, 0, 1], 0).into());
    let error =
        Server::bind(logger, options.grpc(SocketAddr::from(([0, 0, 0, 0], 0)))).await.unwrap_err();
    assert!(matches!(error, ServeError::Insecure { .. }), "{error}");
}
