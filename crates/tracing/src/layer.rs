//! The layer: collects the fields of spans.

use std::fmt;
use std::io;
use std::time::Instant;

use attestry_core::Timestamp;
use attestry_logger::AuditLogger;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Field, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::span::{Fields, PREFIX};
use crate::worker::{self, AuditHandle};

/// A layer that records each span with a `gen_ai.*` field; see the [crate's documentation](crate).
///
/// Recording happens on a thread of its own, which emits no events to any subscriber: a storage backend
/// that is traced itself is not recorded by the layer.
pub struct AuditLayer {
    calls: AuditHandle,
}

/// A span that is recorded when it closes.
struct Open {
    fields: Fields,
    timestamp: Timestamp,
    started: Instant,
}

impl AuditLayer {
    /// The number of calls that wait to be stored at most, unless it is set.
    pub const DEFAULT_QUEUE: usize = 1_024;

    /// A layer that records with `logger`, with a queue of [`DEFAULT_QUEUE`](Self::DEFAULT_QUEUE) calls.
    ///
    /// # Errors
    ///
    /// If the operating system cannot start the thread that records.
    pub fn new(logger: AuditLogger) -> io::Result<Self> {
        Self::with_queue(logger, Self::DEFAULT_QUEUE)
    }

    /// A layer with a queue of `calls`, at least one. A span that closes while the queue is full is refused
    /// and counted; it never waits.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_queue(logger: AuditLogger, calls: usize) -> io::Result<Self> {
        Ok(Self { calls: worker::start(logger, calls.max(1))? })
    }

    /// A handle that flushes and counts, for when the layer was moved into a subscriber.
    #[must_use]
    pub fn handle(&self) -> AuditHandle {
        self.calls.clone()
    }
}

fn is_recorded(metadata: &Metadata<'_>) -> bool {
    metadata.fields().iter().any(|field: Field| field.name().starts_with(PREFIX))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for AuditLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !is_recorded(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let open = Open { fields, timestamp: Timestamp::now(), started: Instant::now() };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !is_recorded(event.metadata()) {
            return;
        }
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                event.record(&mut open.fields);
                return;
            }
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let interaction = open.fields.into_interaction();
        self.calls.send(interaction.timestamp(open.timestamp).latency(open.started.elapsed()));
    }
}

impl fmt::Debug for AuditLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLayer").field("counts", &self.calls.counts()).finish()
    }
}
