//! What is asked of S3 for each object that is written.

use std::fmt;

use attestry_core::Timestamp;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types;

/// How S3 encrypts what it stores.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerSideEncryption {
    /// With keys that S3 manages (SSE-S3, AES-256).
    S3,
    /// With a key of the Key Management Service (SSE-KMS).
    Kms {
        /// The key's id or ARN, or that of an alias; `None` for the account's key for S3.
        key_id: Option<String>,
    },
}

/// Who may lift an Object Lock before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockMode {
    /// Those with the permission to bypass it.
    Governance,
    /// Nobody, not even the owner of the account.
    Compliance,
}

/// Whether the server itself keeps an object from being replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConditionalWrites {
    /// Writes carry `If-None-Match: *`; S3 refuses those of a key that is taken.
    Atomic,
    /// The server does not know that condition. Each write looks first whether the key is taken.
    /// Writers of one [`S3Storage`](crate::S3Storage) take turns and replace nothing; of two
    /// *processes* that write different entries under one id at the same moment, the later one may
    /// replace the other's.
    Emulated,
}

#[derive(Clone, Default)]
pub(crate) struct ObjectOptions {
    pub(crate) encryption: Option<ServerSideEncryption>,
    pub(crate) lock: Option<(LockMode, u32)>,
    pub(crate) storage_class: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
}

const SECONDS_PER_DAY: i64 = 86_400;
/// S3 refuses a lock whose end has passed; this much is allowed for clocks that differ.
const LEAST_LOCK_SECONDS: i64 = 3_600;

impl ObjectOptions {
    pub(crate) fn apply(
        &self,
        mut request: PutObjectFluentBuilder,
        moment: Timestamp,
    ) -> PutObjectFluentBuilder {
        match &self.encryption {
            Some(ServerSideEncryption::S3) => {
                request = request.server_side_encryption(types::ServerSideEncryption::Aes256);
            }
            Some(ServerSideEncryption::Kms { key_id }) => {
                request = request
                    .server_side_encryption(types::ServerSideEncryption::AwsKms)
                    .set_ssekms_key_id(key_id.clone());
            }
            None => {}
        }
        if let Some((mode, days)) = self.lock
            && let Some(until) = retain_until(moment, days, Timestamp::now())
        {
            let mode = match mode {
                LockMode::Governance => types::ObjectLockMode::Governance,
                LockMode::Compliance => types::ObjectLockMode::Compliance,
            };
            request = request
                .object_lock_mode(mode)
                .object_lock_retain_until_date(DateTime::from_secs(until));
        }
        if let Some(class) = &self.storage_class {
            request = request.storage_class(types::StorageClass::from(class.as_str()));
        }
        if !self.tags.is_empty() {
            let tags =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.tags).finish();
            request = request.tagging(tags);
        }
        request
    }
}

/// The second at which an entry of `moment` may go, unless that has come already: the retention
/// counts from the entry's own time, as that of `cleanup_expired` does.
fn retain_until(moment: Timestamp, days: u32, now: Timestamp) -> Option<i64> {
    let seconds = |moment: Timestamp| moment.unix_micros().div_euclid(1_000_000);
    let until = seconds(moment).saturating_add(i64::from(days) * SECONDS_PER_DAY);
    let until = until.min(seconds(Timestamp::MAX));
    (until > seconds(now) + LEAST_LOCK_SECONDS).then_some(until)
}

impl fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectOptions")
            .field("encryption", &self.encryption)
            .field("lock", &self.lock)
            .field("storage_class", &self.storage_class)
            .field("tags", &self.tags.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_the_retention_of_the_entry() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-28T12:00:00");
        let until = retain_until(at("2026-01-27T00:00:00"), 10, now).unwrap();
        assert_eq!(until * 1_000_000, at("2026-02-06").unix_micros());
        assert_eq!(retain_until(at("2025-01-01"), 10, now), None);
        assert_eq!(retain_until(now, 0, now), None);
        assert!(retain_until(Timestamp::MAX, u32::MAX, now).is_some());
    }
}
