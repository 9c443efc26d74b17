//! Builds an SDK client and verifies that the bucket responds.

use std::time::Duration;

use attestry_core::StorageError;
use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, Region};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;

use crate::bucket::{Bucket, JSON, Limits, NewObject, PutOutcome};
use crate::error::{ConnectError, RequestError};
use crate::key::Layout;
use crate::options::ObjectOptions;
use crate::response::BoundedBody;
use crate::retry::RetryPolicy;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The region that servers other than AWS expect unless configured otherwise.
const DEFAULT_REGION: &str = "us-east-1";

#[derive(Clone)]
pub(crate) struct ConnectSettings {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) insecure: bool,
    pub(crate) path_style: bool,
    pub(crate) credentials: Option<SharedCredentialsProvider>,
    pub(crate) client: Option<Client>,
    pub(crate) options: ObjectOptions,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) retry_timeout: Duration,
    pub(crate) memory_limit: u64,
    pub(crate) check: bool,
    pub(crate) probe: bool,
}

impl ConnectSettings {
    pub(crate) fn new(bucket: String) -> Self {
        Self {
            bucket,
            prefix: "audit/".to_owned(),
            region: None,
            endpoint: None,
            insecure: false,
            path_style: false,
            credentials: None,
            client: None,
            options: ObjectOptions::default(),
            concurrency: 64,
            timeout: Duration::from_secs(30),
            max_retries: 9,
            retry_timeout: Duration::from_secs(120),
            memory_limit: 128 << 20,
            check: true,
            probe: false,
        }
    }
}

pub(crate) async fn connect(mut settings: ConnectSettings) -> Result<Bucket, ConnectError> {
    let layout = Layout::new(&settings.prefix);
    let invalid = |setting, reason: &str| {
        Err(ConnectError::InvalidSetting { setting, reason: reason.to_owned() })
    };
    if settings.bucket.is_empty() || settings.bucket.contains('/') {
        return invalid("the bucket", "must be a bucket name");
    }
    if !layout.fits_longest_id() {
        return invalid("the prefix", "is too long: S3 allows keys of 1,024 bytes");
    }
    if settings.options.tags.len() > 10 {
        return invalid("the tags", "are too many: S3 allows ten for an object");
    }
    let client = match settings.client.take() {
        Some(client) => client,
        None => build_client(&settings).await?,
    };
    // Retries are done by the module `retry`.
    let config = client.config().to_builder().retry_config(RetryConfig::disabled());
    let config = config.interceptor(BoundedBody).build();
    let client = Client::from_conf(config);
    let limits = Limits {
        concurrency: settings.concurrency,
        fetch_bytes: settings.memory_limit / 4,
        body_timeout: settings.timeout,
        retries: RetryPolicy { max_retries: settings.max_retries, timeout: settings.retry_timeout },
    };
    let name = settings.bucket;
    let bucket = Bucket::new(client, name.clone(), layout, settings.options, limits);
    if settings.check {
        check(&bucket).await?;
    }
    if settings.probe {
        probe(&bucket).await.map_err(|error| match error {
            StorageError::Remote { source, .. } => match source.downcast::<RequestError>() {
                Ok(source) => ConnectError::from_request(name, *source),
                Err(source) => ConnectError::Other { bucket: name, source },
            },
            error => ConnectError::Other { bucket: name, source: error.into() },
        })?;
    }
    Ok(bucket)
}

/// Whether `url` is plain HTTP to a host that is not this machine.
fn is_plain_beyond_loopback(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let host = match host_and_port.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host_and_port.split(':').next().unwrap_or_default(),
    };
    let host = host.to_ascii_lowercase();
    let is_loopback = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    scheme.eq_ignore_ascii_case("http") && !is_loopback
}

async fn build_client(settings: &ConnectSettings) -> Result<Client, ConnectError> {
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
    // Also one from the environment or a profile.
    if !settings.insecure && environment.endpoint_url().is_some_and(is_plain_beyond_loopback) {
        return Err(ConnectError::InvalidSetting {
            setting: "the endpoint",
            reason: "is http:// to another machine, which sends entries unencrypted; use https:// or, in a \
                     network that is trusted, allow it with insecure=true"
                .to_owned(),
        });
    }
    let bucket = || settings.bucket.clone();
    let region = match environment.region() {
        Some(region) => region.clone(),
        None if environment.endpoint_url().is_some() => Region::from_static(DEFAULT_REGION),
        None => return Err(ConnectError::NoRegion { bucket: bucket() }),
    };
    // Loaded before the first request, to distinguish missing credentials from an unreachable S3.
    match environment.credentials_provider() {
        None => {
            let source = "no credentials provider is configured".into();
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

/// Lists one key: every use of the store needs that permission, and the error response to a list
/// request has a body that names the problem.
async fn check(bucket: &Bucket) -> Result<(), ConnectError> {
    let list = || async {
        let request = bucket.client().list_objects_v2();
        let request = request.bucket(bucket.name()).prefix(bucket.layout.prefix()).max_keys(1);
        request.send().await.map_err(RequestError::from_sdk)
    };
    let response = bucket.attempts().run(list).await;
    let failed = |error| ConnectError::from_request(bucket.name().to_owned(), error);
    response.map(|_| ()).map_err(failed)
}

/// Writes an object twice: a server that supports conditional writes refuses the second write.
async fn probe(bucket: &Bucket) -> Result<(), StorageError> {
    let key = bucket.layout.reserved_key(&format!("probe-{}", uuid::Uuid::new_v4()));
    // Its retention is over, so it gets no lock and can be deleted.
    let timestamp = attestry_core::Timestamp::UNIX_EPOCH;
    let object =
        NewObject { body: Bytes::from_static(b"{}"), content_type: JSON, sequence: 0, timestamp };
    let first = bucket.put(&key, &object).await;
    let second = bucket.put(&key, &object).await;
    let deleted = bucket.delete(&key).await;
    if first? == PutOutcome::Stored && second? == PutOutcome::Stored {
        bucket.disable_conditional_writes();
    }
    deleted
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::config::Credentials;
    use aws_sdk_s3::presigning::PresigningConfig;

    #[tokio::test]
    async fn path_style_selects_the_form_of_urls() {
        let expected = |path_style| match path_style {
            true => "https://s3.example.com/my-bucket/key?",
            false => "https://my-bucket.s3.example.com/key?",
        };
        for path_style in [true, false] {
            let credentials = Credentials::new("access", "secret", None, None, "test");
            let settings = ConnectSettings {
                endpoint: Some("https://s3.example.com".to_owned()),
                region: Some("us-east-1".to_owned()),
                credentials: Some(SharedCredentialsProvider::new(credentials)),
                path_style,
                ..ConnectSettings::new("my-bucket".to_owned())
            };
            let client = build_client(&settings).await.unwrap();
            // Signed like any request, and not sent.
            let minute = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
            let request = client.get_object().bucket("my-bucket").key("key");
            let request = request.presigned(minute).await.unwrap();
            assert!(request.uri().starts_with(expected(path_style)), "{}", request.uri());
        }
    }
}
