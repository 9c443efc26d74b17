//! A chat that streams its answer as server-sent events and is on record from its start to its end, also
//! if the client disconnects: `cargo run --example streaming_chat`, then
//! `curl -N -d '{"prompt": "one two three"}' -H 'content-type: application/json' http://127.0.0.1:3000/chat`
//! (interrupt it before it ends), and `attestry --store audit list`.
#![allow(clippy::print_stdout, clippy::print_stderr)] // an example prints

use std::time::Duration;

use attestry::{AuditError, AuditLogger, ErrorChain, Interaction};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;

#[derive(Deserialize)]
struct Prompt {
    prompt: String,
}

/// The service.
pub fn app(log: AuditLogger) -> Router {
    Router::new().route("/chat", post(chat)).with_state(log)
}

async fn chat(
    State(log): State<AuditLogger>,
    Json(Prompt { prompt }): Json<Prompt>,
) -> Result<Response, StatusCode> {
    // On disk before the model is called; a call that cannot be recorded is not made.
    let question = Interaction::new(&prompt, "").provider("example").model("echo-1");
    let call = log.start(question).await.map_err(|error| {
        eprintln!("not recorded ({}): {}", error.kind(), ErrorChain(&error));
        StatusCode::SERVICE_UNAVAILABLE
    })?;
    let id = [("audit-id", call.id().map(ToString::to_string).unwrap_or_default())];
    // The response owns the call. It ends after the end of the call is recorded, or with an error. If the
    // client disconnects, the server drops both, and the call is recorded as abandoned, with the answer
    // so far.
    let answer = call.tee(call_the_model(&prompt), |call, token| call.push(token));
    let events = answer.map_ok(|token| Event::default().data(token));
    Ok((id, Sse::new(events)).into_response())
}

/// Replace this by a streaming call of your model.
fn call_the_model(prompt: &str) -> impl Stream<Item = Result<String, AuditError>> + Send + use<> {
    let words: Vec<String> = prompt.split_inclusive(' ').rev().map(str::to_owned).collect();
    stream::iter(words).then(|word| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(word)
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = attestry::open("./audit").await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = async {
        // On an error Ctrl-C cannot be handled; the process then ends without a graceful shutdown.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, app(log.clone())).with_graceful_shutdown(shutdown).await?;
    // Waits for the records of calls that were dropped.
    log.close().await?;
    Ok(())
}
