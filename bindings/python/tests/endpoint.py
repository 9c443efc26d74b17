"""An endpoint of a provider with a script, on the loopback interface."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def events(*values: Any, named: bool = False) -> list[bytes]:
    def one(value: Any) -> bytes:
        name = f"event: {value['type']}\n" if named else ""
        return f"{name}data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()

    return [one(value) for value in values]


def chat(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    return {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-4-0613"} | {
        "choices": [choice],
        "usage": usage,
    }


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c-2",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4-0613",
        "choices": [choice],
    }


class Endpoint:
    """Answers each request with the next response of a script."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any]] = []
        self.requests: list[Any] = []
        # How many entries the log had when each request arrived.
        self.count: Any = lambda: 0
        self.counts: list[int] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                endpoint.requests.append(json.loads(body))
                endpoint.counts.append(endpoint.count())
                status, answer = endpoint.script.pop(0)
                self.send_response(status)
                if isinstance(answer, list):
                    self.send_header("content-type", "text/event-stream")
                    self.send_header("connection", "close")
                    self.end_headers()
                    for part in answer:
                        self.wfile.write(part)
                        self.wfile.flush()
                    self.close_connection = True
                    return
                if not isinstance(answer, bytes):
                    answer = gzip.compress(json.dumps(answer).encode())
                self.send_header("content-type", "application/json")
                self.send_header("content-encoding", "gzip")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                answer = b'{"object": "list", "data": []}'
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
