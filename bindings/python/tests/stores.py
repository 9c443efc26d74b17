"""Stores that several tests need."""

from __future__ import annotations

from attestry import AuditLogger, FileStorage


def broken(folder: str) -> FileStorage:
    """A storage that reads, and fails to write."""
    with AuditLogger(folder) as logger:
        logger.log("a", "b")
    return FileStorage(folder, read_only=True)
