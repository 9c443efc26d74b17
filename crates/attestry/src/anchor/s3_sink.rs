//! Keeps checkpoints in a bucket.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use attestry_anchor::{Anchor, AnchorError, HandedOver, checkpoint_file_name};
use attestry_evidence::SignedCheckpoint;
use attestry_file::FileStorage;
use attestry_s3::{ConnectError, LockMode, S3Objects, S3StorageBuilder};

use super::InvalidSink;
use crate::error::InvalidUrl;
use crate::location::S3Location;

/// Writes each checkpoint to an object of its own in an S3 bucket, if wanted under Object Lock. No object
/// is overwritten, and the credentials need no permission but `s3:PutObject`, with a lock also
/// `s3:PutObjectRetention`.
pub struct S3Sink {
    name: String,
    builder: S3StorageBuilder,
    /// Connected on first use, so that a bucket that cannot be reached does not keep a service from starting.
    objects: Mutex<Option<Arc<S3Objects>>>,
}

impl S3Sink {
    /// The bucket and prefix of `url`, with the options of [`open_url`](crate::open_url) and
    /// `lock=compliance` or `lock=governance` with `lock_days=NUMBER`. The prefix is `checkpoints/` unless
    /// the URL has one.
    ///
    /// # Errors
    ///
    /// [`InvalidSink::Url`].
    pub fn parse(url: &str) -> Result<Self, InvalidSink> {
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut days) = (None, None);
        let mut others = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(options.as_bytes()) {
            match &*name {
                "lock" => mode = Some(parse_mode(&value)?),
                "lock_days" => days = Some(parse_days(&value)?),
                _ => drop(others.append_pair(&name, &value)),
            }
        }
        let location = S3Location::parse_url(&format!("{place}?{}", others.finish()))?;
        let mut builder = location.with_default_prefix("checkpoints/").builder().check(false);
        let lock = match (mode, days) {
            (Some(mode), Some(days)) => Some((mode, days)),
            (None, None) => None,
            _ => {
                let expected = "an option beside the other: lock=compliance&lock_days=3650";
                return Err(InvalidUrl::BadOption { name: "lock", expected }.into());
            }
        };
        if let Some((mode, days)) = lock {
            builder = builder.object_lock(mode, days);
        }
        Ok(Self { name: format!("s3 {place}"), builder, objects: Mutex::new(None) })
    }

    async fn objects(&self) -> Result<Arc<S3Objects>, ConnectError> {
        let connected = self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(objects) = connected {
            return Ok(objects);
        }
        let objects = Arc::new(self.builder.clone().connect_objects().await?);
        *self.objects.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&objects));
        Ok(objects)
    }
}

fn parse_mode(value: &str) -> Result<LockMode, InvalidUrl> {
    match value {
        "compliance" => Ok(LockMode::Compliance),
        "governance" => Ok(LockMode::Governance),
        _ => Err(InvalidUrl::BadOption { name: "lock", expected: "compliance or governance" }),
    }
}

fn parse_days(value: &str) -> Result<u32, InvalidUrl> {
    let bad = InvalidUrl::BadOption { name: "lock_days", expected: "a number of days, at least 1" };
    value.parse().ok().filter(|days| *days > 0).ok_or(bad)
}

#[async_trait]
impl Anchor for S3Sink {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        _: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let failed = |message: &str, source: Box<dyn std::error::Error + Send + Sync>| {
            AnchorError::Other { message: message.to_owned(), source }
        };
        let objects = self.objects().await;
        let objects = objects.map_err(|error| failed("cannot connect to S3", Box::new(error)))?;
        let body = checkpoint.as_str().as_bytes().to_vec();
        let name = checkpoint_file_name(checkpoint);
        let written = objects.put(&name, "text/plain; charset=utf-8", body).await;
        // An object of this name is this checkpoint, handed over before.
        written.map_err(|error| failed("cannot write the checkpoint", Box::new(error)))?;
        Ok(HandedOver::default())
    }
}

impl fmt::Debug for S3Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Sink").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_has_lock_and_other_options() {
        for url in [
            "s3://b",
            "s3://b/p/?region=eu-central-1",
            "s3://b/p?lock=compliance&lock_days=3650&endpoint=http%3A%2F%2Flocalhost%3A1&path_style=true",
        ] {
            let place = url.split('?').next().unwrap();
            assert_eq!(S3Sink::parse(url).unwrap().name(), format!("s3 {place}"));
        }
        for url in [
            "s3://",
            "s3://b?lock=compliance",
            "s3://b?lock_days=3",
            "s3://b?lock=x&lock_days=3",
            "s3://b?lock=governance&lock_days=0",
            "s3://b?colour=red",
        ] {
            assert!(S3Sink::parse(url).is_err(), "{url}");
        }
    }
}
