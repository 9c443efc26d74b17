"""Both packages, side by side."""

from __future__ import annotations

import asyncio
import tempfile
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rotalabs_comply.audit as theirs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attestry import audit as ours

warnings.filterwarnings("ignore", category=DeprecationWarning)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    texts,
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
fields = st.fixed_dictionaries(
    {"input": texts, "output": texts},
    optional={
        "provider": st.none() | texts,
        "model": st.none() | texts,
        "conversation_id": st.none() | texts,
        "safety_passed": st.booleans(),
        "detectors_triggered": st.none() | st.lists(texts, max_size=3),
        "block_reason": st.none() | texts,
        "alerts": st.none() | st.lists(texts, max_size=3),
        "latency_ms": st.floats(0, 1e6),
        "input_tokens": st.none() | st.integers(0, 2**40),
        "output_tokens": st.none() | st.integers(0, 2**40),
        "metadata": st.none() | st.dictionaries(texts, values, max_size=3),
    },
)
steps = st.one_of(
    st.tuples(st.just("log"), fields),
    st.tuples(st.just("get"), st.integers(0, 10)),
    st.tuples(st.just("delete"), st.integers(0, 10)),
    st.tuples(st.just("count"), st.none()),
    st.tuples(st.just("list"), st.none()),
    st.tuples(st.just("cleanup"), st.sampled_from([0, 30])),
)
START, END = datetime(2000, 1, 1), datetime(2100, 1, 1)


def without_id(entry: Any) -> dict[str, Any] | None:
    if entry is None:
        return None
    found: dict[str, Any] = entry.to_dict()
    assert datetime.fromisoformat(found["timestamp"]).tzinfo is None
    return {**found, "id": "", "timestamp": ""}


async def play(package: Any, storage: Any, sequence: list[tuple[str, Any]]) -> list[Any]:
    logger = package.AuditLogger(storage, store_content=True)
    ids: list[str] = []
    seen: list[Any] = []
    for kind, value in sequence:
        entry_id = ids[value % len(ids)] if kind in ("get", "delete") and ids else "missing"
        if kind == "log":
            ids.append(await logger.log(**value))
        elif kind == "get":
            seen.append(without_id(await logger.get_entry(entry_id)))
        elif kind == "delete":
            seen.append(await logger.storage.delete(entry_id))
        elif kind == "count":
            seen.append(await logger.storage.count())
        elif kind == "list":
            seen.append([without_id(e) for e in await logger.get_entries(START, END)])
            assert await logger.get_entries(END, START) == []
        elif kind == "cleanup":
            logger.retention_days = value
            seen.append(await logger.cleanup_expired())
    return seen


@pytest.mark.parametrize("kind", ["file", "memory", "bounded"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=st.lists(steps, max_size=12))
def test_both_behave_alike(kind: str, sequence: list[tuple[str, Any]]) -> None:
    def storage(package: Any) -> Any:
        if kind == "file":
            return package.FileStorage(tempfile.mkdtemp())
        return package.MemoryStorage(max_entries=3 if kind == "bounded" else None)

    found = [asyncio.run(play(p, storage(p), sequence)) for p in (theirs, ours)]
    assert found[0] == found[1]


@pytest.mark.parametrize("encrypted", [False, True])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(interactions=st.lists(fields, min_size=1, max_size=5))
def test_each_reads_the_files_of_the_other(encrypted: bool, interactions: list[dict[str, Any]]) -> None:
    key = ours.generate_key() if encrypted else None

    async def exchange(writer: Any, reader: Any) -> None:
        folder = tempfile.mkdtemp()
        loggers = [
            package.AuditLogger(
                folder,
                encryption=package.EncryptionManager(key) if key else None,
                store_content=True,
            )
            for package in (writer, reader)
        ]
        for interaction in interactions:
            entry_id = await loggers[0].log(**interaction)
            written = await loggers[0].get_entry(entry_id)
            if writer is ours:
                await loggers[0].flush()
            read = await loggers[1].get_entry(entry_id)
            assert read.to_dict() == written.to_dict()
            if key:
                assert loggers[1].decrypt_content(read.input_content) == interaction["input"]
        listed = await loggers[1].get_entries(START, END)
        assert [e.to_dict() for e in listed] == [
            e.to_dict() for e in await loggers[0].get_entries(START, END)
        ]

    asyncio.run(exchange(ours, theirs))
    asyncio.run(exchange(theirs, ours))


def test_equal_entries_are_equal_bytes(tmp_path: Path) -> None:
    async def write(package: Any, folder: Path) -> bytes:
        storage = package.FileStorage(str(folder))
        for number in (0.0, 1.5, 1e16, 1e-7, 123456789.125):
            entry = package.AuditEntry(
                f"id-{number}",
                "2026-01-28T09:15:00.000100",
                "a" * 64,
                "b" * 64,
                input_content="ä🙂\u2028\x7f",
                latency_ms=number,
                metadata={"n": [number, -1, {"k": None}]},
            )
            await storage.write(entry)
        [file] = folder.glob("audit_*.jsonl")
        return file.read_bytes()

    assert asyncio.run(write(theirs, tmp_path / "a")) == asyncio.run(write(ours, tmp_path / "b"))


def test_ranges_are_alike(tmp_path: Path) -> None:
    async def listed(package: Any, folder: Path) -> list[str]:
        storage = package.FileStorage(str(folder))
        start = datetime(2026, 1, 28, 9, 15)
        for i in range(-3, 4):
            time = (start + timedelta(microseconds=i)).isoformat()
            await storage.write(package.AuditEntry(str(i), time, "a", "b"))
        found = await storage.list_entries(start, start + timedelta(microseconds=2))
        return [entry.id for entry in found]

    found = [asyncio.run(listed(p, tmp_path / p.__name__)) for p in (theirs, ours)]
    assert found[0] == found[1] == ["0", "1", "2"]
