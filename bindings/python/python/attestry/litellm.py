"""A callback for LiteLLM."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from typing import Any, cast

from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.redact_messages import (  # pyright: ignore[reportMissingTypeStubs]
    should_redact_message_logging,  # pyright: ignore[reportUnknownVariableType]
)

from ._base import BaseLogger
from ._errors import AttestryError
from ._logger import error_name
from ._loop import bridge

log = logging.getLogger("attestry")

__all__ = ["AuditCallback"]

# How many calls may be open at the same time. Of more, the oldest one stays open on record.
_MAX_OPEN = 100_000


class AuditCallback(CustomLogger):
    """Records the calls of LiteLLM: ``litellm.callbacks = [AuditCallback(logger)]``.

    The start of a call is on stable storage before the provider is asked, so that a call whose process is
    killed is on record, too. LiteLLM runs the other callbacks after a call, some of them later and in other
    threads, and ignores their exceptions: a failure to record the end is reported to ``logging``. Recording
    the end again stores nothing twice.

    Args:
        logger: Either kind of logger.
        on_error: ``"fail"``: an awaited call (``acompletion`` and its like, a router, the proxy) whose
            start cannot be recorded fails. LiteLLM ignores exceptions before a plain ``completion``: such
            a call is made all the same, and the failure is reported to ``logging``. ``"serve"``: so it is
            with all calls.
    """

    def __init__(self, logger: BaseLogger, *, on_error: str = "fail") -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        if on_error not in ("fail", "serve"):
            raise ValueError(f"on_error is 'fail' or 'serve', not {on_error!r}")
        self._native = logger.require_native("recording LiteLLM")
        self._serve = on_error == "serve"
        # The ids of start entries by LiteLLM's ids of calls. One that ended stays, for a second end of it.
        self._starts: OrderedDict[str, str] = OrderedDict()

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> None:
        """Record that a provider is going to be asked."""
        details = getattr(kwargs.get("litellm_logging_obj"), "model_call_details", None)
        call_id, record = _start({**kwargs, **(details or {})}, getattr(call_type, "value", None))
        if call_id is None or call_id in self._starts:
            return
        try:
            self._started(call_id, await self._native.start_record(bridge(), "litellm", record))
        except (AttestryError, ValueError) as error:
            if not self._serve:
                raise
            _report(error)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """Record that a provider is asked, unless that is on record."""
        call_id, record = _start(kwargs, None)
        if call_id is None or call_id in self._starts:
            return
        try:
            self._started(call_id, self._native.start_record(None, "litellm", record))
        except (AttestryError, ValueError) as error:
            _report(error)

    def _started(self, call_id: str, start: object) -> None:
        self._starts[call_id] = cast(str, start)
        if len(self._starts) > _MAX_OPEN:
            self._starts.popitem(last=False)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that ended."""
        records = self._end(kwargs)
        try:
            self._native.import_records(None, "litellm", records)
        except (AttestryError, ValueError) as error:
            _report(error)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that failed."""
        self.log_success_event(kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call that ended."""
        records = self._end(kwargs)
        try:
            await self._native.import_records(bridge(), "litellm", records)
        except (AttestryError, ValueError) as error:
            _report(error)

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Record a call that failed."""
        await self.async_log_success_event(kwargs, response_obj, start_time, end_time)

    def _end(self, kwargs: dict[str, Any]) -> list[tuple[bytes, str | None]]:
        """What LiteLLM's own loggers get of a call, if they get anything."""
        payload = kwargs.get("standard_logging_object")
        if payload is None:
            return []
        start = self._starts.get(str(kwargs.get("litellm_call_id")))
        return [(json.dumps(payload, default=str).encode(), start)]


def _start(details: dict[str, Any], call_type: str | None) -> tuple[str | None, bytes]:
    """LiteLLM's id of a call, and what is known of the call before it is made, in the form of its end."""
    call_id, started = details.get("litellm_call_id"), details.get("start_time")
    messages = details.get("messages") or details.get("input")
    record = {
        "litellm_call_id": call_id,
        "call_type": call_type or details.get("call_type") or "completion",
        "model": details.get("model"),
        "messages": "redacted-by-litellm" if should_redact_message_logging(details) else messages,
        "custom_llm_provider": details.get("custom_llm_provider"),
        "end_user": details.get("user") or None,
        "startTime": None if started is None else started.timestamp(),
    }
    known = {name: value for name, value in record.items() if value is not None}
    return (None if call_id is None else str(call_id)), json.dumps(known, default=str).encode()


def _report(error: Exception) -> None:
    log.error("attestry: a call could not be recorded: %s", error_name(error))
