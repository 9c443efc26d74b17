"""The adapters of OpenTelemetry: the SDK, the completion hook, and the instrumentation of a real client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import openai
import pytest
from endpoint import Endpoint, chat, chunk, events
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.util.genai.completion_hook import CompletionHook as Protocol
from opentelemetry.util.genai.completion_hook import load_completion_hook
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.types import (
    BlobPart,
    FunctionToolDefinition,
    InputMessage,
    OutputMessage,
    TextPart,
    ToolCallRequestPart,
    ToolCallResponsePart,
)
from stores import broken

import attestry
from attestry import AuditLogger
from attestry.audit import AuditEntry, EncryptionManager
from attestry.otel import CompletionHook, SpanExporter, SpanProcessor, completion_hook

MESSAGES: Any = [{"role": "user", "content": "2+2?"}]


def handler(hook: Any, *processors: Any, **options: Any) -> TelemetryHandler:
    provider = TracerProvider(**options)
    for processor in processors:
        provider.add_span_processor(processor)
    return TelemetryHandler(tracer_provider=provider, completion_hook=hook)


def messages(text: str | None) -> list[dict[str, Any]]:
    assert text is not None
    found: list[dict[str, Any]] = json.loads(text)
    assert text == json.dumps(found, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return found


def ask(telemetry: TelemetryHandler) -> Any:
    """A call with all kinds of parts, as an instrumentation reports it."""
    call = telemetry.inference("openai", request_model="gpt-4", server_address="api.example")
    call.system_instruction = [TextPart(content="Be brief.")]
    call.input_messages = [
        InputMessage(role="user", parts=[TextPart("Weather?"), BlobPart("image/png", "image", b"\x89P")]),
        InputMessage(role="tool", parts=[ToolCallResponsePart(response={"sky": "blue"}, id="t1")]),
    ]
    answer = ToolCallRequestPart(arguments={"city": "Köln"}, name="weather", id="t2")
    call.output_messages = [OutputMessage(role="assistant", parts=[answer], finish_reason="tool_call")]
    call.tool_definitions = [FunctionToolDefinition("weather", "Says the weather", {"type": "object"})]
    call.conversation_id, call.response_id = "conversation-1", "resp-1"
    call.response_model_name = "gpt-4-0613"
    call.input_tokens, call.output_tokens = 9, 3
    return call


def check(entry: AuditEntry, span: Any) -> None:
    """The entry of that call."""
    system, user, tool = messages(entry.input_content)
    assert system == {"parts": [{"content": "Be brief.", "type": "text"}], "role": "system"}
    assert user["parts"][0] == {"content": "Weather?", "type": "text"}
    blob = {"content": "iVA=", "mime_type": "image/png", "modality": "image", "type": "blob"}
    assert user["parts"][1] == blob
    [response] = tool["parts"]
    assert (response["type"], response["id"]) == ("tool_call_response", "t1")
    assert response["response"] == {"sky": "blue"}
    [answer] = messages(entry.output_content)
    request = {"arguments": {"city": "Köln"}, "id": "t2", "name": "weather", "type": "tool_call"}
    assert answer["role"] == "assistant" and answer["parts"] == [request]
    assert (entry.provider, entry.model) == ("openai", "gpt-4-0613")
    assert (entry.input_tokens, entry.output_tokens) == (9, 3)
    assert entry.conversation_id == "conversation-1" and entry.latency_ms > 0
    context = span.get_span_context()
    assert entry.metadata["trace_id"] == f"{context.trace_id:032x}"
    assert entry.metadata["span_id"] == f"{context.span_id:016x}"
    assert entry.metadata["attestry.content"] == "messages/v1"
    assert entry.metadata["gen_ai.operation.name"] == "chat"
    assert entry.metadata["gen_ai.request.model"] == "gpt-4"
    assert entry.metadata["gen_ai.response.id"] == "resp-1"
    assert entry.metadata["server.address"] == "api.example"
    assert "weather" in json.dumps(entry.metadata["attestry.other"]["gen_ai.tool.definitions"])


def test_the_hook_records_a_completion(logger: AuditLogger) -> None:
    hook = completion_hook(logger)
    assert isinstance(hook, Protocol) and isinstance(hook, CompletionHook)
    call = ask(handler(hook))
    assert logger.count() == 0
    call.stop()
    [entry] = logger.query()
    check(entry, call.span)
    assert "attestry.outcome" not in entry.metadata
    assert "attestry.phase" not in entry.metadata, "a hook has no start"


def test_the_hook_records_a_call_that_failed(logger: AuditLogger) -> None:
    with pytest.raises(TimeoutError), handler(completion_hook(logger)).inference("openai") as call:
        call.input_messages = [InputMessage(role="user", parts=[TextPart("2+2?")])]
        raise TimeoutError
    [entry] = logger.query()
    assert entry.metadata["attestry.outcome"] == "failed"
    assert entry.metadata["error.type"] == "TimeoutError"
    assert entry.output_content == ""


def test_a_span_that_the_hook_recorded_is_not_recorded_again(logger: AuditLogger) -> None:
    exporter = SimpleSpanProcessor(SpanExporter(logger))
    call = ask(handler(completion_hook(logger), exporter))
    call.stop()
    [entry] = logger.query()
    check(entry, call.span)


def test_the_hook_records_calls_whose_span_is_not_sampled(logger: AuditLogger) -> None:
    telemetry = handler(completion_hook(logger), sampler=ALWAYS_OFF)
    for text in ("2+2?", "6*7?"):
        with telemetry.inference("openai") as call:
            call.input_messages = [InputMessage(role="user", parts=[TextPart(text)])]
    entries = list(logger.query())
    assert [messages(entry.input_content)[0]["parts"][0]["content"] for entry in entries] == [
        "2+2?",
        "6*7?",
    ]
    assert entries[0].metadata["span_id"] != entries[1].metadata["span_id"]


def test_the_processor_records_the_start_of_a_call(logger: AuditLogger) -> None:
    telemetry = handler(completion_hook(logger), SpanProcessor(logger))
    call = ask(telemetry)
    [start] = logger.query()
    assert start.metadata["attestry.phase"] == "start"
    assert start.model == "gpt-4" and start.provider == "openai" and start.latency_ms == 0
    assert [entry.id for entry in logger.query(phase="open")] == [start.id]
    call.stop()
    [_, end] = logger.query()
    check(end, call.span)
    assert end.metadata["attestry.phase"] == "end" and end.metadata["attestry.call"] == start.id
    assert end.timestamp >= start.timestamp
    assert "attestry.call" not in end.metadata.get("attestry.other", {})
    assert not list(logger.query(phase="open"))
    with telemetry.inference("openai", request_model="gpt-4"):
        pass
    assert len(list(logger.query(phase="end"))) == 2, "without messages, too"


def test_a_span_without_a_call_is_not_recorded(logger: AuditLogger) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor(logger))
    with provider.get_tracer("mine").start_as_current_span(
        "GET /", attributes={"http.request.method": "GET"}
    ):
        pass
    assert logger.count() == 0


KILLED = """
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util.genai.handler import TelemetryHandler
from attestry import AuditLogger
from attestry.otel import SpanProcessor
provider = TracerProvider()
provider.add_span_processor(SpanProcessor(AuditLogger(sys.argv[1])))
TelemetryHandler(tracer_provider=provider).inference("openai", request_model="gpt-4")
os.kill(os.getpid(), 9)
"""


def test_a_killed_process_leaves_the_start_of_its_span(folder: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, folder], check=False)
    assert killed.returncode == -9
    [entry] = AuditLogger(folder).query(phase="open")
    assert entry.model == "gpt-4" and entry.metadata["trace_id"]


@pytest.fixture
def instrumented(endpoint: Endpoint) -> Iterator[Any]:
    """Instruments the real client, with this hook and these processors."""
    instrumentor = OpenAIInstrumentor()

    def instrument(hook: Any, *processors: Any) -> openai.OpenAI:
        provider = TracerProvider()
        for processor in processors:
            provider.add_span_processor(processor)
        instrumentor.instrument(tracer_provider=provider, completion_hook=hook)
        return openai.OpenAI(api_key="secret", base_url=f"{endpoint.url}/v1", max_retries=0)

    yield instrument
    instrumentor.uninstrument()


def test_calls_of_the_instrumented_client(
    endpoint: Endpoint, logger: AuditLogger, instrumented: Any
) -> None:
    endpoint.count = logger.count
    streamed = events(chunk({"content": "forty"}), chunk({"content": "-two"}), chunk({}, "stop"), "[DONE]")
    endpoint.script = [(200, chat(content="4")), (200, streamed), (500, {"error": {"message": "x"}})]
    client = instrumented(completion_hook(logger), SpanProcessor(logger))
    client.chat.completions.create(model="gpt-4", messages=MESSAGES, temperature=0.5)
    list(client.chat.completions.create(model="gpt-4", messages=MESSAGES, stream=True))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert endpoint.counts == [1, 3, 5], "each start is on record before the request arrives"
    plain, stream, failed = logger.query(phase="end")
    for entry in (plain, stream, failed):
        assert messages(entry.input_content)[0]["parts"] == [{"content": "2+2?", "type": "text"}]
        assert entry.metadata["attestry.call"] and entry.metadata["trace_id"]
    assert messages(plain.output_content)[0]["parts"] == [{"content": "4", "type": "text"}]
    assert (plain.input_tokens, plain.output_tokens) == (9, 1)
    assert plain.metadata["gen_ai.request.temperature"] == 0.5
    assert plain.metadata["gen_ai.response.id"] == "c-1"
    assert messages(stream.output_content)[0]["parts"] == [{"content": "forty-two", "type": "text"}]
    assert failed.metadata["attestry.outcome"] == "failed" and failed.metadata["error.type"]
    assert not list(logger.query(phase="open"))


def test_a_call_whose_start_cannot_be_recorded_is_not_made(
    endpoint: Endpoint, folder: str, instrumented: Any, caplog: pytest.LogCaptureFixture
) -> None:
    storage = broken(folder)
    endpoint.script = [(200, chat(content="4"))]
    client = instrumented(None, SpanProcessor(AuditLogger(storage)))
    with pytest.raises(attestry.ReadOnlyError):
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert endpoint.requests == []
    OpenAIInstrumentor().uninstrument()
    client = instrumented(None, SpanProcessor(AuditLogger(storage), on_error="serve"))
    assert client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert "ReadOnlyError" in caplog.text


def test_the_hook_is_found_by_its_name(
    folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = [point.name for point in entry_points(group="opentelemetry_genai_completion_hook")]
    assert "attestry" in names
    manager = EncryptionManager()
    (tmp_path / "key").write_bytes(manager.get_key() + b"\n")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", "attestry")
    monkeypatch.setenv("ATTESTRY_STORE", folder)
    monkeypatch.setenv("ATTESTRY_STORE_CONTENT", "true")
    monkeypatch.setenv("ATTESTRY_KEY_FILE", str(tmp_path / "key"))
    call = ask(handler(load_completion_hook()))
    call.stop()
    logger = AuditLogger(folder, manager, True)
    [entry] = logger.query()
    assert entry.input_content and "Weather?" not in entry.input_content
    assert "Weather?" in logger.decrypt_content(entry.input_content)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ATTESTRY_STORE", ""), ("ATTESTRY_STORE_CONTENT", "yes"), ("ATTESTRY_KEY_FILE", "/none")],
)
def test_a_wrong_environment_is_refused(
    folder: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("ATTESTRY_STORE", folder)
    monkeypatch.setenv(name, value)
    with pytest.raises((ValueError, OSError)):
        completion_hook()
    assert not os.path.exists(folder)


def test_spans_of_calls_are_recorded(logger: AuditLogger, folder: str, tmp_path: Path) -> None:
    provider = TracerProvider()
    exporter = SpanExporter(logger)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("mine")
    asked = [{"role": "user", "parts": [{"type": "text", "content": "2+2?"}]}]
    answered = [{"role": "assistant", "parts": [{"type": "text", "content": "4"}]}]
    start = tracer.start_as_current_span
    with start("request") as request, start("chat gpt-4") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.provider.name", "openai")
        span.set_attribute("gen_ai.request.model", "gpt-4")
        span.set_attribute("gen_ai.response.finish_reasons", ["stop"])
        span.set_attribute("gen_ai.usage.input_tokens", 9)
        span.set_attribute("gen_ai.input.messages", json.dumps(asked))
        span.set_attribute("gen_ai.output.messages", json.dumps(answered))
    [entry] = logger.query()
    assert entry.provider == "openai" and entry.input_tokens == 9
    assert entry.input_content and json.loads(entry.input_content) == asked
    context, parent = span.get_span_context(), request.get_span_context()
    assert entry.metadata["trace_id"] == f"{context.trace_id:032x}"
    assert entry.metadata["span_id"] == f"{context.span_id:016x}"
    assert entry.metadata["parent_span_id"] == f"{parent.span_id:016x}"
    exporter.export([span])  # type: ignore[list-item]
    assert logger.count() == 1, "exported again, stored once"
    failing = SpanExporter(AuditLogger(broken(str(tmp_path / "broken"))))
    assert failing.export([span]) is SpanExportResult.FAILURE  # type: ignore[list-item]


def test_a_span_that_cannot_be_stored_keeps_out_no_other(
    logger: AuditLogger, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    tracer = provider.get_tracer("mine")
    spans: list[Any] = []
    for text in ("1", "x" * (65 << 20), "3"):
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            answered = [{"role": "assistant", "parts": [{"type": "text", "content": text}]}]
            span.set_attribute("gen_ai.output.messages", json.dumps(answered))
        spans.append(span)
    assert SpanExporter(logger).export(spans) is SpanExportResult.FAILURE
    outputs = [json.loads(entry.output_content or "") for entry in logger.query()]
    assert [output[0]["parts"][0]["content"] for output in outputs] == ["1", "3"]
    assert "span 2 of 3 cannot be recorded" in caplog.text
