"""What both loggers have in common."""

from __future__ import annotations

import os
from typing import Any

from . import _native
from ._entry import AuditEntry
from ._errors import NoEncryptionError
from ._storage import FileStorage, S3Storage, StorageBackend

# Stores whose entries the extension module writes itself. A subclass may override a method.
_NATIVE = (FileStorage, S3Storage)


class BaseLogger:
    """The settings of a logger."""

    def __init__(
        self,
        storage: StorageBackend | str | os.PathLike[str],
        encryption: _native.EncryptionManager | None = None,
        store_content: bool = False,
        retention_days: int = 365,
        *,
        allow_large_cleanup: bool = True,
    ) -> None:
        if retention_days < 0:
            raise ValueError(f"retention_days is 0 or more, not {retention_days}")
        self._storage: StorageBackend = (
            FileStorage(storage) if isinstance(storage, (str, os.PathLike)) else storage
        )
        self._encryption = encryption
        self._store_content = store_content
        self._retention_days = retention_days
        self._allow_large_cleanup = allow_large_cleanup
        self._configure()

    def _configure(self) -> None:
        storage, encryption = self._storage, self._encryption
        self._native: _native.Logger | None = None
        if not isinstance(storage, _NATIVE) or type(storage) not in _NATIVE:
            return
        # Another class may encrypt in its own way.
        if encryption is None or type(encryption) is _native.EncryptionManager:
            self._native = _native.Logger(
                storage.native,
                encryption,
                bool(self._store_content),
                self._retention_days,
                self._allow_large_cleanup,
            )

    @property
    def storage(self) -> StorageBackend:
        """The store."""
        return self._storage

    @storage.setter
    def storage(self, storage: StorageBackend) -> None:
        self._storage = storage
        self._configure()

    @property
    def encryption(self) -> _native.EncryptionManager | None:
        """The encryption manager, if content is encrypted."""
        return self._encryption

    @encryption.setter
    def encryption(self, encryption: _native.EncryptionManager | None) -> None:
        self._encryption = encryption
        self._configure()

    @property
    def store_content(self) -> bool:
        """Whether the content itself is stored, not only its hashes."""
        return self._store_content

    @store_content.setter
    def store_content(self, store_content: bool) -> None:
        self._store_content = store_content
        self._configure()

    @property
    def retention_days(self) -> int:
        """After how many days ``cleanup_expired`` deletes an entry."""
        return self._retention_days

    @retention_days.setter
    def retention_days(self, retention_days: int) -> None:
        if retention_days < 0:
            raise ValueError(f"retention_days is 0 or more, not {retention_days}")
        self._retention_days = retention_days
        self._configure()

    def decrypt_content(self, encrypted_content: str) -> str:
        """Decrypt the ``input_content`` or ``output_content`` of an entry.

        Raises:
            ValueError: No encryption manager is configured.
            InvalidToken: It cannot be decrypted; a subclass of ``cryptography.fernet.InvalidToken``.
        """
        if not self._encryption:
            raise NoEncryptionError(
                "no encryption manager is configured; content can only be decrypted with its key"
            )
        return self._encryption.decrypt(encrypted_content)

    def _entry(self, input: str, output: str, fields: dict[str, Any]) -> AuditEntry:
        """The entry that a store of another class gets."""
        stored = self._store_content
        return AuditEntry(
            id=_native.create_entry_id(),
            timestamp=_native.now(),
            input_hash=_native.hash_content(input),
            output_hash=_native.hash_content(output),
            input_content=self._content(input) if stored else None,
            output_content=self._content(output) if stored else None,
            **fields,
        )

    def _content(self, text: str) -> str:
        return self._encryption.encrypt(text) if self._encryption else text

    def require_native(self, what: str) -> _native.Logger:
        """The logger in the extension module, for calls that a store of another class does not have.

        Private to this package.
        """
        if self._native is None:
            kind = type(self._storage).__name__
            raise TypeError(f"{what} needs a FileStorage or S3Storage, not a {kind}")
        return self._native

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._storage!r})"
