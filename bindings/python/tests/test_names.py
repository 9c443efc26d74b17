"""Every name of ``rotalabs_comply.audit`` is there, with its signature."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import rotalabs_comply.audit as theirs

from attestry import audit as ours

CLASSES = ["AuditLogger", "FileStorage", "MemoryStorage", "S3Storage", "EncryptionManager"]


def test_all_names_are_there() -> None:
    assert set(theirs.__all__) <= set(ours.__all__)


def parameters(function: object) -> list[tuple[str, object, object]]:
    found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


@pytest.mark.parametrize("name", CLASSES)
def test_methods_have_the_same_signatures(name: str) -> None:
    their_class, our_class = getattr(theirs, name), getattr(ours, name)
    methods = [m for m in vars(their_class) if not m.startswith("_")]
    assert methods
    for method in methods:
        theirs_, ours_ = getattr(their_class, method), getattr(our_class, method)
        assert parameters(theirs_) == parameters(ours_), f"{name}.{method}"
        assert inspect.iscoroutinefunction(theirs_) == inspect.iscoroutinefunction(ours_)


@pytest.mark.parametrize("name", CLASSES)
def test_constructors_take_the_same_and_more_by_name_only(name: str) -> None:
    wanted = parameters(getattr(theirs, name))
    found = parameters(getattr(ours, name))
    assert found[: len(wanted)] == wanted
    for _, kind, default in found[len(wanted) :]:
        assert kind is inspect.Parameter.KEYWORD_ONLY and default is not inspect.Parameter.empty


@pytest.mark.parametrize("name", ["generate_key", "encrypt", "decrypt", "hash_content", "create_entry_id"])
def test_functions_have_the_same_parameters(name: str) -> None:
    assert parameters(getattr(theirs, name)) == parameters(getattr(ours, name))


def test_entries_are_dataclasses_of_the_same_fields() -> None:
    def described(kind: type) -> list[tuple[str, object]]:
        return [
            (f.name, f.default_factory() if callable(f.default_factory) else f.default)
            for f in dataclasses.fields(kind)
        ]

    assert described(theirs.AuditEntry) == described(ours.AuditEntry)
    values = ("1", "2026-01-28T09:15:00", "a", "b")
    their_entry, our_entry = theirs.AuditEntry(*values), ours.AuditEntry(*values)
    assert their_entry.to_dict() == our_entry.to_dict()
    assert repr(their_entry) == repr(our_entry)
    assert our_entry == ours.AuditEntry.from_dict(their_entry.to_dict())
    for kind in (theirs.AuditEntry, ours.AuditEntry):
        with pytest.raises(TypeError, match="colour"):
            kind.from_dict({**our_entry.to_dict(), "colour": "red"})


def test_the_protocol_accepts_stores_of_either_package(folder: str) -> None:
    for storage in (ours.MemoryStorage(), ours.FileStorage(folder), theirs.MemoryStorage()):
        assert isinstance(storage, ours.StorageBackend)
        assert isinstance(storage, theirs.StorageBackend)
    assert not isinstance(object(), ours.StorageBackend)
