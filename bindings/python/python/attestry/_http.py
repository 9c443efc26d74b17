"""Records the calls that a client of an HTTP API makes, at the client's transport.

Whatever the client does is recorded as it is sent: plain calls, streams, tools, structured outputs, and
each attempt of a retry. The bytes pass as they come.
"""

from __future__ import annotations

import functools
import importlib
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, cast

from . import _native
from ._base import BaseLogger
from ._errors import AttestryError
from ._logger import error_name
from ._loop import bridge

log = logging.getLogger("attestry")

Metadata = Mapping[str, Any] | Callable[[], Mapping[str, Any]]


class Recorder:
    """How the calls of a client are recorded."""

    def __init__(
        self,
        logger: BaseLogger,
        source: str,
        provider: str | None,
        metadata: Metadata | None,
        on_error: str,
    ) -> None:
        if on_error not in ("fail", "serve"):
            raise ValueError(f"on_error is 'fail' or 'serve', not {on_error!r}")
        self.native = logger.require_native("recording a client")
        self.source = source
        self.provider = provider
        self.metadata = metadata
        self.serve = on_error == "serve"

    def arguments(self, request: Any, body: bytes) -> tuple[Any, ...]:
        """Those of ``start_exchange``."""
        metadata = self.metadata() if callable(self.metadata) else self.metadata
        url = request.url
        return (
            url.path,
            url.host,
            self.provider,
            self.source,
            body,
            dict(metadata or {}),
        )

    def failed(self, error: Exception) -> None:
        """Raise it, or say so and go on."""
        if not self.serve:
            raise error
        log.error("attestry: a call could not be recorded: %s", error_name(error))


class Decoder:
    """The bytes of a body as they were before they were compressed."""

    def __init__(self, encoding: str) -> None:
        self._decompress: Any = None
        if encoding in ("gzip", "deflate"):
            self._decompress = zlib.decompressobj(47 if encoding == "gzip" else zlib.MAX_WBITS)

    def __call__(self, chunk: bytes) -> bytes:
        return self._decompress.decompress(chunk) if self._decompress else chunk


class Response:
    """Gives the bytes of a response to its exchange."""

    def __init__(self, exchange: _native.Exchange, response: Any, recorder: Recorder) -> None:
        self.exchange = exchange
        self._recorder = recorder
        self.has_ended = False
        self.is_damaged = False
        self._is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        self._decode = Decoder(response.headers.get("content-encoding", "").strip().lower())
        self._body: list[bytes] = []
        exchange.status(response.status_code)

    def add(self, chunk: bytes) -> None:
        """The next bytes. Those after an error of compression are not recorded."""
        if self.is_damaged:
            return
        try:
            decoded = self._decode(chunk)
        except zlib.error as error:
            self.is_damaged = True
            self._recorder.failed(error)
            return
        if self._is_stream:
            self.exchange.push(decoded)
        else:
            self._body.append(decoded)

    def complete(self) -> None:
        """The body of a response that is not streamed."""
        if not self._is_stream:
            self.exchange.response(b"".join(self._body))


@functools.cache
def _streams(module: str) -> tuple[type[Any], type[Any]]:
    """Streams that are recorded, for the HTTP library of this name."""
    library: Any = importlib.import_module(module)

    class SyncStream(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, response: Response, recorder: Recorder) -> None:
            self._stream = stream
            self._response = response
            self._recorder = recorder

        def _end(self, error: str | None, *, is_whole: bool) -> None:
            response = self._response
            if response.has_ended:
                return
            response.has_ended = True
            try:
                if is_whole:
                    response.complete()
                # Whether a stream that was closed early had ended is in what was received.
                response.exchange.end(None, error, response.is_damaged)
            except AttestryError as failure:
                self._recorder.failed(failure)

        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in self._stream:
                    self._response.add(chunk)
                    yield chunk
            except Exception as error:
                self._end(error_name(error), is_whole=False)
                raise
            self._end(None, is_whole=True)

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._end(None, is_whole=False)

    class AsyncStream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, response: Response, recorder: Recorder) -> None:
            self._stream = stream
            self._response = response
            self._recorder = recorder

        async def _end(self, error: str | None, *, is_whole: bool) -> None:
            response = self._response
            if response.has_ended:
                return
            response.has_ended = True
            try:
                if is_whole:
                    response.complete()
                await response.exchange.end(bridge(), error, response.is_damaged)
            except AttestryError as failure:
                self._recorder.failed(failure)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for chunk in self._stream:
                    self._response.add(chunk)
                    yield chunk
            except Exception as error:
                await self._end(error_name(error), is_whole=False)
                raise
            await self._end(None, is_whole=True)

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                await self._end(None, is_whole=False)

    return SyncStream, AsyncStream


def _library(value: Any) -> str:
    """``httpx`` or another one with its classes."""
    return type(value).__module__.partition(".")[0]


class SyncTransport:
    """A transport that records what it sends and receives."""

    def __init__(self, transport: Any, recorder: Recorder) -> None:
        self._transport = transport
        self._recorder = recorder

    def handle_request(self, request: Any) -> Any:
        """Send a request whose start is recorded first."""
        exchange: _native.Exchange | None = None
        try:
            arguments = self._recorder.arguments(request, request.read())
            exchange = self._recorder.native.start_exchange(None, *arguments)
        except (AttestryError, ValueError, TypeError) as error:
            self._recorder.failed(error)
        if exchange is None:
            return self._transport.handle_request(request)
        # What is compressed otherwise than by gzip could not be read.
        request.headers["accept-encoding"] = "gzip"
        try:
            response = self._transport.handle_request(request)
        except BaseException as error:
            try:
                is_error = isinstance(error, Exception)
                exchange.end(None, error_name(error) if is_error else None, not is_error)
            except AttestryError as failure:
                self._recorder.failed(failure)
            raise
        recorded = Response(exchange, response, self._recorder)
        stream = _streams(_library(request))[0]
        response.stream = stream(response.stream, recorded, self._recorder)
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def __enter__(self) -> SyncTransport:
        self._transport.__enter__()
        return self

    def __exit__(self, *arguments: Any) -> None:
        self._transport.__exit__(*arguments)


class AsyncTransport:
    """A transport that records what it sends and receives, for asyncio."""

    def __init__(self, transport: Any, recorder: Recorder) -> None:
        self._transport = transport
        self._recorder = recorder

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request whose start is recorded first."""
        exchange: _native.Exchange | None = None
        try:
            arguments = self._recorder.arguments(request, await request.aread())
            started = self._recorder.native.start_exchange(bridge(), *arguments)
            exchange = None if started is None else await started
        except (AttestryError, ValueError, TypeError) as error:
            self._recorder.failed(error)
        if exchange is None:
            return await self._transport.handle_async_request(request)
        # What is compressed otherwise than by gzip could not be read.
        request.headers["accept-encoding"] = "gzip"
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            try:
                is_error = isinstance(error, Exception)
                await exchange.end(bridge(), error_name(error) if is_error else None, not is_error)
            except AttestryError as failure:
                self._recorder.failed(failure)
            raise
        recorded = Response(exchange, response, self._recorder)
        stream = _streams(_library(request))[1]
        response.stream = stream(response.stream, recorded, self._recorder)
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def __aenter__(self) -> AsyncTransport:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *arguments: Any) -> None:
        await self._transport.__aexit__(*arguments)


def record_client(client: Any, recorder: Recorder) -> None:
    """Put recording transports into a client of an SDK that is built on httpx or a library like it."""
    http: Any = getattr(client, "_client", None)
    transport = getattr(http, "_transport", None)
    if transport is None:
        raise TypeError(f"{type(client).__name__} is not a client that can be recorded")
    if isinstance(transport, (SyncTransport, AsyncTransport)):
        raise ValueError("the client is recorded already")
    kind = AsyncTransport if hasattr(transport, "handle_async_request") else SyncTransport
    http._transport = kind(transport, recorder)
    mounts = cast("dict[Any, Any]", http._mounts)
    for pattern, mounted in mounts.items():
        if mounted is not None:
            mounts[pattern] = kind(mounted, recorder)
