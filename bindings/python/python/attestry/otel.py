"""Recording what OpenTelemetry's instrumentations of models report.

``completion_hook`` is a hook of ``opentelemetry-util-genai``, which gets the messages of a call;
``SpanProcessor`` and ``SpanExporter`` are of the SDK, and get its span.
"""

from __future__ import annotations

import json
import logging
import os
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace import SpanProcessor as BaseSpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter as BaseSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from ._base import BaseLogger
from ._errors import AttestryError, InvalidEntryError
from ._logger import error_name
from ._native import EncryptionManager
from ._storage import FileStorage, S3Storage
from ._sync import AuditLogger

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as ApiSpan

log = logging.getLogger("attestry")

__all__ = ["CompletionHook", "SpanExporter", "SpanProcessor", "completion_hook"]

# The attribute of a span with the id of its start entry.
_START = "attestry.call"


class CompletionHook:
    """A completion hook of ``opentelemetry-util-genai``: one entry for each call of a model.

    It gets the messages of a call when the call ends, before its span does, whether or not they are
    captured in spans and events. The entry is what ``SpanExporter`` would store of a span with these
    messages: recording the same span again stores nothing twice. It is on stable storage when the hook
    returns. ``opentelemetry-util-genai`` ignores exceptions of a hook and logs them; to have the start of
    each call recorded, and a call fail that cannot be, add a ``SpanProcessor``.
    """

    def __init__(self, logger: BaseLogger) -> None:
        self._native = logger.require_native("recording completions")

    def on_completion(
        self,
        *,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        system_instruction: Sequence[Any],
        tool_definitions: Sequence[Any] | None = None,
        span: ApiSpan | None = None,
        log_record: Any = None,
        **_: Any,
    ) -> None:
        """Record a call."""
        attributes: dict[str, Any] = dict(getattr(log_record, "attributes", None) or {})
        attributes.update(getattr(span, "attributes", None) or {})
        contents = {
            "gen_ai.input.messages": inputs,
            "gen_ai.output.messages": outputs,
            "gen_ai.system_instructions": system_instruction,
            "gen_ai.tool.definitions": tool_definitions,
        }
        # Those of the span may be cut by a limit of the SDK.
        attributes.update((key, _json(parts)) for key, parts in contents.items() if parts)
        self._native.import_records(None, "otlp", [_record(span, attributes)])


def completion_hook(logger: BaseLogger | None = None) -> CompletionHook:
    """The hook that ``OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK=attestry`` selects.

    Without a logger, the environment says where to record: ``ATTESTRY_STORE`` is a folder or an S3 URL,
    ``ATTESTRY_STORE_CONTENT=true`` stores the messages themselves, not only their hashes, and
    ``ATTESTRY_KEY_FILE`` is the file of the key that they are encrypted with.

    >>> import tempfile
    >>> logger = AuditLogger(tempfile.mkdtemp())
    >>> completion_hook(logger).on_completion(
    ...     inputs=[{"role": "user", "parts": [{"type": "text", "content": "2+2?"}]}],
    ...     outputs=[{"role": "assistant", "parts": [{"type": "text", "content": "4"}]}],
    ...     system_instruction=[],
    ... )
    >>> logger.count()
    1
    """
    return CompletionHook(_logger_of_environment() if logger is None else logger)


class SpanProcessor(BaseSpanProcessor):
    """Records the calls of models among the spans of a program, from their start.

    The start entry is on stable storage before the instrumented call goes on, with what the span has
    then: the model, not the messages. The end entry is stored when the span ends. A call whose process is
    killed leaves its start entry. Spans that are not sampled are not recorded.

    Args:
        logger: Either kind of logger.
        on_error: ``"fail"``: a call whose start cannot be recorded fails, and so does the end of a span
            that cannot be. ``"serve"``: the failure is reported to ``logging``.

    >>> import tempfile
    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> logger = AuditLogger(tempfile.mkdtemp())
    >>> provider = TracerProvider()
    >>> provider.add_span_processor(SpanProcessor(logger))
    >>> call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4"}
    >>> with provider.get_tracer("mine").start_as_current_span("chat", attributes=call):
    ...     logger.count()
    1
    >>> logger.count()
    2
    """

    def __init__(self, logger: BaseLogger, *, on_error: str = "fail") -> None:
        if on_error not in ("fail", "serve"):
            raise ValueError(f"on_error is 'fail' or 'serve', not {on_error!r}")
        self._native = logger.require_native("recording spans")
        self._serve = on_error == "serve"

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Record the start of a call."""
        try:
            record, _ = _record(span, span.attributes, has_ended=False)
            start = self._native.start_record(None, "otlp", record)
        except (AttestryError, ValueError) as error:
            return self._failed(error)
        if start is not None:
            span.set_attribute(_START, cast(str, start))

    def on_end(self, span: ReadableSpan) -> None:
        """Record the end of a call."""
        try:
            self._native.import_records(None, "otlp", [_record(span, span.attributes)])
        except (AttestryError, ValueError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if not self._serve:
            raise error
        log.error("attestry: a span could not be recorded: %s", error_name(error))

    def shutdown(self) -> None:
        """Nothing is kept back, so there is nothing to do."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back, so there is nothing to do."""
        return True


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

    def __init__(self, logger: BaseLogger) -> None:
        self._native = logger.require_native("exporting spans")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Store the calls among these spans. One that cannot be stored keeps out no other."""
        records = [_record(span, span.attributes) for span in spans]
        try:
            self._native.import_records(None, "otlp", records)
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


def _logger_of_environment() -> AuditLogger:
    store = os.environ.get("ATTESTRY_STORE")
    if not store:
        raise ValueError("ATTESTRY_STORE is not set: it is the folder or the S3 URL to record in")
    content = os.environ.get("ATTESTRY_STORE_CONTENT", "false").lower()
    if content not in ("true", "false"):
        raise ValueError(f"ATTESTRY_STORE_CONTENT is true or false, not {content!r}")
    encryption: EncryptionManager | None = None
    key_file = os.environ.get("ATTESTRY_KEY_FILE")
    if key_file:
        with open(key_file, "rb") as file:
            encryption = EncryptionManager(file.read().strip())
    storage = S3Storage.from_url(store) if store.startswith("s3://") else FileStorage(store)
    return AuditLogger(storage, encryption, content == "true")


def _json(parts: Sequence[Any]) -> str:
    return json.dumps(list(parts), default=_plain)


def _plain(value: Any) -> Any:
    """As the instrumentations write it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


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


def _record(
    span: ApiSpan | ReadableSpan | None, attributes: Mapping[str, Any] | None, *, has_ended: bool = True
) -> tuple[bytes, str | None]:
    """A span with these attributes in OTLP/JSON, and the id of its start entry if it has one."""
    known = dict(attributes or {})
    start = known.pop(_START, None)
    found: dict[str, Any] = {"attributes": _attributes(known)}
    resource: Mapping[str, Any] = {}
    scope: dict[str, str] = {}
    context = None if span is None else span.get_span_context()
    if context is not None and context.is_valid:
        found.update(traceId=f"{context.trace_id:032x}", spanId=f"{context.span_id:016x}")
    # A completed call ends before its span does.
    now = str(time.time_ns()) if has_ended else "0"
    if isinstance(span, ReadableSpan):
        found.update(_details(span, now))
        resource = span.resource.attributes
        about = span.instrumentation_scope
        scope = {} if about is None else {"name": about.name, "version": about.version or ""}
    else:
        # Not sampled, or there is no SDK. The call ends now.
        found.update(startTimeUnixNano=now, endTimeUnixNano=now)
        if "error.type" in known:
            found["status"] = {"code": 2}
    envelope = {
        "resource": {"attributes": _attributes(resource)},
        "scopeSpans": [{"scope": scope, "spans": [found]}],
    }
    return json.dumps({"resourceSpans": [envelope]}).encode(), start


def _details(span: ReadableSpan, now: str) -> dict[str, Any]:
    """What only a span of the SDK has."""
    # Unset, ok and error have the same numbers in OTLP.
    status = {"code": span.status.status_code.value, "message": span.status.description or ""}
    details: dict[str, Any] = {
        "name": span.name,
        "kind": span.kind.value + 1,
        "startTimeUnixNano": str(span.start_time or 0),
        "endTimeUnixNano": now if span.end_time is None else str(span.end_time),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": str(event.timestamp),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ],
        "status": status,
    }
    if span.parent is not None:
        details["parentSpanId"] = f"{span.parent.span_id:016x}"
    return details
