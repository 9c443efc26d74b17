//! Where a store lies, and with which options, read from a URL.

use std::sync::Arc;

use attestry_core::StorageBackend;
use thiserror::Error;

use crate::OpenError;

#[cfg(feature = "file")]
type Tell = Box<dyn FnOnce(&attestry_file::RecoveryReport) + Send>;

#[cfg(feature = "file")]
type TellProgress = Box<dyn Fn(attestry_file::IndexingProgress) + Send + Sync>;

/// Who wants to know what opening a store had to mend, and how far it has come.
#[derive(Default)]
pub(crate) struct Callbacks {
    #[cfg(feature = "file")]
    pub(crate) recovery: Option<Tell>,
    #[cfg(feature = "file")]
    pub(crate) indexing: Option<TellProgress>,
}

/// A store that this build can open.
#[derive(Debug)]
pub(crate) enum Location {
    #[cfg(feature = "file")]
    File(FileLocation),
    #[cfg(feature = "memory")]
    Memory { max_entries: usize },
    #[cfg(feature = "s3")]
    S3(S3Location),
}

/// Absent options are the backend's own defaults.
#[cfg(feature = "s3")]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct S3Location {
    bucket: String,
    prefix: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
    path_style: Option<bool>,
}

#[cfg(feature = "file")]
#[derive(Debug, Default)]
pub(crate) struct FileLocation {
    pub(crate) path: std::path::PathBuf,
    pub(crate) rotation_size_mb: Option<u64>,
    pub(crate) durability: attestry_file::Durability,
    pub(crate) read_only: bool,
    #[cfg(feature = "evidence")]
    pub(crate) evidence: Option<Box<attestry_file::EvidenceOptions>>,
    #[cfg(feature = "evidence")]
    pub(crate) erased_by: Option<String>,
    #[cfg(feature = "evidence")]
    pub(crate) erase_reason: Option<String>,
}

#[cfg(feature = "file")]
impl FileLocation {
    pub(crate) async fn open(
        self,
        callbacks: Callbacks,
    ) -> Result<attestry_file::FileStorage, OpenError> {
        let mut builder = attestry_file::FileStorage::builder(self.path)
            .durability(self.durability)
            .read_only(self.read_only);
        if let Some(megabytes) = self.rotation_size_mb {
            builder = builder.rotation_size_mb(megabytes);
        }
        #[cfg(feature = "evidence")]
        {
            if let Some(evidence) = self.evidence {
                builder = builder.evidence(*evidence);
            }
            if let Some(name) = self.erased_by {
                builder = builder.erased_by(name);
            }
            if let Some(reason) = self.erase_reason {
                builder = builder.erase_reason(reason);
            }
        }
        if let Some(tell) = callbacks.indexing {
            builder = builder.on_indexing(tell);
        }
        let storage = builder.open().await?;
        if let Some(tell) = callbacks.recovery
            && !storage.recovery().is_clean()
        {
            tell(&storage.recovery());
        }
        Ok(storage)
    }
}

/// Why a URL does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not begin with a scheme that is known.
    #[error(
        "{url:?} is not the URL of a store; use file:///PATH, memory: or s3://BUCKET/PREFIX \
         (a plain path goes to `open`)"
    )]
    UnknownScheme {
        /// The URL without its options.
        url: String,
    },
    /// The backend is not compiled in.
    #[error(
        "this build has no {feature} backend; enable the cargo feature `{feature}` of attestry"
    )]
    NotCompiledIn {
        /// The cargo feature.
        feature: &'static str,
    },
    /// A file URL whose path is not absolute, or not UTF-8 once decoded.
    #[error("a file URL has an absolute path, like file:///var/log/audit, and no host")]
    BadPath,
    /// An S3 URL without a bucket, or with a prefix that is not UTF-8 once decoded.
    #[error("an S3 URL names a bucket and a prefix in it, like s3://my-bucket/audit")]
    BadBucket,
    /// What was asked for is done by stores of files only.
    #[error("only a store in a folder, such as file:///var/log/audit, can do that")]
    NotFiles,
    /// An option that the store does not have.
    #[error("unknown option {name:?}; a {scheme} URL takes {allowed}")]
    UnknownOption {
        /// Its name.
        name: String,
        /// The URL's scheme.
        scheme: &'static str,
        /// What may stand there.
        allowed: &'static str,
    },
    /// An option with a value it cannot have.
    #[error("option {name} must be {expected}")]
    BadOption {
        /// Its name.
        name: &'static str,
        /// What is allowed.
        expected: &'static str,
    },
}

impl Location {
    #[cfg(feature = "file")]
    pub(crate) fn folder(path: std::path::PathBuf) -> Self {
        Self::File(FileLocation { path, ..FileLocation::default() })
    }

    pub(crate) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let (place, options) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, rest)) = place.split_once(':') else {
            return Err(InvalidUrl::UnknownScheme { url: place.to_owned() });
        };
        match scheme {
            "file" => parse_file(rest, options),
            "memory" if rest.is_empty() => parse_memory(options),
            "s3" => parse_s3(rest, options),
            _ => Err(InvalidUrl::UnknownScheme { url: place.to_owned() }),
        }
    }

    #[cfg_attr(not(feature = "file"), allow(unused_variables))] // nothing else needs mending
    pub(crate) async fn open(
        self,
        callbacks: Callbacks,
    ) -> Result<Arc<dyn StorageBackend>, OpenError> {
        match self {
            #[cfg(feature = "file")]
            Self::File(location) => Ok(Arc::new(location.open(callbacks).await?)),
            #[cfg(feature = "memory")]
            Self::Memory { max_entries } => {
                Ok(Arc::new(attestry_memory::MemoryStorage::with_max_entries(max_entries)))
            }
            #[cfg(feature = "s3")]
            Self::S3(location) => Ok(Arc::new(location.builder().connect().await?)),
        }
    }
}

#[cfg(feature = "file")]
fn parse_file(rest: &str, options: &str) -> Result<Location, InvalidUrl> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| InvalidUrl::BadPath)?;
    if !path.starts_with('/') {
        return Err(InvalidUrl::BadPath);
    }
    let mut location = FileLocation { path: path.as_ref().into(), ..FileLocation::default() };
    for (name, value) in form_urlencoded::parse(options.as_bytes()) {
        match &*name {
            "rotation_size_mb" => {
                let bad = InvalidUrl::BadOption {
                    name: "rotation_size_mb",
                    expected: "a whole number of MiB, at least 1",
                };
                location.rotation_size_mb = Some(value.parse().ok().filter(|&n| n > 0).ok_or(bad)?);
            }
            "durability" => {
                location.durability = match &*value {
                    "sync" => attestry_file::Durability::Sync,
                    "buffered" => attestry_file::Durability::Buffered,
                    _ => {
                        return Err(InvalidUrl::BadOption {
                            name: "durability",
                            expected: "sync or buffered",
                        });
                    }
                }
            }
            "read_only" => {
                let bad = InvalidUrl::BadOption { name: "read_only", expected: "true or false" };
                location.read_only = value.parse().map_err(|_| bad)?;
            }
            _ => {
                let allowed = "rotation_size_mb, durability and read_only";
                return Err(InvalidUrl::UnknownOption {
                    name: name.into_owned(),
                    scheme: "file",
                    allowed,
                });
            }
        }
    }
    Ok(Location::File(location))
}

#[cfg(not(feature = "file"))]
fn parse_file(_: &str, _: &str) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::NotCompiledIn { feature: "file" })
}

#[cfg(feature = "memory")]
fn parse_memory(options: &str) -> Result<Location, InvalidUrl> {
    let mut max_entries = 0;
    for (name, value) in form_urlencoded::parse(options.as_bytes()) {
        if name != "max_entries" {
            let name = name.into_owned();
            return Err(InvalidUrl::UnknownOption {
                name,
                scheme: "memory",
                allowed: "max_entries",
            });
        }
        let bad =
            InvalidUrl::BadOption { name: "max_entries", expected: "a whole number (0: no limit)" };
        max_entries = value.parse().map_err(|_| bad)?;
    }
    Ok(Location::Memory { max_entries })
}

#[cfg(not(feature = "memory"))]
fn parse_memory(_: &str) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::NotCompiledIn { feature: "memory" })
}

#[cfg(feature = "s3")]
impl S3Location {
    fn builder(self) -> attestry_s3::S3StorageBuilder {
        let mut builder = attestry_s3::S3Storage::builder(self.bucket);
        if let Some(prefix) = self.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(region) = self.region {
            builder = builder.region(region);
        }
        if let Some(endpoint) = self.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(path_style) = self.path_style {
            builder = builder.path_style(path_style);
        }
        builder
    }
}

#[cfg(feature = "s3")]
fn parse_s3(rest: &str, options: &str) -> Result<Location, InvalidUrl> {
    let place = rest.strip_prefix("//").ok_or(InvalidUrl::BadBucket)?;
    let (bucket, prefix) = match place.split_once('/') {
        Some((bucket, prefix)) => (bucket, Some(prefix)),
        None => (place, None),
    };
    if bucket.is_empty() {
        return Err(InvalidUrl::BadBucket);
    }
    let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8();
    let prefix = prefix.map(|prefix| decode(prefix).map(std::borrow::Cow::into_owned)).transpose();
    let prefix = prefix.map_err(|_| InvalidUrl::BadBucket)?;
    let bucket = bucket.to_owned();
    let mut location = S3Location { bucket, prefix, ..S3Location::default() };
    for (name, value) in form_urlencoded::parse(options.as_bytes()) {
        let given = |expected, name| {
            let bad = InvalidUrl::BadOption { name, expected };
            if value.is_empty() { Err(bad) } else { Ok(Some(value.to_string())) }
        };
        match &*name {
            "region" => location.region = given("the name of a region", "region")?,
            "endpoint" => location.endpoint = given("the URL of a server", "endpoint")?,
            "path_style" => {
                let bad = InvalidUrl::BadOption { name: "path_style", expected: "true or false" };
                location.path_style = Some(value.parse().map_err(|_| bad)?);
            }
            _ => {
                return Err(InvalidUrl::UnknownOption {
                    name: name.into_owned(),
                    scheme: "s3",
                    allowed: "region, endpoint and path_style",
                });
            }
        }
    }
    Ok(Location::S3(location))
}

#[cfg(not(feature = "s3"))]
fn parse_s3(_: &str, _: &str) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::NotCompiledIn { feature: "s3" })
}

#[cfg(all(test, feature = "s3"))]
mod s3_tests {
    use super::*;

    fn parsed(url: &str) -> S3Location {
        match Location::parse(url) {
            Ok(Location::S3(location)) => location,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_url_names_bucket_prefix_and_options() {
        let some = |text: &str| Some(text.to_owned());
        let bare = parsed("s3://b");
        assert_eq!(bare, S3Location { bucket: "b".to_owned(), ..S3Location::default() });
        assert_eq!(parsed("s3://b/").prefix, some(""));
        assert_eq!(parsed("s3://b/logs/audit%20x/").prefix, some("logs/audit x/"));
        let full = parsed(
            "s3://b/p?region=eu-central-1&endpoint=http%3A%2F%2Flocalhost:8333&path_style=true",
        );
        assert_eq!(full.region, some("eu-central-1"));
        assert_eq!(full.endpoint, some("http://localhost:8333"));
        assert_eq!(full.path_style, Some(true));
        assert_eq!(
            parsed("s3://b?endpoint=http://localhost:1").endpoint,
            some("http://localhost:1")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for url in ["s3:", "s3://", "s3:///prefix", "s3:bucket", "s3://b/%FF"] {
            assert_eq!(Location::parse(url).unwrap_err(), InvalidUrl::BadBucket, "{url}");
        }
        for url in ["s3://b?region=", "s3://b?endpoint=", "s3://b?path_style=yes"] {
            let error = Location::parse(url).unwrap_err();
            assert!(matches!(error, InvalidUrl::BadOption { .. }), "{url}: {error}");
        }
        let error = Location::parse("s3://b?colour=red").unwrap_err();
        assert!(error.to_string().contains("region, endpoint and path_style"), "{error}");
    }
}
