//! The conformance suite, with a fresh server for each case: the map in memory with pages of seven keys and
//! a memory limit of 0, so that each day is read twice; the same without conditional writes; and `s3s-fs`,
//! an independent server that stores objects in files.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use attestry_conformance::Fresh;
use attestry_s3::S3Storage;
use support::{BUCKET, ConditionSupport, Proxy, Server, checks, serve};

async fn small_pages() -> Fresh {
    let server = Server::start().await;
    server.set_page_size(7);
    let storage = server.direct().memory_limit(0).concurrency(3).connect().await.unwrap();
    Fresh::with_guard(storage, server)
}

mod small_pages_and_little_memory {
    attestry_conformance::suite!(crate::small_pages().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn emulated_conditional_writes_conform() {
    let fresh = async || {
        let server = Server::start().await;
        server.set_condition_support(ConditionSupport::NotImplemented);
        Fresh::with_guard(server.direct().prefix("").connect().await.unwrap(), server)
    };
    let topics = ["writing::", "immutability::", "concurrency::", "cancellation::"];
    let is_about_writes = |case: &str| topics.iter().any(|topic| case.starts_with(topic));
    checks::run_cases(is_about_writes, fresh).await;
    attestry_conformance::model::check(4, fresh).await;
}

/// A store on `s3s-fs` behind a proxy.
async fn on_s3s_fs(max_retries: u32) -> (S3Storage, Proxy, impl Send + Sync) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = serve(s3s_fs::FileSystem::new(folder.path()).unwrap()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let storage = support::builder(&proxy.endpoint(), BUCKET, "access", "secret");
    (storage.max_retries(max_retries).connect().await.unwrap(), proxy, (folder, server))
}

/// A listing of `s3s-fs` fails if a file is deleted meanwhile, so retries are needed. What makes most requests is left
/// out: it takes minutes here, and runs on the map in memory and, in `cargo xtask s3`, on SeaweedFS.
#[tokio::test(flavor = "multi_thread")]
async fn s3s_fs_conforms() {
    let fresh = async || {
        let (storage, proxy, server) = on_s3s_fs(9).await;
        Fresh::with_guard(storage, (proxy, server))
    };
    let left_out = ["calls::", "cancellation::", "concurrency::", "scanning::long_scan"];
    let selected = |case: &str| {
        checks::has_no_longest_ids(case) && !left_out.iter().any(|topic| case.starts_with(topic))
    };
    checks::run_cases(selected, fresh).await;
    attestry_conformance::model::check(2, fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3s_fs_behind_a_faulty_network() {
    let (storage, proxy, _server) = on_s3s_fs(9).await;
    checks::broken_connections_are_retried(&storage, &proxy).await;
    let (storage, proxy, _server) = on_s3s_fs(3).await;
    checks::acknowledged_entries_survive_faults(storage, &proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_pages_are_counted_listed_and_deleted() {
    let server = Server::start().await;
    checks::several_pages_are_counted_listed_and_deleted(&server.direct().connect().await.unwrap())
        .await;
}
