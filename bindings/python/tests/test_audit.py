"""The behaviour of ``attestry.audit``."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cryptography.fernet
import pytest

import attestry
from attestry.audit import (
    AuditEntry,
    AuditLogger,
    EncryptionManager,
    FileStorage,
    MemoryStorage,
    decrypt,
    encrypt,
    generate_key,
)

ALWAYS = datetime(1970, 1, 1), datetime(2200, 1, 1)


class Notebook:
    """A store of a user's own."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def write(self, entry: AuditEntry) -> str:
        await asyncio.sleep(0)
        self.entries.append(entry)
        return entry.id

    async def read(self, entry_id: str) -> AuditEntry | None:
        return next((entry for entry in self.entries if entry.id == entry_id), None)

    async def list_entries(self, start: datetime, end: datetime) -> list[AuditEntry]:
        await asyncio.sleep(0)
        return list(self.entries)

    async def delete(self, entry_id: str) -> bool:
        before = len(self.entries)
        self.entries = [entry for entry in self.entries if entry.id != entry_id]
        return len(self.entries) < before

    async def count(self) -> int:
        return len(self.entries)


STORES: dict[str, Callable[[str], Any]] = {
    "path": lambda folder: folder,
    "file": FileStorage,
    "memory": lambda _: MemoryStorage(),
    "own": lambda _: Notebook(),
}


@pytest.mark.parametrize("store", STORES)
def test_an_interaction_comes_back_as_it_was(store: str, folder: str) -> None:
    async def run() -> None:
        logger = AuditLogger(STORES[store](folder), store_content=True)
        before = datetime.now(timezone.utc).replace(tzinfo=None)
        entry_id = await logger.log(
            "Wie heißt du? 🙂",
            "nul\x00byte",
            provider="anthropic",
            model="claude",
            conversation_id="c1",
            safety_passed=False,
            detectors_triggered=["a", "b"],
            block_reason="policy",
            alerts=["x"],
            latency_ms=250.5,
            input_tokens=5,
            output_tokens=20,
            metadata={"s": "t", "n": [1, 2.5, None, True, {"k": "v"}], "big": 2**63},
        )
        entry = await logger.get_entry(entry_id)
        assert entry is not None and type(entry) is AuditEntry
        assert before <= datetime.fromisoformat(entry.timestamp)
        assert entry.input_hash == attestry.audit.hash_content("Wie heißt du? 🙂")
        assert (entry.input_content, entry.output_content) == ("Wie heißt du? 🙂", "nul\x00byte")
        assert (entry.provider, entry.model, entry.conversation_id) == ("anthropic", "claude", "c1")
        assert (entry.safety_passed, entry.block_reason) == (False, "policy")
        assert (entry.detectors_triggered, entry.alerts) == (["a", "b"], ["x"])
        assert (entry.latency_ms, entry.input_tokens, entry.output_tokens) == (250.5, 5, 20)
        assert entry.metadata == {
            "s": "t",
            "n": [1, 2.5, None, True, {"k": "v"}],
            "big": 2**63,
        }
        assert await logger.get_entries(*ALWAYS) == [entry]
        assert await logger.count() == 1
        assert await logger.get_entry("no/such id") is None
        assert await logger.delete(entry_id) and not await logger.delete(entry_id)
        assert await logger.get_entries(*ALWAYS) == []

    asyncio.run(run())


@pytest.mark.parametrize("store", STORES)
def test_settings_can_be_changed(store: str, folder: str) -> None:
    async def run() -> None:
        logger = AuditLogger(STORES[store](folder))
        hashed = await logger.get_entry(await logger.log("a", "b"))
        logger.store_content = True
        plain = await logger.get_entry(await logger.log("a", "b"))
        logger.encryption = EncryptionManager()
        secret = await logger.get_entry(await logger.log("a", "b"))
        assert hashed and plain and secret and secret.input_content
        assert hashed.input_content is None and plain.input_content == "a"
        assert logger.decrypt_content(secret.input_content) == "a"
        assert hashed.input_hash == plain.input_hash == secret.input_hash
        logger.retention_days = 0
        assert await logger.cleanup_expired() == 3

    asyncio.run(run())


def test_an_encryption_of_its_own_class_is_called(folder: str) -> None:
    class Reversed:
        def encrypt(self, data: str) -> str:
            return data[::-1]

        def decrypt(self, data: str) -> str:
            return data[::-1]

    async def run() -> None:
        logger = AuditLogger(folder, encryption=Reversed(), store_content=True)  # type: ignore[arg-type]
        entry = await logger.get_entry(await logger.log("abc", "xyz"))
        assert entry and entry.input_content == "cba" and logger.decrypt_content("cba") == "abc"

    asyncio.run(run())


def test_exceptions_are_those_of_the_package_it_replaces(folder: str) -> None:
    logger = AuditLogger(folder)
    with pytest.raises(ValueError, match="no encryption manager"):
        logger.decrypt_content("x")
    manager = EncryptionManager()
    for text in ("", "x", "ä", EncryptionManager().encrypt("secret")):
        with pytest.raises(cryptography.fernet.InvalidToken):
            manager.decrypt(text)
        with pytest.raises(attestry.InvalidToken):
            manager.decrypt(text)
        with pytest.raises(ValueError):
            manager.decrypt(text)
    with pytest.raises(cryptography.fernet.InvalidToken):
        decrypt(encrypt(b"secret", generate_key()), generate_key())
    for key in (b"", b"short", "ä", b"\xff" * 44):
        with pytest.raises(ValueError):
            EncryptionManager(key)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        EncryptionManager(1)  # type: ignore[arg-type]


def test_keys_and_tokens_are_those_of_cryptography() -> None:
    manager = EncryptionManager()
    key = manager.get_key()
    assert len(key) == 44 and EncryptionManager(key).get_key() == key
    fernet = cryptography.fernet.Fernet(key)
    assert fernet.decrypt(encrypt(b"\x00data", key)) == b"\x00data"
    assert decrypt(fernet.encrypt(b"\x00data"), key) == b"\x00data"
    assert repr(manager) == "<EncryptionManager>"


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"x": float("nan")}, ValueError),
        ({"x": 2**64}, ValueError),
        ({"x": "\ud800"}, ValueError),
        ({"x": object()}, TypeError),
        ({"x": {1, 2}}, TypeError),
        ({(1, 2): "x"}, TypeError),
    ],
)
def test_what_cannot_be_stored_is_refused(
    folder: str, metadata: dict[Any, Any], error: type[Exception]
) -> None:
    async def run() -> None:
        logger = AuditLogger(folder)
        with pytest.raises(error):
            await logger.log("a", "b", metadata=metadata)
        assert await logger.count() == 0

    asyncio.run(run())


def test_a_value_that_contains_itself_is_refused(folder: str) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError):
        asyncio.run(AuditLogger(folder).log("a", "b", metadata={"x": endless}))


def test_keys_of_metadata_become_texts_as_in_json(folder: str) -> None:
    async def run() -> None:
        logger = AuditLogger(folder)
        metadata: dict[Any, Any] = {2: "a", None: "b", True: "c", 1.5: ("d", "e")}
        entry = await logger.get_entry(await logger.log("a", "b", metadata=metadata))

        assert entry and entry.metadata == {"2": "a", "null": "b", "true": "c", "1.5": ["d", "e"]}

    asyncio.run(run())


def test_errors_carry_what_is_known(folder: str) -> None:
    async def run() -> None:
        storage = FileStorage(folder)
        entry = AuditEntry("e1", "2026-01-28T09:15:00", "a", "b")
        assert await storage.write(entry) == "e1"
        assert await storage.write(entry) == "e1"
        entry.model = "other"
        with pytest.raises(attestry.AlreadyExistsError) as exists:
            await storage.write(entry)
        assert exists.value.id == "e1"
        [file] = Path(folder).glob("audit_*.jsonl")
        with file.open("a") as lines:
            lines.write("{torn\n")
        with pytest.raises(attestry.CorruptRecordError) as corrupt:
            await storage.list_entries(*ALWAYS)
        assert corrupt.value.path == str(file) and corrupt.value.offset
        entry.id = "a/b"
        with pytest.raises(attestry.InvalidEntryError):
            await storage.write(entry)

    asyncio.run(run())
    with pytest.raises(attestry.ReadOnlyError):
        asyncio.run(AuditLogger(FileStorage(folder, read_only=True)).log("a", "b"))


def test_system_errors_are_os_errors(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError) as raised:
        asyncio.run(AuditLogger(str(file / "audit")).log("a", "b"))
    error = raised.value
    assert isinstance(error, attestry.StorageIOError) and error.path
    assert error.errno and error.filename == error.path


def test_times_with_a_zone_are_converted(folder: str) -> None:
    async def run() -> None:
        storage = FileStorage(folder)
        await storage.write(AuditEntry("e1", "2026-01-28T09:15:00+02:00", "a", "b"))
        entry = await storage.read("e1")
        assert entry and entry.timestamp == "2026-01-28T07:15:00"
        zone = timezone(timedelta(hours=2))
        at = datetime(2026, 1, 28, 9, 15, tzinfo=zone)
        assert await storage.list_entries(at, at) == [entry]
        assert await storage.list_entries(at, at - timedelta(days=1)) == []

    asyncio.run(run())


def test_cleanup_deletes_what_is_old(folder: str) -> None:
    async def run() -> None:
        logger = AuditLogger(folder, retention_days=30)
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        for days in (0, 29, 31, 400):
            time = (now - timedelta(days=days)).isoformat()
            await logger.storage.write(AuditEntry(f"e{days}", time, "a", "b"))
        assert await logger.cleanup_expired() == 2
        assert [e.id for e in await logger.get_entries(*ALWAYS)] == ["e29", "e0"]
        careful = AuditLogger(logger.storage, retention_days=0, allow_large_cleanup=False)
        with pytest.raises(attestry.LargeCleanupError) as refused:
            await careful.cleanup_expired()
        assert (refused.value.expired, refused.value.entries) == (2, 2)

    asyncio.run(run())
    with pytest.raises(ValueError):
        AuditLogger(folder, retention_days=-1)


def test_a_subclass_of_a_store_is_called(folder: str) -> None:
    class Marked(FileStorage):
        async def write(self, entry: AuditEntry) -> str:
            entry.metadata["marked"] = True
            return await super().write(entry)

    async def run() -> None:
        logger = AuditLogger(Marked(folder))
        entry = await logger.get_entry(await logger.log("a", "b"))
        assert entry and entry.metadata == {"marked": True}

    asyncio.run(run())


def test_many_tasks_many_loops(folder: str) -> None:
    logger = AuditLogger(folder)

    async def run() -> list[str]:
        return await asyncio.gather(*(logger.log(str(i), "") for i in range(300)))

    ids = [entry_id for _ in range(3) for entry_id in asyncio.run(run())]
    assert len(set(ids)) == 900 == asyncio.run(logger.count())


def test_a_cancelled_call_does_not_disturb_others(folder: str) -> None:
    async def run() -> None:
        logger = AuditLogger(folder)
        tasks = [asyncio.create_task(logger.log(str(i), "")) for i in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(result, str) for result in results) >= 50
        assert await asyncio.wait_for(logger.log("a", "b"), 60)
        assert 51 <= await logger.count() <= 101

    asyncio.run(run())


def test_closing_ends_writing(folder: str) -> None:
    async def run() -> None:
        async with AuditLogger(folder) as logger:
            await logger.log("a", "b")
        with pytest.raises(attestry.ClosedError):
            await logger.log("a", "b")

    asyncio.run(run())


def test_files_are_private(folder: str) -> None:
    asyncio.run(AuditLogger(folder).log("a", "b"))
    [file] = Path(folder).glob("audit_*.jsonl")
    assert os.stat(file).st_mode & 0o777 == 0o600


def errors() -> list[Any]:
    return [
        attestry.AttestryError("x"),
        attestry.InvalidEntryError("x", refused=3),
        attestry.InvalidQueryError("x"),
        attestry.AlreadyExistsError("x", id="i"),
        attestry.CorruptRecordError("x", path="p", offset=7, reason="r"),
        attestry.StorageIOError("x", path="p", action="read", errno=2),
        attestry.RemoteError("x", retryable=True, location="l"),
        attestry.LockedError("x", path="p"),
        attestry.ReadOnlyError("x", path="p"),
        attestry.ClosedError("x"),
        attestry.LargeCleanupError("x", expired=2, entries=3),
        attestry.NoEncryptionError("x"),
        attestry.AlteredContentError("x", id="i", field="f"),
        attestry.EvidenceError("x"),
        attestry.InvalidToken("x"),
    ]


def test_every_exception_can_be_pickled_with_its_attributes() -> None:
    for error in errors():
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(again) is type(error) and str(again) == "x"
            assert (again.args, vars(again)) == (error.args, vars(error))
            if isinstance(error, OSError):
                assert (again.errno, again.filename) == (error.errno, error.filename)

    def below(kind: type[Any]) -> set[type[Any]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert below(attestry.AttestryError) == set(map(type, errors())), "every class is tested"
