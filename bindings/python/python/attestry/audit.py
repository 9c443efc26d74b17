"""The audit module of ``rotalabs-comply``, durable and fast.

Change ``from rotalabs_comply.audit import …`` to ``from attestry.audit import …``.
"""

from ._entry import AuditEntry
from ._logger import AuditLogger
from ._native import (
    EncryptionManager,
    create_entry_id,
    decrypt,
    encrypt,
    generate_key,
    hash_content,
)
from ._storage import FileStorage, MemoryStorage, S3Storage, StorageBackend

__all__ = [
    "AuditEntry",
    "AuditLogger",
    "EncryptionManager",
    "FileStorage",
    "MemoryStorage",
    "S3Storage",
    "StorageBackend",
    "create_entry_id",
    "decrypt",
    "encrypt",
    "generate_key",
    "hash_content",
]
