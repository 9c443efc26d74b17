"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoint import Endpoint

from attestry import AuditLogger

# LiteLLM reads a list of prices from the network when it is imported, unless it is to use its own.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder for a store, not made yet."""
    return str(tmp_path / "audit")


@pytest.fixture
def logger(folder: str) -> AuditLogger:
    return AuditLogger(folder, store_content=True)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()
