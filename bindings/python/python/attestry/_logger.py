"""The logger for asyncio."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, cast

from . import _native
from ._base import BaseCall, BaseLogger
from ._entry import AuditEntry
from ._errors import CorruptRecordError
from ._evidence import Proof, Verification
from ._loop import bridge
from ._results import AsyncEntries, OnCorrupt


class AuditLogger(BaseLogger):
    """Records interactions with AI systems and finds them again; for asyncio.

    It has the names and signatures of ``rotalabs_comply.audit.AuditLogger``. A call of ``log`` returns
    when the entry is on stable storage.

    Args:
        storage: The path of a folder, or a store.
        encryption: Encrypts stored content.
        store_content: Store the content itself, not only its hashes.
        retention_days: After how many days ``cleanup_expired`` deletes an entry.
        allow_large_cleanup: Whether ``cleanup_expired`` may delete more than half of the entries. If
            not, it raises ``LargeCleanupError`` instead, which a wrong clock then does.

    >>> import asyncio, tempfile
    >>> async def record() -> str | None:
    ...     logger = AuditLogger(tempfile.mkdtemp())
    ...     entry_id = await logger.log(input="What is 2+2?", output="4", provider="openai")
    ...     entry = await logger.get_entry(entry_id)
    ...     return entry.provider if entry else None
    >>> asyncio.run(record())
    'openai'
    """

    async def log(
        self,
        input: str,
        output: str,
        provider: str | None = None,
        model: str | None = None,
        conversation_id: str | None = None,
        safety_passed: bool = True,
        detectors_triggered: list[str] | None = None,
        block_reason: str | None = None,
        alerts: list[str] | None = None,
        latency_ms: float = 0.0,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """Record an interaction and return the id of its entry.

        Args:
            input: What the model was asked.
            output: What it answered.
            provider: The AI provider, such as ``openai``.
            model: The model, such as ``gpt-4``.
            conversation_id: Links the interactions of one conversation.
            safety_passed: Whether the interaction passed all safety checks.
            detectors_triggered: Names of the safety detectors that triggered.
            block_reason: Why the request was blocked, if it was.
            alerts: Alert messages generated.
            latency_ms: Time taken to process the request, in milliseconds.
            input_tokens: Tokens of the input.
            output_tokens: Tokens of the output.
            metadata: Further data, as JSON can have it.

        Raises:
            InvalidEntryError: A value cannot be stored.
            StorageIOError: The entry could not be stored.
        """
        native = self._native
        if native is not None:
            return cast(
                str,
                await native.log(
                    bridge(),
                    input,
                    output,
                    provider,
                    model,
                    conversation_id,
                    safety_passed,
                    detectors_triggered,
                    block_reason,
                    alerts,
                    latency_ms,
                    input_tokens,
                    output_tokens,
                    metadata,
                ),
            )
        entry = self._entry(
            input,
            output,
            {
                "provider": provider,
                "model": model,
                "conversation_id": conversation_id,
                "safety_passed": safety_passed,
                "detectors_triggered": detectors_triggered or [],
                "block_reason": block_reason,
                "alerts": alerts or [],
                "latency_ms": latency_ms,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "metadata": metadata or {},
            },
        )
        await self.storage.write(entry)
        return entry.id

    async def get_entry(self, entry_id: str) -> AuditEntry | None:
        """The entry with this id, or ``None``. Encrypted content is returned as it is stored."""
        memory = self._memory
        return await self.storage.read(entry_id) if memory is None else memory.get(entry_id)

    async def get_entries(self, start: datetime, end: datetime) -> list[AuditEntry]:
        """The entries from ``start`` to ``end``, both inclusive; times without a zone are UTC.

        Raises:
            CorruptRecordError: A record of that time cannot be read; ``query`` returns the others.
        """
        return await self.storage.list_entries(start, end)

    async def cleanup_expired(self) -> int:
        """Delete the entries that are older than ``retention_days``, and return their number."""
        native = self._native
        if native is not None:
            return cast(int, await native.cleanup_expired(bridge()))
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        cutoff = now - timedelta(days=self.retention_days)
        deleted = 0
        for entry in await self.storage.list_entries(datetime(1970, 1, 1), cutoff):
            deleted += await self.storage.delete(entry.id)
        return deleted

    async def count(self) -> int:
        """The number of entries."""
        return await self.storage.count()

    async def delete(self, entry_id: str) -> bool:
        """Delete an entry and return whether it existed."""
        return await self.storage.delete(entry_id)

    async def flush(self) -> None:
        """Return when everything recorded so far is on stable storage."""
        if self._native is not None:
            await self._native.flush(bridge())

    async def close(self) -> None:
        """Close the store, for all loggers on it. Later calls raise ``ClosedError``.

        The end of the interpreter does it as well.
        """
        if self._native is not None:
            await self._native.close(bridge())

    async def __aenter__(self) -> AuditLogger:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(
        self,
        input: str,
        provider: str | None = None,
        model: str | None = None,
        conversation_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> StartingCall:
        """Record that a call of a model starts; await it, or use it with ``async with``.

        The start entry is on stable storage before the block begins: call the model in it. The end of
        the block stores an end entry: completed, ``failed`` if it raises, or ``cut_off`` if it is
        cancelled. A call without an end is reported by ``attestry check``.

        >>> import asyncio, tempfile
        >>> async def ask() -> int:
        ...     logger = AuditLogger(tempfile.mkdtemp())
        ...     async with logger.start("What is 2+2?", model="gpt-4") as call:
        ...         call.push("4")
        ...         call.set(output_tokens=1)
        ...     return await logger.count()
        >>> asyncio.run(ask())
        2
        """
        fields: dict[str, Any] = {
            "provider": provider,
            "model": model,
            "conversation_id": conversation_id,
        }
        if metadata:
            fields["metadata"] = metadata
        return StartingCall(self.require_native("start"), input, fields)

    def query(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        provider: str | None = None,
        model: str | None = None,
        conversation_id: str | None = None,
        safety_passed: bool | None = None,
        detector: str | None = None,
        text_contains: str | None = None,
        metadata: dict[str, Any] | None = None,
        phase: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        on_corrupt: OnCorrupt | None = None,
    ) -> AsyncEntries:
        """The entries that meet all conditions, to be read with ``async for``.

        Args:
            since: The earliest time, inclusive.
            until: The latest time, inclusive.
            provider: The provider.
            model: The model.
            conversation_id: The conversation.
            safety_passed: Whether all safety checks were passed.
            detector: A detector that triggered.
            text_contains: A text in the stored content, plain.
            metadata: The values of metadata; ``...`` stands for any value.
            phase: ``latest`` (one entry a call), ``start``, ``end``, ``open`` or ``all``.
            newest_first: The newest entry first.
            limit: The number of entries at most.
            on_corrupt: Called with the exception of each record that cannot be read, which is
                otherwise raised.

        >>> import asyncio, tempfile
        >>> async def find() -> list[str]:
        ...     logger = AuditLogger(tempfile.mkdtemp(), store_content=True)
        ...     await logger.log("2+2?", "4", metadata={"user.id": "ada"})
        ...     await logger.log("3+3?", "6", metadata={"user.id": "bob"})
        ...     found = logger.query(metadata={"user.id": "bob"})
        ...     return [entry.input_content async for entry in found]
        >>> asyncio.run(find())
        ['3+3?']
        """
        conditions = {
            "since": since,
            "until": until,
            "provider": provider,
            "model": model,
            "conversation_id": conversation_id,
            "safety_passed": safety_passed,
            "detector": detector,
            "text_contains": text_contains,
            "metadata": metadata,
            "phase": phase,
            "newest_first": newest_first,
            "limit": limit,
        }
        return AsyncEntries(self.require_native("query").query(conditions), on_corrupt)

    async def delete_matching(
        self, *, dry_run: bool = False, on_corrupt: OnCorrupt | None = None, **conditions: Any
    ) -> int:
        """Delete the entries that meet all conditions of ``query``, and return their number.

        Raises:
            CorruptRecordError: A record cannot be read, so that it may be one of them; the others were
                deleted. Not with ``on_corrupt``.
        """
        native = self.require_native("delete_matching")
        reply = await native.delete_matching(bridge(), conditions, dry_run)
        return deleted(reply, on_corrupt)

    async def checkpoint(self) -> str:
        """Sign a checkpoint of the log and return its text. Store it elsewhere.

        Raises:
            EvidenceError: The store keeps no evidence; see ``FileStorage``.
        """
        return cast(str, await self.require_native("checkpoint").checkpoint(bridge()))

    async def latest_checkpoint(self) -> str | None:
        """The text of the newest checkpoint."""
        native = self.require_native("latest_checkpoint")
        return cast("str | None", await native.latest_checkpoint(bridge()))

    async def prove(self, entry_id: str) -> Proof | None:
        """The proof that an entry is in the log; ``None`` if there is no such entry.

        >>> import asyncio, tempfile
        >>> from attestry import Evidence, FileStorage, SigningKey
        >>> async def prove(key: SigningKey) -> int:
        ...     storage = FileStorage(tempfile.mkdtemp(), evidence=Evidence(key))
        ...     logger = AuditLogger(storage)
        ...     entry_id = await logger.log("2+2?", "4")
        ...     await logger.checkpoint()
        ...     proof = await logger.prove(entry_id)
        ...     return proof.verify(key.public_key) if proof else 0
        >>> asyncio.run(prove(SigningKey.generate("example.com/audit")))
        1
        """
        found = await self.require_native("prove").prove(bridge(), entry_id)
        return None if found is None else Proof(*cast("tuple[bytes, str]", found))

    async def verify(self, *, public_key: str | None = None, against: str | None = None) -> Verification:
        """Compare every entry with the evidence.

        Args:
            public_key: Verify the signatures of checkpoints with it.
            against: The text of a checkpoint that was stored elsewhere; with ``public_key``.
        """
        report = await self.require_native("verify").verify(bridge(), public_key, against)
        return Verification.of(cast("dict[str, Any]", report))

    def metrics(self) -> dict[str, Any]:
        """What this logger and its store have done since it was opened, in numbers."""
        text = self.require_native("metrics").metrics()
        return {} if text is None else cast("dict[str, Any]", json.loads(text))


class Call(BaseCall):
    """A call that has started. End it with ``finish``, ``fail`` or ``cut_off``.

    If it is dropped without one of them, its end entry has the outcome ``abandoned``.
    """

    async def finish(self) -> str:
        """End the call: the model answered. Returns the id of the end entry."""
        return cast(str, await self._native.finish(bridge()))

    async def fail(self, error_type: str) -> str:
        """End the call: it failed. ``error_type`` is a short, stable name without content."""
        return cast(str, await self._native.fail(bridge(), error_type))

    async def cut_off(self) -> str:
        """End the call: the output ended before its end."""
        return cast(str, await self._native.cut_off(bridge()))


class StartingCall:
    """A call that is about to start: await it, or use it with ``async with``."""

    def __init__(self, logger: _native.Logger, input: str, fields: dict[str, Any]) -> None:
        self._logger = logger
        self._input = input
        self._fields = fields
        self._call: Call | None = None

    async def _start(self) -> Call:
        native = await self._logger.start(bridge(), self._input, self._fields)
        return Call(cast(_native.Call, native))

    def __await__(self) -> Generator[Any, None, Call]:
        return self._start().__await__()

    async def __aenter__(self) -> Call:
        self._call = await self._start()
        return self._call

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        call = self._call
        if call is None or call.has_ended:
            return
        if error is None:
            await call.finish()
        elif isinstance(error, Exception):
            await call.fail(error_name(error))
        else:
            await call.cut_off()


def error_name(error: BaseException) -> str:
    """The name of an exception's class, with its module unless it is built in."""
    kind = type(error)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def deleted(reply: object, on_corrupt: OnCorrupt | None) -> int:
    """The number of deleted entries, unless records could not be read."""
    number, unreadable = cast("tuple[int, list[CorruptRecordError]]", reply)
    for error in unreadable:
        if on_corrupt is None:
            raise error
        on_corrupt(error)
    return number
