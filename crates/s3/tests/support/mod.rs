//! An S3 server in the tests' own process: `s3s` brings the protocol, signatures included, and the
//! map in `store` the behaviour of S3. Before it stands a proxy, with faults on demand.
#![allow(dead_code, clippy::unwrap_used)] // helpers of tests, of which none uses all

pub(crate) mod checks;
mod listener;
mod listing;
mod proxy;
mod store;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use attestry_core::{AuditEntry, StorageBackend, StorageError, Timestamp, hash_content};
use attestry_s3::aws_sdk_s3::config::Credentials;
use attestry_s3::{S3Storage, S3StorageBuilder};
use s3s::S3;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use listener::Listener;
pub(crate) use proxy::{Fault, Proxy};
pub(crate) use store::{Conditions, State, Stored};

pub(crate) const BUCKET: &str = "bucket";

/// A server without a proxy before it.
pub(crate) async fn serve(operations: impl S3) -> Listener {
    let mut service = S3ServiceBuilder::new(operations);
    service.set_auth(SimpleAuth::from_single("access", "secret"));
    Listener::start(service.build()).await
}

/// A running server with its proxy; both end when this is dropped.
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

    /// That of the proxy.
    pub(crate) fn endpoint(&self) -> String {
        self.proxy.endpoint()
    }

    /// That of the server itself.
    pub(crate) fn behind_the_proxy(&self) -> String {
        self.listener.endpoint()
    }

    /// As [`builder`](Self::builder), of the server itself: nothing fails, and a proxy would take a
    /// third of the time.
    pub(crate) fn direct(&self) -> S3StorageBuilder {
        builder(&self.behind_the_proxy(), BUCKET, "access", "secret")
    }

    /// A builder for the bucket of this server, with its credentials and short pauses.
    pub(crate) fn builder(&self) -> S3StorageBuilder {
        self.builder_for(BUCKET, "access", "secret")
    }

    pub(crate) fn builder_for(&self, bucket: &str, key: &str, secret: &str) -> S3StorageBuilder {
        builder(&self.endpoint(), bucket, key, secret)
    }

    pub(crate) async fn connect(&self) -> S3Storage {
        self.builder().connect().await.unwrap()
    }

    pub(crate) fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        self.put_at(key, body, 1_769_591_700);
    }

    /// An object as another program would have put it there, so many seconds after 1970.
    pub(crate) fn put_at(&self, key: &str, body: impl Into<Vec<u8>>, seconds: u64) {
        let stored = Stored { body: body.into(), modified: seconds, ..Stored::default() };
        self.state.objects.lock().unwrap().insert(key.to_owned(), stored);
    }

    pub(crate) fn put_entry(&self, entry: &AuditEntry) {
        self.put(&key_of(entry), body_of(entry));
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.objects.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn object(&self, key: &str) -> Stored {
        self.state.objects.lock().unwrap()[key].clone()
    }

    /// Locks the object for a year, as Object Lock does.
    pub(crate) fn lock(&self, key: &str) {
        let mut objects = self.state.objects.lock().unwrap();
        objects.get_mut(key).unwrap().locked = true;
    }

    pub(crate) fn enable_object_lock(&self) {
        self.state.object_lock.store(true, Ordering::SeqCst);
    }

    pub(crate) fn page_size(&self, keys: usize) {
        self.state.page_size.store(keys, Ordering::SeqCst);
    }

    pub(crate) fn conditions(&self, conditions: Conditions) {
        *self.state.conditions.lock().unwrap() = conditions;
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The next `times` requests to delete many refuse, with this code, what has "refused" in its key.
    pub(crate) fn refuse_each(&self, times: usize, code: &'static str) {
        *self.state.refusals.lock().unwrap() = (times, code);
    }

    /// The next `times` requests of this kind fail so.
    pub(crate) fn fail(&self, operation: &'static str, times: usize, fault: Fault) {
        self.proxy.fail(operation, times, fault);
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.proxy.heal();
    }

    /// The requests since the last call, by their operation.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.proxy.requests()
    }

    /// The most requests that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.proxy.most_at_once()
    }
}

/// A builder for a server with these credentials.
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

pub(crate) fn entry(id: &str, moment: &str) -> AuditEntry {
    AuditEntry::new(id.parse().unwrap(), at(moment), hash_content(id), hash_content("out"))
}

pub(crate) async fn all(storage: &S3Storage) -> Result<Vec<AuditEntry>, StorageError> {
    storage.list_entries(Timestamp::MIN, Timestamp::MAX).await
}

pub(crate) fn ids(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.id.as_str()).collect()
}

/// An error with all its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
