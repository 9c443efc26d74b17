"""The adapters of ``openai`` and ``anthropic``: the real packages against an endpoint with a script."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import anthropic
import openai
import pytest
from endpoint import Endpoint, chat, chunk, events

import attestry.anthropic
import attestry.openai
from attestry import AsyncAuditLogger, AuditLogger, FileStorage
from attestry.audit import AuditEntry

MESSAGES: Any = [{"role": "user", "content": "2+2?"}]
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


CALL = {
    "id": "t1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Berlin"}'},
}
STREAM = events(chunk({"content": "The "}), chunk({"content": "answer"}), chunk({}, "stop"), "[DONE]")
ANSWER = {
    "id": "m-1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "4"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 1},
}
DELTAS = events(
    {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "four"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
    named=True,
)


@pytest.fixture
def logger(folder: str, endpoint: Endpoint) -> AuditLogger:
    logger = AuditLogger(folder, store_content=True)
    endpoint.count = logger.count
    return logger


def openai_client(endpoint: Endpoint, logger: Any, **options: Any) -> openai.OpenAI:
    client = openai.OpenAI(api_key="secret", base_url=f"{endpoint.url}/v1", max_retries=0)
    return attestry.openai.record(client, logger, **options)


def ends(logger: AuditLogger) -> list[AuditEntry]:
    return list(logger.query(phase="end"))


def parts(text: str | None) -> list[dict[str, Any]]:
    assert text is not None
    found: list[dict[str, Any]] = json.loads(text)[-1]["parts"]
    return found


def test_a_call_of_openai(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(200, chat(content="4"))]
    client = openai_client(endpoint, logger, metadata=lambda: {"user.id": "ada"})
    answer = client.chat.completions.create(model="gpt-4", messages=MESSAGES, temperature=0.5)
    assert answer.choices[0].message.content == "4"
    assert endpoint.counts == [1], "the start is on record before the request arrives"
    start, end = logger.query()
    assert start.metadata["attestry.phase"] == "start" and start.output_content == ""
    assert start.input_content == end.input_content
    assert parts(end.input_content) == [{"type": "text", "content": "2+2?"}]
    assert parts(end.output_content) == [{"type": "text", "content": "4"}]
    assert (end.provider, end.model) == ("openai", "gpt-4-0613")
    assert (end.input_tokens, end.output_tokens) == (9, 1)
    assert end.metadata["attestry.call"] == start.id
    for entry in (start, end):
        assert entry.metadata["user.id"] == "ada"
        assert entry.metadata["gen_ai.request.temperature"] == 0.5
        assert entry.metadata["server.address"] == "127.0.0.1"
    assert end.metadata["gen_ai.response.id"] == "c-1"
    assert end.metadata["http.response.status_code"] == 200
    assert "attestry.outcome" not in end.metadata and end.latency_ms > 0
    assert "secret" not in json.dumps([start.to_dict(), end.to_dict()])


def test_tools_of_openai(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(200, chat(content=None, tool_calls=[CALL]))]
    client = openai_client(endpoint, logger)
    client.chat.completions.create(model="gpt-4", messages=MESSAGES, tools=TOOLS)
    [end] = ends(logger)
    [call] = parts(end.output_content)
    assert (call["type"], call["id"], call["name"]) == ("tool_call", "t1", "weather")
    assert call["arguments"] == {"city": "Berlin"}


def test_a_stream_of_openai(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(200, STREAM)]
    stream = openai_client(endpoint, logger).chat.completions.create(
        model="gpt-4", messages=MESSAGES, stream=True
    )
    texts = [c.choices[0].delta.content or "" for c in stream]
    assert "".join(texts) == "The answer"
    [end] = ends(logger)
    assert parts(end.output_content) == [{"type": "text", "content": "The answer"}]
    assert end.metadata["gen_ai.request.stream"] is True
    assert "attestry.outcome" not in end.metadata


@pytest.mark.parametrize("by", ["server", "client"])
def test_a_stream_that_is_cut_off(endpoint: Endpoint, logger: AuditLogger, by: str) -> None:
    endpoint.script = [(200, STREAM[:1] if by == "server" else STREAM[:2])]
    stream = openai_client(endpoint, logger).chat.completions.create(
        model="gpt-4", messages=MESSAGES, stream=True
    )
    if by == "server":
        assert len(list(stream)) == 1
    else:
        next(iter(stream))
        stream.close()
    [end] = ends(logger)
    assert end.metadata["attestry.outcome"] == "cut_off"
    assert parts(end.output_content)[0]["content"].startswith("The ")


def test_errors_of_openai(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(429, {"error": {"message": "slow down", "type": "rate_limit"}})]
    client = openai_client(endpoint, logger)
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    endpoint.server.shutdown()
    endpoint.server.server_close()
    client = openai_client(endpoint, logger)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    refused, unreachable = ends(logger)
    assert refused.metadata["attestry.outcome"] == "failed"
    assert refused.metadata["error.type"] == "rate_limit"
    assert refused.metadata["http.response.status_code"] == 429
    assert unreachable.metadata["attestry.outcome"] == "failed"
    assert "Connect" in unreachable.metadata["error.type"]


def test_each_attempt_is_a_call(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(500, {}), (200, chat(content="4"))]
    client = openai_client(endpoint, logger).with_options(max_retries=1)
    client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert [e.metadata.get("attestry.outcome") for e in ends(logger)] == ["failed", None]


def test_asyncio_with_openai(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(200, chat(content="4")), (200, STREAM), (200, STREAM[:2])]

    async def run() -> None:
        client = openai.AsyncOpenAI(api_key="x", base_url=f"{endpoint.url}/v1", max_retries=0)
        attestry.openai.record(client, AsyncAuditLogger(logger.storage, store_content=True))
        await client.chat.completions.create(model="gpt-4", messages=MESSAGES)
        for early in (False, True):
            stream = await client.chat.completions.create(model="gpt-4", messages=MESSAGES, stream=True)
            async for _ in stream:
                if early:
                    break
            await stream.close()
        await client.close()

    asyncio.run(run())
    assert endpoint.counts == [1, 3, 5]
    outcomes = [e.metadata.get("attestry.outcome") for e in ends(logger)]
    assert outcomes == [None, None, "cut_off"]


def test_a_call_that_cannot_be_recorded_is_not_made(
    endpoint: Endpoint, logger: AuditLogger, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    logger.log("a", "b")
    broken = AuditLogger(FileStorage(folder, read_only=True))
    client = openai_client(endpoint, broken)
    with pytest.raises(attestry.ReadOnlyError):
        client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert endpoint.requests == []
    endpoint.script = [(200, chat(content="4"))]
    client = openai_client(endpoint, broken, on_error="serve")
    assert client.chat.completions.create(model="gpt-4", messages=MESSAGES)
    assert "could not be recorded" in caplog.text
    with pytest.raises(ValueError):
        openai_client(endpoint, logger, on_error="ignore")


def test_a_damaged_response_fails_no_call_that_is_served(
    endpoint: Endpoint, logger: AuditLogger, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = gzip.compress(json.dumps(chat(content="4")).encode())[:20] + b"damaged" * 10
    endpoint.script = [(200, damaged), (200, damaged)]
    for on_error in ("serve", "fail"):
        client = openai_client(endpoint, logger, on_error=on_error)
        create = client.chat.completions.with_streaming_response.create
        with create(model="gpt-4", messages=MESSAGES) as response:
            # As it came: the client does not decompress it.
            raw = response.http_response.iter_raw()
            if on_error == "serve":
                assert b"".join(raw) == damaged
            else:
                with pytest.raises(zlib.error):
                    list(raw)
    assert "could not be recorded: zlib.error" in caplog.text
    served, failed = ends(logger)
    assert served.metadata["attestry.outcome"] == "cut_off"
    assert failed.metadata["attestry.outcome"] == "failed"


def test_what_is_no_call_of_a_model_is_not_recorded(endpoint: Endpoint, logger: AuditLogger) -> None:
    client = openai_client(endpoint, logger)
    assert list(client.models.list()) == [] and logger.count() == 0
    with pytest.raises(ValueError, match="already"):
        attestry.openai.record(client, logger)
    with pytest.raises(TypeError):
        attestry.openai.record(object(), logger)


def test_anthropic(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(200, ANSWER), (200, DELTAS), (529, {"type": "error", "error": {}})]
    client = anthropic.Anthropic(api_key="x", base_url=endpoint.url, max_retries=0)
    attestry.anthropic.record(client, logger)
    client.messages.create(model="claude", max_tokens=9, messages=MESSAGES)
    with client.messages.stream(model="claude", max_tokens=9, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == "four"
    with pytest.raises(anthropic.APIStatusError):
        client.messages.create(model="claude", max_tokens=9, messages=MESSAGES)
    plain, streamed, failed = ends(logger)
    assert (plain.provider, plain.model) == ("anthropic", "claude-x")
    assert (plain.input_tokens, plain.output_tokens) == (9, 1)
    assert parts(plain.output_content) == [{"type": "text", "content": "4"}]
    assert parts(streamed.output_content) == [{"type": "text", "content": "four"}]
    assert streamed.output_tokens == 2 and "attestry.outcome" not in streamed.metadata
    assert failed.metadata["error.type"] == "529"


def test_asyncio_with_anthropic(endpoint: Endpoint, logger: AuditLogger) -> None:
    endpoint.script = [(200, ANSWER), (200, DELTAS[:3])]

    async def run() -> None:
        client = anthropic.AsyncAnthropic(api_key="x", base_url=endpoint.url, max_retries=0)
        attestry.anthropic.record(client, logger)
        await client.messages.create(model="claude", max_tokens=9, messages=MESSAGES)
        stream = await client.messages.create(model="claude", max_tokens=9, messages=MESSAGES, stream=True)
        async for _ in stream:
            pass
        await client.close()

    asyncio.run(run())
    assert [e.metadata.get("attestry.outcome") for e in ends(logger)] == [None, "cut_off"]
