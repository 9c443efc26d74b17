//! The builder of an [`S3Storage`].

use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;

use attestry_core::event;

use crate::client::StoreClient;
use crate::connect::{ConnectSettings, connect};
use crate::error::ConnectError;
use crate::objects::S3Objects;
use crate::options::{LockMode, ServerSideEncryption};
use crate::storage::S3Storage;

/// Connects to an [`S3Storage`].
///
/// | setting | default |
/// | --- | --- |
/// | [`prefix`](Self::prefix) | `audit/` |
/// | [`region`](Self::region) | from the environment or the profile |
/// | [`endpoint`](Self::endpoint) | from the environment or the profile, else AWS |
/// | [`path_style`](Self::path_style) | `false` |
/// | [`credentials`](Self::credentials) | the default provider chain of AWS, without SSO: environment, profile, web identity, container, instance |
/// | [`client`](Self::client) | built from the settings above |
/// | [`server_side_encryption`](Self::server_side_encryption) | the default of the bucket |
/// | [`object_lock`](Self::object_lock) | the default of the bucket |
/// | [`storage_class`](Self::storage_class) | `STANDARD` |
/// | [`tag`](Self::tag) | none |
/// | [`concurrency`](Self::concurrency) | 64 requests |
/// | [`timeout`](Self::timeout) | 30 seconds for an attempt |
/// | [`max_retries`](Self::max_retries), [`retry_timeout`](Self::retry_timeout) | 9 retries within 2 minutes |
/// | [`memory_limit`](Self::memory_limit) | 128 MiB of bodies for a scan |
/// | [`recent_ids`](Self::recent_ids) | 65,536 |
/// | [`check`](Self::check) | `true` |
/// | [`probe_conditional_writes`](Self::probe_conditional_writes) | `false` |
///
/// A clone has the same settings and connects independently.
#[derive(Clone)]
#[must_use = "nothing is connected until `connect` is awaited"]
pub struct S3StorageBuilder {
    connect: ConnectSettings,
    recent_ids: usize,
}

impl S3Storage {
    /// A builder for a store in `bucket`; `S3Storage(bucket, prefix="audit/", region=None)` of the Python
    /// package.
    pub fn builder(bucket: impl Into<String>) -> S3StorageBuilder {
        S3StorageBuilder { connect: ConnectSettings::new(bucket.into()), recent_ids: 1 << 16 }
    }
}

impl S3StorageBuilder {
    /// The common prefix of all keys of the store. Unless it is empty, it gets exactly one trailing
    /// slash. Everything below it belongs to the store.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.connect.prefix = prefix.into();
        self
    }

    /// The region of the bucket, such as `eu-central-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.connect.region = Some(region.into());
        self
    }

    /// The URL of an S3-compatible server, such as `http://localhost:8333`. The
    /// [`region`](Self::region) then defaults to `us-east-1`, as on most such servers.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.connect.endpoint = Some(url.into());
        self
    }

    /// Whether the [`endpoint`](Self::endpoint) may be `http://` to another machine. Credentials are signed, but
    /// entries cross the network unencrypted: only for networks that are trusted.
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.connect.insecure = insecure;
        self
    }

    /// Whether URLs name the bucket in the path instead of the host. Most servers other than AWS
    /// require it.
    pub fn path_style(mut self, path_style: bool) -> Self {
        self.connect.path_style = path_style;
        self
    }

    /// The credentials provider, instead of the default chain. The trait, and `Credentials` that
    /// implement it, are those of `aws-credential-types = "1.2"`, which `aws-sdk-s3` re-exports.
    pub fn credentials(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.connect.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// A client of the AWS SDK, instead of one built from the settings. Its region, endpoint,
    /// credentials and timeouts apply; these settings of the builder have no effect. Its retry
    /// configuration is replaced by [`max_retries`](Self::max_retries) and
    /// [`retry_timeout`](Self::retry_timeout).
    ///
    /// No other part of this crate's API needs the SDK, and the SDK is not re-exported. To build a
    /// client, depend on `aws-sdk-s3 = "1.119"`, that is, any version from 1.119 below 2.
    pub fn client(mut self, client: Client) -> Self {
        self.connect.client = Some(client);
        self
    }

    /// How S3 encrypts the objects at rest.
    pub fn server_side_encryption(mut self, encryption: ServerSideEncryption) -> Self {
        self.connect.options.encryption = Some(encryption);
        self
    }

    /// Locks each object until `retention_days` after its entry's timestamp, from when
    /// `cleanup_expired` with the same retention deletes it. Entries whose retention ends within the
    /// next hour, or has ended, get no lock. The bucket must have Object Lock enabled.
    pub fn object_lock(mut self, mode: LockMode, retention_days: u32) -> Self {
        self.connect.options.lock = Some((mode, retention_days));
        self
    }

    /// The storage class of the objects, such as `STANDARD_IA`.
    pub fn storage_class(mut self, class: impl Into<String>) -> Self {
        self.connect.options.storage_class = Some(class.into());
        self
    }

    /// Adds a tag to each object. S3 allows up to ten.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.connect.options.tags.push((key.into(), value.into()));
        self
    }

    /// The maximum number of concurrent requests, between 1 and 4,096; values outside are clamped.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.connect.concurrency = requests.clamp(1, 4_096);
        self
    }

    /// The timeout of one attempt of a request, and of reading the body of its response.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.connect.timeout = timeout;
        self
    }

    /// How often a request is retried after a transient error: S3 throttles it, has an internal error or
    /// a conflicting write of the same key; the connection breaks, also within a response; some keys of
    /// a batch cannot be deleted yet. Retries use exponential backoff with full jitter, capped at 5 s.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.connect.max_retries = retries;
        self
    }

    /// The timeout of a request including its retries and its response. If it passes during an attempt,
    /// the error is that of the attempt before.
    pub fn retry_timeout(mut self, timeout: Duration) -> Self {
        self.connect.retry_timeout = timeout;
        self
    }

    /// The approximate maximum of bytes that a scan holds in bodies. A day whose bodies exceed an eighth
    /// of it is read twice: once to sort it, once to stream it. In addition a scan holds about 200
    /// bytes for each entry of the days it has loaded, at most four.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.connect.memory_limit = bytes;
        self
    }

    /// The capacity, in ids, of the cache that maps recently written or read ids to their days.
    pub fn recent_ids(mut self, ids: usize) -> Self {
        self.recent_ids = ids;
        self
    }

    /// Whether connecting verifies that the bucket can be listed. Disable it for credentials that may
    /// write and not list; such credentials can only
    /// [`append`](attestry_core::StorageBackend::append).
    pub fn check(mut self, check: bool) -> Self {
        self.connect.check = check;
        self
    }

    /// Whether connecting tests that the server supports conditional writes. Without the test, a server
    /// that rejects them is detected at the first write; one that ignores them is not detected. Writes
    /// an object `{prefix}.attestry/probe-…` twice and deletes it.
    pub fn probe_conditional_writes(mut self, probe: bool) -> Self {
        self.connect.probe = probe;
        self
    }

    /// Connects, and verifies that the bucket responds.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which names the problem and how to solve it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing open. With
    /// [`probe_conditional_writes`](Self::probe_conditional_writes) the test object may remain.
    pub async fn connect(self) -> Result<S3Storage, ConnectError> {
        let day_bytes = self.connect.memory_limit / 8;
        let bucket = connect(self.connect).await?;
        event!(INFO, bucket = bucket.name(), prefix = bucket.layout.prefix(), "store opened");
        Ok(S3Storage::new(StoreClient::new(bucket, self.recent_ids, day_bytes)))
    }

    /// Connects to write objects that are not entries. Their keys begin with the [`prefix`](Self::prefix).
    ///
    /// # Errors
    ///
    /// [`ConnectError`], as [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_objects(self) -> Result<S3Objects, ConnectError> {
        Ok(S3Objects::new(connect(self.connect).await?))
    }
}

/// Without the credentials.
impl fmt::Debug for S3StorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3StorageBuilder")
            .field("bucket", &self.connect.bucket)
            .field("prefix", &self.connect.prefix)
            .field("region", &self.connect.region)
            .field("path_style", &self.connect.path_style)
            .field("options", &self.connect.options)
            .field("concurrency", &self.connect.concurrency)
            .finish_non_exhaustive()
    }
}
