//! Errors of connecting name the problem.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::time::Duration;

use attestry_s3::{ConnectError, S3Storage};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use support::{Fault, Server, error_chain};

async fn connect_error(builder: attestry_s3::S3StorageBuilder) -> ConnectError {
    builder.connect().await.unwrap_err()
}

#[tokio::test]
async fn bucket_problems_have_distinct_errors() {
    let server = Server::start().await;
    let error = connect_error(server.builder_for("missing", "access", "secret")).await;
    assert!(matches!(error, ConnectError::NoSuchBucket { .. }), "{error:?}");
    let text = error_chain(&error);
    // The advice is not repeated by the source.
    assert!(text.contains("missing") && text.matches("create it").count() == 1, "{text}");

    let error = connect_error(server.builder_for("forbidden", "access", "secret")).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("s3:ListBucket"), "{error}");

    let error = connect_error(server.builder_for("elsewhere", "access", "secret")).await;
    let ConnectError::WrongRegion { region, .. } = &error else { panic!("{error:?}") };
    assert_eq!(region.as_deref(), Some("eu-west-1"));
    assert!(error.to_string().ends_with("another region: eu-west-1"), "{error}");
}

#[tokio::test]
async fn expired_credentials_and_clock_skew_are_reported() {
    let server = Server::start().await;
    server.inject("list", 1, Fault::ErrorResponse("ExpiredToken", 400));
    let error = connect_error(server.builder()).await;
    assert!(matches!(error, ConnectError::BadCredentials { .. }), "{error:?}");
    assert!(error.to_string().contains("renew them"), "{error}");

    server.inject("list", 1, Fault::ErrorResponse("RequestTimeTooSkewed", 403));
    server.take_requests();
    let error = connect_error(server.builder()).await;
    assert!(matches!(error, ConnectError::ClockSkew { .. }), "{error:?}");
    assert_eq!(server.take_requests(), ["list"], "retried");
}

/// Run by the next test, in a process without a region in its environment.
#[tokio::test]
#[ignore = "needs an environment without a region"]
async fn missing_region_without_environment() {
    let error = connect_error(S3Storage::builder("bucket")).await;
    assert!(matches!(error, ConnectError::NoRegion { .. }), "{error:?}");
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");
}

#[test]
fn missing_region_is_reported() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "missing_region_without_environment", "--include-ignored"])
        .env_remove("AWS_REGION")
        .env_remove("AWS_DEFAULT_REGION")
        .env_remove("AWS_ENDPOINT_URL")
        .env_remove("AWS_ENDPOINT_URL_S3")
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "missing")
        .env("AWS_SHARED_CREDENTIALS_FILE", "missing")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[tokio::test]
async fn wrong_credentials_are_reported_without_the_secret() {
    let server = Server::start().await;
    for (key, secret) in [("access", "wr0ng-secret"), ("stranger", "wr0ng-secret")] {
        let builder = server.builder_for("bucket", key, secret);
        assert!(!format!("{builder:?}").contains("wr0ng"));
        let error = connect_error(builder).await;
        assert!(matches!(error, ConnectError::BadCredentials { .. }), "{error:?}");
        assert!(!format!("{error:?} {}", error_chain(&error)).contains("wr0ng"), "{error:?}");
    }
}

#[derive(Debug)]
struct NoCredentials;

impl ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = CredentialsError::not_loaded("none here");
        future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn missing_credentials_are_reported() {
    let server = Server::start().await;
    let error = connect_error(server.builder().credentials(NoCredentials)).await;
    assert!(matches!(error, ConnectError::NoCredentials { .. }), "{error:?}");
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert!(server.take_requests().is_empty());
}

#[tokio::test]
async fn unreachable_endpoint_is_reported() {
    // A port that was just released, so that nothing listens on it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = connect_error(
        S3Storage::builder("bucket")
            .endpoint(endpoint)
            .region("us-east-1")
            .credentials(Credentials::new("access", "secret", None, None, "test"))
            .path_style(true)
            .timeout(Duration::from_secs(5))
            .max_retries(1),
    )
    .await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("check the endpoint"), "{error}");
}

#[tokio::test]
async fn invalid_settings_are_named() {
    for (builder, setting) in [
        (S3Storage::builder(""), "the bucket"),
        (S3Storage::builder("a/b"), "the bucket"),
        (S3Storage::builder("b").prefix("x".repeat(800)), "the prefix"),
        ((0..11).fold(S3Storage::builder("b"), |b, n| b.tag(n.to_string(), "v")), "the tags"),
    ] {
        let error = connect_error(builder).await;
        let ConnectError::InvalidSetting { setting: named, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*named, setting);
    }
}

#[tokio::test]
async fn disabled_check_sends_no_request() {
    let server = Server::start().await;
    let storage =
        server.builder_for("missing", "access", "secret").check(false).connect().await.unwrap();
    assert!(server.take_requests().is_empty());
    assert_eq!(storage.bucket(), "missing");
}

#[tokio::test]
async fn own_sdk_client_is_used() {
    use aws_sdk_s3::{Client, config};
    let server = Server::start().await;
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = config::Builder::new()
        .behavior_version(config::BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(server.endpoint())
        .region(config::Region::new("us-east-1"))
        .credentials_provider(Credentials::new("access", "secret", None, None, "test"))
        .force_path_style(true)
        .build();
    let storage =
        S3Storage::builder("bucket").client(Client::from_conf(config)).connect().await.unwrap();
    use attestry_core::StorageBackend;
    storage.write(&support::entry("a", "2026-01-28")).await.unwrap();
    assert_eq!(server.keys(), ["audit/2026-01-28/a.json"]);
}

#[tokio::test]
async fn plain_http_to_another_machine_must_be_allowed() {
    let builder = |endpoint: &str| {
        S3Storage::builder("bucket")
            .endpoint(endpoint)
            .credentials(Credentials::new("access", "secret", None, None, "test"))
            .check(false)
    };
    for endpoint in [
        "http://192.0.2.1:9000",
        "HTTP://minio:9000",
        "http://localhost@minio",
        "http://[2001:db8::1]/",
    ] {
        let error = connect_error(builder(endpoint)).await;
        assert!(matches!(&error, ConnectError::InvalidSetting { .. }), "{endpoint}: {error:?}");
        assert!(error.to_string().contains("insecure=true"), "{error}");
        builder(endpoint).insecure(true).connect().await.unwrap();
    }
    for endpoint in
        ["https://192.0.2.1", "http://localhost:8333", "http://127.0.0.2", "http://[::1]:1/"]
    {
        builder(endpoint).connect().await.unwrap();
    }
}
