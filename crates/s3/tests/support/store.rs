//! The operations of S3 on a map in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attestry_core::async_trait;
use futures_util::{TryStreamExt, stream};
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::{BUCKET, listing};

/// An object with the options of the request that wrote it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredObject {
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

/// How the server handles `If-None-Match: *`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ConditionSupport {
    #[default]
    Enforced,
    NotImplemented,
    Ignored,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: Mutex<BTreeMap<String, StoredObject>>,
    pub(crate) condition_support: Mutex<ConditionSupport>,
    pub(crate) object_lock: AtomicBool,
    /// 0 means 1,000.
    pub(crate) page_size: AtomicUsize,
    /// Number of `DeleteObjects` requests that report this code for each key that contains "refused".
    pub(crate) refusals: Mutex<(usize, &'static str)>,
}

impl State {
    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        match bucket {
            BUCKET => Ok(()),
            "forbidden" => Err(s3_error!(AccessDenied, "Access Denied")),
            "elsewhere" => {
                let mut error = error_response("PermanentRedirect", 301);
                let headers =
                    [("x-amz-bucket-region".parse().unwrap(), "eu-west-1".parse().unwrap())];
                error.set_headers(headers.into_iter().collect());
                Err(error)
            }
            _ => Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
    }

    fn next_refusal(&self) -> Option<&'static str> {
        let mut refusals = self.refusals.lock().unwrap();
        refusals.0 = refusals.0.checked_sub(1)?;
        Some(refusals.1)
    }

    fn get(&self, key: &str) -> S3Result<StoredObject> {
        let found = self.objects.lock().unwrap().get(key).cloned();
        found.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }
}

fn error_response(code: &'static str, status: u16) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap();
    let mut error = S3Error::with_message(code, "injected");
    error.set_status_code(status.try_into().unwrap());
    error
}

fn timestamp(seconds: u64) -> Timestamp {
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
        self.0.check_bucket(&input.bucket)?;
        let support = *self.0.condition_support.lock().unwrap();
        if input.if_none_match.is_some() && support == ConditionSupport::NotImplemented {
            return Err(s3_error!(NotImplemented, "A header you provided is not implemented"));
        }
        let mut body = Vec::new();
        if let Some(mut chunks) = input.body {
            let incomplete = |error| S3Error::with_source(S3ErrorCode::IncompleteBody, error);
            while let Some(chunk) = chunks.try_next().await.map_err(incomplete)? {
                body.extend_from_slice(&chunk);
            }
        }
        let object = StoredObject {
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
            let conditional =
                support == ConditionSupport::Enforced && input.if_none_match.is_some();
            if conditional && objects.contains_key(&input.key) {
                return Err(s3_error!(PreconditionFailed, "it exists"));
            }
            objects.insert(input.key, object);
        }
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        self.0.check_bucket(&input.bucket)?;
        let object = self.0.get(&input.key)?;
        let length = object.body.len();
        let body = StreamingBlob::wrap(stream::iter([Ok::<_, std::io::Error>(object.body.into())]));
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: Some(i64::try_from(length).unwrap()),
            last_modified: Some(timestamp(object.modified)),
            metadata: Some(object.metadata.into_iter().collect()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        self.0.check_bucket(&input.bucket)?;
        let object = self.0.get(&input.key)?;
        let retained_until = object.locked.then(|| timestamp(now() + 365 * 86_400));
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(i64::try_from(object.body.len()).unwrap()),
            object_lock_mode: retained_until
                .as_ref()
                .map(|_| ObjectLockMode::from_static(ObjectLockMode::COMPLIANCE)),
            object_lock_retain_until_date: retained_until,
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.0.check_bucket(&request.input.bucket)?;
        let page_size = match self.0.page_size.load(Ordering::SeqCst) {
            0 => 1_000,
            size => size,
        };
        let objects = self.0.objects.lock().unwrap();
        Ok(S3Response::new(listing::page(&objects, &request.input, page_size)))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.check_bucket(&request.input.bucket)?;
        self.0.objects.lock().unwrap().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.check_bucket(&request.input.bucket)?;
        let keys = request.input.delete.objects.into_iter().map(|object| object.key);
        let keys: Vec<_> = keys.collect();
        assert!(keys.len() <= 1_000, "the limit of S3");
        let refusal = self.0.next_refusal();
        let mut errors = Vec::new();
        let mut objects = self.0.objects.lock().unwrap();
        for key in keys {
            match refusal {
                Some(code) if key.contains("refused") => {
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
        self.0.check_bucket(&request.input.bucket)?;
        if !self.0.object_lock.load(Ordering::SeqCst) {
            return Err(error_response("ObjectLockConfigurationNotFoundError", 404));
        }
        let enabled = ObjectLockEnabled::from_static(ObjectLockEnabled::ENABLED);
        let configuration =
            ObjectLockConfiguration { object_lock_enabled: Some(enabled), rule: None };
        Ok(S3Response::new(GetObjectLockConfigurationOutput {
            object_lock_configuration: Some(configuration),
        }))
    }
}
