//! The routes.

mod calls;
mod entries;
mod erase;
mod health;
mod metrics;
mod openapi;
mod proof;
mod record;
pub(crate) mod schema;
mod stats;
mod tiles;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, StatusCode, Uri};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::http::discard::discard_rest;
use crate::http::limit::limit_requests;
use crate::http::problem::Problem;
use crate::http::request_log::log_requests;
use crate::otlp;
use crate::security::authenticate::authenticate;
use crate::state::AppState;
use crate::viewer;

/// All routes. Those of health need no token.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let limits = state.limits();
    let protected = Router::new()
        .route("/v1/entries", post(record::post).get(entries::list).delete(erase::delete_matching))
        .route("/v1/entries/{id}", get(entries::get).delete(erase::delete))
        .route("/v1/entries/{id}/proof", get(proof::get))
        .route("/v1/calls", post(calls::start))
        .route("/v1/calls/{id}/output", post(calls::output))
        .route("/v1/calls/{id}/end", post(calls::end))
        .route("/v1/stats", get(stats::get))
        .route("/v1/verify", get(verify::latest).post(verify::verify))
        .route("/checkpoint", get(tiles::checkpoint))
        .route("/tile/{*path}", get(tiles::tile))
        .route("/metrics", get(metrics::get))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), authenticate))
        .layer(RequestDecompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(limits.encoded_body))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), limit_requests));
    let telemetry = Router::new()
        .route("/v1/traces", post(otlp::http::traces))
        .route("/v1/logs", post(otlp::http::logs))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), authenticate))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), limit_requests))
        .layer(middleware::from_fn(otlp::http::errors_as_status));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::get))
        .merge(protected)
        .merge(telemetry)
        .merge(viewer::router(&state))
        .route(otlp::grpc::TRACES, post(otlp::grpc::traces))
        .route(otlp::grpc::LOGS, post(otlp::grpc::logs))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(security_headers))
        .layer(middleware::from_fn(log_requests))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), discard_rest))
        .with_state(state)
}

/// The routes of gRPC. Its errors have a form of their own, so that no other layer answers.
pub(crate) fn grpc_router(state: Arc<AppState>) -> Router {
    Router::new()
        .route(otlp::grpc::TRACES, post(otlp::grpc::traces))
        .route(otlp::grpc::LOGS, post(otlp::grpc::logs))
        .fallback(otlp::grpc::unknown)
        .with_state(state)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed")
        .detail(format!("{} does not answer {method}", uri.path()))
}

/// Responses contain records: no cache may keep them unless a route says so, and no browser may guess their type,
/// frame them, or load anything on their behalf.
async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}
