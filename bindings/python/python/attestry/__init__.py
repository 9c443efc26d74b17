"""Audit log for AI systems: durable, searchable, provable records of model inputs and outputs.

``attestry.audit`` has the names of ``rotalabs_comply.audit``, for asyncio. ``attestry.AuditLogger`` is its
twin with plain methods.
"""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

from . import _interpreter as _interpreter  # isort: split

from . import _native, audit
from ._errors import (
    AlreadyExistsError,
    AlteredContentError,
    AttestryError,
    ClosedError,
    CorruptRecordError,
    EvidenceError,
    InvalidEntryError,
    InvalidQueryError,
    LargeCleanupError,
    LockedError,
    NoEncryptionError,
    ReadOnlyError,
    RemoteError,
    StorageIOError,
    invalid_token,
)
from ._evidence import Evidence, Problem, Proof, SigningKey, Verification
from ._sync import AuditLogger, Call
from .audit import (
    AuditEntry,
    EncryptionManager,
    FileStorage,
    MemoryStorage,
    S3Storage,
    StorageBackend,
    create_entry_id,
    decrypt,
    encrypt,
    generate_key,
    hash_content,
)
from .audit import AuditLogger as AsyncAuditLogger

if TYPE_CHECKING:
    from cryptography.fernet import InvalidToken

atexit.register(_native.close_all)

__all__ = [
    "AlreadyExistsError",
    "AlteredContentError",
    "AsyncAuditLogger",
    "AttestryError",
    "AuditEntry",
    "AuditLogger",
    "Call",
    "ClosedError",
    "CorruptRecordError",
    "EncryptionManager",
    "Evidence",
    "EvidenceError",
    "FileStorage",
    "InvalidEntryError",
    "InvalidQueryError",
    "InvalidToken",
    "LargeCleanupError",
    "LockedError",
    "MemoryStorage",
    "NoEncryptionError",
    "Problem",
    "Proof",
    "ReadOnlyError",
    "RemoteError",
    "S3Storage",
    "SigningKey",
    "StorageBackend",
    "StorageIOError",
    "Verification",
    "audit",
    "create_entry_id",
    "decrypt",
    "encrypt",
    "generate_key",
    "hash_content",
]


def __getattr__(name: str) -> Any:
    if name == "InvalidToken":
        return invalid_token()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
