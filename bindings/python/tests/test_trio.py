"""The logger with trio, directly and as anyio's backend."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import openai
import pytest
import trio
from endpoint import Endpoint, chat, chunk, events

import attestry.openai
from attestry import AsyncAuditLogger, AuditLogger, FileStorage, ReadOnlyError


def test_all_calls_work_in_trio(folder: str) -> None:
    async def run() -> None:
        logger = AsyncAuditLogger(folder, store_content=True)
        ids: list[str] = []

        async def log(number: int) -> None:
            ids.append(await logger.log(f"{number}?", str(number), metadata={"user.id": "ada"}))

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(log, number)
        assert await logger.count() == len(set(ids)) == 100
        entry = await logger.get_entry(ids[0])
        assert entry is not None and entry.id == ids[0]
        async with logger.start("2+2?") as call:
            call.push("4")
        found = [entry async for entry in logger.query(phase="end")]
        assert [entry.output_content for entry in found] == ["4"]
        assert await logger.delete(ids[0]) and await logger.get_entry(ids[0]) is None
        await logger.close()

    trio.run(run)
    trio.run(run_again, folder)
    asyncio.run(run_again(folder))


async def run_again(folder: str) -> None:
    assert await AsyncAuditLogger(FileStorage(folder)).count() == 101


def test_failures_are_raised_in_trio(folder: str) -> None:
    AuditLogger(folder).log("a", "b")

    async def run() -> None:
        logger = AsyncAuditLogger(FileStorage(folder, read_only=True))
        with pytest.raises(ReadOnlyError):
            await logger.log("a", "b")

    trio.run(run)


def test_a_cancelled_call_of_trio_is_cut_off(folder: str) -> None:
    async def run() -> None:
        logger = AsyncAuditLogger(folder, store_content=True)
        with trio.CancelScope() as scope:
            async with logger.start("2+2?") as call:
                call.push("an")
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await logger.log("not awaited", "")
        assert scope.cancelled_caught
        await logger.close()

    trio.run(run)
    [end] = AuditLogger(folder).query(phase="end")
    assert end.metadata["attestry.outcome"] == "cut_off" and end.output_content == "an"
    assert AuditLogger(folder).count() == 3, "what was asked for before the cancellation is done"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_awaited_client_is_recorded_with_anyio(endpoint: Endpoint, folder: str, backend: Any) -> None:
    streamed = events(chunk({"content": "The "}), chunk({"content": "answer"}), chunk({}, "stop"), "[DONE]")
    endpoint.script = [(200, chat(content="4")), (200, streamed)]

    async def run() -> None:
        log = AsyncAuditLogger(folder, store_content=True)
        client = openai.AsyncOpenAI(api_key="secret", base_url=f"{endpoint.url}/v1", max_retries=0)
        attestry.openai.record(client, log)
        messages: Any = [{"role": "user", "content": "2+2?"}]
        await client.chat.completions.create(model="gpt-4", messages=messages)
        stream = await client.chat.completions.create(model="gpt-4", messages=messages, stream=True)
        assert len([part async for part in stream]) == 3

    anyio.run(run, backend=backend)
    first, second = AuditLogger(folder).query(phase="end")
    assert first.output_content and '"4"' in first.output_content
    assert second.output_content and "The answer" in second.output_content
