//! The requests of an operation without the backend: a lower bound of its time. They are built and signed
//! before the measurement, and sent with the concurrency of [`S3Storage`](attestry_s3::S3Storage) by a plain
//! HTTP client that discards the response bodies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use attestry_core::{Timestamp, create_entry_id};
use aws_config::BehaviorVersion;
use aws_sdk_s3::Client as Sdk;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, EncodingType, ObjectIdentifier};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use s3s::Body;

use super::{WRITES, entry};

const CONCURRENCY: usize = 64;
/// The limit of S3 for listing and deleting.
const KEYS_A_REQUEST: usize = 1_000;

/// The time of the requests of `operation`.
pub(super) async fn timed(operation: &str, bucket: &str, prefix: &str) -> Duration {
    let signer = Signer::connect(bucket, prefix).await;
    let rounds = signer.rounds(operation).await;
    let http = Client::builder(TokioExecutor::new()).build_http();
    // Opens a connection before the measurement, as `S3Storage` does.
    send(&http, signer.list_days().await).await;
    let start = Instant::now();
    for requests in rounds {
        let responses = requests.into_iter().map(|request| send(&http, request));
        stream::iter(responses).buffer_unordered(CONCURRENCY).collect::<()>().await;
    }
    start.elapsed()
}

async fn send(http: &Client<HttpConnector, Body>, request: Request<Body>) {
    let read = request.method() == Method::GET;
    let (head, body) = http.request(request).await.unwrap().into_parts();
    let missing = read && head.status == StatusCode::NOT_FOUND;
    assert!(head.status.is_success() || missing, "{}", head.status);
    Body::from(body).store_all_limited(usize::MAX).await.unwrap();
}

/// Builds and signs requests with the SDK.
struct Signer {
    sdk: Sdk,
    bucket: String,
    /// With a trailing slash.
    prefix: String,
}

/// The signed request of an operation of the SDK, which is not sent.
macro_rules! signed {
    ($operation:expr) => {{
        let capture = CaptureRequest::default();
        let sent = $operation.customize().interceptor(capture.clone()).send().await;
        assert!(sent.is_err(), "the request was sent");
        capture.into_request()
    }};
}

impl Signer {
    async fn connect(bucket: &str, prefix: &str) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        let config = Builder::from(&config).force_path_style(true);
        let config = config.retry_config(RetryConfig::disabled()).build();
        let sdk = Sdk::from_conf(config);
        Self { sdk, bucket: bucket.to_owned(), prefix: format!("{prefix}/") }
    }

    /// The requests in rounds: a round starts after all responses of the previous one.
    async fn rounds(&self, operation: &str) -> Vec<Vec<Request<Body>>> {
        let days = self.keys().await;
        let keys: Vec<&String> = days.values().flatten().collect();
        let id = create_entry_id();
        let list_days = async || vec![self.list_days().await];
        let pages = || each(days.keys(), |day| self.list(day));
        let get_in_day = async |day| self.get(&format!("{day}{id}.json")).await;
        match operation {
            "append" => vec![each(0..WRITES, |_| self.put()).await],
            "list" => vec![list_days().await, pages().await, each(keys, |key| self.get(key)).await],
            "count" => vec![list_days().await, pages().await],
            "read_unknown" => vec![list_days().await, each(days.keys(), get_in_day).await],
            "read_recent" => vec![vec![self.get(keys[0]).await]],
            "cleanup" => {
                let deletions = each(keys.chunks(KEYS_A_REQUEST), |keys| self.delete(keys));
                vec![list_days().await, pages().await, deletions.await]
            }
            other => panic!("unknown operation {other}"),
        }
    }

    /// All keys, by the prefix of their day.
    async fn keys(&self) -> BTreeMap<String, Vec<String>> {
        let list = self.sdk.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = BTreeMap::<_, Vec<_>>::new();
        while let Some(page) = pages.next().await {
            for key in page.unwrap().contents().iter().filter_map(|object| object.key()) {
                let day_prefix = &key[..=key.rfind('/').unwrap()];
                keys.entry(day_prefix.to_owned()).or_default().push(key.to_owned());
            }
        }
        keys
    }

    async fn list_days(&self) -> Request<Body> {
        let list = self.sdk.list_objects_v2().bucket(&self.bucket);
        signed!(list.prefix(&self.prefix).delimiter("/").encoding_type(EncodingType::Url))
    }

    /// The first page of a day, with the parameters that [`S3Storage`](attestry_s3::S3Storage) uses to count.
    async fn list(&self, day: &str) -> Request<Body> {
        let list = self.sdk.list_objects_v2().bucket(&self.bucket);
        signed!(list.prefix(day).start_after(day).encoding_type(EncodingType::Url))
    }

    async fn get(&self, key: &str) -> Request<Body> {
        signed!(self.sdk.get_object().bucket(&self.bucket).key(key))
    }

    async fn put(&self) -> Request<Body> {
        let entry = entry(Timestamp::now());
        let key =
            format!("{}{}/{}.json", self.prefix, &entry.timestamp.to_string()[..10], entry.id);
        let put = self.sdk.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        let body = ByteStream::from(serde_json::to_vec(&entry).unwrap());
        signed!(put.checksum_algorithm(ChecksumAlgorithm::Sha256).body(body))
    }

    async fn delete(&self, keys: &[&String]) -> Request<Body> {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(*key).build().unwrap());
        let objects = Delete::builder().set_objects(Some(objects.collect())).quiet(true);
        let delete = self.sdk.delete_objects().bucket(&self.bucket);
        signed!(delete.delete(objects.build().unwrap()))
    }
}

/// A request for each of `items`.
async fn each<T, F: Future<Output = Request<Body>>>(
    items: impl IntoIterator<Item = T>,
    make: impl Fn(T) -> F,
) -> Vec<Request<Body>> {
    stream::iter(items).then(make).collect().await
}

/// Stores the signed request and makes sending fail.
#[derive(Debug, Clone, Default)]
struct CaptureRequest(Arc<Mutex<Option<Request<Bytes>>>>);

impl CaptureRequest {
    fn into_request(self) -> Request<Body> {
        let request = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        request.expect("the request was signed").map(Body::from)
    }
}

impl Intercept for CaptureRequest {
    fn name(&self) -> &'static str {
        "CaptureRequest"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request().try_clone().ok_or("the body is not in memory")?;
        let request = request.try_into_http1x()?;
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        Err("captured instead of sent".into())
    }
}
