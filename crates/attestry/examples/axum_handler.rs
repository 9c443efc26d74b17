//! A web service that answers only what it could record: `cargo run --example axum_handler`, then
//! `curl -d '{"prompt": "hello"}' -H 'content-type: application/json' http://127.0.0.1:3000/chat`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // an example talks to its reader

use std::time::Instant;

use attestry::{AuditLogger, Interaction};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Request {
    prompt: String,
}

#[derive(Serialize)]
struct Response {
    answer: String,
    audit_id: String,
}

async fn chat(
    State(log): State<AuditLogger>,
    Json(request): Json<Request>,
) -> Result<Json<Response>, (StatusCode, String)> {
    let started = Instant::now();
    let answer = call_the_model(&request.prompt).await;
    let interaction = Interaction::new(&request.prompt, &answer)
        .provider("example")
        .model("echo-1")
        .latency(started.elapsed());
    // Fail closed: what cannot be recorded is not served. `FailurePolicy::fail_open` chooses otherwise.
    let id = log.log(interaction).await.map_err(|error| {
        eprintln!("not recorded: {error}");
        (StatusCode::SERVICE_UNAVAILABLE, "the audit log is not available".to_owned())
    })?;
    Ok(Json(Response { answer, audit_id: id.to_string() }))
}

/// Stands for your model.
async fn call_the_model(prompt: &str) -> String {
    prompt.chars().rev().collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = attestry::open("./audit").await?;
    let app = Router::new().route("/chat", post(chat)).with_state(log.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = async {
        // An error means that Ctrl-C cannot be caught; then the service just ends with it.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await?;
    log.close().await?;
    Ok(())
}
