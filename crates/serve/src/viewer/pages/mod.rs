//! The pages.

pub(super) mod entries;

use axum::response::Response;

use super::url::{self, see_other};

/// The first page.
pub(super) async fn home() -> Response {
    see_other(url::ENTRIES)
}
