"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder for a store, not made yet."""
    return str(tmp_path / "audit")
