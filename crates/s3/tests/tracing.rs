//! Events of the feature `tracing`: retries are warnings, and none shows content.
#![allow(clippy::unwrap_used)] // in helper functions

mod support;

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use attestry_core::{AuditEntry, StorageBackend};
use support::{ConditionSupport, Fault, Server, entry};
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Writes the events of this project to a text: one line each, with level and fields.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("attestry") {
            let mut text = self.0.lock().unwrap();
            write!(text, "{}", event.metadata().level()).unwrap();
            event.record(&mut Fields(&mut text));
            text.push('\n');
        }
    }
}

#[tokio::test]
async fn each_event_occurs_and_none_shows_content() {
    let capture = Capture::default();
    let subscriber = tracing_subscriber::registry().with(capture.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = Server::start().await;
    server.set_condition_support(ConditionSupport::NotImplemented);
    let storage = server.connect().await;
    let new = |id: &str| AuditEntry {
        input_content: Some("my card is s3cr3t".into()),
        ..entry(id, "2026-01-28T09:00:00.000001")
    };
    server.inject("put", 1, Fault::ErrorResponse("SlowDown", 503));
    storage.append(&[new("an-id")]).await.unwrap();
    storage.close().await.unwrap();
    let output = capture.0.lock().unwrap().clone();
    let expected = [
        ("INFO", "store opened"),
        ("WARN", "request retried"),
        ("WARN", "conditional writes are emulated"),
        ("DEBUG", "object stored"),
        ("INFO", "store closed"),
    ];
    for (level, message) in expected {
        let found = output
            .lines()
            .any(|line| line.starts_with(level) && line.contains(&format!("message={message}")));
        assert!(found, "no event {message:?} of level {level} in:\n{output}");
    }
    assert!(output.contains("an-id.json"), "{output}");
    assert!(!output.contains("s3cr3t") && !output.contains("card"), "{output}");
}
