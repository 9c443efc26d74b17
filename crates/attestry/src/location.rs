//! The location of a store and the options of its URL.

use std::sync::Arc;

#[cfg(any(feature = "memory", feature = "s3"))]
use attestry_core::ReadOnly;
use attestry_core::StorageBackend;

use crate::OpenError;
use crate::error::InvalidUrl;
use crate::settings::StoreSettings;

/// A store that this build can open.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    #[cfg(feature = "file")]
    Folder(std::path::PathBuf),
    #[cfg(feature = "memory")]
    Memory { max_entries: usize },
    #[cfg(feature = "s3")]
    S3(S3Location),
}

/// Absent options have the backend's defaults.
#[cfg(feature = "s3")]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct S3Location {
    bucket: String,
    prefix: Option<String>,
    region: Option<String>,
    endpoint: Option<String>,
    insecure: bool,
    path_style: Option<bool>,
}

impl Location {
    /// The location that `url` names, and the settings among its options.
    pub(crate) fn parse(url: &str) -> Result<(Self, StoreSettings), InvalidUrl> {
        let (store, options) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, rest)) = store.split_once(':') else {
            return Err(InvalidUrl::UnknownScheme { url: store.to_owned() });
        };
        let mut settings = StoreSettings::default();
        let location = match scheme {
            "file" => parse_file(rest, options, &mut settings),
            "memory" if rest.is_empty() => parse_memory(options, &mut settings),
            "s3" => parse_s3(rest, options, &mut settings),
            _ => Err(InvalidUrl::UnknownScheme { url: store.to_owned() }),
        };
        Ok((location?, settings))
    }

    #[cfg_attr(
        not(any(feature = "file", feature = "memory", feature = "s3")),
        allow(unused_variables)
    )]
    pub(crate) async fn open(
        self,
        settings: StoreSettings,
    ) -> Result<Arc<dyn StorageBackend>, OpenError> {
        match self {
            #[cfg(feature = "file")]
            Self::Folder(path) => Ok(Arc::new(settings.open_folder(path).await?)),
            #[cfg(feature = "memory")]
            Self::Memory { max_entries } => {
                settings.must_suit("memory:")?;
                let storage = attestry_memory::MemoryStorage::with_max_entries(max_entries);
                Ok(guarded(storage, settings.read_only, "memory:".to_owned()))
            }
            #[cfg(feature = "s3")]
            Self::S3(location) => {
                settings.must_suit("s3:")?;
                let prefix = location.prefix.clone().unwrap_or_else(|| "audit/".to_owned());
                let name = format!("s3://{}/{prefix}", location.bucket);
                let storage = location.builder().connect().await?;
                Ok(guarded(storage, settings.read_only, name))
            }
        }
    }
}

/// `storage`, behind [`ReadOnly`] if `read_only`.
#[cfg(any(feature = "memory", feature = "s3"))]
fn guarded(
    storage: impl StorageBackend + 'static,
    read_only: bool,
    name: String,
) -> Arc<dyn StorageBackend> {
    if read_only { Arc::new(ReadOnly::new(storage, name)) } else { Arc::new(storage) }
}

#[cfg(feature = "file")]
fn parse_file(
    rest: &str,
    options: &str,
    settings: &mut StoreSettings,
) -> Result<Location, InvalidUrl> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| InvalidUrl::BadPath)?;
    if !path.starts_with('/') {
        return Err(InvalidUrl::BadPath);
    }
    for (name, value) in form_urlencoded::parse(options.as_bytes()) {
        match &*name {
            "rotation_size_mb" => {
                let bad = InvalidUrl::BadOption {
                    name: "rotation_size_mb",
                    expected: "a whole number of MiB, at least 1",
                };
                let size = value.parse().ok().filter(|&size| size > 0).ok_or(bad)?;
                settings.file.rotation_size_mb = Some(size);
            }
            "durability" => {
                settings.file.durability = Some(match &*value {
                    "sync" => attestry_file::Durability::Sync,
                    "buffered" => attestry_file::Durability::Buffered,
                    _ => {
                        return Err(InvalidUrl::BadOption {
                            name: "durability",
                            expected: "sync or buffered",
                        });
                    }
                });
            }
            // Without a value, no key is indexed.
            "indexed_metadata_keys" => {
                let keys = value.split(',').filter(|key| !key.is_empty()).map(str::to_owned);
                settings.file.indexed_metadata_keys = Some(keys.collect());
            }
            "read_only" => settings.read_only = parse_bool("read_only", &value)?,
            _ => {
                let allowed = "rotation_size_mb, durability, indexed_metadata_keys and read_only";
                return unknown(name, "file", allowed);
            }
        }
    }
    Ok(Location::Folder(path.as_ref().into()))
}

#[cfg(not(feature = "file"))]
fn parse_file(_: &str, _: &str, _: &mut StoreSettings) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::NotCompiledIn { feature: "file" })
}

#[cfg(feature = "memory")]
fn parse_memory(options: &str, settings: &mut StoreSettings) -> Result<Location, InvalidUrl> {
    let mut max_entries = 0;
    for (name, value) in form_urlencoded::parse(options.as_bytes()) {
        match &*name {
            "max_entries" => {
                let expected = "a whole number (0: no limit)";
                let bad = InvalidUrl::BadOption { name: "max_entries", expected };
                max_entries = value.parse().map_err(|_| bad)?;
            }
            "read_only" => settings.read_only = parse_bool("read_only", &value)?,
            _ => return unknown(name, "memory", "max_entries and read_only"),
        }
    }
    Ok(Location::Memory { max_entries })
}

#[cfg(not(feature = "memory"))]
fn parse_memory(_: &str, _: &mut StoreSettings) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::NotCompiledIn { feature: "memory" })
}

#[cfg(feature = "s3")]
impl S3Location {
    #[cfg(feature = "anchor")]
    pub(crate) fn parse_url(url: &str) -> Result<Self, InvalidUrl> {
        match Location::parse(url)? {
            (Location::S3(location), _) => Ok(location),
            _ => Err(InvalidUrl::BadBucket),
        }
    }

    #[cfg(feature = "anchor")]
    pub(crate) fn with_default_prefix(mut self, prefix: &str) -> Self {
        self.prefix.get_or_insert_with(|| prefix.to_owned());
        self
    }

    pub(crate) fn builder(self) -> attestry_s3::S3StorageBuilder {
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
        builder = builder.insecure(self.insecure);
        if let Some(path_style) = self.path_style {
            builder = builder.path_style(path_style);
        }
        builder
    }
}

#[cfg(feature = "s3")]
fn parse_s3(
    rest: &str,
    options: &str,
    settings: &mut StoreSettings,
) -> Result<Location, InvalidUrl> {
    let store = rest.strip_prefix("//").ok_or(InvalidUrl::BadBucket)?;
    let (bucket, prefix) = match store.split_once('/') {
        Some((bucket, prefix)) => (bucket, Some(prefix)),
        None => (store, None),
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
        let not_empty = |expected, name| {
            let bad = InvalidUrl::BadOption { name, expected };
            if value.is_empty() { Err(bad) } else { Ok(Some(value.to_string())) }
        };
        match &*name {
            "region" => location.region = not_empty("the name of a region", "region")?,
            "endpoint" => location.endpoint = not_empty("the URL of a server", "endpoint")?,
            "insecure" => location.insecure = parse_bool("insecure", &value)?,
            "path_style" => location.path_style = Some(parse_bool("path_style", &value)?),
            "read_only" => settings.read_only = parse_bool("read_only", &value)?,
            _ => {
                return unknown(name, "s3", "region, endpoint, insecure, path_style and read_only");
            }
        }
    }
    Ok(Location::S3(location))
}

#[cfg(not(feature = "s3"))]
fn parse_s3(_: &str, _: &str, _: &mut StoreSettings) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::NotCompiledIn { feature: "s3" })
}

#[cfg(any(feature = "file", feature = "memory", feature = "s3"))]
fn parse_bool(name: &'static str, value: &str) -> Result<bool, InvalidUrl> {
    value.parse().map_err(|_| InvalidUrl::BadOption { name, expected: "true or false" })
}

#[cfg(any(feature = "file", feature = "memory", feature = "s3"))]
fn unknown(
    name: std::borrow::Cow<'_, str>,
    scheme: &'static str,
    allowed: &'static str,
) -> Result<Location, InvalidUrl> {
    Err(InvalidUrl::UnknownOption { name: name.into_owned(), scheme, allowed })
}

#[cfg(all(test, feature = "file"))]
mod file_tests {
    use super::*;

    #[test]
    fn url_names_the_indexed_metadata_keys() {
        let keys = |options: &str| {
            let (_, settings) = Location::parse(&format!("file:///x{options}")).unwrap();
            settings.file.indexed_metadata_keys
        };
        assert_eq!(keys(""), None);
        assert_eq!(keys("?indexed_metadata_keys="), Some(Vec::new()));
        let two = Some(vec!["user.id".to_owned(), "ticket nr".to_owned()]);
        assert_eq!(keys("?indexed_metadata_keys=user.id,ticket%20nr&read_only=true"), two);
    }
}

#[cfg(all(test, feature = "s3"))]
mod s3_tests {
    use super::*;

    fn parsed(url: &str) -> S3Location {
        match Location::parse(url) {
            Ok((Location::S3(location), _)) => location,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn url_names_bucket_prefix_and_options() {
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
    fn invalid_urls_name_the_cause() {
        for url in ["s3:", "s3://", "s3:///prefix", "s3:bucket", "s3://b/%FF"] {
            assert_eq!(Location::parse(url).unwrap_err(), InvalidUrl::BadBucket, "{url}");
        }
        for option in ["region=", "endpoint=", "insecure=1", "path_style=yes", "read_only=1"] {
            let error = Location::parse(&format!("s3://b?{option}")).unwrap_err();
            assert!(matches!(error, InvalidUrl::BadOption { .. }), "{option}: {error}");
        }
        let error = Location::parse("s3://b?colour=red").unwrap_err();
        assert!(error.to_string().contains("region, endpoint, insecure, path_style"), "{error}");
    }
}
