//! How a store is connected to.

use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;

use crate::connect::{self, ConnectError};
use crate::options::{LockMode, ObjectOptions, ServerSideEncryption};
use crate::storage::S3Storage;

/// Connects to an [`S3Storage`].
///
/// | setting | default |
/// | --- | --- |
/// | [`prefix`](Self::prefix) | `audit/` |
/// | [`region`](Self::region) | that of the environment or the profile |
/// | [`endpoint`](Self::endpoint) | that of the environment or the profile, else AWS |
/// | [`path_style`](Self::path_style) | `false` |
/// | [`credentials`](Self::credentials) | the default chain of AWS, without SSO: environment, profile, web identity, container, instance |
/// | [`client`](Self::client) | one made from the settings above |
/// | [`server_side_encryption`](Self::server_side_encryption) | what the bucket is set to |
/// | [`object_lock`](Self::object_lock) | what the bucket is set to |
/// | [`storage_class`](Self::storage_class) | `STANDARD` |
/// | [`tag`](Self::tag) | none |
/// | [`concurrency`](Self::concurrency) | 64 requests at once |
/// | [`timeout`](Self::timeout) | 30 seconds for one try |
/// | [`retries`](Self::retries), [`retry_for`](Self::retry_for) | 9, within 2 minutes |
/// | [`memory_limit`](Self::memory_limit) | 128 MiB for bodies that a scan holds |
/// | [`recent_ids`](Self::recent_ids) | 65,536 |
/// | [`check`](Self::check) | `true` |
/// | [`probe_conditional_writes`](Self::probe_conditional_writes) | `false` |
#[must_use = "nothing is connected until `connect` is awaited"]
pub struct S3StorageBuilder {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    pub(crate) client: Option<Client>,
    pub(crate) options: ObjectOptions,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) retry_for: Duration,
    pub(crate) memory_limit: u64,
    pub(crate) recent_ids: usize,
    pub(crate) check: bool,
    pub(crate) probe: bool,
}

impl S3StorageBuilder {
    pub(crate) fn new(bucket: String) -> Self {
        Self {
            bucket,
            prefix: "audit/".to_owned(),
            region: None,
            endpoint: None,
            path_style: false,
            credentials: None,
            client: None,
            options: ObjectOptions::default(),
            concurrency: 64,
            timeout: Duration::from_secs(30),
            retries: 9,
            retry_for: Duration::from_secs(120),
            memory_limit: 128 << 20,
            recent_ids: 1 << 16,
            check: true,
            probe: false,
        }
    }

    /// What the keys of the store begin with. It gets exactly one slash at its end, unless it is
    /// empty. Everything below it belongs to the store.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The bucket's region, such as `eu-central-1`.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The address of a server that speaks the protocol of S3, such as `http://localhost:8333`.
    /// Without a [`region`](Self::region) it is taken to be `us-east-1`, as most such servers say.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Names the bucket in the path rather than in the host, as most servers other than AWS want it.
    pub fn path_style(mut self, path_style: bool) -> Self {
        self.path_style = path_style;
        self
    }

    /// Where credentials come from, instead of the default chain.
    pub fn credentials(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// A client of your own. Its region, endpoint, credentials and time-outs hold, and the settings of
    /// this builder for them have no effect. Its requests are repeated as those of any other are, by
    /// [`retries`](Self::retries) and [`retry_for`](Self::retry_for), not as its own retries say.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// How S3 encrypts the objects.
    pub fn server_side_encryption(mut self, encryption: ServerSideEncryption) -> Self {
        self.options.encryption = Some(encryption);
        self
    }

    /// Locks each object until `retention_days` after the time of its entry, when `cleanup_expired`
    /// with the same retention may delete it. An entry that is as old already, or will be within
    /// the hour, gets no lock. The bucket must have Object Lock enabled.
    pub fn object_lock(mut self, mode: LockMode, retention_days: u32) -> Self {
        self.options.lock = Some((mode, retention_days));
        self
    }

    /// The storage class of the objects, such as `STANDARD_IA`.
    pub fn storage_class(mut self, class: impl Into<String>) -> Self {
        self.options.storage_class = Some(class.into());
        self
    }

    /// A tag for each object; may be called again, up to the ten that S3 allows.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.tags.push((key.into(), value.into()));
        self
    }

    /// How many requests may be under way at once, at least 1.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.clamp(1, 4_096);
        self
    }

    /// How long one try of a request may take, and the body of an answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a request is repeated that failed for a reason that may pass: S3 asks to slow down, has
    /// an error of its own, or is busy with another writer of the same key; the connection breaks, be it in
    /// the midst of an answer; of many objects some cannot be deleted yet. The pauses in between grow up to
    /// five seconds, and are drawn by lot.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long a request may take altogether, with its repetitions and its answer. Where the time is over
    /// in the midst of a try, the error is that of the try before.
    pub fn retry_for(mut self, time: Duration) -> Self {
        self.retry_for = time;
        self
    }

    /// About how many bytes of bodies one scan holds at most. Days whose bodies are more than an
    /// eighth of it are read twice: once for the order, once to hand them out. Beside it a scan
    /// holds about 200 bytes for each entry of the days it is at, of which there are at most four.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// For how many ids, those last written or read, the store remembers the day.
    pub fn recent_ids(mut self, ids: usize) -> Self {
        self.recent_ids = ids;
        self
    }

    /// Whether connecting asks S3 for the bucket. Turn it off for credentials that may write and
    /// not list (they can only [`append`](attestry_core::StorageBackend::append)).
    pub fn check(mut self, check: bool) -> Self {
        self.check = check;
        self
    }

    /// Whether connecting tries out if the server keeps objects from being replaced. A server that
    /// refuses the condition is found out without it; one that ignores it is found out by this
    /// only. Writes an object `{prefix}.attestry/probe-…` twice and deletes it.
    pub fn probe_conditional_writes(mut self, probe: bool) -> Self {
        self.probe = probe;
        self
    }

    /// Connects, and makes sure that the bucket answers.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], which says what is wrong and what to do.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing open; with
    /// [`probe_conditional_writes`](Self::probe_conditional_writes) the object tried out may stay.
    pub async fn connect(self) -> Result<S3Storage, ConnectError> {
        connect::connect(self).await
    }
}

/// Without credentials.
impl fmt::Debug for S3StorageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3StorageBuilder")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .field("options", &self.options)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
