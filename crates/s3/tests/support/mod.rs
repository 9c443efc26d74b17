//! An S3 server in the test process: `s3s` implements the protocol including signatures, `store` the
//! behaviour of S3 on a map in memory. A proxy in front of it injects faults.
#![allow(dead_code, clippy::unwrap_used)] // shared by tests, none of which uses everything

pub(crate) mod checks;
mod listener;
mod listing;
mod proxy;
mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use attestry_core::{AuditEntry, StorageBackend, StorageError, Timestamp, hash_content};
use attestry_s3::{S3Storage, S3StorageBuilder};
use aws_sdk_s3::config::Credentials;
use s3s::S3;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use listener::Listener;
pub(crate) use proxy::{Fault, Proxy};
pub(crate) use store::{ConditionSupport, State, StoredObject};

pub(crate) const BUCKET: &str = "bucket";

/// Starts a server without a proxy.
pub(crate) async fn serve(operations: impl S3) -> Listener {
    let mut service = S3ServiceBuilder::new(operations);
    service.set_auth(SimpleAuth::from_single("access", "secret"));
    Listener::start(service.build()).await
}

/// A running server with its proxy. Dropping it stops both.
pub(crate) struct Server {
    state: Arc<State>,
    listener: Listener,
    proxy: Proxy,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(State::default());
        let listener = serve(store::Service(Arc::clone(&state))).await;
        let proxy = Proxy::start(&listener.endpoint()).await;
        Self { state, listener, proxy }
    }

    /// The endpoint of the proxy.
    pub(crate) fn endpoint(&self) -> String {
        self.proxy.endpoint()
    }

    /// The endpoint of the server, without the proxy.
    pub(crate) fn direct_endpoint(&self) -> String {
        self.listener.endpoint()
    }

    /// A builder for the bucket, with valid credentials.
    pub(crate) fn builder(&self) -> S3StorageBuilder {
        self.builder_for(BUCKET, "access", "secret")
    }

    /// As [`builder`](Self::builder), without the proxy, which takes a third of the time. No faults.
    pub(crate) fn direct(&self) -> S3StorageBuilder {
        builder(&self.direct_endpoint(), BUCKET, "access", "secret")
    }

    pub(crate) fn builder_for(&self, bucket: &str, key: &str, secret: &str) -> S3StorageBuilder {
        builder(&self.endpoint(), bucket, key, secret)
    }

    pub(crate) async fn connect(&self) -> S3Storage {
        self.builder().connect().await.unwrap()
    }

    /// Stores an object as another program would.
    pub(crate) fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        self.put_at(key, body, 1_769_591_700);
    }

    /// As [`put`](Self::put), `seconds` after 1970.
    pub(crate) fn put_at(&self, key: &str, body: impl Into<Vec<u8>>, seconds: u64) {
        let object =
            StoredObject { body: body.into(), modified: seconds, ..StoredObject::default() };
        self.state.objects.lock().unwrap().insert(key.to_owned(), object);
    }

    pub(crate) fn put_entry(&self, entry: &AuditEntry) {
        self.put(&key_of(entry), body_of(entry));
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.objects.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn object(&self, key: &str) -> StoredObject {
        self.state.objects.lock().unwrap()[key].clone()
    }

    /// Locks the object for a year with Object Lock.
    pub(crate) fn lock(&self, key: &str) {
        let mut objects = self.state.objects.lock().unwrap();
        objects.get_mut(key).unwrap().locked = true;
    }

    pub(crate) fn enable_object_lock(&self) {
        self.state.object_lock.store(true, Ordering::SeqCst);
    }

    pub(crate) fn set_page_size(&self, keys: usize) {
        self.state.page_size.store(keys, Ordering::SeqCst);
    }

    pub(crate) fn set_condition_support(&self, support: ConditionSupport) {
        *self.state.condition_support.lock().unwrap() = support;
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The next `times` `DeleteObjects` report `code` for each key that contains "refused".
    pub(crate) fn refuse_keys(&self, times: usize, code: &'static str) {
        *self.state.refusals.lock().unwrap() = (times, code);
    }

    /// See [`Proxy::inject`].
    pub(crate) fn inject(&self, operation: &'static str, times: usize, fault: Fault) {
        self.proxy.inject(operation, times, fault);
    }

    pub(crate) fn clear_faults(&self) {
        self.proxy.clear_faults();
    }

    /// The operations requested since the last call.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        self.proxy.take_requests()
    }

    pub(crate) fn max_concurrent_requests(&self) -> usize {
        self.proxy.max_concurrent_requests()
    }
}

pub(crate) fn builder(endpoint: &str, bucket: &str, key: &str, secret: &str) -> S3StorageBuilder {
    S3Storage::builder(bucket)
        .endpoint(endpoint)
        .region("us-east-1")
        .path_style(true)
        .credentials(Credentials::new(key, secret, None, None, "test"))
        .timeout(Duration::from_secs(20))
}

pub(crate) fn key_of(entry: &AuditEntry) -> String {
    let (year, month, day) = entry.timestamp.date();
    format!("audit/{year:04}-{month:02}-{day:02}/{}.json", entry.id)
}

pub(crate) fn body_of(entry: &AuditEntry) -> Vec<u8> {
    attestry_core::line::encode(entry).unwrap().trim_ascii_end().to_vec()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn entry(id: &str, timestamp: &str) -> AuditEntry {
    AuditEntry::new(id.parse().unwrap(), at(timestamp), hash_content(id), hash_content("out"))
}

pub(crate) async fn list_all(storage: &S3Storage) -> Result<Vec<AuditEntry>, StorageError> {
    storage.list_entries(Timestamp::MIN, Timestamp::MAX).await
}

pub(crate) fn ids(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

/// The messages of an error and of its sources.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
