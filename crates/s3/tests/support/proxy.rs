//! What lies between a client and its server: hands requests on, counts them, and on demand does what
//! networks, load balancers and busy servers do. It knows nothing of the server, so that one stands
//! before the map of these tests, the file system's server and SeaweedFS alike.

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

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Refused with this code and status; the server does not get it.
    Refuse(&'static str, u16),
    /// Done, and then an error of the server all the same: the answer was lost.
    DoneButFailed,
    /// The connection is reset while the request is sent.
    ResetRequest,
    /// The connection is reset in the midst of the answer's body.
    ResetAnswer,
    /// Half of the answer's body, as if it were all.
    HalfAnswer,
    /// The request goes on so much later.
    Late(Duration),
    /// A listing says that it goes on, and not where.
    NoToken,
}

/// A proxy that runs until this is dropped.
pub(crate) struct Proxy {
    listener: Listener,
    traffic: Arc<Traffic>,
}

impl Proxy {
    /// Before the server at `upstream`, such as `http://127.0.0.1:8333`.
    pub(crate) async fn start(upstream: &str) -> Self {
        let traffic = Arc::new(Traffic {
            upstream: upstream.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            faults: Mutex::default(),
            requests: Mutex::default(),
            at_once: AtomicUsize::default(),
            most_at_once: AtomicUsize::default(),
        });
        let service = {
            let traffic = Arc::clone(&traffic);
            service_fn(move |request| {
                let traffic = Arc::clone(&traffic);
                async move { traffic.hand_on(request).await }
            })
        };
        Self { listener: Listener::start(service).await, traffic }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.listener.endpoint()
    }

    /// The next `times` requests of this kind fail so.
    pub(crate) fn fail(&self, operation: &'static str, times: usize, fault: Fault) {
        self.traffic.faults.lock().unwrap().push((operation, times, fault));
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.traffic.faults.lock().unwrap().clear();
    }

    /// The requests since the last call, by their operation.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.traffic.requests.lock().unwrap())
    }

    /// The most requests that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.traffic.most_at_once.load(Ordering::SeqCst)
    }
}

struct Traffic {
    upstream: String,
    client: Client<HttpConnector, Body>,
    faults: Mutex<Vec<(&'static str, usize, Fault)>>,
    requests: Mutex<Vec<String>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

struct UnderWay<'a>(&'a Traffic);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Traffic {
    async fn hand_on(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let operation = operation(&request);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        let _under_way = UnderWay(self);
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.requests.lock().unwrap().push(operation.to_owned());
        let fault = self.next_fault(operation);
        match fault {
            // Before the request was read, so that the client is told while it still sends.
            Some(Fault::ResetRequest) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::Late(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        let (mut head, body) = request.into_parts();
        let body = whole(Body::from(body)).await?;
        if let Some(Fault::Refuse(code, status)) = fault {
            return Ok(refusal(code, status));
        }
        // The host stays the one that was signed.
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.upstream).parse().unwrap();
        let request = Request::from_parts(head, Body::from(body));
        let (mut head, body) =
            self.client.request(request).await.map_err(io::Error::other)?.into_parts();
        let body = whole(Body::from(body)).await?;
        let half = body.slice(..body.len() / 2);
        let body = match fault {
            Some(Fault::DoneButFailed) => return Ok(refusal("InternalError", 500)),
            Some(Fault::ResetAnswer) => {
                head.headers.insert(CONTENT_LENGTH, body.len().into());
                let reset = Err(io::ErrorKind::ConnectionReset.into());
                return Ok(Response::from_parts(head, streamed([Ok(half), reset])));
            }
            Some(Fault::HalfAnswer) => half,
            Some(Fault::NoToken) => without_token(&body),
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

/// What is asked of the server, where the bucket is named in the path.
fn operation(request: &Request<Incoming>) -> &'static str {
    let path = request.uri().path().trim_start_matches('/');
    let has_key = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let asks_for_lock = request.uri().query().is_some_and(|query| query.contains("object-lock"));
    match (request.method(), has_key) {
        (&Method::GET, false) if asks_for_lock => "lock configuration",
        (&Method::GET, false) => "list",
        (&Method::GET, true) => "get",
        (&Method::HEAD, _) => "head",
        (&Method::PUT, _) => "put",
        (&Method::DELETE, _) => "delete",
        (&Method::POST, _) => "delete many",
        _ => "other",
    }
}

async fn whole(mut body: Body) -> io::Result<Bytes> {
    body.store_all_limited(usize::MAX).await.map_err(io::Error::other)
}

fn streamed<const N: usize>(parts: [io::Result<Bytes>; N]) -> Body {
    Body::from(DynByteStream::from(StreamingBlob::wrap(stream::iter(parts))))
}

fn refusal(code: &str, status: u16) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
    );
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert(CONTENT_TYPE, "application/xml".parse().unwrap());
    answer
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
