//! Audit entries in a bucket of Amazon S3, or of a server that speaks its protocol, laid out as
//! the Python package `rotalabs-comply` lays them out: `{prefix}{YYYY-MM-DD}/{id}.json`.
//!
//! ```no_run
//! use attestry_core::{AuditEntry, IdScheme, StorageBackend, Timestamp, hash_content};
//! use attestry_s3::S3Storage;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = S3Storage::builder("my-bucket").prefix("audit/").region("eu-central-1").connect().await?;
//! let id = IdScheme::V7.create(); // found again with one request, wherever it is read
//! let entry = AuditEntry::new(id.clone(), Timestamp::now(), hash_content("in"), hash_content("out"));
//! storage.write(&entry).await?;
//! assert_eq!(storage.read(&id).await?, Some(entry));
//! # Ok(()) }
//! ```
//!
//! # Promises, beside those of [`StorageBackend`](attestry_core::StorageBackend)
//!
//! * **Acknowledged means stored.** A write returns once S3 has acknowledged the object, whose
//!   SHA-256 was checked on the way.
//! * **Nothing is replaced.** Each write is conditional (`If-None-Match: *`); see
//!   [`ConditionalWrites`] for servers that do not know the condition. An id is looked for on all
//!   other days before it is written. Two *processes* that write different entries of different
//!   days under one id at the same moment may both succeed: S3 has no condition across keys.
//! * **Order.** Entries of one moment come in the order in which they were written, by a number in
//!   each object's metadata. It begins with the writer's clock, so among several processes it is as
//!   exact as their clocks. Objects without it (of the Python package) go by when S3 received them.
//! * **Bounded.** At most so many requests are under way at once
//!   ([`concurrency`](S3StorageBuilder::concurrency)), and a scan holds at most so many bytes
//!   ([`memory_limit`](S3StorageBuilder::memory_limit)).
//! * **Foreign and corrupt objects** below the prefix are errors that name them. A scan yields those
//!   that lie in no day first, those of a day before its entries, and hides no other. Empty objects
//!   whose key ends with a slash, as consoles make them, hold nothing and are passed over.
//! * **Cancel safety.** A dropped call reads no further, and begins no further change. Changes that it
//!   has begun, of at most as many entries as requests may be under way, or of four batches to delete,
//!   are carried out in the background, and a later change of the same id takes its turn behind them.
//!
//! # What it costs
//!
//! | call | requests |
//! | --- | --- |
//! | `append`, and so `AuditLogger::log` | one for each entry |
//! | `write`, `write_batch` | besides, the days' list, and a look at each other day for the ids |
//! | `read` of an id lately written or read, or of version 7; [`read_near`](S3Storage::read_near) | one |
//! | `read` of any other id | the days' list, and one for each day, latest first, many at once |
//! | `scan`, `list_entries` | the days' list, one for 1,000 keys of a day in the range, one for each entry; two where its day is [too large to be kept](S3StorageBuilder::memory_limit) |
//! | `count` | one for 1,000 keys |
//! | `delete` | the days' list, and one for each day |
//! | `delete_at_or_before` | two for 1,000 entries, and one for each entry of the day that the cutoff lies within; one more for each where the bucket has Object Lock enabled, or may not be asked (`s3:GetBucketObjectLockConfiguration`) |
//!
//! # What to know of S3
//!
//! * In a bucket with versioning a deletion hides the object behind a marker; a rule of the bucket's
//!   lifecycle must remove old versions.
//! * An object under Object Lock is not deleted but reported, see [`DeleteFailures`]. Where the
//!   credentials may not see locks (`s3:GetObjectRetention`), or the lock comes between the look at it
//!   and the deletion, S3 hides it as above. Whether a bucket has locks is asked once.
//! * In a day that is over by the cutoff, `delete_at_or_before` goes by keys, so an object there that
//!   cannot be read goes too.
//! * Credentials need `s3:ListBucket`; without it S3 answers a look at what is not there with
//!   "access denied".
//! * Buckets of the type "directory" (S3 Express) list keys out of order and are not supported.

mod answers;
mod bucket;
mod builder;
mod connect;
mod delete;
mod error;
mod key;
mod listing;
mod options;
mod pages;
mod read;
mod recent;
mod record;
mod retry;
mod scan;
mod sequence;
mod storage;
mod turns;
mod write;

pub use aws_sdk_s3;
pub use builder::S3StorageBuilder;
pub use connect::ConnectError;
pub use error::{DeleteFailure, DeleteFailures, RequestError, RequestErrorKind};
pub use options::{ConditionalWrites, LockMode, ServerSideEncryption};
pub use storage::S3Storage;
