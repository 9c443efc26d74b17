//! Records calls of models that a program traces already: a layer of `tracing-subscriber` that turns each
//! span with `gen_ai.*` fields, as the [OpenTelemetry conventions] name them, into an entry of the audit
//! log.
//!
//! ```
//! use attestry_logger::AuditLogger;
//! use attestry_memory::MemoryStorage;
//! use attestry_tracing::AuditLayer;
//! use tracing_subscriber::layer::SubscriberExt;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let logger = AuditLogger::builder(MemoryStorage::new()).build();
//! let layer = AuditLayer::new(logger.clone())?;
//! let audit = layer.handle();
//! let subscriber = tracing_subscriber::registry().with(layer);
//! tracing::subscriber::with_default(subscriber, || {
//!     let span = tracing::info_span!(
//!         "chat",
//!         gen_ai.provider.name = "openai",
//!         gen_ai.request.model = "gpt-4",
//!         gen_ai.input.messages = "What is 2+2?",
//!         gen_ai.output.messages = tracing::field::Empty,
//!     );
//!     span.record("gen_ai.output.messages", "4");
//! });
//! audit.flush().await;
//! assert_eq!(logger.count().await?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is recorded
//!
//! An entry is created when its span closes. Its latency is the time from the creation of the span until
//! then. Fields of events inside the span count as fields of the span, if the event has a `gen_ai.*` field.
//!
//! | field of the entry | field of the span, the first that is there |
//! | --- | --- |
//! | input | `gen_ai.input.messages`, `gen_ai.prompt` |
//! | output | `gen_ai.output.messages`, `gen_ai.completion` |
//! | provider | `gen_ai.provider.name`, `gen_ai.system` |
//! | model | `gen_ai.response.model`, `gen_ai.request.model` |
//! | conversation | `gen_ai.conversation.id` |
//! | tokens | `gen_ai.usage.input_tokens`, `gen_ai.usage.output_tokens`, and the older `prompt_tokens`, `completion_tokens` |
//!
//! Every other field becomes metadata under its name; ids and names as text. A span with `error.type` has
//! the outcome `failed`.
//!
//! # What is not promised
//!
//! A span is recorded **after** its call: a process that is killed loses what is in the queue, and the
//! program is not slowed down when the storage is slow. For a record that exists before the model is
//! called, use [`AuditLogger::start`](attestry_logger::AuditLogger::start).
//!
//! [OpenTelemetry conventions]: https://opentelemetry.io/docs/specs/semconv/gen-ai/

mod layer;
mod span;
mod worker;

pub use layer::AuditLayer;
pub use worker::{AuditHandle, Counts};
