//! `GET /metrics`, in the text format of Prometheus.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use attestry::Timestamp;
use attestry::anchor::{AnchorMetrics, AnchorStatus};
use attestry::metrics::{Histogram, StorageMetrics};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::http::problem::Problem;
use crate::otlp::receiver::Otlp;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
const MICROSECONDS: f64 = 1e6;

/// Numbers in the text format of Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    operation_id = "metrics",
    responses((status = 200, description = "The numbers.", body = String, content_type = "text/plain")),
    security(("token" = ["read"]))
)]
pub(super) async fn get(
    State(state): State<Arc<AppState>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    caller.require(Role::Read)?;
    let mut text = Text::default();
    server(&mut text, &state);
    if let Some(otlp) = &state.otlp {
        telemetry(&mut text, otlp);
    }
    maintenance(&mut text, &state);
    if let Some(storage) = state.logger.metrics().storage {
        store(&mut text, &storage);
    }
    if let Some(metrics) = state.anchors.metrics() {
        anchors(&mut text, &metrics);
    }
    Ok(([(CONTENT_TYPE, FORMAT)], text.0).into_response())
}

fn server(text: &mut Text, state: &AppState) {
    let running = state.limits().requests - state.requests.available_permits();
    text.counter(
        "recorded_entries_total",
        "Entries that this process has stored and acknowledged.",
        state.recorded_entries.get()
            + state.otlp.as_ref().map_or(0, |otlp| otlp.inbox.counters.entries.get()),
    );
    text.counter(
        "refused_requests_total",
        "Requests answered with 503 because too many were being answered.",
        state.refused_requests.get(),
    );
    text.counter(
        "failed_authentications_total",
        "Requests without a token, or with one that is not known.",
        state.failed_authentications.get(),
    );
    text.gauge("running_requests", "Requests that are being answered.", running);
    text.gauge("open_calls", "Calls that have started and not ended.", state.calls.len());
    let ready = u8::from(state.not_ready().is_none());
    text.gauge("ready", "Whether the last write succeeded, or failed some time ago.", ready);
}

fn telemetry(text: &mut Text, otlp: &Otlp) {
    let (inbox, (calls, bytes)) = (&otlp.inbox.counters, otlp.inbox.waiting_calls());
    text.counter(
        "otlp_received_total",
        "Spans and log records received that are of calls.",
        otlp.received.get(),
    );
    text.counter(
        "otlp_ignored_total",
        "Spans and log records received that are of something else, and are not stored.",
        otlp.ignored.get(),
    );
    text.counter(
        "otlp_refused_total",
        "Spans and log records that cannot be stored.",
        otlp.refused.get(),
    );
    text.counter("otlp_entries_total", "Entries stored of calls.", inbox.entries.get());
    text.counter("otlp_parts_total", "Parts of calls stored in the inbox.", inbox.parts.get());
    text.counter(
        "otlp_repeated_total",
        "Parts that said nothing more than the entry of their call.",
        inbox.repeated.get(),
    );
    text.counter(
        "otlp_late_total",
        "Entries of parts that came after the entry of their call.",
        inbox.late.get(),
    );
    text.counter(
        "otlp_failed_writes_total",
        "Writes from the inbox that failed and are repeated.",
        inbox.failed_writes.get(),
    );
    text.counter(
        "otlp_reduced_total",
        "Entries stored without what would have made them too large.",
        inbox.reduced.get(),
    );
    text.counter(
        "otlp_dropped_total",
        "Accepted calls of which nothing could be stored.",
        inbox.dropped.get(),
    );
    text.gauge("otlp_waiting_calls", "Calls that wait for other parts.", calls);
    text.gauge("otlp_waiting_bytes", "Bytes of their parts.", bytes);
}

/// Verifications and clean-ups.
fn maintenance(text: &mut Text, state: &AppState) {
    if let Some(latest) = state.verifications.latest() {
        let at = seconds(latest.at);
        text.gauge("verification_timestamp_seconds", "When the store was last verified.", at);
        text.gauge("verification_duration_seconds", "How long that took.", latest.seconds);
        let completed = u8::from(latest.problems.is_some());
        text.gauge("verification_completed", "Whether it came to a result.", completed);
        if let Some(problems) = latest.problems {
            text.gauge("verification_problems", "Problems that it found.", problems);
        }
    }
    text.counter(
        "cleaned_entries_total",
        "Entries that scheduled clean-ups have erased.",
        state.cleanups.entries.get(),
    );
    text.counter(
        "cleaned_access_entries_total",
        "Entries of the access log that scheduled clean-ups have erased.",
        state.cleanups.access_entries.get(),
    );
    text.counter(
        "failed_cleanups_total",
        "Scheduled clean-ups that failed.",
        state.cleanups.failures.get(),
    );
    let fails = u8::from(state.signing.fails(&state.logger));
    text.gauge("signing_fails", "Whether the checkpoint that is due cannot be signed.", fails);
}

/// Seconds since 1970.
fn seconds(time: Timestamp) -> f64 {
    // Below 2^53 microseconds, so that nothing is lost.
    #[allow(clippy::cast_precision_loss)]
    let micros = time.unix_micros() as f64;
    micros / MICROSECONDS
}

/// What the storage backend counts.
fn store(text: &mut Text, storage: &StorageMetrics) {
    text.counter("store_entries_total", "Entries stored by this process.", storage.entries);
    text.counter("store_bytes_total", "Bytes of the entries stored.", storage.bytes);
    text.counter("store_batches_total", "Batches, each made durable once.", storage.batches);
    text.counter("store_retries_total", "Requests to the store repeated.", storage.retries);
    text.counter("store_refused_entries_total", "Entries not stored.", storage.refused);
    text.gauge("store_queued_entries", "Entries waiting to be stored.", storage.queue_depth);
    text.histogram("store_sync_seconds", "Time to sync a batch.", &storage.syncs);
    text.counter(
        "store_failed_checkpoints_total",
        "Checkpoints that were due and could not be signed.",
        storage.failed_checkpoints,
    );
    if let Some(checkpoint) = storage.last_checkpoint {
        let at = seconds(checkpoint.time);
        text.gauge("checkpoint_timestamp_seconds", "When the last checkpoint was signed.", at);
        text.gauge("checkpoint_leaves", "Leaves that it covers.", checkpoint.size);
    }
}

/// Where checkpoints are handed over to.
fn anchors(text: &mut Text, metrics: &AnchorMetrics) {
    if let Some(age) = metrics.held_age_seconds {
        text.gauge(
            "checkpoint_held_age_seconds",
            "How long ago the newest checkpoint held elsewhere was the newest of the store.",
            age,
        );
    }
    let each = |value: fn(&AnchorStatus) -> u64| {
        metrics.anchors.iter().map(move |anchor| (&*anchor.anchor, value(anchor)))
    };
    text.by_anchor(
        "anchor_handed_over_total",
        "counter",
        "Checkpoints handed over.",
        each(|anchor| anchor.handed_over),
    );
    text.by_anchor(
        "anchor_failures_total",
        "counter",
        "Attempts to hand a checkpoint over that failed.",
        each(|anchor| anchor.failed),
    );
    text.by_anchor(
        "anchor_pending",
        "gauge",
        "Whether the latest checkpoint has yet to be handed over.",
        each(|anchor| anchor.pending.into()),
    );
    text.by_anchor(
        "anchor_contradiction",
        "gauge",
        "Whether the anchor has seen a larger or another tree of this log.",
        each(|anchor| anchor.contradiction.into()),
    );
}

#[derive(Default)]
struct Text(String);

// Writing to a String cannot fail.
impl Text {
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "attestry_{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "attestry_{name} {value}");
    }

    fn by_anchor<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl Iterator<Item = (&'a str, u64)>,
    ) {
        self.head(name, help, kind);
        for (anchor, value) in values {
            let anchor = anchor.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = writeln!(self.0, "attestry_{name}{{anchor=\"{anchor}\"}} {value}");
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let mut below = 0;
        for (bound, count) in histogram.buckets() {
            below += count;
            let bound = bound.map_or("+Inf".to_owned(), |bound| bound.as_secs_f64().to_string());
            let _ = writeln!(self.0, "attestry_{name}_bucket{{le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(self.0, "attestry_{name}_sum {}", histogram.sum().as_secs_f64());
        let _ = writeln!(self.0, "attestry_{name}_count {below}");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP attestry_{name} {help}");
        let _ = writeln!(self.0, "# TYPE attestry_{name} {kind}");
    }
}
