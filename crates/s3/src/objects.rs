//! Objects that are not entries.

use std::fmt;

use attestry_core::{StorageError, Timestamp};
use bytes::Bytes;

use crate::bucket::{Bucket, NewObject, PutOutcome};

/// Writes objects that are not entries below a prefix, such as the checkpoints of another store. Keys are never
/// overwritten. The options of the builder apply, among them
/// [`object_lock`](crate::S3StorageBuilder::object_lock), whose period then begins with the write.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use attestry_s3::{LockMode, S3Storage};
///
/// let bucket = S3Storage::builder("evidence").prefix("checkpoints/").object_lock(LockMode::Compliance, 3_650);
/// let objects = bucket.check(false).connect_objects().await?;
/// let is_new = objects.put("checkpoint-17", "text/plain", "…").await?;
/// # drop(is_new);
/// # Ok(()) }
/// ```
pub struct S3Objects(Bucket);

impl S3Objects {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self(bucket)
    }

    /// Writes an object whose key is the prefix and `name`. Returns `false` if the key exists; its object is
    /// unchanged then.
    ///
    /// # Errors
    ///
    /// [`StorageError`], after the retries.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have written the object.
    pub async fn put(
        &self,
        name: &str,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Result<bool, StorageError> {
        let key = format!("{}{name}", self.0.layout.prefix());
        let object =
            NewObject { body: body.into(), content_type, sequence: 0, timestamp: Timestamp::now() };
        Ok(self.0.put(&key, &object).await? == PutOutcome::Stored)
    }
}

impl fmt::Debug for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Objects")
            .field("bucket", &self.0.name())
            .field("prefix", &self.0.layout.prefix())
            .finish_non_exhaustive()
    }
}
