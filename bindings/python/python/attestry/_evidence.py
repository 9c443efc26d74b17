"""Evidence that a store was not rewritten."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _native


@dataclass(frozen=True)
class SigningKey:
    """The key that signs the checkpoints of a log.

    >>> key = SigningKey.generate("example.com/audit")
    >>> key.public_key.startswith("example.com/audit+")
    True
    """

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        _native.public_key(self.text)

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """A new key for the log of this name, such as ``example.com/audit``."""
        return cls(_native.generate_signing_key(name))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> SigningKey:
        """The key in a file, which ``attestry evidence`` or ``write_new_file`` wrote."""
        return cls(Path(path).read_text(encoding="utf-8").strip())

    def write_new_file(self, path: str | os.PathLike[str]) -> None:
        """Write a new file that only its owner can read."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(self.text + "\n")

    @property
    def public_key(self) -> str:
        """The key that verifies what this one signs."""
        return _native.public_key(self.text)


@dataclass(frozen=True)
class Evidence:
    """How a ``FileStorage`` keeps evidence.

    Args:
        key: The key that signs checkpoints.
        checkpoint_seconds: How often a checkpoint is signed while entries arrive.
        adopt_existing: Begin with the entries that the folder holds already.
    """

    key: SigningKey
    checkpoint_seconds: float | None = None
    adopt_existing: bool = False


@dataclass(frozen=True)
class Proof:
    """That an entry is in the log.

    Attributes:
        line: The entry as it is stored.
        proof: The proof, in the format of C2SP tlog-proof.
    """

    line: bytes
    proof: str

    def verify(self, public_key: str) -> int:
        """Return the size of the log that has the entry, and whose checkpoint the key signed.

        Raises:
            EvidenceError: It does not prove that.
        """
        return _native.verify_proof(self.line, self.proof, public_key)


@dataclass(frozen=True)
class Problem:
    """A sign that the store was changed."""

    kind: str
    reason: str
    id: str | None
    leaf: int | None
    path: str | None
    offset: int | None


@dataclass(frozen=True)
class Verification:
    """What a verification found. ``is_clean``: nothing that contradicts the evidence."""

    is_clean: bool
    leaves: int
    lines: int
    erased: int
    checkpoints: int
    not_covered: int
    root: str
    problems: list[Problem]
    problems_unlisted: int
    observations: list[dict[str, Any]]

    @classmethod
    def of(cls, report: dict[str, Any]) -> Verification:
        """What the extension module reports."""
        fields: dict[str, Any] = dict(report)
        fields["problems"] = [Problem(**problem) for problem in report["problems"]]
        return cls(**fields)
