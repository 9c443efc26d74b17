//! A `reqwest` client whose middleware records every call of a model, whatever becomes of it:
//! `cargo run --example recording_client` (it calls a model of its own on this machine), then
//! `attestry --store audit list`.
#![allow(clippy::print_stdout)] // an example prints

use attestry::{AuditLogger, Call, Interaction};
use axum::Json;
use axum::http::{self, Extensions};
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};
use serde_json::{Value, json};

/// Records the bodies of requests and responses.
struct Recording {
    log: AuditLogger,
}

/// A client that records its calls with `log`.
#[must_use]
pub fn client(log: AuditLogger) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new()).with(Recording { log }).build()
}

#[async_trait::async_trait]
impl Middleware for Recording {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response, Error> {
        // On disk before the model is called; a call that cannot be recorded is not made.
        let mut call = self.log.start(interaction(&request)).await.map_err(Error::middleware)?;
        // If this future is dropped from here on, by a timeout for instance, the call is recorded as
        // abandoned.
        let response = match next.run(request, extensions).await {
            Ok(response) => response,
            Err(error) => {
                call.fail(kind(&error)).await.map_err(Error::middleware)?;
                return Err(error);
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        call.set(|fields| fields.metadata("http.response.status_code", status.as_u16()));
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(error) => {
                call.cut_off().await.map_err(Error::middleware)?;
                return Err(error.into());
            }
        };
        end(call, status, &String::from_utf8_lossy(&body)).await?;
        // The body was read; the caller gets an equal response.
        let mut whole = http::Response::new(body);
        (*whole.status_mut(), *whole.headers_mut()) = (status, headers);
        Ok(whole.into())
    }
}

/// What is known before the call: the crate `attestry-genai` reads more from the bodies of known APIs.
fn interaction(request: &Request) -> Interaction<'static> {
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    let fields: Value = serde_json::from_slice(body).unwrap_or_default();
    Interaction::new(String::from_utf8_lossy(body).into_owned(), "")
        .provider(request.url().host_str().unwrap_or_default())
        .model(fields["model"].as_str().unwrap_or_default())
        .operation("chat")
}

async fn end(mut call: Call, status: http::StatusCode, body: &str) -> Result<(), Error> {
    call.push(body);
    let ended = match status.is_success() {
        true => call.finish().await,
        false => call.fail(status.as_str()).await,
    };
    ended.map(drop).map_err(Error::middleware)
}

/// A stable name without content.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Reqwest(error) if error.is_timeout() => "timeout",
        Error::Reqwest(error) if error.is_connect() => "connect",
        _ => "request",
    }
}

/// In place of a model's API.
async fn model(Json(request): Json<Value>) -> Json<Value> {
    Json(json!({"model": request["model"], "answer": "4"}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/chat", listener.local_addr()?);
    let service = axum::Router::new().route("/chat", axum::routing::post(model));
    tokio::spawn(async move { axum::serve(listener, service).await });

    let log = attestry::open("./audit").await?;
    let body = json!({"model": "echo-1", "prompt": "What is 2+2?"}).to_string();
    let response = client(log.clone()).post(url).header("content-type", "application/json");
    println!("{}", response.body(body).send().await?.text().await?);
    log.close().await?;
    Ok(())
}
