//! The requests that are made of S3, each with a bounded number under way at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attestry_core::{CorruptRecord, MAX_LINE_BYTES, StorageError, Timestamp};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::delete_objects::DeleteObjects;
use aws_sdk_s3::operation::get_object_lock_configuration::GetObjectLockConfiguration;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumAlgorithm, Delete, ObjectIdentifier, ObjectLockEnabled};
use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::answers::ReadWhole;
use crate::error::{DeleteFailure, RequestError, RequestErrorKind};
use crate::key::Layout;
use crate::options::{ConditionalWrites, ObjectOptions};
use crate::retry::Retries;
use crate::sequence;

/// Bodies under way are counted in units of so many bytes.
const UNIT: u64 = 1 << 10;
/// How often a write is tried with its condition where the server says that it does not know that.
const CONDITIONAL_TRIES: u32 = 2;
/// Between two of these.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Bucket {
    client: Client,
    name: String,
    pub(crate) layout: Layout,
    options: ObjectOptions,
    requests: Semaphore,
    /// Of bodies that are being fetched.
    memory: Semaphore,
    memory_units: u32,
    concurrency: usize,
    body_timeout: Duration,
    retries: Retries,
    /// Set once the server is known not to do conditional writes.
    unconditional: AtomicBool,
    locking: OnceCell<bool>,
}

/// An object as it was fetched.
pub(crate) struct Object {
    pub(crate) body: Vec<u8>,
    /// Its place among entries of one moment.
    pub(crate) order: u64,
}

/// What came of a look for an object.
enum Fetched {
    Whole(Object),
    Nothing,
    /// It has so many bytes.
    TooLarge(u64),
}

/// An object to be written.
pub(crate) struct New {
    pub(crate) body: Bytes,
    /// Its place among entries of one moment.
    pub(crate) order: u64,
    /// What its retention counts from.
    pub(crate) moment: Timestamp,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    Stored,
    /// There is an object of this key, and it was left alone.
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
        let units = (limits.fetch_bytes / UNIT).clamp(1, u64::from(u32::MAX) / 8);
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
            unconditional: AtomicBool::new(false),
            locking: OnceCell::new(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn retries(&self) -> Retries {
        self.retries
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How many requests may be under way.
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
        // Nobody closes it.
        self.requests.acquire().await.map_err(|_| StorageError::Closed)
    }

    /// The object of `key`, if there is one; `size` as far as it is known.
    pub(crate) async fn get(&self, key: &str, size: u64) -> Result<Option<Object>, StorageError> {
        let _permit = self.permit().await?;
        let units =
            u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.memory_units);
        let _memory = self.memory.acquire_many(units).await.map_err(|_| StorageError::Closed)?;
        match self.retries.begin().run(|| self.get_once(key)).await {
            Ok(Fetched::Whole(object)) => Ok(Some(object)),
            Ok(Fetched::Nothing) => Ok(None),
            Ok(Fetched::TooLarge(length)) => Err(self.corrupt(key, too_large(length))),
            Err(error) => Err(self.failed("read", key, error)),
        }
    }

    async fn get_once(&self, key: &str) -> Result<Fetched, RequestError> {
        let answer = match self.client.get_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => answer,
            Err(error) if is_missing(&error) || refuses_key(key, &error) => {
                return Ok(Fetched::Nothing);
            }
            Err(error) => return Err(RequestError::of(error)),
        };
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        if let Some(length) = length.filter(|&length| length > MAX_LINE_BYTES as u64 + 1) {
            return Ok(Fetched::TooLarge(length));
        }
        let metadata = answer.metadata().and_then(|metadata| metadata.get(sequence::METADATA_KEY));
        let written = metadata.and_then(|text| sequence::from_text(text));
        let order = written.unwrap_or_else(|| nanos(answer.last_modified()));
        match tokio::time::timeout(self.body_timeout, answer.body.collect()).await {
            Ok(Ok(body)) => Ok(Fetched::Whole(Object { body: body.to_vec(), order })),
            Ok(Err(error)) => Err(RequestError::broken_off(error)),
            Err(_) => Err(RequestError::timed_out()),
        }
    }

    /// What is known of the object of `key` without its body, if there is one.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>, StorageError> {
        let permit = self.permit().await?;
        let answer = self.retries.begin().run(|| self.head_once(key)).await;
        drop(permit);
        let error = match answer {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        // Only the answer to a GET has a body that says what was bad about the request.
        if error.status() == Some(400) && self.get(key, 0).await?.is_none() {
            return Ok(None);
        }
        Err(self.failed("look for", key, error))
    }

    async fn head_once(&self, key: &str) -> Result<Option<HeadObjectOutput>, RequestError> {
        match self.client.head_object().bucket(&self.name).key(key).send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(RequestError::of(error)),
        }
    }

    /// Writes the object of `key` unless there is one.
    pub(crate) async fn put(&self, key: &str, new: &New) -> Result<Put, StorageError> {
        let mut conditional = self.conditional_writes() == ConditionalWrites::Atomic;
        let mut unknown = 0;
        loop {
            if !conditional && self.head(key).await?.is_some() {
                return Ok(Put::Exists);
            }
            let permit = self.permit().await?;
            // Its time begins when it is made, not when it gets in line.
            let answer = self.retries.begin().run(|| self.put_once(key, new, conditional)).await;
            drop(permit);
            match answer {
                Ok(()) => {
                    if !conditional {
                        self.without_conditions();
                    }
                    return Ok(Put::Stored);
                }
                Err(error) if error.status() == Some(412) => return Ok(Put::Exists),
                // It may be something else that the server does not know, or what stands before it
                // that failed. Only where it says so twice, and then does the same without the
                // condition, no condition is sent any more.
                Err(error) if conditional && error.kind() == RequestErrorKind::NotImplemented => {
                    unknown += 1;
                    conditional = unknown < CONDITIONAL_TRIES;
                    tokio::time::sleep(UNKNOWN_PAUSE).await;
                }
                Err(error) => return Err(self.failed("write", key, error)),
            }
        }
    }

    async fn put_once(&self, key: &str, new: &New, conditional: bool) -> Result<(), RequestError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type("application/json")
            .metadata(sequence::METADATA_KEY, sequence::to_text(new.order))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_if_none_match(conditional.then(|| "*".to_owned()))
            .body(ByteStream::from(new.body.clone()));
        match self.options.apply(request, new.moment).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(RequestError::of(error)),
        }
    }

    pub(crate) fn conditional_writes(&self) -> ConditionalWrites {
        match self.unconditional.load(Ordering::Relaxed) {
            true => ConditionalWrites::Emulated,
            false => ConditionalWrites::Atomic,
        }
    }

    pub(crate) fn without_conditions(&self) {
        self.unconditional.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let _permit = self.permit().await?;
        let deleted = self.retries.begin().run(|| self.delete_once(key)).await;
        deleted.map_err(|error| self.failed("delete", key, error))
    }

    async fn delete_once(&self, key: &str) -> Result<(), RequestError> {
        match self.client.delete_object().bucket(&self.name).key(key).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(RequestError::of(error)),
        }
    }

    /// Deletes at most 1,000 objects, and returns those that stay. Those of which the server says that
    /// it may do so later are asked for again.
    pub(crate) async fn delete_many(
        &self,
        mut keys: Vec<String>,
    ) -> Result<Vec<DeleteFailure>, StorageError> {
        let _permit = self.permit().await?;
        let mut tries = self.retries.begin();
        let (mut stay, mut later) = (Vec::new(), Vec::new());
        loop {
            match tries.run(|| self.delete_many_once(&keys)).await {
                Ok(failures) => {
                    // A key that the server gives back otherwise than it was given may be another's.
                    let passes =
                        |told: &DeleteFailure| told.is_retryable() && keys.contains(&told.key);
                    let (passing, lasting): (Vec<_>, Vec<_>) =
                        failures.into_iter().partition(passes);
                    stay.extend(lasting);
                    later = passing;
                }
                // What is known of these is that they stay.
                Err(_) if !later.is_empty() => break,
                Err(error) => {
                    return Err(self.failed("delete entries of", self.layout.prefix(), error));
                }
            }
            let Some(told) = later.first() else { break };
            if tries.again(RequestError::told(&told.code, &told.message)).await.is_err() {
                break;
            }
            keys = later.iter().map(|told| told.key.clone()).collect();
        }
        stay.append(&mut later);
        Ok(stay)
    }

    async fn delete_many_once(&self, keys: &[String]) -> Result<Vec<DeleteFailure>, RequestError> {
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
        let request = request.customize().interceptor(ReadWhole::new(DeleteObjects::new()));
        let answer = request.send().await.map_err(RequestError::of)?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let failures = answer.errors().iter().map(|error| DeleteFailure {
            key: text(error.key()),
            code: text(error.code()),
            message: text(error.message()),
        });
        Ok(failures.filter(|failure| failure.code != "NoSuchKey").collect())
    }

    /// Whether objects of this bucket may be locked. Asked once; where S3 will not say, they may.
    pub(crate) async fn may_lock(&self) -> Result<bool, StorageError> {
        self.locking
            .get_or_try_init(|| async {
                let _permit = self.permit().await?;
                let error = match self.retries.begin().run(|| self.ask_for_locking()).await {
                    Ok(locking) => return Ok(locking),
                    Err(error) => error,
                };
                match (error.kind(), error.status()) {
                    (RequestErrorKind::AccessDenied, _) => Ok(true),
                    (RequestErrorKind::NotImplemented, _) | (_, Some(400 | 404 | 405)) => Ok(false),
                    _ => Err(self.failed("ask for the locks of", "", error)),
                }
            })
            .await
            .copied()
    }

    async fn ask_for_locking(&self) -> Result<bool, RequestError> {
        let request = self.client.get_object_lock_configuration().bucket(&self.name);
        let whole = ReadWhole::new(GetObjectLockConfiguration::new());
        let request = request.customize().interceptor(whole);
        let answer = request.send().await.map_err(RequestError::of)?;
        let configuration = answer.object_lock_configuration();
        let enabled = configuration.and_then(|found| found.object_lock_enabled());
        Ok(enabled == Some(&ObjectLockEnabled::Enabled))
    }
}

/// How much may be under way at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) concurrency: usize,
    pub(crate) fetch_bytes: u64,
    pub(crate) body_timeout: Duration,
    pub(crate) retries: Retries,
}

pub(crate) fn too_large(bytes: u64) -> String {
    format!("the object has {bytes} bytes; at most {MAX_LINE_BYTES} are allowed")
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    let code = error.as_service_error().and_then(|answer| answer.code());
    status == Some(404) && code != Some("NoSuchBucket")
}

/// Whether the server can hold no object of such a key: one with control characters, or longer
/// than the names of its files may be. What is invalid about a request with another key is something
/// else, such as that the object is encrypted with a key of somebody's own.
fn refuses_key<E: ProvideErrorMetadata>(key: &str, error: &SdkError<E, HttpResponse>) -> bool {
    const LONGEST_NAME: usize = 255;
    let name = key.rsplit('/').next().unwrap_or(key);
    let is_odd = name.len() > LONGEST_NAME || key.chars().any(char::is_control);
    match error.as_service_error().and_then(|answer| answer.code()) {
        Some("InvalidURI" | "KeyTooLongError") => true,
        Some("InvalidRequest") => is_odd,
        _ => false,
    }
}

pub(crate) fn nanos(moment: Option<&DateTime>) -> u64 {
    let nanos = moment.map_or(0, DateTime::as_nanos);
    u64::try_from(nanos).unwrap_or(0)
}

/// Until when an object is locked, if it is.
pub(crate) fn locked_until(object: &HeadObjectOutput) -> Option<String> {
    use aws_sdk_s3::types::ObjectLockLegalHoldStatus;
    if object.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On) {
        return Some("it is under a legal hold".to_owned());
    }
    let until = object.object_lock_retain_until_date()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = u64::try_from(until.secs()).unwrap_or(0);
    let mode = object.object_lock_mode().map_or("LOCKED", |mode| mode.as_str());
    (seconds > now.as_secs()).then(|| format!("it is retained until {until} ({mode})"))
}
