"""An exporter of spans for the OpenTelemetry SDK."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter as BaseSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from ._errors import AttestryError, InvalidEntryError
from ._logger import error_name
from ._sync import AuditLogger

log = logging.getLogger("attestry")

__all__ = ["SpanExporter"]


class SpanExporter(BaseSpanExporter):
    """Records the calls of models among the spans of a program; other spans are ignored.

    A span is exported after its end: a call whose process is killed leaves no record. Exporting a span
    again stores nothing twice. Use ``SimpleSpanProcessor`` to have each call on stable storage when its
    span ends.

    >>> import tempfile
    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    >>> logger = AuditLogger(tempfile.mkdtemp())
    >>> provider = TracerProvider()
    >>> provider.add_span_processor(SimpleSpanProcessor(SpanExporter(logger)))
    >>> call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4"}
    >>> with provider.get_tracer("mine").start_as_current_span("chat", attributes=call):
    ...     pass
    >>> logger.count()
    1
    """

    def __init__(self, logger: AuditLogger) -> None:
        self._native = logger.require_native("exporting spans")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store the calls among these spans. One that cannot be stored keeps out no other."""
        bodies = [json.dumps({"resourceSpans": [_resource_span(span)]}).encode() for span in spans]
        try:
            self._native.import_records(None, "otlp", [(body, None) for body in bodies])
        except InvalidEntryError as error:
            for number, reason in error.reasons.items():
                log.error("attestry: span %d of %d cannot be recorded: %s", number + 1, len(spans), reason)
            return SpanExportResult.FAILURE
        except (AttestryError, ValueError) as error:
            log.error("attestry: spans could not be recorded: %s", error_name(error))
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is kept back, so there is nothing to do."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back, so there is nothing to do."""
        return True


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    # The type is checked so that the value stays one of any type to the type checkers.
    if issubclass(type(value), Mapping):
        return {"kvlistValue": {"values": _attributes(value)}}
    if issubclass(type(value), Sequence):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}


def _attributes(attributes: Mapping[Any, Any] | None) -> list[dict[str, Any]]:
    return [{"key": str(k), "value": _value(v)} for k, v in (attributes or {}).items()]


def _resource_span(span: ReadableSpan) -> dict[str, Any]:
    """A span in OTLP/JSON."""
    context = span.get_span_context()
    if context is None:
        return {}
    scope = span.instrumentation_scope
    found: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": str(span.end_time or 0),
        "attributes": _attributes(span.attributes),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": str(event.timestamp),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        # Unset, ok and error have the same numbers in OTLP.
        "status": {"code": span.status.status_code.value, "message": span.status.description or ""},
    }
    if span.parent is not None:
        found["parentSpanId"] = f"{span.parent.span_id:016x}"
    about = {} if scope is None else {"name": scope.name, "version": scope.version or ""}
    return {
        "resource": {"attributes": _attributes(span.resource.attributes)},
        "scopeSpans": [{"scope": about, "spans": [found]}],
    }
