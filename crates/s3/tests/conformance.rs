//! The behaviour suite, on a server of its own for each case: as S3 is, with pages of three keys
//! and so little memory that each day is read twice, and on a server without conditional writes. And
//! on a server that others wrote, which keeps objects in files.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use attestry_conformance::Fresh;
use attestry_s3::S3Storage;
use support::{BUCKET, Conditions, Proxy, Server, builder, checks, serve};

async fn fresh() -> Fresh {
    let server = Server::start().await;
    Fresh::with_guard(server.connect().await, server)
}

async fn small() -> Fresh {
    let server = Server::start().await;
    server.page_size(3);
    let storage = server.builder().memory_limit(0).concurrency(3).connect().await.unwrap();
    Fresh::with_guard(storage, server)
}

async fn unconditional() -> Fresh {
    let server = Server::start().await;
    server.conditions(Conditions::NotImplemented);
    Fresh::with_guard(server.builder().prefix("").connect().await.unwrap(), server)
}

mod usual {
    attestry_conformance::suite!(crate::fresh().await);
}

mod small_pages_and_little_memory {
    attestry_conformance::suite!(crate::small().await);
}

mod without_conditional_writes {
    attestry_conformance::suite!(crate::unconditional().await);
}

/// A server that others wrote, over a folder, with a proxy before it.
async fn in_files() -> (S3Storage, Proxy, impl Send + Sync) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = serve(s3s_fs::FileSystem::new(folder.path()).unwrap()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let storage = builder(&proxy.endpoint(), BUCKET, "access", "secret").retries(3);
    (storage.connect().await.unwrap(), proxy, (folder, server))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_files_does_it_too() {
    checks::all_cases_but(&checks::LONGEST_IDS, async || {
        let (storage, proxy, server) = in_files().await;
        Fresh::with_guard(storage, (proxy, server))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_files_has_pages() {
    let (storage, _proxy, _server) = in_files().await;
    checks::more_than_one_page_is_counted_listed_and_deleted(&storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_files_can_be_behind_a_bad_network() {
    let (storage, proxy, _server) = in_files().await;
    checks::broken_connections_are_survived(&storage, &proxy).await;
    checks::acknowledged_is_there(storage, &proxy).await;
}
