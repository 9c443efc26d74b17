"""What the scripts of this folder share: reading a store's lines, and JSON that is strict."""

from __future__ import annotations

import json
import math
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from rotalabs_comply.audit import EncryptionManager

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def segments(folder: Path) -> list[Path]:
    """The store's files in the order they were written: a day's numbered ones, then its active one."""

    def order(path: Path) -> tuple[str, float]:
        _, day, *number = path.stem.split("_")
        return day, int(number[0]) if number else math.inf

    return sorted(folder.glob("audit_*.jsonl"), key=order)


def lines(folder: Path) -> list[tuple[str, str]]:
    """Every line of the store with the name of its file, in the order written."""
    found = []
    for path in segments(folder):
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                found.append((path.name, line))
    return found


def strict(value: Any) -> Any:
    """`value` as Attestry reads it: what JSON or 64 bits cannot hold is replaced."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, str):
        return LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [strict(item) for item in value]
    if isinstance(value, dict):
        return {strict(key): strict(item) for key, item in value.items()}
    return value


def in_time_order(entries: list[dict]) -> list[dict]:
    """Ascending time, ties in the order written."""
    return sorted(entries, key=lambda entry: datetime.fromisoformat(entry["timestamp"]))


def manager(key_file: Path | None, create: bool = False) -> EncryptionManager | None:
    """The manager with the key in `key_file`, which is made first if `create` and it is absent."""
    if key_file is None:
        return None
    if create and not key_file.exists():
        key_file.write_bytes(EncryptionManager().get_key() + b"\n")
        key_file.chmod(0o600)
    return EncryptionManager(key_file.read_bytes().strip())


def report(value: Any) -> None:
    """Prints `value` as one line of strict JSON, which is all that goes to standard output."""
    json.dump(value, sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
