//! Making a client and finding out whether the bucket answers.

use std::error::Error;
use std::time::Duration;

use attestry_core::StorageError;
use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Region};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;
use thiserror::Error;

use crate::S3StorageBuilder;
use crate::bucket::{Bucket, Limits, New, Put};
use crate::error::{RequestError, RequestErrorKind};
use crate::key::Layout;
use crate::retry::Retries;
use crate::storage::S3Storage;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What servers other than AWS say, where nobody told them another.
const USUAL_REGION: &str = "us-east-1";

/// Why an [`S3Storage`] could not be connected to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting cannot be as it is.
    #[error("{setting} {reason}")]
    InvalidSetting {
        /// Which.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No region was given, and neither the environment nor the profile names one.
    #[error("no region is known for the bucket {bucket}; name it, or set AWS_REGION")]
    NoRegion {
        /// The bucket.
        bucket: String,
    },
    /// There are no credentials.
    #[error(
        "there are no credentials for the bucket {bucket}; set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    )]
    NoCredentials {
        /// The bucket.
        bucket: String,
        /// Why the chain of providers gave none.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The credentials are wrong or expired.
    #[error("S3 does not accept the credentials for the bucket {bucket}; check or renew them")]
    BadCredentials {
        /// The bucket.
        bucket: String,
        /// What S3 answered.
        source: Box<RequestError>,
    },
    /// There is no such bucket.
    #[error("there is no bucket {bucket}; check its name, or create it")]
    NoSuchBucket {
        /// The bucket.
        bucket: String,
        /// What S3 answered.
        source: Box<RequestError>,
    },
    /// The credentials may not list the bucket.
    #[error(
        "the credentials may not use the bucket {bucket}; they need s3:ListBucket on it, and \
         s3:GetObject, s3:PutObject and s3:DeleteObject on what is in it"
    )]
    AccessDenied {
        /// The bucket.
        bucket: String,
        /// What S3 answered.
        source: Box<RequestError>,
    },
    /// The bucket lies in another region.
    #[error("the bucket {bucket} lies in another region{}", told(.region.as_deref()))]
    WrongRegion {
        /// The bucket.
        bucket: String,
        /// Its region, where S3 tells.
        region: Option<String>,
        /// What S3 answered.
        source: Box<RequestError>,
    },
    /// The endpoint cannot be reached.
    #[error(
        "the service of the bucket {bucket} cannot be reached; check the endpoint and the network"
    )]
    Unreachable {
        /// The bucket.
        bucket: String,
        /// What failed.
        source: Box<RequestError>,
    },
    /// The clocks of this machine and of the service differ too much.
    #[error("the clock of this machine is off, so that S3 refuses requests for {bucket}; set it")]
    ClockSkew {
        /// The bucket.
        bucket: String,
        /// What S3 answered.
        source: Box<RequestError>,
    },
    /// Anything else.
    #[error("cannot connect to the bucket {bucket}")]
    Other {
        /// The bucket.
        bucket: String,
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
}

fn told(region: Option<&str>) -> String {
    region.map_or_else(|| "; name it".to_owned(), |region| format!(": {region}"))
}

impl ConnectError {
    fn refused(bucket: String, source: RequestError) -> Self {
        let source = Box::new(source.without_advice());
        match source.kind() {
            RequestErrorKind::Credentials if source.status().is_none() => {
                Self::NoCredentials { bucket, source }
            }
            RequestErrorKind::Credentials => Self::BadCredentials { bucket, source },
            RequestErrorKind::NoSuchBucket => Self::NoSuchBucket { bucket, source },
            RequestErrorKind::AccessDenied => Self::AccessDenied { bucket, source },
            RequestErrorKind::WrongRegion => {
                let region = source.bucket_region().map(str::to_owned);
                Self::WrongRegion { bucket, region, source }
            }
            RequestErrorKind::Unreachable | RequestErrorKind::TimedOut => {
                Self::Unreachable { bucket, source }
            }
            RequestErrorKind::ClockSkew => Self::ClockSkew { bucket, source },
            _ => Self::Other { bucket, source },
        }
    }
}

pub(crate) async fn connect(mut settings: S3StorageBuilder) -> Result<S3Storage, ConnectError> {
    let layout = Layout::new(&settings.prefix);
    let invalid = |setting, reason: &str| {
        Err(ConnectError::InvalidSetting { setting, reason: reason.to_owned() })
    };
    if settings.bucket.is_empty() || settings.bucket.contains('/') {
        return invalid("the bucket", "must be the name of one");
    }
    if !layout.is_short_enough() {
        return invalid("the prefix", "is too long: S3 allows keys of 1,024 bytes");
    }
    if settings.options.tags.len() > 10 {
        return invalid("the tags", "are too many: S3 allows ten for an object");
    }
    let client = match settings.client.take() {
        Some(client) => client,
        None => client(&settings).await?,
    };
    // Repeating is ours, see `retry`.
    let once = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
    let client = Client::from_conf(once);
    let limits = Limits {
        concurrency: settings.concurrency,
        fetch_bytes: settings.memory_limit / 4,
        body_timeout: settings.timeout,
        retries: Retries { most: settings.retries, within: settings.retry_for },
    };
    let bucket = Bucket::new(client, settings.bucket.clone(), layout, settings.options, limits);
    if settings.check {
        check(&bucket).await?;
    }
    if settings.probe {
        probe(&bucket).await.map_err(|error| match error {
            StorageError::Remote { source, .. } => match source.downcast::<RequestError>() {
                Ok(source) => ConnectError::refused(settings.bucket.clone(), *source),
                Err(source) => ConnectError::Other { bucket: settings.bucket.clone(), source },
            },
            error => ConnectError::Other { bucket: settings.bucket.clone(), source: error.into() },
        })?;
    }
    Ok(S3Storage::new(bucket, settings.recent_ids, settings.memory_limit / 8))
}

async fn client(settings: &S3StorageBuilder) -> Result<Client, ConnectError> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .pool_max_idle_per_host(settings.concurrency)
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
        .operation_attempt_timeout(settings.timeout)
        .build();
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http).timeout_config(timeouts);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(provider) = &settings.credentials {
        loader = loader.credentials_provider(provider.clone());
    }
    let environment = loader.load().await;
    let bucket = || settings.bucket.clone();
    let region = match environment.region() {
        Some(region) => region.clone(),
        None if environment.endpoint_url().is_some() => Region::from_static(USUAL_REGION),
        None => return Err(ConnectError::NoRegion { bucket: bucket() }),
    };
    // Asked for now, to tell a lack of credentials from a failure to reach S3.
    match environment.credentials_provider() {
        None => {
            let source = "no provider of credentials is configured".into();
            return Err(ConnectError::NoCredentials { bucket: bucket(), source });
        }
        Some(provider) => {
            provider.provide_credentials().await.map_err(|source| ConnectError::NoCredentials {
                bucket: bucket(),
                source: source.into(),
            })?;
        }
    }
    let config =
        Builder::from(&environment).region(region).force_path_style(settings.path_style).build();
    Ok(Client::from_conf(config))
}

/// Lists one key: what every use of the store needs, and an answer that says what is wrong.
async fn check(bucket: &Bucket) -> Result<(), ConnectError> {
    let request = || async {
        let request = bucket.client().list_objects_v2();
        let request = request.bucket(bucket.name()).prefix(bucket.layout.prefix()).max_keys(1);
        request.send().await.map_err(RequestError::of)
    };
    let answer = bucket.retries().begin().run(request).await;
    answer.map(|_| ()).map_err(|error| ConnectError::refused(bucket.name().to_owned(), error))
}

/// Writes an object twice, to see whether the second write is refused.
async fn probe(bucket: &Bucket) -> Result<(), StorageError> {
    let key = bucket.layout.reserved(&format!("probe-{}", uuid::Uuid::new_v4()));
    // Too old to be locked.
    let moment = attestry_core::Timestamp::UNIX_EPOCH;
    let new = New { body: Bytes::from_static(b"{}"), order: 0, moment };
    let first = bucket.put(&key, &new).await;
    let second = bucket.put(&key, &new).await;
    let deleted = bucket.delete(&key).await;
    if first? == Put::Stored && second? == Put::Stored {
        bucket.without_conditions();
    }
    deleted
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::config::Credentials;
    use aws_sdk_s3::presigning::PresigningConfig;

    #[tokio::test]
    async fn the_bucket_is_named_in_the_host_or_in_the_path() {
        let expected = |path_style| match path_style {
            true => "https://s3.example.com/my-bucket/key?",
            false => "https://my-bucket.s3.example.com/key?",
        };
        for path_style in [true, false] {
            let settings = S3Storage::builder("my-bucket")
                .endpoint("https://s3.example.com")
                .region("us-east-1")
                .credentials(Credentials::new("access", "secret", None, None, "test"))
                .path_style(path_style);
            let client = client(&settings).await.unwrap();
            // Made and signed as any request is, and not sent.
            let minute = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
            let request = client.get_object().bucket("my-bucket").key("key");
            let request = request.presigned(minute).await.unwrap();
            assert!(request.uri().starts_with(expected(path_style)), "{}", request.uri());
        }
    }
}
