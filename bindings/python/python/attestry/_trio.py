"""The bridge of a run of trio, imported when a call is made in one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import outcome
import trio
from trio.lowlevel import Abort, RunVar, Task

from ._native import Bridge


class _Future:
    """What the extension module completes, on trio's thread."""

    def __init__(self) -> None:
        self._outcome: outcome.Outcome[Any] | None = None
        self._waiting: Task | None = None

    def done(self) -> bool:
        return self._outcome is not None

    def set_result(self, value: Any) -> None:
        self._complete(outcome.Value(value))

    def set_exception(self, error: BaseException) -> None:
        self._complete(outcome.Error(error))

    def _complete(self, result: outcome.Outcome[Any]) -> None:
        self._outcome = result
        if self._waiting is not None:
            trio.lowlevel.reschedule(self._waiting, result)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        if self._outcome is not None:
            await trio.lowlevel.checkpoint()
            return self._outcome.unwrap()
        self._waiting = trio.lowlevel.current_task()
        return await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: Any) -> Abort:
        """The task was cancelled: what was asked for goes on, as in asyncio, and its result is dropped."""
        self._waiting, self._outcome = None, outcome.Value(None)
        return Abort.SUCCEEDED


class _Loop:
    """What the bridge needs of an event loop."""

    def create_future(self) -> _Future:
        return _Future()


_loop = _Loop()
_bridge: RunVar[Bridge] = RunVar("attestry")


def bridge() -> Bridge:
    """The bridge of this run, which watches it from the first call on."""
    try:
        return _bridge.get()
    except LookupError:
        pass
    found = Bridge(lambda: _loop)
    _bridge.set(found)
    trio.lowlevel.spawn_system_task(_watch, found)
    return found


async def _watch(found: Bridge) -> None:
    while True:
        await trio.lowlevel.wait_readable(found.fileno())
        found.drain()
