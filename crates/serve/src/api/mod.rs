//! The routes.

mod calls;
mod content;
mod entries;
mod erase;
mod evidence;
mod health;
mod metrics;
mod record;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, StatusCode, Uri};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

use crate::http::limit::limit_requests;
use crate::http::problem::Problem;
use crate::otlp;
use crate::security::authenticate::authenticate;
use crate::state::AppState;

/// All routes. Those of health need no token.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let limits = state.limits();
    let protected = Router::new()
        .route("/v1/entries", post(record::post).get(entries::list).delete(erase::delete_matching))
        .route("/v1/entries/{id}", get(entries::get).delete(erase::delete))
        .route("/v1/entries/{id}/proof", get(evidence::proof))
        .route("/v1/calls", post(calls::start))
        .route("/v1/calls/{id}/output", post(calls::output))
        .route("/v1/calls/{id}/end", post(calls::end))
        .route("/checkpoint", get(evidence::checkpoint))
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
        .merge(protected)
        .merge(telemetry)
        .route(otlp::grpc::TRACES, post(otlp::grpc::traces))
        .route(otlp::grpc::LOGS, post(otlp::grpc::logs))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(security_headers))
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

/// Responses contain records: no cache may keep them, and no browser may guess their type.
async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
