"""Records of other formats, as the adapters pass them to the extension module."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest

from attestry import AsyncAuditLogger, AuditLogger, InvalidEntryError
from attestry._loop import bridge


def record(number: int, **changes: Any) -> tuple[bytes, str | None]:
    call: dict[str, Any] = {"call_type": "completion", "litellm_call_id": f"c{number}", "startTime": 1.8e9}
    return json.dumps({**call, "messages": str(number), **changes}).encode(), None


def test_a_record_that_cannot_be_read_is_refused_alone(folder: str) -> None:
    logger = AuditLogger(folder, store_content=True)
    native = logger.require_native("importing")
    records = [record(0), (b'{"call_type": ', None), record(2), record(3, call_type=None), record(4)]
    with pytest.raises(InvalidEntryError, match="2 of 5 records") as caught:
        native.import_records(None, "litellm", records)
    assert caught.value.refused == 2 and list(caught.value.reasons) == [1, 3]
    assert "call_type" in caught.value.reasons[3]
    assert pickle.loads(pickle.dumps(caught.value)).reasons == caught.value.reasons
    assert sorted(entry.input_content or "" for entry in logger.query()) == ["0", "2", "4"]
    assert native.import_records(None, "litellm", [records[0], record(5)]) == (1, 1)


def test_records_are_imported_for_an_event_loop(folder: str) -> None:
    async def run() -> object:
        native = AsyncAuditLogger(folder).require_native("importing")
        with pytest.raises(InvalidEntryError):
            await native.import_records(bridge(), "litellm", [record(0), (b"", None)])
        return await native.import_records(bridge(), "litellm", [record(0), record(1)])

    assert asyncio.run(run()) == (1, 1)


def test_the_end_of_a_call_names_its_start(folder: str) -> None:
    logger = AuditLogger(folder, store_content=True)
    native = logger.require_native("importing")
    start = native.start_record(None, "litellm", record(0)[0])
    assert isinstance(start, str)
    assert [entry.id for entry in logger.query(phase="open")] == [start]
    native.import_records(None, "litellm", [(record(0, response="4")[0], start)])
    assert not list(logger.query(phase="open"))
    [end] = logger.query(phase="end")
    assert end.metadata["attestry.call"] == start and end.output_content == "4"


def test_a_start_needs_one_call(folder: str) -> None:
    native = AuditLogger(folder).require_native("importing")
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "x"}
    call = {**span, "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}

    def spans(*found: Any) -> bytes:
        return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(found)}]}]}).encode()

    assert native.start_record(None, "otlp", spans(span)) is None
    assert native.start_record(None, "otlp", spans(span, call)) is not None
    with pytest.raises(ValueError, match="more than one call"):
        native.start_record(None, "otlp", spans(call, call))
    with pytest.raises(ValueError, match="unknown format"):
        native.start_record(None, "other", b"{}")
