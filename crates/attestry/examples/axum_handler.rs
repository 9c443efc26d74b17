//! A web service that serves only answers that it could record, and streams its record:
//! `cargo run --example axum_handler`, then
//! `curl -d '{"prompt": "hello"}' -H 'content-type: application/json' http://127.0.0.1:3000/chat` and
//! `curl 'http://127.0.0.1:3000/entries?order=descending&limit=10'`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // an example prints

use std::time::Instant;

use attestry::{AuditLogger, ErrorChain, Interaction, StorageError, line};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
}

#[derive(Serialize)]
struct Answer {
    answer: String,
    audit_id: String,
}

async fn chat(
    State(log): State<AuditLogger>,
    Json(request): Json<Prompt>,
) -> Result<Json<Answer>, (StatusCode, String)> {
    let started = Instant::now();
    let answer = call_the_model(&request.prompt).await;
    let interaction = Interaction::new(&request.prompt, &answer)
        .provider("example")
        .model("echo-1")
        .latency(started.elapsed());
    // Fail closed: an answer that cannot be recorded is not served. `FailurePolicy::fail_open` serves it.
    let id = log.log(interaction).await.map_err(|error| {
        eprintln!("not recorded ({}): {}", error.kind(), ErrorChain(&error));
        (StatusCode::SERVICE_UNAVAILABLE, "the audit log is not available".to_owned())
    })?;
    Ok(Json(Answer { answer, audit_id: id.to_string() }))
}

/// Streams entries as lines of JSON. The stream owns the store, so the response may outlive the handler.
async fn entries(
    State(log): State<AuditLogger>,
    Query(query): Query<attestry::Query>,
) -> impl IntoResponse {
    let lines = log.query(query).filter_map(|result| async move {
        match result {
            Ok(entry) => Some(line::encode(&entry).map_err(StorageError::from)),
            // Unreadable records do not end the stream.
            Err(StorageError::Corrupt(record)) => {
                eprintln!("{record}");
                None
            }
            Err(error) => Some(Err(error)),
        }
    });
    Response::new(Body::from_stream(lines))
}

/// Replace this by a call of your model.
async fn call_the_model(prompt: &str) -> String {
    prompt.chars().rev().collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = attestry::open("./audit").await?;
    let app = Router::new()
        .route("/chat", post(chat))
        .route("/entries", get(entries))
        .with_state(log.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = async {
        // On an error Ctrl-C cannot be handled; the process then ends without a graceful shutdown.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await?;
    log.close().await?;
    Ok(())
}
