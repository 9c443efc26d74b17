//! The pages.

pub(super) mod entries;

use axum::response::Response;

use super::admit::see_other;
use super::url;

/// The first page.
pub(super) async fn home() -> Response {
    see_other(url::ENTRIES)
}
