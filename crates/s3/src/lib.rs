//! Storage backend for Amazon S3 and compatible servers. Each entry is one object, laid out as the Python
//! package `rotalabs-comply` does: `{prefix}{YYYY-MM-DD}/{id}.json`.
//!
//! ```no_run
//! use attestry_core::{AuditEntry, IdScheme, StorageBackend, Timestamp, hash_content};
//! use attestry_s3::S3Storage;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = S3Storage::builder("my-bucket").prefix("audit/").region("eu-central-1").connect().await?;
//! let id = IdScheme::V7.create(); // contains its day, so any process reads it with one request
//! let entry = AuditEntry::new(id.clone(), Timestamp::now(), hash_content("in"), hash_content("out"));
//! storage.write(&entry).await?;
//! assert_eq!(storage.read(&id).await?, Some(entry));
//! # Ok(()) }
//! ```
//!
//! # Promises
//!
//! In addition to those of [`StorageBackend`](attestry_core::StorageBackend):
//!
//! * **Durability.** A write returns after S3 has acknowledged the object and verified its SHA-256.
//! * **Immutability.** Each write is conditional (`If-None-Match: *`), so it replaces nothing; see
//!   [`ConditionalWrites`] for servers without support. Before a write, all other days are searched for the
//!   id. S3 has no condition across keys: two *processes* that write different entries with one id and
//!   different days at the same time may both succeed.
//! * **Order.** Entries of equal timestamp are ordered as they were written, by a sequence number in the
//!   metadata of each object. It starts from the writer's clock, so between processes the order is as exact
//!   as their clocks. Objects without it (of the Python package) are ordered by their modification time.
//! * **Bounded resources.** The number of concurrent requests
//!   ([`concurrency`](S3StorageBuilder::concurrency)) and the bytes that a scan holds
//!   ([`memory_limit`](S3StorageBuilder::memory_limit)) are limited.
//! * **Foreign and corrupt objects** below the prefix are errors that name the object. A scan yields errors
//!   for objects outside of days first, and those of a day before its entries; they hide no entry. Empty
//!   objects whose key ends with a slash, as consoles create them for folders, are ignored.
//! * **Cancel safety.** A dropped call starts no further request. Changes in flight (up to
//!   [`concurrency`](S3StorageBuilder::concurrency) entries, or four batches of a deletion) complete in the
//!   background, and later changes of the same ids wait for them.
//!
//! # Requests
//!
//! | call | requests |
//! | --- | --- |
//! | `append`, and so `AuditLogger::log` | one for each entry |
//! | `write`, `write_batch` | in addition, one for the list of days, and one or more for each other day |
//! | `read` of a version 7 id, or one recently written or read; [`read_near`](S3Storage::read_near) | one |
//! | `read` of another id | one for the list of days, and one for each day, latest first, concurrently |
//! | `scan`, `list_entries` | one for the list of days, one for 1,000 keys of each day in the range, and one for each entry; two for each entry if the day [exceeds the memory limit](S3StorageBuilder::memory_limit) |
//! | `count` | one for the list of days, and one for 1,000 keys of each day |
//! | `delete` | one for the list of days, and one for each day |
//! | `delete_at_or_before` | two for 1,000 entries, and one for each entry of the day of the cutoff; one more for each if the bucket has Object Lock enabled, or the credentials may not read that setting (`s3:GetBucketObjectLockConfiguration`) |
//!
//! # Limitations
//!
//! * In a versioned bucket a deletion only adds a delete marker. Configure a lifecycle rule that removes
//!   old versions.
//! * Objects under Object Lock are not deleted but reported, see [`DeleteFailures`]. If the credentials may
//!   not read locks (`s3:GetObjectRetention`), or a lock is set between the check and the deletion, S3 adds
//!   a delete marker instead. Whether the bucket has Object Lock enabled is read once.
//! * `delete_at_or_before` deletes days before the cutoff by their keys, including unreadable objects.
//! * The credentials need `s3:ListBucket`. Without it, S3 responds to reads of missing objects with
//!   "access denied".
//! * Directory buckets (S3 Express One Zone) do not list keys in order and are not supported.

mod bucket;
mod builder;
mod client;
mod connect;
mod day_cache;
mod delete;
mod error;
mod key;
mod key_lock;
mod list_xml;
mod listing;
mod objects;
mod options;
mod read;
mod record;
mod response;
mod retry;
mod scan;
mod sequence;
mod storage;
mod task;
mod write;

pub use builder::S3StorageBuilder;
pub use error::{ConnectError, DeleteFailure, DeleteFailures, RequestError, RequestErrorKind};
pub use objects::S3Objects;
pub use options::{ConditionalWrites, LockMode, ServerSideEncryption};
pub use storage::S3Storage;
