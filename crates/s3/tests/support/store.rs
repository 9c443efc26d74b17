//! The operations of S3 on a map.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attestry_core::async_trait;
use futures_util::{TryStreamExt, stream};
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::{BUCKET, listing};

/// An object, with what was asked for when it was written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stored {
    pub(crate) body: Vec<u8>,
    /// Seconds since 1970.
    pub(crate) modified: u64,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) content_type: Option<String>,
    pub(crate) checksum: Option<String>,
    pub(crate) encryption: Option<String>,
    pub(crate) kms_key: Option<String>,
    pub(crate) lock_mode: Option<String>,
    pub(crate) retained_until: Option<Timestamp>,
    pub(crate) storage_class: Option<String>,
    pub(crate) tagging: Option<String>,
    pub(crate) locked: bool,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Refused with this code and status, nothing done.
    Refuse(&'static str, u16),
    /// Done, and then an error of the server all the same: the answer was lost.
    DoneButFailed,
    /// The body breaks off in the midst.
    BrokenBody,
    /// The answer comes so much later.
    Late(Duration),
    /// A listing says that it goes on, and not where.
    NoToken,
    /// Of a request to delete many, every object with "refused" in its key is, with this code.
    EachRefused(&'static str),
}

/// What the server does with `If-None-Match: *`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Conditions {
    #[default]
    Kept,
    NotImplemented,
    Ignored,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: Mutex<BTreeMap<String, Stored>>,
    pub(crate) requests: Mutex<Vec<String>>,
    pub(crate) faults: Mutex<Vec<(&'static str, usize, Fault)>>,
    pub(crate) conditions: Mutex<Conditions>,
    pub(crate) object_lock: AtomicBool,
    /// 0 for 1,000.
    pub(crate) page_size: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
    at_once: AtomicUsize,
}

struct UnderWay<'a>(&'a State);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

impl State {
    /// Notes the request, and lets it fail if it is to.
    async fn begin(
        &self,
        operation: &'static str,
        bucket: &str,
    ) -> S3Result<(UnderWay<'_>, Option<Fault>)> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        let under_way = UnderWay(self);
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.requests.lock().unwrap().push(operation.to_owned());
        match bucket {
            BUCKET => {}
            "forbidden" => return Err(s3_error!(AccessDenied, "Access Denied")),
            "elsewhere" => {
                let mut error = refusal("PermanentRedirect", 301);
                let told = [("x-amz-bucket-region".parse().unwrap(), "eu-west-1".parse().unwrap())];
                error.set_headers(told.into_iter().collect());
                return Err(error);
            }
            _ => return Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
        let fault = self.next_fault(operation);
        match fault {
            Some(Fault::Refuse(code, status)) => return Err(refusal(code, status)),
            Some(Fault::Late(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        Ok((under_way, fault))
    }

    fn next_fault(&self, operation: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let next = faults.iter_mut().find(|(name, left, _)| *name == operation && *left > 0)?;
        next.1 -= 1;
        Some(next.2)
    }

    fn get(&self, key: &str) -> S3Result<Stored> {
        let found = self.objects.lock().unwrap().get(key).cloned();
        found.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }
}

fn refusal(code: &'static str, status: u16) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap();
    let mut error = S3Error::with_message(code, "as the test wants it");
    error.set_status_code(status.try_into().unwrap());
    error
}

fn lost(fault: Option<Fault>) -> S3Result<()> {
    match fault {
        Some(Fault::DoneButFailed) => Err(refusal("InternalError", 500)),
        _ => Ok(()),
    }
}

fn moment(seconds: u64) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) struct Service(pub(crate) Arc<State>);

#[async_trait]
impl S3 for Service {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let (_under_way, fault) = self.0.begin("put", &input.bucket).await?;
        let conditions = *self.0.conditions.lock().unwrap();
        if input.if_none_match.is_some() && conditions == Conditions::NotImplemented {
            return Err(s3_error!(NotImplemented, "A header you provided is not implemented"));
        }
        let mut body = Vec::new();
        if let Some(mut parts) = input.body {
            let broken = |error| S3Error::with_source(S3ErrorCode::IncompleteBody, error);
            while let Some(part) = parts.try_next().await.map_err(broken)? {
                body.extend_from_slice(&part);
            }
        }
        let stored = Stored {
            body,
            modified: now(),
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            content_type: input.content_type.map(|kind| kind.to_string()),
            checksum: input.checksum_sha256,
            encryption: input.server_side_encryption.map(|kind| kind.as_str().to_owned()),
            kms_key: input.ssekms_key_id,
            lock_mode: input.object_lock_mode.map(|mode| mode.as_str().to_owned()),
            retained_until: input.object_lock_retain_until_date,
            storage_class: input.storage_class.map(|class| class.as_str().to_owned()),
            tagging: input.tagging,
            locked: false,
        };
        {
            let mut objects = self.0.objects.lock().unwrap();
            let kept = conditions == Conditions::Kept && input.if_none_match.is_some();
            if kept && objects.contains_key(&input.key) {
                return Err(s3_error!(PreconditionFailed, "it exists"));
            }
            objects.insert(input.key, stored);
        }
        lost(fault)?;
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (_under_way, fault) = self.0.begin("get", &input.bucket).await?;
        let stored = self.0.get(&input.key)?;
        let length = stored.body.len();
        let body = match fault {
            Some(Fault::BrokenBody) => {
                let half = stored.body[..length / 2].to_vec();
                let broken = std::io::Error::other("broken by the test");
                StreamingBlob::wrap(stream::iter([Ok(half.into()), Err(broken)]))
            }
            _ => {
                let whole = [Ok::<_, std::io::Error>(stored.body.into())];
                StreamingBlob::wrap(stream::iter(whole))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: Some(i64::try_from(length).unwrap()),
            last_modified: Some(moment(stored.modified)),
            metadata: Some(stored.metadata.into_iter().collect()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let (_under_way, _) = self.0.begin("head", &input.bucket).await?;
        let stored = self.0.get(&input.key)?;
        let until = stored.locked.then(|| moment(now() + 365 * 86_400));
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(i64::try_from(stored.body.len()).unwrap()),
            object_lock_mode: until
                .as_ref()
                .map(|_| ObjectLockMode::from_static(ObjectLockMode::COMPLIANCE)),
            object_lock_retain_until_date: until,
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let (_under_way, fault) = self.0.begin("list", &request.input.bucket).await?;
        let most = match self.0.page_size.load(Ordering::SeqCst) {
            0 => 1_000,
            size => size,
        };
        let objects = self.0.objects.lock().unwrap();
        let mut page = listing::page(&objects, &request.input, most);
        if matches!(fault, Some(Fault::NoToken)) {
            (page.is_truncated, page.next_continuation_token) = (Some(true), None);
        }
        Ok(S3Response::new(page))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (_under_way, fault) = self.0.begin("delete", &request.input.bucket).await?;
        self.0.objects.lock().unwrap().remove(&request.input.key);
        lost(fault)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let (_under_way, fault) = self.0.begin("delete many", &request.input.bucket).await?;
        let keys = request.input.delete.objects.into_iter().map(|object| object.key);
        let keys: Vec<_> = keys.collect();
        assert!(keys.len() <= 1_000, "S3 takes no more");
        let mut errors = Vec::new();
        let mut objects = self.0.objects.lock().unwrap();
        for key in keys {
            match fault {
                Some(Fault::EachRefused(code)) if key.contains("refused") => {
                    errors.push(s3s::dto::Error {
                        code: Some(code.to_owned()),
                        key: Some(key),
                        message: Some("no".to_owned()),
                        version_id: None,
                    });
                }
                _ => drop(objects.remove(&key)),
            }
        }
        let errors = (!errors.is_empty()).then_some(errors);
        Ok(S3Response::new(DeleteObjectsOutput { errors, ..DeleteObjectsOutput::default() }))
    }

    async fn get_object_lock_configuration(
        &self,
        request: S3Request<GetObjectLockConfigurationInput>,
    ) -> S3Result<S3Response<GetObjectLockConfigurationOutput>> {
        let (_under_way, _) = self.0.begin("lock configuration", &request.input.bucket).await?;
        if !self.0.object_lock.load(Ordering::SeqCst) {
            return Err(refusal("ObjectLockConfigurationNotFoundError", 404));
        }
        let enabled = ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED);
        let configuration =
            ObjectLockConfiguration { object_lock_enabled: Some(enabled), rule: None };
        Ok(S3Response::new(GetObjectLockConfigurationOutput {
            object_lock_configuration: Some(configuration),
        }))
    }
}
