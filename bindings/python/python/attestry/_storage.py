"""Stores, with the names and signatures of ``rotalabs_comply.audit``."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from . import _native
from ._entry import AuditEntry
from ._loop import bridge

if TYPE_CHECKING:
    from ._evidence import Evidence


@runtime_checkable
class StorageBackend(Protocol):
    """A store of entries. Any class with these five methods can be passed to an ``AuditLogger``."""

    @abstractmethod
    async def write(self, entry: AuditEntry) -> str:
        """Store an entry and return its id."""
        ...

    @abstractmethod
    async def read(self, entry_id: str) -> AuditEntry | None:
        """The entry with this id, or ``None``."""
        ...

    @abstractmethod
    async def list_entries(self, start: datetime, end: datetime) -> list[AuditEntry]:
        """The entries from ``start`` to ``end``, both inclusive."""
        ...

    @abstractmethod
    async def delete(self, entry_id: str) -> bool:
        """Delete an entry and return whether it existed."""
        ...

    @abstractmethod
    async def count(self) -> int:
        """The number of entries."""
        ...


class _NativeStorage:
    """A store that the extension module reads and writes."""

    _handle: _native.Storage

    @property
    def native(self) -> _native.Storage:
        """The store in the extension module; private to this package."""
        return self._handle

    async def write(self, entry: AuditEntry) -> str:
        """Store an entry and return its id once it is on stable storage.

        Raises:
            InvalidEntryError: The entry is invalid.
            AlreadyExistsError: A different entry with this id is stored.
        """
        return cast(str, await self._handle.write(bridge(), entry))

    async def read(self, entry_id: str) -> AuditEntry | None:
        """The entry with this id, or ``None``."""
        return cast("AuditEntry | None", await self._handle.read(bridge(), entry_id))

    async def list_entries(self, start: datetime, end: datetime) -> list[AuditEntry]:
        """The entries from ``start`` to ``end``, both inclusive, oldest first."""
        found = await self._handle.list_entries(bridge(), start, end)
        return cast("list[AuditEntry]", found)

    async def delete(self, entry_id: str) -> bool:
        """Delete an entry and return whether it existed."""
        return cast(bool, await self._handle.delete(bridge(), entry_id))

    async def count(self) -> int:
        """The number of entries."""
        return cast(int, await self._handle.count(bridge()))


class FileStorage(_NativeStorage):
    """Entries in a folder of JSON Lines files, which ``rotalabs-comply`` reads and writes, too.

    The folder is created and opened at the first call, and opened again in a child process after a
    fork. Any number of processes may write to it.

    Args:
        path: The folder.
        rotation_size_mb: The size in MiB at which a file is rotated.
        durability: ``"sync"``: a call returns when the entry is on stable storage. ``"buffered"``: when
            the system has it; a power cut may lose the last entries.
        indexed_metadata_keys: The metadata keys whose values are indexed, so that queries by them are
            fast. Default: ``user.id``, ``attestry.tenant``, ``trace_id``, ``gen_ai.response.id`` and
            ``attestry.call``.
        read_only: Refuse every change; lock and repair nothing.
        evidence: Keep proof that the folder was not rewritten.

    >>> import asyncio, tempfile
    >>> storage = FileStorage(tempfile.mkdtemp(), rotation_size_mb=50)
    >>> asyncio.run(storage.count())
    0
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rotation_size_mb: int = 100,
        *,
        durability: str = "sync",
        indexed_metadata_keys: Sequence[str] | None = None,
        read_only: bool = False,
        evidence: Evidence | None = None,
    ) -> None:
        if durability not in ("sync", "buffered"):
            raise ValueError(f"durability is 'sync' or 'buffered', not {durability!r}")
        self.path = Path(path)
        self.rotation_size_bytes = rotation_size_mb * 1024 * 1024
        self._handle = _native.Storage(
            path=os.fspath(path),
            rotation_size_mb=rotation_size_mb,
            buffered=durability == "buffered",
            indexed_metadata_keys=(None if indexed_metadata_keys is None else list(indexed_metadata_keys)),
            read_only=read_only,
            signing_key=None if evidence is None else evidence.key.text,
            checkpoint_seconds=None if evidence is None else evidence.checkpoint_seconds,
            adopt_existing=False if evidence is None else evidence.adopt_existing,
        )

    def __repr__(self) -> str:
        return f"FileStorage({str(self.path)!r})"


class S3Storage(_NativeStorage):
    """Entries as objects in an S3 bucket, under the keys of ``rotalabs-comply``.

    Credentials come from the environment, as for other AWS programs.

    Args:
        bucket: The bucket.
        prefix: The prefix of keys.
        region: The region, unless the environment names it.
        endpoint: The URL of another service with the same API.
        path_style: Put the bucket into the path of the URL, as some services need.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "audit/",
        region: str | None = None,
        *,
        endpoint: str | None = None,
        path_style: bool = False,
        insecure: bool = False,
    ) -> None:
        from urllib.parse import quote, urlencode

        self.bucket = bucket
        self.prefix = prefix.rstrip("/") + "/" if prefix else ""
        self.region = region
        options = {"region": region, "endpoint": endpoint}
        if path_style:
            options["path_style"] = "true"
        if insecure:
            options["insecure"] = "true"
        query = urlencode({name: value for name, value in options.items() if value is not None})
        # In a URL a lone slash is the whole bucket; without one the default prefix is meant.
        path = quote(self.prefix) or "/"
        self._handle = _native.Storage(url=f"s3://{bucket}/{path}" + (f"?{query}" if query else ""))

    @classmethod
    def from_url(cls, url: str) -> S3Storage:
        """The store of a URL such as ``s3://bucket/prefix?region=eu-central-1``."""
        if not url.startswith("s3://"):
            raise ValueError("a URL of a store in S3 has the form s3://bucket/prefix")
        storage = cls.__new__(cls)
        storage.bucket, _, storage.prefix = url[len("s3://") :].partition("?")[0].partition("/")
        storage.region = None
        storage._handle = _native.Storage(url=url)
        return storage

    def __repr__(self) -> str:
        return f"S3Storage({self.bucket!r}, prefix={self.prefix!r})"


class MemoryStorage:
    """Entries in memory, for tests and development. They are lost when the process ends.

    As in ``rotalabs-comply``, the stored objects themselves are returned, and writing an id again
    replaces the entry.

    Args:
        max_entries: The number of entries that are kept; the oldest one makes room for a new one.

    >>> import asyncio
    >>> asyncio.run(MemoryStorage(max_entries=1000).count())
    0
    """

    def __init__(self, max_entries: int | None = None) -> None:
        self.max_entries = max_entries
        self._entries: OrderedDict[str, AuditEntry] = OrderedDict()

    @property
    def entries(self) -> OrderedDict[str, AuditEntry]:
        """The entries by id; private to this package."""
        return self._entries

    async def write(self, entry: AuditEntry) -> str:
        """Store an entry and return its id."""
        entries = self._entries
        entry_id = entry.id
        if self.max_entries and len(entries) >= self.max_entries and entry_id not in entries:
            entries.popitem(last=False)
        entries[entry_id] = entry
        return entry_id

    async def read(self, entry_id: str) -> AuditEntry | None:
        """The entry with this id, or ``None``."""
        return self._entries.get(entry_id)

    async def list_entries(self, start: datetime, end: datetime) -> list[AuditEntry]:
        """The entries from ``start`` to ``end``, both inclusive, in the order of writing."""
        parse = datetime.fromisoformat
        return [entry for entry in self._entries.values() if start <= parse(entry.timestamp) <= end]

    async def delete(self, entry_id: str) -> bool:
        """Delete an entry and return whether it existed."""
        return self._entries.pop(entry_id, None) is not None

    async def count(self) -> int:
        """The number of entries."""
        return len(self._entries)
