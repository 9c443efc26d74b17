//! Options of the objects that are written.

use std::fmt;

use attestry_core::Timestamp;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types;

/// How S3 encrypts objects at rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerSideEncryption {
    /// With keys that S3 manages (SSE-S3, AES-256).
    S3,
    /// With a key of the Key Management Service (SSE-KMS).
    Kms {
        /// The id, ARN or alias of the key; `None` for the AWS managed key `aws/s3`.
        key_id: Option<String>,
    },
}

/// Retention mode of Object Lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LockMode {
    /// Users with the permission `s3:BypassGovernanceRetention` may lift the lock early.
    Governance,
    /// No user may lift the lock early, including the root user of the account.
    Compliance,
}

/// How writes are kept from replacing an existing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConditionalWrites {
    /// Writes carry `If-None-Match: *`; the server refuses a write to an existing key.
    Atomic,
    /// The server does not support the condition, so a HEAD precedes each write. Writes through one
    /// [`S3Storage`](crate::S3Storage) are serialised by id and replace nothing. If two *processes*
    /// write different entries of one id at the same time, the later one may replace the earlier.
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
/// S3 refuses a retention date in the past. The margin allows for clock differences.
const MIN_LOCK_SECONDS: i64 = 3_600;

impl ObjectOptions {
    pub(crate) fn apply(
        &self,
        mut request: PutObjectFluentBuilder,
        timestamp: Timestamp,
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
            && let Some(until) = retain_until(timestamp, days, Timestamp::now())
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

/// The retention date in seconds since 1970, or `None` if it is too close or in the past. It counts
/// from the entry's timestamp, as `cleanup_expired` does.
fn retain_until(timestamp: Timestamp, days: u32, now: Timestamp) -> Option<i64> {
    let seconds = |timestamp: Timestamp| timestamp.unix_micros().div_euclid(1_000_000);
    let until = seconds(timestamp).saturating_add(i64::from(days) * SECONDS_PER_DAY);
    let until = until.min(seconds(Timestamp::MAX));
    (until > seconds(now) + MIN_LOCK_SECONDS).then_some(until)
}

/// Without the tags, whose values may be confidential.
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
    fn lock_ends_with_the_retention_of_the_entry() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-01-28T12:00:00");
        let until = retain_until(at("2026-01-27T00:00:00"), 10, now).unwrap();
        assert_eq!(until * 1_000_000, at("2026-02-06").unix_micros());
        assert_eq!(retain_until(at("2025-01-01"), 10, now), None);
        assert_eq!(retain_until(now, 0, now), None);
        assert!(retain_until(Timestamp::MAX, u32::MAX, now).is_some());
    }
}
