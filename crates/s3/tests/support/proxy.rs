//! An HTTP proxy that counts requests and injects the faults of networks, load balancers and overloaded
//! servers. It knows only the protocol, so it works in front of the map, `s3s-fs` and SeaweedFS alike.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use s3s::Body;
use s3s::dto::StreamingBlob;
use s3s::stream::DynByteStream;

use super::listener::Listener;

/// A fault of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Responds with this code and status; the server does not receive the request.
    ErrorResponse(&'static str, u16),
    /// The server executes the request; the client receives an internal error.
    LostResponse,
    /// Resets the connection while the request is sent.
    ResetRequest,
    /// Resets the connection within the body of the response.
    ResetResponse,
    /// Sends half of the response body with a matching `Content-Length`.
    TruncatedBody,
    /// Sends a body without a length that does not end.
    EndlessBody,
    /// Sends an error with this status and a body that does not end.
    EndlessError(u16),
    /// Sends a byte of the body now and then, and never the last one.
    Drip,
    /// A page of a listing, always with the same keys and with a new token.
    EndlessPages,
    /// Forwards the request after a delay.
    Delay(Duration),
    /// A listing that is marked as truncated, without a continuation token.
    MissingToken,
}

/// Runs until it is dropped.
pub(crate) struct Proxy {
    listener: Listener,
    traffic: Arc<Traffic>,
}

impl Proxy {
    /// Starts a proxy for the server at `upstream`, such as `http://127.0.0.1:8333`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let traffic = Arc::new(Traffic {
            upstream: upstream.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            in_flight: AtomicUsize::default(),
            max_in_flight: AtomicUsize::default(),
        });
        let service = {
            let traffic = Arc::clone(&traffic);
            service_fn(move |request| {
                let traffic = Arc::clone(&traffic);
                async move { traffic.forward(request).await }
            })
        };
        Self { listener: Listener::start(service).await, traffic }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.listener.endpoint()
    }

    /// The next `times` requests of `operation` have this fault.
    pub(crate) fn inject(&self, operation: &'static str, times: usize, fault: Fault) {
        self.traffic.faults.lock().unwrap().push((operation, times, fault));
    }

    pub(crate) fn clear_faults(&self) {
        self.traffic.faults.lock().unwrap().clear();
    }

    /// The operations requested since the last call.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.traffic.requests.lock().unwrap())
    }

    pub(crate) fn max_concurrent_requests(&self) -> usize {
        self.traffic.max_in_flight.load(Ordering::SeqCst)
    }
}

struct Traffic {
    upstream: String,
    client: Client<HttpConnector, Body>,
    faults: Mutex<Vec<(&'static str, usize, Fault)>>,
    requests: Mutex<Vec<String>>,
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
}

struct InFlight<'a>(&'a Traffic);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Traffic {
    async fn forward(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let operation = operation(&request);
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let _in_flight = InFlight(self);
        self.max_in_flight.fetch_max(in_flight, Ordering::SeqCst);
        self.requests.lock().unwrap().push(operation.to_owned());
        let fault = self.next_fault(operation);
        match fault {
            // Before the body is read, so that the client receives the reset while it sends.
            Some(Fault::ResetRequest) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        let (mut head, body) = request.into_parts();
        let body = read_body(Body::from(body)).await?;
        if let Some(Fault::ErrorResponse(code, status)) = fault {
            return Ok(error_response(code, status));
        }
        if let Some(Fault::EndlessError(status)) = fault {
            let mut response = Response::new(endless_body());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            return Ok(response);
        }
        if let Some(Fault::EndlessPages) = fault {
            let number = self.requests.lock().unwrap().len();
            let query = head.uri.query().unwrap_or_default();
            let one_level = query.contains("delimiter");
            return Ok(Response::new(Body::from(endless_page(number, one_level))));
        }
        // Keeps the `Host` header, which is signed.
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.upstream).parse().unwrap();
        let request = Request::from_parts(head, Body::from(body));
        let (mut head, body) =
            self.client.request(request).await.map_err(io::Error::other)?.into_parts();
        let body = read_body(Body::from(body)).await?;
        let half = body.slice(..body.len() / 2);
        let body = match fault {
            Some(Fault::LostResponse) => return Ok(error_response("InternalError", 500)),
            Some(Fault::ResetResponse) => {
                head.headers.insert(CONTENT_LENGTH, body.len().into());
                let reset = Err(io::ErrorKind::ConnectionReset.into());
                return Ok(Response::from_parts(head, stream_body([Ok(half), reset])));
            }
            Some(Fault::EndlessBody) => {
                head.headers.remove(CONTENT_LENGTH);
                return Ok(Response::from_parts(head, endless_body()));
            }
            Some(Fault::Drip) => {
                head.headers.insert(CONTENT_LENGTH, body.len().into());
                let byte = move |at: usize| {
                    let byte = body.slice(at..(at + 1).min(body.len() - 1));
                    async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        Some((Ok::<_, io::Error>(byte), at + 1))
                    }
                };
                let body = DynByteStream::from(StreamingBlob::wrap(stream::unfold(0, byte)));
                return Ok(Response::from_parts(head, Body::from(body)));
            }
            Some(Fault::TruncatedBody) => half,
            Some(Fault::MissingToken) => without_token(&body),
            _ => body,
        };
        if operation != "head" {
            head.headers.insert(CONTENT_LENGTH, body.len().into());
        }
        Ok(Response::from_parts(head, Body::from(body)))
    }

    fn next_fault(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let next = faults.iter_mut().find(|(name, left, _)| *name == operation && *left > 0)?;
        next.1 -= 1;
        Some(next.2)
    }
}

/// The S3 operation of a request with the bucket in its path.
fn operation(request: &Request<Incoming>) -> &'static str {
    let path = request.uri().path().trim_start_matches('/');
    let has_key = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let is_object_lock = request.uri().query().is_some_and(|query| query.contains("object-lock"));
    match (request.method(), has_key) {
        (&Method::GET, false) if is_object_lock => "lock configuration",
        (&Method::GET, false) => "list",
        (&Method::GET, true) => "get",
        (&Method::HEAD, _) => "head",
        (&Method::PUT, _) => "put",
        (&Method::DELETE, _) => "delete",
        (&Method::POST, _) => "delete many",
        _ => "other",
    }
}

async fn read_body(mut body: Body) -> io::Result<Bytes> {
    body.store_all_limited(usize::MAX).await.map_err(io::Error::other)
}

fn endless_body() -> Body {
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let endless = stream::repeat_with(move || Ok::<_, io::Error>(chunk.clone()));
    Body::from(DynByteStream::from(StreamingBlob::wrap(endless)))
}

fn endless_page(number: usize, one_level: bool) -> String {
    let found = match one_level {
        true => "<CommonPrefixes><Prefix>audit/2026-01-28/</Prefix></CommonPrefixes>",
        false => "<Contents><Key>audit/2026-01-28/a.json</Key><Size>200</Size></Contents>",
    };
    format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated>{found}\
         <NextContinuationToken>token-{number}</NextContinuationToken></ListBucketResult>"
    )
}

fn stream_body<const N: usize>(chunks: [io::Result<Bytes>; N]) -> Body {
    Body::from(DynByteStream::from(StreamingBlob::wrap(stream::iter(chunks))))
}

fn error_response(code: &str, status: u16) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Error><Code>{code}</Code><Message>injected</Message></Error>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, "application/xml".parse().unwrap());
    response
}

fn without_token(listing: &Bytes) -> Bytes {
    let text = String::from_utf8(listing.to_vec()).unwrap();
    let text = text.replace("<IsTruncated>false<", "<IsTruncated>true<");
    assert!(text.contains("<IsTruncated>true<"), "{text}");
    let (token, end) = ("<NextContinuationToken>", "</NextContinuationToken>");
    match (text.find(token), text.find(end)) {
        (Some(from), Some(to)) => [&text[..from], &text[to + end.len()..]].concat().into(),
        _ => text.into(),
    }
}
