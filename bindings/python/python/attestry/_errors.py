"""Exceptions. Each carries what is known of the failure as attributes."""

from __future__ import annotations

import functools
from typing import Any


class AttestryError(Exception):
    """Base of all exceptions of this package. They can be pickled, with their attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with ``args``, without the arguments that are only named.
        attributes = dict(self.__dict__)
        if isinstance(self, OSError):
            # Even None set as one of them changes how the exception is printed.
            named = {"errno": self.errno, "filename": self.filename}
            attributes.update((name, value) for name, value in named.items() if value is not None)
        return _restore, (type(self), self.args, attributes)


def _restore(kind: type[AttestryError], args: tuple[Any, ...], attributes: dict[str, Any]) -> AttestryError:
    error = kind.__new__(kind)
    error.args = args
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


class InvalidEntryError(AttestryError, ValueError):
    """The entry is invalid. Nothing was written of it.

    If a batch was imported, ``refused`` is the number of invalid records, and ``reasons`` has why each of
    them is refused, by its number in the batch from 0. The other ones are stored.
    """

    def __init__(self, message: str, *, refused: int = 1, reasons: dict[int, str] | None = None) -> None:
        super().__init__(message)
        self.refused = refused
        self.reasons = dict(reasons or {})


class InvalidQueryError(AttestryError, ValueError):
    """The query contradicts itself."""


class AlreadyExistsError(AttestryError, ValueError):
    """A different entry with this id is stored. Entries are never replaced."""

    def __init__(self, message: str, *, id: str) -> None:
        super().__init__(message)
        self.id = id


class CorruptRecordError(AttestryError, ValueError):
    """A stored record cannot be read. Others can."""

    def __init__(self, message: str, *, path: str, offset: int | None, reason: str) -> None:
        super().__init__(message)
        self.path = path
        self.offset = offset
        self.reason = reason


class StorageIOError(AttestryError, OSError):
    """A system call failed. ``errno`` and ``filename`` are those of ``OSError``."""

    def __init__(self, message: str, *, path: str, action: str, errno: int) -> None:
        super().__init__(message)
        self.path = path
        self.action = action
        self.errno = errno or None
        self.filename = path

    def __str__(self) -> str:
        return str(self.args[0])


class RemoteError(AttestryError, OSError):
    """A remote service refused a request or could not be reached."""

    def __init__(self, message: str, *, retryable: bool, location: str | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.location = location


class LockedError(AttestryError, OSError):
    """Another process kept the store locked."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class ReadOnlyError(AttestryError):
    """The store was opened read-only."""

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class ClosedError(AttestryError):
    """The store is closed."""


class LargeCleanupError(AttestryError):
    """A cleanup would delete more than half of the entries. Nothing was deleted."""

    def __init__(self, message: str, *, expired: int, entries: int) -> None:
        super().__init__(message)
        self.expired = expired
        self.entries = entries


class NoEncryptionError(AttestryError, ValueError):
    """The content is encrypted, and the logger has no key."""


class AlteredContentError(AttestryError, ValueError):
    """The content of an entry does not match its hash, or was altered."""

    def __init__(self, message: str, *, id: str, field: str | None = None) -> None:
        super().__init__(message)
        self.id = id
        self.field = field


class EvidenceError(AttestryError):
    """The evidence is not kept, is damaged, or does not prove what was asked."""


@functools.cache
def invalid_token() -> type[Exception]:
    """The class ``InvalidToken``.

    A subclass of that of ``cryptography`` where it is installed, so that ``except`` clauses of either
    name catch it. It is made when it is first needed: importing ``cryptography`` takes longer than
    importing this package.
    """
    try:
        from cryptography.fernet import InvalidToken

        base: type[Exception] = InvalidToken
    except ImportError:
        base = Exception
    namespace = {
        "__module__": "attestry",
        "__doc__": "The content cannot be decrypted: another key, or altered.",
    }
    return type("InvalidToken", (AttestryError, base, ValueError), namespace)
