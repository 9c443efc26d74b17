//! Requests to one bucket: bounded in number, retried, with errors classified.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attestry_core::metrics::StorageCounters;
use attestry_core::{CorruptRecord, MAX_LINE_BYTES, StorageError, Timestamp, event};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::delete_objects::DeleteObjects;
use aws_sdk_s3::operation::get_object_lock_configuration::GetObjectLockConfiguration;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, Delete, ObjectIdentifier, ObjectLockEnabled, ObjectLockLegalHoldStatus,
};
use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::error::{DeleteFailure, RequestError, RequestErrorKind};
use crate::key::Layout;
use crate::options::{ConditionalWrites, ObjectOptions};
use crate::response::CompleteBody;
use crate::retry::{RetryPolicy, RetryState};
use crate::sequence;

/// Unit of the memory semaphore, in bytes.
const MEMORY_UNIT: u64 = 1 << 10;
/// The longest body of an entry: its line may end with a line break.
const MAX_BODY_BYTES: u64 = MAX_LINE_BYTES as u64 + 1;
/// A server must reject a conditional write with `NotImplemented` this often before the condition is
/// dropped.
const CONDITIONAL_ATTEMPTS: u32 = 2;
const CONDITIONAL_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Bucket {
    client: Client,
    name: String,
    pub(crate) layout: Layout,
    options: ObjectOptions,
    requests: Semaphore,
    /// Bounds the bytes of bodies being fetched, in units of [`MEMORY_UNIT`].
    memory: Semaphore,
    memory_units: u32,
    concurrency: usize,
    body_timeout: Duration,
    retries: RetryPolicy,
    pub(crate) counters: Arc<StorageCounters>,
    /// Set once the server is known not to support conditional writes.
    unconditional: AtomicBool,
    object_lock: OnceCell<bool>,
}

/// A fetched object.
pub(crate) struct Object {
    pub(crate) body: Vec<u8>,
    /// Orders entries of equal timestamp.
    pub(crate) sequence: u64,
}

enum Fetched {
    Object(Object),
    Missing,
    /// Its body is longer than the given limit.
    Longer,
    /// Its body is too long to be an entry; with its length.
    TooLarge(u64),
}

/// The content type of an entry.
pub(crate) const JSON: &str = "application/json";

/// An object to be written.
pub(crate) struct NewObject {
    pub(crate) body: Bytes,
    pub(crate) content_type: &'static str,
    /// Orders entries of equal timestamp.
    pub(crate) sequence: u64,
    /// The start of the retention.
    pub(crate) timestamp: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    Stored,
    /// The key exists; its object is unchanged.
    Exists,
}

impl Bucket {
    pub(crate) fn new(
        client: Client,
        name: String,
        layout: Layout,
        options: ObjectOptions,
        limits: Limits,
    ) -> Self {
        let units = (limits.fetch_bytes / MEMORY_UNIT).clamp(1, u64::from(u32::MAX) / 8);
        let memory_units = u32::try_from(units).unwrap_or(u32::MAX / 8);
        Self {
            client,
            name,
            layout,
            options,
            requests: Semaphore::new(limits.concurrency),
            memory: Semaphore::new(memory_units as usize),
            memory_units,
            concurrency: limits.concurrency,
            body_timeout: limits.body_timeout,
            retries: limits.retries,
            counters: Arc::default(),
            unconditional: AtomicBool::new(false),
            object_lock: OnceCell::new(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Starts a request.
    pub(crate) fn attempts(&self) -> RetryState {
        self.retries.start(&self.counters)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The maximum number of concurrent requests.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(crate) fn location(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.name)
    }

    pub(crate) fn corrupt(&self, key: &str, reason: impl Into<String>) -> StorageError {
        CorruptRecord::new(self.location(key), reason).into()
    }

    pub(crate) fn failed(
        &self,
        action: &'static str,
        key: &str,
        error: RequestError,
    ) -> StorageError {
        error.into_storage_error(action, self.location(key))
    }

    pub(crate) async fn permit(&self) -> Result<SemaphorePermit<'_>, StorageError> {
        // The semaphore is never closed.
        self.requests.acquire().await.map_err(|_| StorageError::Closed)
    }

    /// Fetches the object of `key`. Reserves memory for `size`, the expected length of its body; a longer
    /// body is fetched again, with memory for it. The server may state no length or a wrong one.
    pub(crate) async fn get(&self, key: &str, size: u64) -> Result<Option<Object>, StorageError> {
        let _permit = self.permit().await?;
        let mut expected = size;
        loop {
            let units = u32::try_from(expected.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX);
            let units = units.clamp(1, self.memory_units);
            let _memory =
                self.memory.acquire_many(units).await.map_err(|_| StorageError::Closed)?;
            let limit = match expected {
                // With all memory if there is less.
                MAX_BODY_BYTES.. => MAX_BODY_BYTES,
                _ => u64::from(units) * MEMORY_UNIT,
            };
            match self.attempts().run(|| self.try_get(key, limit)).await {
                Ok(Fetched::Object(object)) => return Ok(Some(object)),
                Ok(Fetched::Missing) => return Ok(None),
                Ok(Fetched::Longer) if limit < MAX_BODY_BYTES => expected = MAX_BODY_BYTES,
                Ok(Fetched::Longer) => {
                    let reason = format!("the object has more than {MAX_LINE_BYTES} bytes");
                    return Err(self.corrupt(key, reason));
                }
                Ok(Fetched::TooLarge(length)) => return Err(self.corrupt(key, too_large(length))),
                Err(error) => return Err(self.failed("read", key, error)),
            }
        }
    }

    /// Reads at most `limit` bytes of the body.
    async fn try_get(&self, key: &str, limit: u64) -> Result<Fetched, RequestError> {
        let response = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(response) => response,
            Err(error) if is_missing(&error) || is_invalid_key(key, &error) => {
                return Ok(Fetched::Missing);
            }
            Err(error) => return Err(RequestError::from_sdk(error)),
        };
        let length = response.content_length().and_then(|length| u64::try_from(length).ok());
        match length {
            Some(length) if length > MAX_BODY_BYTES => return Ok(Fetched::TooLarge(length)),
            Some(length) if length > limit => return Ok(Fetched::Longer),
            _ => {}
        }
        let metadata = response.metadata().and_then(|fields| fields.get(sequence::METADATA_KEY));
        let sequence = metadata
            .and_then(|text| sequence::from_text(text))
            .unwrap_or_else(|| nanos(response.last_modified()));
        match tokio::time::timeout(self.body_timeout, read_body(response.body, limit)).await {
            Ok(Ok(Some(body))) => Ok(Fetched::Object(Object { body, sequence })),
            Ok(Ok(None)) => Ok(Fetched::Longer),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(RequestError::timed_out()),
        }
    }

    /// The headers of the object of `key`, if it exists.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>, StorageError> {
        let permit = self.permit().await?;
        let response = self.attempts().run(|| self.try_head(key)).await;
        drop(permit);
        let error = match response {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        // The response to HEAD has no body, so only GET tells an invalid key from other bad requests.
        if error.status() == Some(400) && self.get(key, 0).await?.is_none() {
            return Ok(None);
        }
        Err(self.failed("look up", key, error))
    }

    async fn try_head(&self, key: &str) -> Result<Option<HeadObjectOutput>, RequestError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(response) => Ok(Some(response)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(RequestError::from_sdk(error)),
        }
    }

    /// Writes an object unless its key exists.
    pub(crate) async fn put(
        &self,
        key: &str,
        object: &NewObject,
    ) -> Result<PutOutcome, StorageError> {
        let mut conditional = self.conditional_writes() == ConditionalWrites::Atomic;
        let mut rejections = 0;
        loop {
            if !conditional && self.head(key).await?.is_some() {
                return Ok(PutOutcome::Exists);
            }
            let permit = self.permit().await?;
            // The retry timeout starts here, after waiting for the permit.
            let response = self.attempts().run(|| self.try_put(key, object, conditional)).await;
            drop(permit);
            match response {
                Ok(()) => {
                    if !conditional {
                        self.disable_conditional_writes();
                    }
                    self.counters.stored(1, object.body.len());
                    event!(DEBUG, key = %key, bytes = object.body.len(), "object stored");
                    return Ok(PutOutcome::Stored);
                }
                Err(error) if error.status() == Some(412) => return Ok(PutOutcome::Exists),
                // The cause may be another header, or a proxy in front of the server. Conditional
                // writes are disabled only after repeated rejections and a success without the
                // condition.
                Err(error) if conditional && error.kind() == RequestErrorKind::NotImplemented => {
                    rejections += 1;
                    conditional = rejections < CONDITIONAL_ATTEMPTS;
                    tokio::time::sleep(CONDITIONAL_PAUSE).await;
                }
                Err(error) => return Err(self.failed("write", key, error)),
            }
        }
    }

    async fn try_put(
        &self,
        key: &str,
        object: &NewObject,
        conditional: bool,
    ) -> Result<(), RequestError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type(object.content_type)
            .metadata(sequence::METADATA_KEY, sequence::to_text(object.sequence))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_if_none_match(conditional.then(|| "*".to_owned()))
            .body(ByteStream::from(object.body.clone()));
        match self.options.apply(request, object.timestamp).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(RequestError::from_sdk(error)),
        }
    }

    pub(crate) fn conditional_writes(&self) -> ConditionalWrites {
        match self.unconditional.load(Ordering::Relaxed) {
            true => ConditionalWrites::Emulated,
            false => ConditionalWrites::Atomic,
        }
    }

    pub(crate) fn disable_conditional_writes(&self) {
        if !self.unconditional.swap(true, Ordering::Relaxed) {
            event!(WARN, bucket = %self.name, "conditional writes are emulated");
        }
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let _permit = self.permit().await?;
        let deleted = self.attempts().run(|| self.try_delete(key)).await;
        deleted.map_err(|error| self.failed("delete", key, error))
    }

    async fn try_delete(&self, key: &str) -> Result<(), RequestError> {
        match self.client.delete_object().bucket(&self.name).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(RequestError::from_sdk(error)),
        }
    }

    /// Deletes at most 1,000 objects and returns the failures. Retries the keys with transient errors.
    pub(crate) async fn delete_many(
        &self,
        mut keys: Vec<String>,
    ) -> Result<Vec<DeleteFailure>, StorageError> {
        let _permit = self.permit().await?;
        let mut attempts = self.attempts();
        let (mut permanent, mut transient) = (Vec::new(), Vec::new());
        loop {
            match attempts.run(|| self.try_delete_many(&keys)).await {
                Ok(failures) => {
                    // A server may return a key altered; retrying that one could delete another object.
                    let is_transient = |failure: &DeleteFailure| {
                        failure.is_retryable() && keys.contains(&failure.key)
                    };
                    let (retryable, rest): (Vec<_>, Vec<_>) =
                        failures.into_iter().partition(is_transient);
                    permanent.extend(rest);
                    transient = retryable;
                }
                // The failures of the previous attempt are more specific than this error.
                Err(_) if !transient.is_empty() => break,
                Err(error) => {
                    return Err(self.failed("delete entries of", self.layout.prefix(), error));
                }
            }
            let Some(first) = transient.first() else { break };
            let error = RequestError::service(&first.code, &first.message);
            if attempts.backoff(error).await.is_err() {
                break;
            }
            keys = transient.iter().map(|failure| failure.key.clone()).collect();
        }
        permanent.append(&mut transient);
        Ok(permanent)
    }

    async fn try_delete_many(&self, keys: &[String]) -> Result<Vec<DeleteFailure>, RequestError> {
        let objects = keys.iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let delete = objects
            .collect::<Result<Vec<_>, _>>()
            .and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build())
            .map_err(|error| RequestError::other(error.to_string()))?;
        let request = self
            .client
            .delete_objects()
            .bucket(&self.name)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .delete(delete);
        let request = request.customize().interceptor(CompleteBody::new(DeleteObjects::new()));
        let response = request.send().await.map_err(RequestError::from_sdk)?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let failures = response.errors().iter().map(|error| DeleteFailure {
            key: text(error.key()),
            code: text(error.code()),
            message: text(error.message()),
        });
        Ok(failures.filter(|failure| failure.code != "NoSuchKey").collect())
    }

    /// Whether the bucket has Object Lock enabled. Assumes so if the credentials may not read the
    /// setting. The response is cached.
    pub(crate) async fn may_lock_objects(&self) -> Result<bool, StorageError> {
        self.object_lock
            .get_or_try_init(|| async {
                let _permit = self.permit().await?;
                let error = match self.attempts().run(|| self.try_get_object_lock()).await {
                    Ok(enabled) => return Ok(enabled),
                    Err(error) => error,
                };
                match (error.kind(), error.status()) {
                    (RequestErrorKind::AccessDenied, _) => Ok(true),
                    (RequestErrorKind::NotImplemented, _) | (_, Some(400 | 404 | 405)) => Ok(false),
                    _ => Err(self.failed("read the Object Lock setting of", "", error)),
                }
            })
            .await
            .copied()
    }

    async fn try_get_object_lock(&self) -> Result<bool, RequestError> {
        let request = self.client.get_object_lock_configuration().bucket(&self.name);
        let complete = CompleteBody::new(GetObjectLockConfiguration::new());
        let request = request.customize().interceptor(complete);
        let response = request.send().await.map_err(RequestError::from_sdk)?;
        let configuration = response.object_lock_configuration();
        let enabled = configuration.and_then(|found| found.object_lock_enabled());
        Ok(enabled == Some(&ObjectLockEnabled::Enabled))
    }
}

/// Reads a body; `None` if it has more than `limit` bytes.
async fn read_body(mut body: ByteStream, limit: u64) -> Result<Option<Vec<u8>>, RequestError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.try_next().await.map_err(RequestError::incomplete_body)? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// Limits of the requests to a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) concurrency: usize,
    /// Maximum number of bytes of bodies being fetched.
    pub(crate) fetch_bytes: u64,
    pub(crate) body_timeout: Duration,
    pub(crate) retries: RetryPolicy,
}

pub(crate) fn too_large(bytes: u64) -> String {
    format!("the object has {bytes} bytes; at most {MAX_LINE_BYTES} are allowed")
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = error.as_service_error().and_then(|error| error.code());
    status == Some(404) && code != Some("NoSuchBucket")
}

/// Whether the server cannot store an object of this key: with control characters, or a name longer
/// than the file names of the server. For other keys `InvalidRequest` has another cause, such as an
/// object encrypted with a key of the customer (SSE-C).
fn is_invalid_key<E: ProvideErrorMetadata>(key: &str, error: &SdkError<E, HttpResponse>) -> bool {
    const MAX_FILE_NAME: usize = 255;
    let name = key.rsplit('/').next().unwrap_or(key);
    let may_be_invalid = name.len() > MAX_FILE_NAME || key.chars().any(char::is_control);
    match error.as_service_error().and_then(|error| error.code()) {
        Some("InvalidURI" | "KeyTooLongError") => true,
        Some("InvalidRequest") => may_be_invalid,
        _ => false,
    }
}

fn nanos(time: Option<&DateTime>) -> u64 {
    let nanos = time.map_or(0, DateTime::as_nanos);
    u64::try_from(nanos).unwrap_or(0)
}

/// If the object is locked, until when, as text.
pub(crate) fn locked_until(object: &HeadObjectOutput) -> Option<String> {
    if object.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On) {
        return Some("under a legal hold".to_owned());
    }
    let until = object.object_lock_retain_until_date()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = u64::try_from(until.secs()).unwrap_or(0);
    let mode = object.object_lock_mode().map_or("LOCKED", |mode| mode.as_str());
    (seconds > now.as_secs()).then(|| format!("retained until {until} ({mode})"))
}
