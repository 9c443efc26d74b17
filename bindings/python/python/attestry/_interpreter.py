"""Refuses subinterpreters: the extension module has one state for the process."""

from __future__ import annotations

import importlib
from typing import Any


def _number(interpreter: Any) -> int:
    try:
        return int(interpreter)
    except TypeError:  # Since Python 3.13 with how it was made.
        return int(interpreter[0])


def refuse_subinterpreters() -> None:
    """Raise ``ImportError`` in an interpreter that is not the main one."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters: Any = importlib.import_module(name)
        except ImportError:
            continue
        if _number(interpreters.get_current()) != _number(interpreters.get_main()):
            raise ImportError("attestry cannot be used in a subinterpreter; use threads or processes")
        return


refuse_subinterpreters()  # When this module is imported, which is before the extension module.
