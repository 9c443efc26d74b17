"""The logger with plain methods, for programs without an event loop."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Coroutine
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import _native
from ._base import BaseCall, BaseLogger
from ._entry import AuditEntry
from ._evidence import Proof, Verification
from ._logger import AuditLogger as AsyncAuditLogger
from ._logger import deleted, error_name
from ._results import Entries, OnCorrupt
from ._storage import MemoryStorage

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class AuditLogger(BaseLogger):
    """Records interactions with AI systems and finds them again.

    The twin of ``attestry.audit.AuditLogger`` with plain methods, for threads. A call of ``log`` returns
    when the entry is on stable storage; threads that wait share a sync, and none holds the GIL.

    >>> import tempfile
    >>> logger = AuditLogger(tempfile.mkdtemp())
    >>> entry_id = logger.log("What is 2+2?", "4", provider="openai")
    >>> logger.get_entry(entry_id).provider
    'openai'
    >>> logger.close()
    """

    def log(
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
        """Record an interaction and return the id of its entry; see ``attestry.audit``."""
        fields = (
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
        )
        if self._native is not None:
            return cast(str, self._native.log(None, input, output, *fields))
        return self._run(self._twin().log(input, output, *fields))

    def get_entry(self, entry_id: str) -> AuditEntry | None:
        """The entry with this id, or ``None``."""
        if self._native is not None:
            return cast("AuditEntry | None", self._native.get_entry(None, entry_id))
        return self._run(self.storage.read(entry_id))

    def get_entries(self, start: datetime, end: datetime) -> list[AuditEntry]:
        """The entries from ``start`` to ``end``, both inclusive; times without a zone are UTC."""
        if self._native is not None:
            return cast("list[AuditEntry]", self._native.get_entries(None, start, end))
        return self._run(self.storage.list_entries(start, end))

    def cleanup_expired(self) -> int:
        """Delete the entries that are older than ``retention_days``, and return their number."""
        if self._native is not None:
            return cast(int, self._native.cleanup_expired(None))
        return self._run(self._twin().cleanup_expired())

    def count(self) -> int:
        """The number of entries."""
        if self._native is not None:
            return cast(int, self._native.count(None))
        return self._run(self.storage.count())

    def delete(self, entry_id: str) -> bool:
        """Delete an entry and return whether it existed."""
        if self._native is not None:
            return cast(bool, self._native.delete(None, entry_id))
        return self._run(self.storage.delete(entry_id))

    def flush(self) -> None:
        """Return when everything recorded so far is on stable storage."""
        if self._native is not None:
            self._native.flush(None)

    def close(self) -> None:
        """Close the store, for all loggers on it. Later calls raise ``ClosedError``.

        The end of the interpreter does it as well.
        """
        if self._native is not None:
            self._native.close(None)

    def __enter__(self) -> AuditLogger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self,
        input: str,
        provider: str | None = None,
        model: str | None = None,
        conversation_id: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Call:
        """Record that a call of a model starts; end the call, or use it with ``with``.

        The start entry is on stable storage when this returns: call the model after that.

        >>> import tempfile
        >>> with AuditLogger(tempfile.mkdtemp()) as logger:
        ...     with logger.start("What is 2+2?", model="gpt-4") as call:
        ...         call.push("4")
        ...     logger.count()
        2
        """
        fields: dict[str, Any] = {
            "provider": provider,
            "model": model,
            "conversation_id": conversation_id,
        }
        if metadata:
            fields["metadata"] = metadata
        return Call(cast(_native.Call, self.require_native("start").start(None, input, fields)))

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
    ) -> Entries:
        """The entries that meet all conditions, to be read with ``for``; see ``attestry.audit``.

        >>> import tempfile
        >>> logger = AuditLogger(tempfile.mkdtemp(), store_content=True)
        >>> _ = logger.log("2+2?", "4", metadata={"user.id": "ada"})
        >>> [entry.output_content for entry in logger.query(metadata={"user.id": "ada"})]
        ['4']
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
        return Entries(self.require_native("query").query(conditions), on_corrupt)

    def delete_matching(
        self, *, dry_run: bool = False, on_corrupt: OnCorrupt | None = None, **conditions: Any
    ) -> int:
        """Delete the entries that meet all conditions of ``query``, and return their number."""
        native = self.require_native("delete_matching")
        return deleted(native.delete_matching(None, conditions, dry_run), on_corrupt)

    def checkpoint(self) -> str:
        """Sign a checkpoint of the log and return its text. Store it elsewhere."""
        return cast(str, self.require_native("checkpoint").checkpoint(None))

    def latest_checkpoint(self) -> str | None:
        """The text of the newest checkpoint."""
        native = self.require_native("latest_checkpoint")
        return cast("str | None", native.latest_checkpoint(None))

    def prove(self, entry_id: str) -> Proof | None:
        """The proof that an entry is in the log; ``None`` if there is no such entry."""
        found = self.require_native("prove").prove(None, entry_id)
        return None if found is None else Proof(*cast("tuple[bytes, str]", found))

    def verify(self, *, public_key: str | None = None, against: str | None = None) -> Verification:
        """Compare every entry with the evidence; see ``attestry.audit``."""
        report = self.require_native("verify").verify(None, public_key, against)
        return Verification.of(cast("dict[str, Any]", report))

    def metrics(self) -> dict[str, Any]:
        """What this logger and its store have done since it was opened, in numbers."""
        text = self.require_native("metrics").metrics()
        return {} if text is None else cast("dict[str, Any]", json.loads(text))

    def _twin(self) -> AsyncAuditLogger:
        return AsyncAuditLogger(self.storage, self.encryption, self.store_content, self.retention_days)

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call of a store of another class."""
        if type(self.storage) is MemoryStorage:
            # It never waits.
            try:
                call.send(None)
            except StopIteration as done:
                return cast(T, done.value)
            raise RuntimeError("a call of MemoryStorage waited")
        import asyncio

        return asyncio.run_coroutine_threadsafe(call, _loop_of_thread()).result()


_loop: asyncio.AbstractEventLoop | None = None
_lock = threading.Lock()


def _loop_of_thread() -> asyncio.AbstractEventLoop:
    """An event loop that runs in a thread, for stores whose methods are coroutines."""
    import asyncio

    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="attestry-loop", daemon=True).start()
        return _loop


def _forget_loop() -> None:
    """A child of a fork has neither the loop's thread nor the one that may hold the lock."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_loop)


class Call(BaseCall):
    """A call that has started. End it with ``finish``, ``fail`` or ``cut_off``, or by ``with``.

    If it is dropped without one of them, its end entry has the outcome ``abandoned``.
    """

    def finish(self) -> str:
        """End the call: the model answered. Returns the id of the end entry."""
        return cast(str, self._native.finish(None))

    def fail(self, error_type: str) -> str:
        """End the call: it failed. ``error_type`` is a short, stable name without content."""
        return cast(str, self._native.fail(None, error_type))

    def cut_off(self) -> str:
        """End the call: the output ended before its end."""
        return cast(str, self._native.cut_off(None))

    def __enter__(self) -> Call:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.has_ended:
            return
        if error is None:
            self.finish()
        elif isinstance(error, Exception):
            self.fail(error_name(error))
        else:
            self.cut_off()
