//! `GET /checkpoint` and `GET /tile/...`: the Merkle tree as C2SP tlog-tiles prescribes.
//!
//! Entry bundles (`/tile/entries/...`) are not served: they would publish the entries.

use std::sync::Arc;

use attestry::evidence::{EvidenceExt as _, TILE_WIDTH, Tile};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::schema::Binary;
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// Hashes of a full tile never change. Responses depend on the token, so that shared caches must not keep them.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";
/// A checkpoint is replaced, and so is a partial tile.
const CHANGING: &str = "private, no-cache";

/// The latest signed checkpoint
#[utoipa::path(
    get,
    path = "/checkpoint",
    tag = "evidence",
    operation_id = "checkpoint",
    responses((status = 200, description = "A signed note.", body = String, content_type = "text/plain")),
    security(("token" = ["read"]))
)]
pub(super) async fn checkpoint(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Read)?;
    let latest = state.logger.evidence()?.latest_checkpoint().await?;
    let latest = latest.ok_or_else(|| Problem::not_found("no checkpoint was signed yet"))?;
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, CHANGING)];
    Ok((headers, latest.to_string()))
}

/// A tile of the Merkle tree
#[utoipa::path(
    get,
    path = "/tile/{path}",
    tag = "evidence",
    operation_id = "tile",
    params(("path" = String, Path, description = "Level, index and width, such as `0/x001/234.p/17`. It contains slashes.")),
    responses((status = 200, description = "Hashes, 32 bytes each.", body = Binary, content_type = "application/octet-stream")),
    security(("token" = ["read"]))
)]
pub(super) async fn tile(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Role::Read)?;
    if path.starts_with("entries/") {
        return Err(Problem::not_found(
            "entry bundles are not served, because they would publish the entries; see /v1/entries",
        ));
    }
    let tile: Tile = format!("tile/{path}")
        .parse()
        .map_err(|error: attestry::evidence::InvalidTile| Problem::not_found(error.to_string()))?;
    let hashes = state.logger.evidence()?.read_tile(tile).await?;
    let missing = || Problem::not_found(format!("the tree has no {tile} yet; see /checkpoint"));
    let caching = if tile.width() == TILE_WIDTH { IMMUTABLE } else { CHANGING };
    let headers = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, caching)];
    Ok((headers, hashes.ok_or_else(missing)?))
}
