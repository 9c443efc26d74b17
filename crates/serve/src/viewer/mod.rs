//! The viewer: pages for a browser, made by the server.
//!
//! What a page shows came from models and users. It is text, never markup: [`text`] escapes it and makes visible what
//! a browser would hide. All texts of the pages themselves are in [`strings`].

mod admit;
mod assets;
mod cookie;
mod form;
mod frame;
mod log_in;
mod pages;
mod strings;
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
        .route("/", get(pages::home))
        .route("/entries", get(pages::entries::get))
        .route("/login", get(log_in::form).post(log_in::log_in))
        .route("/logout", post(log_in::log_out))
        .layer(middleware::from_fn_with_state(Arc::clone(state), admit::admit))
        .layer(RequestBodyLimitLayer::new(form::MAX_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(state), limit_requests))
        .route("/assets/{name}", get(assets::get))
}
