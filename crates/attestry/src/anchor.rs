//! Hands checkpoints over to witnesses, timestamp authorities and places elsewhere (feature `anchor`).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let guard = tempfile::tempdir()?;
//! # let path = guard.path().join("audit");
//! # let elsewhere = guard.path().to_owned();
//! use std::time::Duration;
//!
//! use attestry::Interaction;
//! use attestry::anchor::{Dispatcher, FolderSink};
//! use attestry::evidence::{EvidenceExt, EvidenceOptions, SigningKey};
//!
//! let key = SigningKey::generate("example.com/audit")?;
//! let log = attestry::open(path).evidence(EvidenceOptions::new(key)).await?;
//! let anchors = Dispatcher::builder().anchor(FolderSink::new(elsewhere)).start(log.storage().clone())?;
//!
//! log.log(Interaction::new("What is 2+2?", "4")).await?;
//!
//! // At the end: a last checkpoint, then the anchors, then the log.
//! log.evidence()?.checkpoint().await?;
//! let status = anchors.close(Duration::from_secs(10)).await;
//! assert!(!status[0].pending, "{status:?}");
//! log.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "s3")]
mod s3_sink;

use thiserror::Error;

pub use attestry_anchor::*;
#[cfg(feature = "s3")]
pub use s3_sink::S3Sink;

use crate::error::InvalidUrl;

/// Why a text names no place for checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidSink {
    /// The part before the colon is unknown, or nothing follows it.
    #[error(
        "{text:?} is none of folder:PATH, file:PATH, command:COMMAND, git:CLONE and s3://BUCKET/PREFIX"
    )]
    Unknown {
        /// The text.
        text: String,
    },
    /// The S3 URL is invalid.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
}

/// The place for checkpoints that `text` names.
///
/// | text | anchor |
/// | --- | --- |
/// | `folder:/mnt/worm/checkpoints` | [`FolderSink`]: a file for each checkpoint |
/// | `file:/mnt/share/checkpoints` | [`FileSink`]: one file, appended to |
/// | `command:mail -s checkpoint dpo@example.com` | [`CommandSink`]: the checkpoint is its standard input |
/// | `git:/srv/checkpoints` | [`GitSink`]: commit in this clone, and push |
/// | `s3://bucket/prefix?lock=compliance&lock_days=3650` | `S3Sink`: an object for each checkpoint (feature `s3`); other options as in [`open_url`](crate::open_url) |
///
/// ```
/// let anchor = attestry::anchor::sink("folder:/mnt/worm/checkpoints")?;
/// assert_eq!(anchor.name(), "folder /mnt/worm/checkpoints");
/// # Ok::<(), attestry::anchor::InvalidSink>(())
/// ```
///
/// # Errors
///
/// [`InvalidSink`].
pub fn sink(text: &str) -> Result<Box<dyn Anchor>, InvalidSink> {
    let unknown = || InvalidSink::Unknown { text: text.to_owned() };
    let (kind, rest) = text.split_once(':').ok_or_else(unknown)?;
    if rest.is_empty() {
        return Err(unknown());
    }
    Ok(match kind {
        "folder" => Box::new(FolderSink::new(rest)),
        "file" => Box::new(FileSink::new(rest)),
        "command" => Box::new(CommandSink::new(rest)),
        "git" => Box::new(GitSink::new(rest)),
        #[cfg(feature = "s3")]
        "s3" => Box::new(S3Sink::parse(text)?),
        #[cfg(not(feature = "s3"))]
        "s3" => return Err(InvalidUrl::NotCompiledIn { feature: "s3" }.into()),
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_sinks() {
        for (text, name) in [
            ("folder:/a b", "folder /a b"),
            ("file:all", "file all"),
            ("command:mail a:b", "command mail a:b"),
            ("git:/srv/c", "git /srv/c"),
        ] {
            assert_eq!(sink(text).unwrap().name(), name);
        }
        for text in ["", "folder", "folder:", "/mnt/x", "https://x", "s3"] {
            assert!(matches!(sink(text), Err(InvalidSink::Unknown { .. })), "{text}");
        }
    }
}
