//! Opening a logger by path or URL, its settings, and errors.
#![cfg(all(feature = "file", feature = "memory"))]
#![allow(clippy::unwrap_used)] // test helpers

use attestry::error::InvalidUrl;
use attestry::file::Durability;
use attestry::{ErrorKind, Interaction, OpenError, OpenOptions, StorageError};

async fn url_error(url: &str) -> InvalidUrl {
    match attestry::open_url(url).await {
        Err(OpenError::Url(error)) => error,
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn path_and_file_url_open_the_same_store() {
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
    assert!(error.to_string().contains("with space"), "{error}");
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
    assert_eq!(log.count().await.unwrap(), 2);
}

/// Opens read-only through the builder and through the URL, and checks that changes are refused.
async fn refuses_changes(url: &str) {
    let separator = if url.contains('?') { '&' } else { '?' };
    let by_url = attestry::open_url(&format!("{url}{separator}read_only=true"));
    for options in [attestry::open_url(url).read_only(true), by_url] {
        let log = options.await.unwrap();
        let id = attestry::create_entry_id();
        let refused = [
            log.log(Interaction::new("in", "out")).await.map(drop),
            log.log(Interaction::new("in", "out").id(id.clone())).await.map(drop),
            log.log_batch([Interaction::new("in", "out")]).await.map(drop),
            log.delete(&id).await.map(drop),
            log.cleanup_expired().await.map(drop),
            log.compact().await.map(drop),
        ];
        for outcome in refused {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
            assert!(error.to_string().contains(url.split('?').next().unwrap()), "{error}");
        }
    }
}

#[tokio::test]
async fn read_only_memory_refuses_changes() {
    refuses_changes("memory:").await;
    let log = attestry::open_url("memory:?read_only=true").read_only(false).await.unwrap();
    log.log(Interaction::new("in", "out")).await.unwrap();
}

/// Runs in a child process with credentials in its environment, because connecting loads them and
/// changing the environment of a running process is unsafe. The only requests are those of connecting.
#[cfg(feature = "s3")]
#[test]
fn read_only_bucket_refuses_changes() {
    if std::env::var_os("ATTESTRY_TEST_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "read_only_bucket_refuses_changes"])
            .envs([("ATTESTRY_TEST_CHILD", "1"), ("AWS_ACCESS_KEY_ID", "id")])
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let endpoint = serve_an_empty_bucket();
    let url = format!("s3://bucket/audit?region=eu-central-1&path_style=true&endpoint={endpoint}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(refuses_changes(&url));
}

/// An endpoint that answers every request with an empty listing, until the process ends.
#[cfg(feature = "s3")]
fn serve_an_empty_bucket() -> String {
    use std::io::{BufRead, BufReader, Write};

    const LISTING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>\
        <KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = BufReader::new(&stream).lines();
            // Read up to the end of the headers; the requests have no body.
            assert!(head.map_while(Result::ok).any(|line| line.is_empty()));
            let length = LISTING.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{LISTING}"
            )
            .unwrap();
        }
    });
    endpoint
}

type Set = fn(OpenOptions) -> OpenOptions;

fn file_settings() -> Vec<(&'static str, Set)> {
    let settings: &[(&'static str, Set)] = &[
        ("rotation_size_mb", |open| open.rotation_size_mb(1)),
        ("durability", |open| open.durability(Durability::Sync)),
        ("indexed_metadata_keys", |open| open.indexed_metadata_keys(["ticket"])),
        ("on_recovery", |open| open.on_recovery(|_| {})),
        ("on_indexing", |open| open.on_indexing(|_| {})),
        #[cfg(feature = "evidence")]
        ("evidence", |open| {
            let key = attestry::evidence::SigningKey::generate("example.com/audit").unwrap();
            open.evidence(attestry::evidence::EvidenceOptions::new(key))
        }),
        #[cfg(feature = "evidence")]
        ("erased_by", |open| open.erased_by("auditor")),
        #[cfg(feature = "evidence")]
        ("erase_reason", |open| open.erase_reason("request 7")),
    ];
    settings.to_vec()
}

#[tokio::test]
async fn settings_of_file_stores_are_errors_for_others() {
    let stores = [
        "memory:",
        #[cfg(feature = "s3")]
        "s3://bucket/audit?region=eu-central-1",
    ];
    for url in stores {
        for (name, set) in file_settings() {
            match set(attestry::open_url(url)).await {
                Err(OpenError::Unsupported { setting, store, .. }) => {
                    assert_eq!(setting, name);
                    assert!(url.starts_with(store), "{store}");
                }
                other => panic!("{url}, {name}: {other:?}"),
            }
        }
    }
    for (name, set) in file_settings() {
        let folder = tempfile::tempdir().unwrap();
        let opened = set(attestry::open(folder.path())).await;
        assert!(opened.is_ok(), "{name}: {opened:?}");
    }
}

#[tokio::test]
async fn invalid_urls_name_the_cause() {
    assert!(matches!(url_error("/var/log/audit").await, InvalidUrl::UnknownScheme { .. }));
    assert!(matches!(url_error("ftp://host/x").await, InvalidUrl::UnknownScheme { .. }));
    assert!(matches!(url_error("file://relative/path").await, InvalidUrl::BadPath));
    for url in ["file:///x?colour=red", "memory:?durability=sync", "memory:?rotation_size_mb=1"] {
        assert!(matches!(url_error(url).await, InvalidUrl::UnknownOption { .. }), "{url}");
    }
    assert!(matches!(
        url_error("memory:?max_entries=many").await,
        InvalidUrl::BadOption { name: "max_entries", .. }
    ));
    let urls =
        ["file:///x?rotation_size_mb=0", "file:///x?durability=maybe", "file:///x?read_only=2"];
    for url in urls.into_iter().chain(["memory:?read_only=yes"]) {
        assert!(matches!(url_error(url).await, InvalidUrl::BadOption { .. }), "{url}");
    }
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn missing_backend_names_the_cargo_feature() {
    let error = url_error("s3://bucket/prefix").await;
    assert_eq!(error, InvalidUrl::NotCompiledIn { feature: "s3" });
    assert!(error.to_string().contains("`s3`"), "{error}");
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn invalid_bucket_settings_are_errors() {
    // Settings are validated before any request is sent.
    let url = format!("s3://bucket/{}", "x".repeat(900));
    let error = attestry::open_url(&url).await.unwrap_err();
    assert!(matches!(error, OpenError::S3(attestry::s3::ConnectError::InvalidSetting { .. })));
}

#[tokio::test]
async fn open_errors_name_the_path() {
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

#[test]
fn query_is_parsed_from_url_parameters() {
    let uri = "/entries?provider=openai&safety_passed=false&limit=20&order=descending\
               &since=2026-01-28&after=2026-01-28T09:15:00~a-1";
    let parsed = axum::extract::Query::<attestry::Query>::try_from_uri(&uri.parse().unwrap());
    let expected = attestry::Query::new()
        .provider("openai")
        .safety_passed(false)
        .limit(20)
        .order(attestry::Order::Descending)
        .since("2026-01-28".parse::<attestry::Timestamp>().unwrap())
        .after("2026-01-28T09:15:00~a-1".parse::<attestry::Cursor>().unwrap());
    assert_eq!(parsed.unwrap().0, expected);
}

#[cfg(feature = "evidence")]
mod evidence {
    use std::sync::Arc;

    use attestry::evidence::{EvidenceError, EvidenceExt, EvidenceOptions, Policy, SigningKey};
    use attestry::evidence::{VerifyOptions, line_hash};
    use attestry::file::FileStorage;
    use attestry::{AuditLogger, Interaction};

    #[tokio::test]
    async fn logger_with_all_settings_gives_evidence() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate("example.com/audit").unwrap();
        let policy = Policy::new(key.public());
        let log = attestry::open(folder.path().join("audit"))
            .store_content(true)
            .retention_days(30)
            .evidence(EvidenceOptions::new(key))
            .await
            .unwrap();
        assert_eq!((log.store_content(), log.retention_days()), (true, 30));
        let id = log.log(Interaction::new("in", "out")).await.unwrap();
        let evidence = log.evidence().unwrap();
        let older = policy.open(evidence.checkpoint().await.unwrap()).unwrap();
        log.log(Interaction::new("in", "out")).await.unwrap();
        let newer = evidence.checkpoint().await.unwrap();
        assert_eq!(evidence.latest_checkpoint().await.unwrap(), Some(newer));
        let proven = evidence.inclusion_proof(&id).await.unwrap().unwrap();
        proven.proof.verify(line_hash(&proven.line).unwrap(), &policy).unwrap();
        evidence.consistency_proof(&older).await.unwrap();
        assert!(log.delete(&id).await.unwrap());
        let options = VerifyOptions::new().policy(policy).against(&older);
        let report = evidence.verify(options).await.unwrap();
        assert!(report.is_clean() && report.erased == 1, "{report:?}");
        log.close().await.unwrap();
    }

    #[tokio::test]
    async fn stores_without_evidence_give_typed_errors() {
        let memory = attestry::open_url("memory:").await.unwrap();
        assert!(matches!(memory.evidence(), Err(EvidenceError::Unsupported)));
        let folder = tempfile::tempdir().unwrap();
        let storage = FileStorage::builder(folder.path()).open().await.unwrap();
        let log = AuditLogger::builder(Arc::new(storage)).build();
        let latest = log.evidence().unwrap().latest_checkpoint().await;
        assert!(matches!(latest, Err(EvidenceError::NotKept { .. })), "{latest:?}");
    }
}
