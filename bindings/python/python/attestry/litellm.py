"""A callback for LiteLLM."""

from __future__ import annotations

import json
import logging
from typing import Any, cast

from litellm.integrations.custom_logger import CustomLogger

from ._base import BaseLogger
from ._errors import AttestryError
from ._logger import error_name
from ._loop import bridge

log = logging.getLogger("attestry")

__all__ = ["AuditCallback"]


class AuditCallback(CustomLogger):
    """Records the calls of LiteLLM: ``litellm.callbacks = [AuditCallback(logger)]``.

    LiteLLM runs callbacks after a call, some of them later and in other threads, and ignores their
    exceptions: a failure to record does not fail the call, but is reported to ``logging``, and a call whose
    process is killed leaves no record. Recording a call again stores nothing twice.

    Args:
        logger: Either kind of logger.
    """

    def __init__(self, logger: BaseLogger) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._native = logger.require_native("recording LiteLLM")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that ended."""
        body = _body(kwargs)
        if body is not None:
            try:
                self._native.import_records(None, "litellm", [(body, None)])
            except (AttestryError, ValueError) as error:
                _report(error)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that failed."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call that ended."""
        body = _body(kwargs)
        if body is not None:
            try:
                await self._native.import_records(bridge(), "litellm", [(body, None)])
            except (AttestryError, ValueError) as error:
                _report(error)

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call that failed."""
        await self.async_log_success_event(kwargs, response_obj, start_time, end_time)


def _body(kwargs: Any) -> bytes | None:
    """What LiteLLM's own loggers get of a call."""
    payload = cast("dict[str, Any]", kwargs).get("standard_logging_object")
    return None if payload is None else json.dumps(payload, default=str).encode()


def _report(error: Exception) -> None:
    log.error("attestry: a call could not be recorded: %s", error_name(error))
