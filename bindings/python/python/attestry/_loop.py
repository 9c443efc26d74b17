"""The bridge of the running event loop."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._native import Bridge

if TYPE_CHECKING:
    import asyncio

_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = weakref.WeakKeyDictionary()
# The loop that called last, since most programs have one.
_last: tuple[weakref.ref[asyncio.AbstractEventLoop] | None, Bridge | None] = (None, None)


def _first_running_loop() -> asyncio.AbstractEventLoop:
    """Imports asyncio, which takes longer than the rest of this package, when it is first needed."""
    global _running_loop
    from asyncio import get_running_loop

    _running_loop = get_running_loop
    return get_running_loop()


_running_loop: Callable[[], asyncio.AbstractEventLoop] = _first_running_loop


def _is_in_trio() -> bool:
    trio: Any = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def bridge() -> Bridge:
    """The bridge of the running loop, which watches it from the first call on."""
    global _last
    try:
        loop = _running_loop()
    except RuntimeError:
        if _is_in_trio():
            from . import _trio

            return _trio.bridge()
        raise
    reference, found = _last
    if found is not None and reference is not None and reference() is loop:
        return found
    found = _bridges.get(loop)
    if found is None:
        found = Bridge(weakref.ref(loop))
        loop.add_reader(found.fileno(), found.drain)
        _bridges[loop] = found
    _last = (weakref.ref(loop), found)
    return found
