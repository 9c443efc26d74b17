//! The behaviour suite, on a server of its own for each case: one that others wrote, which keeps objects
//! in files; one as S3 is, with pages of seven keys and so little memory that each day is read twice;
//! and what writes, on one without conditional writes.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use attestry_conformance::Fresh;
use attestry_s3::S3Storage;
use support::{BUCKET, Conditions, Proxy, Server, checks, serve};

async fn small() -> Fresh {
    let server = Server::start().await;
    server.page_size(7);
    let storage = server.direct().memory_limit(0).concurrency(3).connect().await.unwrap();
    Fresh::with_guard(storage, server)
}

mod small_pages_and_little_memory {
    attestry_conformance::suite!(crate::small().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_conditional_writes_it_writes_as_others_do() {
    let fresh = async || {
        let server = Server::start().await;
        server.conditions(Conditions::NotImplemented);
        Fresh::with_guard(server.direct().prefix("").connect().await.unwrap(), server)
    };
    let topics = ["writing::", "immutability::", "concurrency::", "cancellation::"];
    let writes = |case: &str| topics.iter().any(|topic| case.starts_with(topic));
    checks::cases(writes, fresh).await;
    attestry_conformance::model::check(4, fresh).await;
}

/// A server that others wrote, over a folder, with a proxy before it.
async fn in_files(retries: u32) -> (S3Storage, Proxy, impl Send + Sync) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = serve(s3s_fs::FileSystem::new(folder.path()).unwrap()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let storage = support::builder(&proxy.endpoint(), BUCKET, "access", "secret").retries(retries);
    (storage.connect().await.unwrap(), proxy, (folder, server))
}

/// Its listing fails where a file goes meanwhile, so it takes some retries.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_files_does_it_too() {
    let fresh = async || {
        let (storage, proxy, server) = in_files(9).await;
        Fresh::with_guard(storage, (proxy, server))
    };
    checks::cases(checks::has_no_longest_ids, fresh).await;
    attestry_conformance::model::check(2, fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_files_can_be_behind_a_bad_network() {
    let (storage, proxy, _server) = in_files(9).await;
    checks::broken_connections_are_survived(&storage, &proxy).await;
    let (storage, proxy, _server) = in_files(3).await;
    checks::acknowledged_is_there(storage, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_page_is_counted_listed_and_deleted() {
    let server = Server::start().await;
    checks::more_than_one_page_is_counted_listed_and_deleted(
        &server.direct().connect().await.unwrap(),
    )
    .await;
}
