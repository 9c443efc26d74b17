"""A callback handler for LangChain."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, message_to_dict
from langchain_core.outputs import LLMResult

from ._errors import AttestryError
from ._logger import error_name
from ._sync import AuditLogger, Call

log = logging.getLogger("attestry")

__all__ = ["AuditCallbackHandler"]


class AuditCallbackHandler(BaseCallbackHandler):
    """Records the calls of models that a chain makes.

    The start of a call is on stable storage before the model is asked. Input and output are the
    messages as LangChain writes them in JSON, or the texts of a model that is no chat model.

    Args:
        logger: A logger with plain methods.
        metadata: Metadata of each call.
        on_error: ``"fail"``: a call that cannot be recorded fails. ``"serve"``: it is made all the same,
            and the failure is reported to ``logging``.
    """

    def __init__(
        self,
        logger: AuditLogger,
        *,
        metadata: dict[str, Any] | None = None,
        on_error: str = "fail",
    ) -> None:
        if on_error not in ("fail", "serve"):
            raise ValueError(f"on_error is 'fail' or 'serve', not {on_error!r}")
        self._logger = logger
        self._metadata = dict(metadata or {})
        # LangChain passes exceptions of a handler on only if it says so; it runs this one before the call.
        self.raise_error = on_error == "fail"
        self.run_inline = True
        self._calls: dict[UUID, Call] = {}

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record that a chat model is called."""
        dumped = [[message_to_dict(message) for message in batch] for batch in messages]
        text = json.dumps(dumped[0] if len(dumped) == 1 else dumped, default=str)
        self._start(text, run_id, parent_run_id, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record that a model is called."""
        text = prompts[0] if len(prompts) == 1 else json.dumps(prompts)
        self._start(text, run_id, parent_run_id, metadata, kwargs)

    def _start(
        self,
        text: str,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: dict[str, Any] | None,
        kwargs: dict[str, Any],
    ) -> None:
        fields: dict[str, Any] = {"langchain.run_id": str(run_id), **self._metadata}
        if parent_run_id is not None:
            fields["langchain.parent_run_id"] = str(parent_run_id)
        known = metadata or {}
        parameters: dict[str, Any] = kwargs.get("invocation_params") or {}
        model = known.get("ls_model_name") or parameters.get("model") or parameters.get("model_name")
        try:
            self._calls[run_id] = self._logger.start(
                text,
                provider=known.get("ls_provider"),
                model=None if model is None else str(model),
                metadata=fields,
            )
        except AttestryError as error:
            if self.raise_error:
                raise
            log.error("attestry: a call could not be recorded: %s", error_name(error))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Record what the model answered."""
        call = self._calls.pop(run_id, None)
        if call is None:
            return
        fields: dict[str, Any] = {}
        outputs: list[Any] = []
        for generations in response.generations:
            for generation in generations:
                message = getattr(generation, "message", None)
                outputs.append(generation.text if message is None else message_to_dict(message))
                usage = getattr(message, "usage_metadata", None)
                if usage:
                    for name in ("input_tokens", "output_tokens"):
                        fields[name] = fields.get(name, 0) + usage[name]
        one = outputs[0] if len(outputs) == 1 else outputs
        call.push(one if isinstance(one, str) else json.dumps(one, default=str))
        call.set(**fields)
        call.finish()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record that the call failed, or was cancelled."""
        call = self._calls.pop(run_id, None)
        if call is None:
            return
        if isinstance(error, Exception):
            call.fail(error_name(error))
        else:
            call.cut_off()
