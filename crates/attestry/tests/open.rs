//! From a path or a URL to a working logger, and clear words for what is not one.
#![cfg(all(feature = "file", feature = "memory"))]
#![allow(clippy::unwrap_used)] // helpers of a test

use attestry::{Durability, Interaction, InvalidUrl, OpenError, StorageError};

async fn refused(url: &str) -> InvalidUrl {
    match attestry::open_url(url).await {
        Err(OpenError::Url(error)) => error,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn a_path_and_its_url_are_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space");
    let log =
        attestry::open(&path).durability(Durability::Buffered).rotation_size_mb(1).await.unwrap();
    let id = log.log(Interaction::new("in", "out")).await.unwrap();
    log.close().await.unwrap();

    let url = format!("file://{}?read_only=true", path.display()).replace(' ', "%20");
    let log = attestry::open_url(&url).await.unwrap();
    assert!(log.get_entry(&id).await.unwrap().is_some());
    let error = log.log(Interaction::new("in", "out")).await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[tokio::test]
async fn settings_reach_the_logger_and_the_store() {
    let log = attestry::open_url("memory:?max_entries=2")
        .retention_days(7)
        .store_content(true)
        .await
        .unwrap();
    assert_eq!((log.retention_days(), log.store_content()), (7, true));
    for _ in 0..5 {
        log.log(Interaction::new("in", "out")).await.unwrap();
    }
    assert_eq!(log.storage().count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_bad_url_is_named() {
    assert!(matches!(refused("/var/log/audit").await, InvalidUrl::UnknownScheme { .. }));
    assert!(matches!(refused("ftp://host/x").await, InvalidUrl::UnknownScheme { .. }));
    assert!(matches!(refused("file://relative/path").await, InvalidUrl::BadPath));
    assert!(matches!(refused("file:///x?colour=red").await, InvalidUrl::UnknownOption { .. }));
    assert!(matches!(
        refused("memory:?max_entries=many").await,
        InvalidUrl::BadOption { name: "max_entries", .. }
    ));
    for bad in ["rotation_size_mb=0", "durability=maybe", "read_only=2"] {
        assert!(
            matches!(refused(&format!("file:///x?{bad}")).await, InvalidUrl::BadOption { .. }),
            "{bad}"
        );
    }
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn a_store_that_is_not_compiled_in_says_how_to_get_it() {
    let error = refused("s3://bucket/prefix").await;
    assert_eq!(error, InvalidUrl::NotCompiledIn { feature: "s3" });
    assert!(error.to_string().contains("`s3`"), "{error}");
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn a_bucket_that_cannot_be_reached_says_so() {
    // Settings are looked at before anything is asked.
    let url = format!("s3://bucket/{}", "x".repeat(900));
    let error = attestry::open_url(&url).await.unwrap_err();
    assert!(matches!(error, OpenError::S3(attestry::ConnectError::InvalidSetting { .. })));
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [&file, &file.join("below"), std::path::Path::new("/proc/attestry")] {
        let error = attestry::open(path).await.unwrap_err();
        assert!(matches!(error, OpenError::Storage(StorageError::Io { .. })), "{error:?}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()) || path.starts_with(&file),
            "{error}"
        );
    }
    let missing = attestry::open(folder.path().join("missing")).read_only(true).await;
    assert!(missing.is_err());
}
