//! `GET /openapi.json`: the description of the API (OpenAPI 3.1), generated from the handlers and types.

use std::sync::OnceLock;

use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{calls, entries, erase, health, metrics, proof, record, schema, stats, tiles, verify};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Attestry",
        description = "The audit log for AI systems. A status of success means that what was sent is on stable storage. \
                       The role of an operation is what its token needs; the role content includes read, and admin \
                       includes all.",
    ),
    paths(
        record::post,
        entries::list,
        entries::get,
        erase::delete,
        erase::delete_matching,
        proof::get,
        calls::start,
        calls::output,
        calls::end,
        stats::get,
        crate::otlp::http::traces,
        crate::otlp::http::logs,
        verify::latest,
        verify::verify,
        tiles::checkpoint,
        tiles::tile,
        metrics::get,
        health::alive,
        health::ready,
        get,
    ),
    components(schemas(schema::Problem))
)]
struct Document;

/// The description of the API.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "server",
    operation_id = "description",
    responses((status = 200, description = "This document.", content_type = "application/json"))
)]
pub(super) async fn get() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    ([(CONTENT_TYPE, "application/json")], TEXT.get_or_init(text).as_str())
}

/// The document, with what all operations have in common.
fn text() -> String {
    // Serialising what consists of texts and maps cannot fail.
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    document["components"]["securitySchemes"] =
        json!({ "token": { "type": "http", "scheme": "bearer" } });
    let problem = json!({
        "description": "A problem. With status 503 and Retry-After the same request may succeed later.",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object_mut().into_iter().flatten());
    for (_, operation) in operations.filter(|(_, operation)| operation["responses"].is_object()) {
        operation["responses"]["default"] = problem.clone();
    }
    sort(&mut document["paths"]);
    format!("{document:#}\n")
}

/// Sorts the keys, so that the document does not depend on the order of the handlers.
fn sort(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.sort_keys();
    }
}
