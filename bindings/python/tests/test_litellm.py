"""The callback of LiteLLM, with the real library against an endpoint with a script."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import litellm
import openai
import pytest
from endpoint import Endpoint, chat, chunk, events
from stores import broken

import attestry
from attestry import AuditLogger
from attestry.audit import AuditEntry
from attestry.litellm import AuditCallback

MESSAGES: Any = [{"role": "user", "content": "2+2?"}]


@pytest.fixture
def logger(folder: str, endpoint: Endpoint) -> AuditLogger:
    logger = AuditLogger(folder, store_content=True)
    endpoint.count = logger.count
    return logger


@pytest.fixture(autouse=True)
def callbacks() -> Iterator[None]:
    """LiteLLM copies its callbacks into these lists at the first call."""
    yield
    litellm.callbacks = []
    for name in ("input", "success", "failure", "_async_success", "_async_failure"):
        setattr(litellm, name + "_callback", [])


def options(endpoint: Endpoint) -> dict[str, Any]:
    base = f"{endpoint.url}/v1"
    return {"model": "openai/gpt-4", "messages": MESSAGES, "api_base": base, "api_key": "secret"}


def wait_for(logger: AuditLogger, number: int) -> list[AuditEntry]:
    """The end entries: LiteLLM runs its callbacks after a call in a thread or task of its own."""
    deadline = time.monotonic() + 60
    while True:
        found = list(logger.query(phase="end"))
        if len(found) >= number:
            return found
        assert time.monotonic() < deadline, f"{len(found)} calls ended instead of {number}"
        time.sleep(0.01)


async def settle(logger: AuditLogger, number: int) -> list[AuditEntry]:
    return await asyncio.to_thread(wait_for, logger, number)


def text(content: str | None) -> str:
    assert content is not None
    found: str = json.loads(content)[-1]["parts"][0]["content"]
    return found


def stream() -> list[bytes]:
    first, second = chunk({"role": "assistant", "content": "forty"}), chunk({"content": "-two"})
    return events(first, second, chunk({}, "stop"), "[DONE]")


def test_calls_are_recorded_from_their_start(endpoint: Endpoint, logger: AuditLogger) -> None:
    litellm.callbacks = [AuditCallback(logger)]
    endpoint.script = [(200, chat(content="4")), (200, stream())]
    litellm.completion(**options(endpoint))
    wait_for(logger, 1)
    list(litellm.completion(stream=True, **options(endpoint)))
    plain, streamed = wait_for(logger, 2)
    assert endpoint.counts == [1, 3], "each start is on record before the request arrives"
    starts = list(logger.query(phase="start"))
    assert [entry.metadata["attestry.call"] for entry in (plain, streamed)] == [s.id for s in starts]
    for start in starts:
        assert text(start.input_content) == "2+2?" and start.output_content == ""
        assert start.model == "gpt-4" and start.provider == "openai"
    for end, start in zip((plain, streamed), starts, strict=True):
        assert text(end.input_content) == "2+2?" and end.timestamp >= start.timestamp
    assert text(plain.output_content) == "4" and text(streamed.output_content) == "forty-two"
    assert (plain.input_tokens, plain.output_tokens) == (9, 1)
    assert not list(logger.query(phase="open"))
    assert "secret" not in json.dumps([entry.to_dict() for entry in logger.query()])


def test_awaited_calls_are_recorded_from_their_start(endpoint: Endpoint, logger: AuditLogger) -> None:
    litellm.callbacks = [AuditCallback(logger)]
    endpoint.script = [(200, chat(content="4")), (200, stream()), (500, {"error": {"message": "x"}})]

    async def run() -> list[AuditEntry]:
        await litellm.acompletion(**options(endpoint))
        await settle(logger, 1)
        async for _ in await litellm.acompletion(stream=True, **options(endpoint)):
            pass
        await settle(logger, 2)
        with pytest.raises(openai.InternalServerError):  # LiteLLM's own is a subclass.
            await litellm.acompletion(max_retries=0, **options(endpoint))
        return await settle(logger, 3)

    plain, streamed, failed = asyncio.run(run())
    assert endpoint.counts == [1, 3, 5], "each start is on record before the request arrives"
    assert text(plain.output_content) == "4" and text(streamed.output_content) == "forty-two"
    assert failed.metadata["attestry.outcome"] == "failed" and failed.metadata["error.type"]
    assert len(list(logger.query(phase="start"))) == 3 and not list(logger.query(phase="open"))


def test_an_awaited_call_that_cannot_be_recorded_is_not_made(
    endpoint: Endpoint, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = AuditLogger(broken(folder))
    litellm.callbacks = [AuditCallback(log)]
    with pytest.raises(attestry.ReadOnlyError):
        asyncio.run(litellm.acompletion(**options(endpoint)))
    assert endpoint.requests == []
    # LiteLLM ignores exceptions before a plain call.
    endpoint.script = [(200, chat(content="4")), (200, chat(content="4"))]
    assert litellm.completion(**options(endpoint)).choices[0].message.content == "4"
    assert "ReadOnlyError" in caplog.text
    litellm.callbacks = [AuditCallback(log, on_error="serve")]
    litellm.input_callback = []
    assert asyncio.run(litellm.acompletion(**options(endpoint))).choices[0].message.content == "4"
    assert len(endpoint.requests) == 2


KILLED = """
import asyncio, os, sys
import litellm
from attestry import AuditLogger
from attestry.litellm import AuditCallback

class Killed(AuditCallback):
    def log_pre_api_call(self, model, messages, kwargs):
        super().log_pre_api_call(model, messages, kwargs)
        os.kill(os.getpid(), 9)

# Importing LiteLLM takes seconds, so both processes are children of one that has.
for way in (litellm.completion, litellm.acompletion):
    child = os.fork()
    if child == 0:
        litellm.callbacks = [Killed(AuditLogger(sys.argv[1], store_content=True))]
        messages = [{"role": "user", "content": way.__name__}]
        answer = way(model="openai/gpt-4", messages=messages, api_key="x")
        asyncio.run(answer)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 9
"""


def test_a_killed_process_leaves_the_start_of_its_call(folder: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED, folder], check=True)
    found = AuditLogger(folder).query(phase="open")
    assert [text(entry.input_content) for entry in found] == ["completion", "acompletion"]


def test_redacted_messages_are_recorded_so(
    endpoint: Endpoint, logger: AuditLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "turn_off_message_logging", True)
    litellm.callbacks = [AuditCallback(logger)]
    endpoint.script = [(200, chat(content="forty-two"))]
    litellm.completion(**options(endpoint))
    wait_for(logger, 1)
    recorded = json.dumps([entry.to_dict() for entry in logger.query()])
    assert "2+2?" not in recorded and "forty-two" not in recorded and "redacted-by-litellm" in recorded


def test_answers_that_no_provider_gave_are_recorded(logger: AuditLogger) -> None:
    litellm.callbacks = [AuditCallback(logger)]

    async def run() -> list[AuditEntry]:
        await litellm.acompletion(model="gpt-4", messages=MESSAGES, mock_response="4")
        overloaded: Any = Exception("overloaded")
        with pytest.raises(Exception, match="overloaded"):
            await litellm.acompletion(
                model="gpt-4", messages=MESSAGES, mock_response=overloaded, num_retries=0
            )
        return await settle(logger, 2)

    outcomes = {entry.metadata.get("attestry.outcome"): entry for entry in asyncio.run(run())}
    answered, failed = outcomes[None], outcomes["failed"]
    assert answered.model and "gpt-4" in answered.model
    assert text(answered.input_content) == "2+2?" and text(answered.output_content) == "4"
    assert failed.metadata["error.type"]
