//! Where a store lies, and with which options, read from a URL.

use std::sync::Arc;

use attestry_core::{StorageBackend, StorageError};
use thiserror::Error;

#[cfg(feature = "file")]
type Tell = Box<dyn FnOnce(&attestry_file::RecoveryReport) + Send>;

#[cfg(feature = "file")]
type TellProgress = Box<dyn Fn(attestry_file::IndexingProgress) + Send + Sync>;

/// Who wants to know what opening a store had to mend, and how far it has come.
#[derive(Default)]
pub(crate) struct Told {
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
}

#[cfg(feature = "file")]
#[derive(Debug, Default)]
pub(crate) struct FileLocation {
    pub(crate) path: std::path::PathBuf,
    pub(crate) rotation_size_mb: Option<u64>,
    pub(crate) durability: attestry_file::Durability,
    pub(crate) read_only: bool,
}

/// Why a URL does not name a store.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not begin with a scheme that is known.
    #[error(
        "{url:?} is not the URL of a store; use file:///PATH or memory: (a plain path goes to `open`)"
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
            _ => Err(InvalidUrl::UnknownScheme { url: place.to_owned() }),
        }
    }

    #[cfg_attr(not(feature = "file"), allow(unused_variables))] // nothing else needs mending
    pub(crate) async fn open(self, told: Told) -> Result<Arc<dyn StorageBackend>, StorageError> {
        match self {
            #[cfg(feature = "file")]
            Self::File(location) => {
                let mut builder = attestry_file::FileStorage::builder(location.path)
                    .durability(location.durability)
                    .read_only(location.read_only);
                if let Some(megabytes) = location.rotation_size_mb {
                    builder = builder.rotation_size_mb(megabytes);
                }
                if let Some(tell) = told.indexing {
                    builder = builder.on_indexing(tell);
                }
                let storage = builder.open().await?;
                if let Some(tell) = told.recovery
                    && !storage.recovery().is_clean()
                {
                    tell(&storage.recovery());
                }
                Ok(Arc::new(storage))
            }
            #[cfg(feature = "memory")]
            Self::Memory { max_entries } => {
                Ok(Arc::new(attestry_memory::MemoryStorage::with_max_entries(max_entries)))
            }
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
