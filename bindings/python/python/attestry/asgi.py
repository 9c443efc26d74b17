"""Middleware for ASGI applications: FastAPI, Starlette and others."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ._errors import AttestryError
from ._logger import AuditLogger, Call, error_name

log = logging.getLogger("attestry")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

__all__ = ["AuditMiddleware"]


class AuditMiddleware:
    """Records the requests to some paths and their responses.

    The start of a request is on stable storage before the application is called; the input is the
    body. The output is the body of the response. A client that disconnects before its end leaves a call
    that is ``cut_off``, an exception or a status of 500 or more one that ``failed``.

    Args:
        app: The application.
        logger: A logger for asyncio.
        paths: The paths that are recorded, with all below them.
        metadata: Returns metadata of a request from its scope, such as the user.
        max_body_bytes: Of a longer body of a request, this many bytes are recorded, and the rest is not
            read before the application reads it.
        on_error: ``"fail"``: a request that cannot be recorded is answered with 503. ``"serve"``: it is
            served all the same, and the failure is reported to ``logging``.
    """

    def __init__(
        self,
        app: App,
        logger: AuditLogger,
        *,
        paths: tuple[str, ...] | list[str],
        metadata: Callable[[MutableMapping[str, Any]], dict[str, Any]] | None = None,
        max_body_bytes: int = 8 << 20,
        on_error: str = "fail",
    ) -> None:
        if on_error not in ("fail", "serve"):
            raise ValueError(f"on_error is 'fail' or 'serve', not {on_error!r}")
        self._app = app
        self._logger = logger
        self._paths = tuple(path.rstrip("/") for path in paths)
        self._metadata = metadata
        self._max_body_bytes = max_body_bytes
        self._serve = on_error == "serve"

    def _is_recorded(self, scope: MutableMapping[str, Any]) -> bool:
        if scope["type"] != "http":
            return False
        path: str = scope["path"]
        return any(path == known or path.startswith(f"{known}/") for known in self._paths)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request."""
        if not self._is_recorded(scope):
            await self._app(scope, receive, send)
            return
        received: list[Message] = []
        body, length = bytearray(), 0
        while True:
            message = await receive()
            received.append(message)
            part: bytes = message.get("body", b"")
            length += len(part)
            body += part[: max(0, self._max_body_bytes - len(body))]
            if length > len(body) or not message.get("more_body", False):
                break
        call: Call | None = None
        try:
            metadata: dict[str, Any] = {"http.request.method": scope["method"]}
            metadata["url.path"] = scope["path"]
            if length > len(body):
                metadata["attestry.truncated"] = ["input"]
            if self._metadata is not None:
                metadata.update(self._metadata(scope))
            call = await self._logger.start(body.decode("utf-8", "replace"), metadata=metadata)
        except AttestryError as error:
            if not self._serve:
                await _refuse(send)
                return
            log.error("attestry: a request could not be recorded: %s", error_name(error))
        if call is None:
            await self._app(scope, _replay(received, receive), send)
            return
        await self._record(call, scope, _replay(received, receive), send)

    async def _record(
        self, call: Call, scope: MutableMapping[str, Any], receive: Receive, send: Send
    ) -> None:
        status, has_left = 0, False
        # A part may end within a character.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")

        async def send_and_record(message: Message) -> None:
            nonlocal status, has_left
            if message["type"] == "http.response.start":
                status = message["status"]
                call.set(metadata={"http.response.status_code": status})
            elif message["type"] == "http.response.body" and not call.has_ended:
                is_last = not message.get("more_body", False)
                call.push(decoder.decode(bytes(message.get("body", b"")), is_last))
                if is_last:
                    # On record before the client has the end of the response.
                    await self._end(call.finish if status < 500 else lambda: call.fail(str(status)))
            try:
                await send(message)
            except Exception:
                has_left = True
                raise

        try:
            await self._app(scope, receive, send_and_record)
        except Exception as error:
            if not call.has_ended and not has_left:
                call.push(decoder.decode(b"", True))
                name = error_name(error)
                await self._end(lambda: call.fail(name))
            raise
        finally:
            if not call.has_ended:
                call.push(decoder.decode(b"", True))
                await self._end(call.cut_off)

    async def _end(self, end: Callable[[], Awaitable[object]]) -> None:
        try:
            await end()
        except AttestryError as error:
            if not self._serve:
                raise
            log.error("attestry: the end of a request could not be recorded: %s", error_name(error))


def _replay(received: list[Message], receive: Receive) -> Receive:
    """The messages that were read already, and those after them."""

    async def replay() -> Message:
        return received.pop(0) if received else await receive()

    return replay


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"the request could not be recorded"})
