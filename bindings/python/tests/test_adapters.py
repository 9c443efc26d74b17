"""The other adapters, each with the real library."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from stores import broken

import attestry
from attestry import AsyncAuditLogger, AuditLogger
from attestry.asgi import AuditMiddleware
from attestry.langchain import AuditCallbackHandler
from attestry.logging import AuditHandler


def test_log_records_with_an_interaction_are_recorded(logger: AuditLogger) -> None:
    log = logging.getLogger("attestry.test")
    handler = AuditHandler(logger)
    log.addHandler(handler)
    try:
        log.warning("no interaction")
        log.warning("answered", extra={"audit": {"input": "2+2?", "output": "4", "model": "m"}})
        with pytest.raises(TypeError):
            log.warning("answered", extra={"audit": {"input": "2+2?"}})
    finally:
        log.removeHandler(handler)
    [entry] = logger.query()
    assert (entry.input_content, entry.output_content, entry.model) == ("2+2?", "4", "m")
    assert entry.metadata == {"log.logger": "attestry.test", "log.level": "WARNING"}


async def ask(app: Any, path: str, *parts_of_body: bytes, leaves: bool = False) -> list[dict[str, Any]]:
    """Sends a request; a client that leaves does so after the first part of the response."""
    sent: list[dict[str, Any]] = []
    parts = list(parts_of_body)
    if len(parts) == 1:
        parts = [parts[0][:3], parts[0][3:]]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [],
        "query_string": b"",
        "asgi": {"version": "3.0"},
    }

    async def receive() -> dict[str, Any]:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await asyncio.sleep(1000)
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)
        if leaves and message.get("body"):
            raise OSError("the client left")

    await app(scope, receive, send)
    return sent


def application() -> Starlette:
    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"asked": (await request.body()).decode()})

    async def stream(request: Request) -> StreamingResponse:
        async def tokens() -> Any:
            for token in ("for", "ty", "-two"):
                yield token
                await asyncio.sleep(0.001)

        return StreamingResponse(tokens())

    async def fail(request: Request) -> JSONResponse:
        raise KeyError("x")

    routes = [
        Route("/ai/answer", answer, methods=["POST"]),
        Route("/ai/stream", stream, methods=["POST"]),
        Route("/ai/fail", fail, methods=["POST"]),
        Route("/other", answer, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def test_requests_of_an_application_are_recorded(logger: AuditLogger) -> None:
    async def run() -> None:
        log = AsyncAuditLogger(logger.storage, store_content=True)

        def user(scope: Any) -> dict[str, Any]:
            return {"user.id": "ada"}

        app = AuditMiddleware(application(), log, paths=["/ai/"], metadata=user)
        sent = await ask(app, "/ai/answer", b"2+2?")
        assert json.loads(sent[-1]["body"]) == {"asked": "2+2?"}
        await ask(app, "/ai/stream", b"6*7?")
        with pytest.raises(KeyError):
            await ask(app, "/ai/fail", b"1/0?")
        with pytest.raises(Exception, match="left"):
            await ask(app, "/ai/stream", b"6*7?", leaves=True)
        await ask(app, "/other", b"not recorded")

    asyncio.run(run())
    assert len(list(logger.query(phase="start"))) == 4
    plain, streamed, failed, left = logger.query(phase="end")
    assert (plain.input_content, plain.output_content) == ("2+2?", '{"asked":"2+2?"}')
    assert plain.metadata["http.response.status_code"] == 200
    assert plain.metadata["user.id"] == "ada" and plain.metadata["url.path"] == "/ai/answer"
    assert streamed.output_content == "forty-two"
    assert failed.metadata["attestry.outcome"] == "failed"
    assert failed.metadata["error.type"] == "500"
    assert left.metadata["attestry.outcome"] == "cut_off"
    assert left.output_content == "for"


def test_characters_in_two_parts_of_a_response_are_recorded_whole(logger: AuditLogger) -> None:
    text = "fünf € 🙂"

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for byte in text.encode():
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
        last = {"type": "http.response.body", "body": b"\xe2\x82" if scope["path"] == "/cut" else b""}
        await send(last)

    async def run() -> None:
        log = AsyncAuditLogger(logger.storage, store_content=True)
        app = AuditMiddleware(application, log, paths=["/ai", "/cut"])
        await ask(app, "/ai", b"five?")
        await ask(app, "/cut", b"five?")

    asyncio.run(run())
    assert [e.output_content for e in logger.query(phase="end")] == [text, text + "\ufffd"]


def test_a_long_body_is_not_read_before_the_application_reads_it(logger: AuditLogger) -> None:
    read: list[int] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        read.append(logger.count())
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message["more_body"]
            read.append(len(body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})

    async def run() -> list[dict[str, Any]]:
        log = AsyncAuditLogger(logger.storage, store_content=True)
        app = AuditMiddleware(application, log, paths=["/ai"], max_body_bytes=6)

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            async def receive_and_count() -> Any:
                received.append(len(read))
                return await receive()

            await app(scope, receive_and_count, send)

        return await ask(counted, "/ai", b"0123", b"4567", b"89", b"ab")

    received: list[int] = []
    sent = asyncio.run(run())
    assert sent[-1]["body"] == b"12"
    assert read == [1, 4, 8, 10, 12], "the start was on record, and all parts arrived in order"
    assert received == [0, 0, 3, 4], "two parts were read before the application was called"
    start, end = logger.query()
    assert start.input_content == end.input_content == "012345"
    assert start.metadata["attestry.truncated"] == ["input"]
    assert end.output_content == "12"


def test_a_request_that_cannot_be_recorded_is_refused(folder: str) -> None:
    log = AsyncAuditLogger(broken(folder))

    async def run() -> None:
        app = AuditMiddleware(application(), log, paths=["/ai"])
        assert (await ask(app, "/ai/answer", b"2+2?"))[0]["status"] == 503
        app = AuditMiddleware(application(), log, paths=["/ai"], on_error="serve")
        assert (await ask(app, "/ai/answer", b"2+2?"))[0]["status"] == 200

    asyncio.run(run())


def test_calls_of_langchain_are_recorded(logger: AuditLogger) -> None:
    handler = AuditCallbackHandler(logger, metadata={"user.id": "ada"})
    usage: Any = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    answer = AIMessage("four", usage_metadata=usage)
    model = GenericFakeChatModel(messages=iter([answer, AIMessage("forty two")]))
    model.invoke("2+2?", config={"callbacks": [handler]})
    assert len(list(model.stream("6*7?", config={"callbacks": [handler]}))) > 1

    async def run() -> None:
        await FakeListChatModel(responses=["5"]).ainvoke("2+3?", config={"callbacks": [handler]})

    asyncio.run(run())
    with pytest.raises(StopIteration):
        model.invoke("again?", config={"callbacks": [handler]})
    plain, streamed, awaited, failed = logger.query(phase="end")
    assert plain.input_content and plain.output_content
    assert json.loads(plain.input_content)[0]["data"]["content"] == "2+2?"
    assert json.loads(plain.output_content)["data"]["content"] == "four"
    assert (plain.input_tokens, plain.output_tokens) == (5, 2)
    assert plain.metadata["user.id"] == "ada" and plain.metadata["langchain.run_id"]
    assert streamed.output_content and "forty two" in streamed.output_content
    assert awaited.output_content and '"5"' in awaited.output_content
    assert failed.metadata["error.type"] == "StopIteration"


def test_a_call_of_langchain_that_cannot_be_recorded_fails(folder: str) -> None:
    log = AuditLogger(broken(folder))
    model = FakeListChatModel(responses=["4"])
    with pytest.raises(attestry.ReadOnlyError):
        model.invoke("2+2?", config={"callbacks": [AuditCallbackHandler(log)]})
    handler = AuditCallbackHandler(log, on_error="serve")
    assert model.invoke("2+2?", config={"callbacks": [handler]}).content == "4"
