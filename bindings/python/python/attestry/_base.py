"""What both loggers have in common."""

from __future__ import annotations

import os
from typing import Any

from . import _native
from ._entry import AuditEntry
from ._errors import NoEncryptionError
from ._storage import FileStorage, MemoryStorage, S3Storage, StorageBackend

# Stores whose entries the extension module writes itself. A subclass may override a method.
_NATIVE = (FileStorage, S3Storage)

# The attributes that can be changed after a logger was made.
_SETTINGS = frozenset(("storage", "encryption", "store_content", "retention_days"))


class BaseLogger:
    """The settings of a logger."""

    # Attributes, not properties: users read them before each call.
    storage: StorageBackend
    encryption: _native.EncryptionManager | None
    store_content: bool
    retention_days: int

    def __init__(
        self,
        storage: StorageBackend | str | os.PathLike[str],
        encryption: _native.EncryptionManager | None = None,
        store_content: bool = False,
        retention_days: int = 365,
        *,
        allow_large_cleanup: bool = True,
    ) -> None:
        self.storage = FileStorage(storage) if isinstance(storage, (str, os.PathLike)) else storage
        self.encryption = encryption
        self.store_content = store_content
        self.retention_days = retention_days
        self._allow_large_cleanup = allow_large_cleanup
        self._configure()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "retention_days" and value < 0:
            raise ValueError(f"retention_days is 0 or more, not {value}")
        object.__setattr__(self, name, value)
        if name in _SETTINGS and hasattr(self, "_native"):
            self._configure()

    def _configure(self) -> None:
        storage, encryption = self.storage, self.encryption
        self._native: _native.Logger | None = None
        # Read without a second coroutine, which would take longer than the look-up.
        self._memory = storage.entries if type(storage) is MemoryStorage else None
        if not isinstance(storage, _NATIVE) or type(storage) not in _NATIVE:
            return
        # Another class may encrypt in its own way.
        if encryption is None or type(encryption) is _native.EncryptionManager:
            self._native = _native.Logger(
                storage.native,
                encryption,
                bool(self.store_content),
                self.retention_days,
                self._allow_large_cleanup,
            )

    def decrypt_content(self, encrypted_content: str) -> str:
        """Decrypt the ``input_content`` or ``output_content`` of an entry.

        Raises:
            ValueError: No encryption manager is configured.
            InvalidToken: It cannot be decrypted; a subclass of ``cryptography.fernet.InvalidToken``.
        """
        if not self.encryption:
            raise NoEncryptionError(
                "no encryption manager is configured; content can only be decrypted with its key"
            )
        return self.encryption.decrypt(encrypted_content)

    def _entry(self, input: str, output: str, fields: dict[str, Any]) -> AuditEntry:
        """The entry that a store of another class gets."""
        stored = self.store_content
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
        return self.encryption.encrypt(text) if self.encryption else text

    def require_native(self, what: str) -> _native.Logger:
        """The logger in the extension module, for calls that a store of another class does not have.

        Private to this package.
        """
        if self._native is None:
            kind = type(self.storage).__name__
            raise TypeError(f"{what} needs a FileStorage or S3Storage, not a {kind}")
        return self._native

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.storage!r})"


class BaseCall:
    """A call that has started: what needs no waiting."""

    def __init__(self, native: _native.Call) -> None:
        self._native = native

    @property
    def id(self) -> str | None:
        """The id of the start entry."""
        return self._native.id

    @property
    def has_ended(self) -> bool:
        """Whether the call has ended."""
        return self._native.has_ended

    def push(self, text: str) -> None:
        """Append text to the output."""
        self._native.push(text)

    def set(self, **fields: Any) -> None:
        """Set fields that are known only during or after the call, such as ``output_tokens``.

        ``metadata`` is added to what was set before.
        """
        self._native.set(fields)
