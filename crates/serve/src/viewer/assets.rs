//! The style sheet, the script and the icon. Their names have their hashes, so that a browser keeps them for good.

use std::sync::LazyLock;

use attestry::hash_content;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode, Uri};

use crate::http::problem::Problem;

pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css", include_str!("assets/style.css")));
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("viewer", "js", "text/javascript", include_str!("assets/viewer.js"))
});
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// A file that never changes under its name.
pub(super) struct Asset {
    name: String,
    etag: String,
    media_type: String,
    content: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &str, content: &'static str) -> Self {
        let hash = &hash_content(content)[..16];
        Self {
            name: format!("{stem}.{hash}.{extension}"),
            etag: format!("\"{hash}\""),
            media_type: format!("{media_type}; charset=utf-8"),
            content,
        }
    }

    /// Its address on this server.
    pub(super) fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

pub(super) async fn get(
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.name == name);
    let asset =
        asset.ok_or_else(|| Problem::not_found(format!("there is nothing at {}", uri.path())))?;
    let caching = [(CACHE_CONTROL, FOR_GOOD), (ETAG, &asset.etag)];
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok()).unwrap_or("");
    if known.split(',').any(|known| known.trim() == asset.etag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, [(CONTENT_TYPE, &*asset.media_type)], asset.content).into_response())
}
