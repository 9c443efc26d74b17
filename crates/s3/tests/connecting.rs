//! What is wrong is said when connecting.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use std::time::Duration;

use attestry_s3::aws_sdk_s3::config::{Credentials, ProvideCredentials};
use attestry_s3::{ConnectError, S3Storage};
use support::{Fault, Server, chain};

async fn refused(builder: attestry_s3::S3StorageBuilder) -> ConnectError {
    builder.connect().await.unwrap_err()
}

#[tokio::test]
async fn each_trouble_has_its_error() {
    let server = Server::start().await;
    let error = refused(server.builder_for("missing", "access", "secret")).await;
    assert!(matches!(error, ConnectError::NoSuchBucket { .. }), "{error:?}");
    let text = chain(&error);
    assert!(text.contains("missing") && text.matches("create it").count() == 1, "{text}");

    let error = refused(server.builder_for("forbidden", "access", "secret")).await;
    assert!(matches!(error, ConnectError::AccessDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("s3:ListBucket"), "{error}");

    let error = refused(server.builder_for("elsewhere", "access", "secret")).await;
    let ConnectError::WrongRegion { region, .. } = &error else { panic!("{error:?}") };
    assert_eq!(region.as_deref(), Some("eu-west-1"));
    assert!(error.to_string().ends_with("another region: eu-west-1"), "{error}");
}

#[tokio::test]
async fn expired_credentials_and_clocks_that_differ_are_told_when_connecting() {
    let server = Server::start().await;
    server.fail("list", 1, Fault::Refuse("ExpiredToken", 400));
    let error = refused(server.builder()).await;
    assert!(matches!(error, ConnectError::BadCredentials { .. }), "{error:?}");
    assert!(error.to_string().contains("renew them"), "{error}");

    server.fail("list", 1, Fault::Refuse("RequestTimeTooSkewed", 403));
    server.requests();
    let error = refused(server.builder()).await;
    assert!(matches!(error, ConnectError::ClockSkew { .. }), "{error:?}");
    assert_eq!(server.requests(), ["list"], "it was tried again");
}

/// Run by the next test, in a process whose environment names no region.
#[tokio::test]
#[ignore = "needs an environment without a region"]
async fn without_a_region() {
    let error = refused(S3Storage::builder("bucket")).await;
    assert!(matches!(error, ConnectError::NoRegion { .. }), "{error:?}");
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");
}

#[test]
fn a_missing_region_is_told() {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "without_a_region", "--include-ignored"])
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
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_shown() {
    let server = Server::start().await;
    for (key, secret) in [("access", "wr0ng-secret"), ("stranger", "wr0ng-secret")] {
        let builder = server.builder_for("bucket", key, secret);
        assert!(!format!("{builder:?}").contains("wr0ng"));
        let error = refused(builder).await;
        assert!(matches!(error, ConnectError::BadCredentials { .. }), "{error:?}");
        assert!(!format!("{error:?} {}", chain(&error)).contains("wr0ng"), "{error:?}");
    }
}

#[derive(Debug)]
struct Nothing;

impl ProvideCredentials for Nothing {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error =
            aws_credential_types::provider::error::CredentialsError::not_loaded("none here");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn missing_credentials_are_told() {
    let server = Server::start().await;
    let error = refused(server.builder().credentials(Nothing)).await;
    assert!(matches!(error, ConnectError::NoCredentials { .. }), "{error:?}");
    assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_told() {
    // Bound and given back, so that nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = refused(
        S3Storage::builder("bucket")
            .endpoint(endpoint)
            .region("us-east-1")
            .credentials(Credentials::new("access", "secret", None, None, "test"))
            .path_style(true)
            .timeout(Duration::from_secs(5))
            .retries(1),
    )
    .await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("check the endpoint"), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_are_named() {
    for (builder, setting) in [
        (S3Storage::builder(""), "the bucket"),
        (S3Storage::builder("a/b"), "the bucket"),
        (S3Storage::builder("b").prefix("x".repeat(800)), "the prefix"),
        ((0..11).fold(S3Storage::builder("b"), |b, n| b.tag(n.to_string(), "v")), "the tags"),
    ] {
        let error = refused(builder).await;
        let ConnectError::InvalidSetting { setting: named, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*named, setting);
    }
}

#[tokio::test]
async fn a_check_that_is_turned_off_asks_nothing() {
    let server = Server::start().await;
    let storage =
        server.builder_for("missing", "access", "secret").check(false).connect().await.unwrap();
    assert!(server.requests().is_empty());
    assert_eq!(storage.bucket(), "missing");
}

/// A client of the caller's own is used as it is.
#[tokio::test]
async fn a_client_may_be_brought_along() {
    use attestry_s3::aws_sdk_s3::{Client, config};
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
