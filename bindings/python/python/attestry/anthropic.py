"""Records the calls of a client of the package ``anthropic``.

>>> import anthropic
>>> from attestry import AuditLogger
>>> from attestry.anthropic import record
>>> import tempfile
>>> client = record(anthropic.Anthropic(api_key="…"), AuditLogger(tempfile.mkdtemp()))
"""

from __future__ import annotations

from typing import TypeVar

from ._base import BaseLogger
from ._http import Metadata, Recorder, record_client

Client = TypeVar("Client")

__all__ = ["record"]


def record(
    client: Client,
    logger: BaseLogger,
    *,
    metadata: Metadata | None = None,
    provider: str | None = None,
    on_error: str = "fail",
) -> Client:
    """Record every call of a model that ``client`` makes from now on, and return it.

    The start of a call is on stable storage before the request is sent, and its end when the response has
    been read: the messages, the model, tokens, tools, the status of an error, and whether a stream ended
    early. Each attempt of a retry is a call. Other requests, such as those for lists of models, are not
    recorded.

    Args:
        client: A ``anthropic.Anthropic`` or ``anthropic.AsyncAnthropic``, or a subclass.
        logger: Either kind of logger.
        metadata: Metadata of each call, or a function that returns it when a call starts.
        provider: The provider, if it is another one with the same API.
        on_error: ``"fail"``: a call that cannot be recorded fails. ``"serve"``: it is made all the
            same, and the failure is reported to the logger ``attestry`` of ``logging``.
    """
    record_client(client, Recorder(logger, "python.anthropic", provider, metadata, on_error))
    return client
