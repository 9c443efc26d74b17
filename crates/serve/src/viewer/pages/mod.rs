//! The pages.

pub(super) mod conversation;
pub(super) mod entries;
pub(super) mod entry;

use axum::response::Response;

use super::url::{self, see_other};

/// The first page.
pub(super) async fn home() -> Response {
    see_other(url::ENTRIES)
}
