//! The behaviour suite, on a server of its own for each case: as S3 is, with pages of three keys
//! and so little memory that each day is read twice, and on a server without conditional writes.
#![allow(clippy::unwrap_used)] // helpers of a test

mod support;

use attestry_conformance::Fresh;
use support::{Conditions, Server};

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
