"""The results of queries."""

from __future__ import annotations

import datetime
import importlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

from . import _native
from ._entry import AuditEntry
from ._errors import CorruptRecordError
from ._loop import bridge

OnCorrupt = Callable[[CorruptRecordError], object]


class _Chunk:
    """Hands out what was read last."""

    def __init__(self, on_corrupt: OnCorrupt | None) -> None:
        self._on_corrupt = on_corrupt
        self._items: Iterator[AuditEntry | CorruptRecordError] = iter(())

    def fill(self, items: object) -> bool:
        """Take the next items; whether there were any."""
        if items is None:
            return False
        self._items = iter(cast("list[AuditEntry | CorruptRecordError]", items))
        return True

    def next(self) -> AuditEntry | None:
        """The next entry, or ``None`` if more has to be read."""
        for item in self._items:
            if isinstance(item, AuditEntry):
                return item
            if self._on_corrupt is None:
                raise item
            self._on_corrupt(item)
        return None


class Entries(Iterator[AuditEntry]):
    """The entries that a query selects, read as they are asked for.

    A record that cannot be read raises ``CorruptRecordError``, unless the query has an ``on_corrupt``.
    The entries after it follow: ask for the next one again.
    """

    def __init__(self, scan: _native.Scan, on_corrupt: OnCorrupt | None) -> None:
        self._scan = scan
        self._chunk = _Chunk(on_corrupt)

    def __next__(self) -> AuditEntry:
        while (entry := self._chunk.next()) is None:
            if not self._chunk.fill(self._scan.next(None)):
                raise StopIteration
        return entry

    def to_pandas(self) -> Any:
        """All of them as a ``pandas.DataFrame``, which needs pandas."""
        return to_pandas(list(self))

    def to_arrow(self) -> Any:
        """All of them as a ``pyarrow.Table``, which needs pyarrow. Metadata is JSON text."""
        return to_arrow(list(self))


class AsyncEntries(AsyncIterator[AuditEntry]):
    """The entries that a query selects, read as they are asked for with ``async for``.

    A record that cannot be read raises ``CorruptRecordError``, unless the query has an ``on_corrupt``.
    The entries after it follow: ask for the next one again.
    """

    def __init__(self, scan: _native.Scan, on_corrupt: OnCorrupt | None) -> None:
        self._scan = scan
        self._chunk = _Chunk(on_corrupt)

    async def __anext__(self) -> AuditEntry:
        while (entry := self._chunk.next()) is None:
            if not self._chunk.fill(await self._scan.next(bridge())):
                raise StopAsyncIteration
        return entry

    async def to_list(self) -> list[AuditEntry]:
        """All of them in a list."""
        return [entry async for entry in self]

    async def to_pandas(self) -> Any:
        """All of them as a ``pandas.DataFrame``, which needs pandas."""
        return to_pandas(await self.to_list())

    async def to_arrow(self) -> Any:
        """All of them as a ``pyarrow.Table``, which needs pyarrow. Metadata is JSON text."""
        return to_arrow(await self.to_list())


def _columns(entries: list[AuditEntry]) -> dict[str, list[Any]]:
    names = list(AuditEntry.__dataclass_fields__)
    return {name: [getattr(entry, name) for entry in entries] for name in names}


def to_pandas(entries: list[AuditEntry]) -> Any:
    """A data frame with a column for each field; timestamps are times in UTC."""
    pandas: Any = importlib.import_module("pandas")
    columns: dict[str, Any] = _columns(entries)
    columns["timestamp"] = pandas.to_datetime(
        pandas.Series(columns["timestamp"], dtype="str"), format="ISO8601", utc=True
    )
    for name in ("input_tokens", "output_tokens"):
        columns[name] = pandas.array(columns[name], dtype="Int64")
    return pandas.DataFrame(columns)


def to_arrow(entries: list[AuditEntry]) -> Any:
    """A table with a column for each field; timestamps are times in UTC, metadata is JSON."""
    pyarrow: Any = importlib.import_module("pyarrow")
    texts = pyarrow.list_(pyarrow.string())
    types: dict[str, Any] = {
        "timestamp": pyarrow.timestamp("us", "UTC"),
        "safety_passed": pyarrow.bool_(),
        "detectors_triggered": texts,
        "alerts": texts,
        "latency_ms": pyarrow.float64(),
        "input_tokens": pyarrow.int64(),
        "output_tokens": pyarrow.int64(),
    }
    columns: dict[str, list[Any]] = _columns(entries)
    columns["metadata"] = [json.dumps(value) for value in columns["metadata"]]
    columns["timestamp"] = [
        datetime.datetime.fromisoformat(time).replace(tzinfo=datetime.timezone.utc)
        for time in columns["timestamp"]
    ]
    fields = [(name, types.get(name, pyarrow.string())) for name in columns]
    return pyarrow.table(columns, schema=pyarrow.schema(fields))
