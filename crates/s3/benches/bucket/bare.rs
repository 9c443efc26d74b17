//! The requests that an operation needs, and nothing else: made and signed before the time begins, as
//! many at once as [`S3Storage`](attestry_s3::S3Storage) sends, by an HTTP client that reads the
//! answers and drops them. What the line and the server take of the time, no client of theirs saves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use attestry_core::{Timestamp, create_entry_id};
use attestry_s3::aws_sdk_s3::Client as Sdk;
use attestry_s3::aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use attestry_s3::aws_sdk_s3::config::retry::RetryConfig;
use attestry_s3::aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents};
use attestry_s3::aws_sdk_s3::error::BoxError;
use attestry_s3::aws_sdk_s3::primitives::ByteStream;
use attestry_s3::aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier};
use aws_config::BehaviorVersion;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use s3s::Body;

use super::{WRITES, entry};

const AT_ONCE: usize = 64;
/// S3 lists and deletes no more keys in one request.
const KEYS_A_REQUEST: usize = 1_000;

/// How long the requests take that `operation` needs.
pub(super) async fn timed(operation: &str, bucket: &str, prefix: &str) -> Duration {
    let place = Place::connect(bucket, prefix).await;
    let rounds = place.rounds(operation).await;
    let http = Client::builder(TokioExecutor::new()).build_http();
    // Has connected when the time begins, as S3Storage has.
    send(&http, place.list_days().await).await;
    let start = Instant::now();
    for requests in rounds {
        let all = requests.into_iter().map(|request| send(&http, request));
        stream::iter(all).buffer_unordered(AT_ONCE).collect::<()>().await;
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

/// Makes the requests.
struct Place {
    sdk: Sdk,
    bucket: String,
    /// With the slash at its end.
    prefix: String,
}

/// The request that the SDK would send.
macro_rules! signed {
    ($operation:expr) => {{
        let kept = Keep::default();
        let sent = $operation.customize().interceptor(kept.clone()).send().await;
        assert!(sent.is_err(), "it was kept back");
        kept.into_request()
    }};
}

impl Place {
    async fn connect(bucket: &str, prefix: &str) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        let config = Builder::from(&config).force_path_style(true);
        let config = config.retry_config(RetryConfig::disabled()).build();
        let sdk = Sdk::from_conf(config);
        Self { sdk, bucket: bucket.to_owned(), prefix: format!("{prefix}/") }
    }

    /// A round begins when all of the round before it is answered.
    async fn rounds(&self, operation: &str) -> Vec<Vec<Request<Body>>> {
        let days = self.keys().await;
        let keys: Vec<&String> = days.values().flatten().collect();
        let id = create_entry_id();
        let top = async || vec![self.list_days().await];
        let pages = || each(days.keys(), |day| self.list(day));
        let look = async |day| self.get(&format!("{day}{id}.json")).await;
        match operation {
            "append" => vec![each(0..WRITES, |_| self.put()).await],
            "list" => vec![top().await, pages().await, each(keys, |key| self.get(key)).await],
            "count" => vec![top().await, pages().await],
            "read_unknown" => vec![top().await, each(days.keys(), look).await],
            "read_recent" => vec![vec![self.get(keys[0]).await]],
            "cleanup" => {
                let deletions = each(keys.chunks(KEYS_A_REQUEST), |keys| self.delete(keys));
                vec![top().await, pages().await, deletions.await]
            }
            other => panic!("there is no operation {other}"),
        }
    }

    /// What is there, by the folder of its day.
    async fn keys(&self) -> BTreeMap<String, Vec<String>> {
        let list = self.sdk.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = BTreeMap::<_, Vec<_>>::new();
        while let Some(page) = pages.next().await {
            for key in page.unwrap().contents().iter().filter_map(|object| object.key()) {
                let folder = &key[..=key.rfind('/').unwrap()];
                keys.entry(folder.to_owned()).or_default().push(key.to_owned());
            }
        }
        keys
    }

    async fn list_days(&self) -> Request<Body> {
        let list = self.sdk.list_objects_v2().bucket(&self.bucket);
        signed!(list.prefix(&self.prefix).delimiter("/"))
    }

    /// The first page, as [`S3Storage`](attestry_s3::S3Storage) asks for it to count.
    async fn list(&self, day: &str) -> Request<Body> {
        let list = self.sdk.list_objects_v2().bucket(&self.bucket);
        signed!(list.prefix(day).start_after(day))
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

/// The requests for all of `items`.
async fn each<T, F: Future<Output = Request<Body>>>(
    items: impl IntoIterator<Item = T>,
    make: impl Fn(T) -> F,
) -> Vec<Request<Body>> {
    stream::iter(items).then(make).collect().await
}

/// Keeps a request back that is signed and about to be sent.
#[derive(Debug, Clone, Default)]
struct Keep(Arc<Mutex<Option<Request<Bytes>>>>);

impl Keep {
    fn into_request(self) -> Request<Body> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.expect("it was about to be sent").map(Body::from)
    }
}

impl Intercept for Keep {
    fn name(&self) -> &'static str {
        "Keep"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request().try_clone().ok_or("its body is in memory")?;
        let request = request.try_into_http1x()?;
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        Err("it is kept back".into())
    }
}
