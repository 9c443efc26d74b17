//! The viewer: pages for a browser, made by the server.
//!
//! What a page shows came from models and users. It is text, never markup: [`text`] escapes it and makes visible what
//! a browser would hide. All texts of the pages themselves are in [`strings`].

mod admit;
mod assets;
mod checks;
mod content;
mod cookie;
mod form;
mod frame;
mod log_in;
mod media;
mod number;
mod pages;
mod strings;
mod table;
mod text;
mod url;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tower_http::limit::RequestBodyLimitLayer;

use crate::http::limit::limit_requests;
use crate::state::AppState;

/// The routes of the viewer.
pub(crate) fn router(state: &Arc<AppState>) -> Router<Arc<AppState>> {
    Router::new()
        .route(url::OVERVIEW, get(pages::overview::get))
        .route(url::INTEGRITY, get(pages::integrity::get))
        .route(url::VERIFY, post(pages::integrity::start))
        .route(url::PROGRESS, get(pages::integrity::progress))
        .route(url::CHECKPOINT, get(pages::integrity::checkpoint_note))
        .route(url::ACCESS, get(pages::access::get))
        .route(url::ENTRIES, get(pages::entries::get))
        .route(url::NEWER, get(pages::entries::newer))
        .route(url::DOWNLOAD, get(pages::entries::download))
        .route("/entries/{id}", get(pages::entry::get))
        .route("/entries/{id}/proof", get(pages::entry::proof))
        .route("/entries/{id}/line", get(pages::entry::line))
        .route("/entries/{id}/{side}", get(pages::entry::side))
        .route("/entries/{id}/media/{side}/{message}/{part}", get(pages::entry::media))
        .route(url::CONVERSATIONS, get(pages::conversation::by_query))
        .route("/conversations/{id}", get(pages::conversation::get))
        .route(url::LOG_IN, get(log_in::form).post(log_in::log_in))
        .route(url::LOG_OUT, post(log_in::log_out))
        .layer(middleware::from_fn_with_state(Arc::clone(state), admit::admit))
        .layer(RequestBodyLimitLayer::new(form::MAX_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(state), limit_requests))
        .route("/assets/{name}", get(assets::get))
}
