"""Writes the small stores of crates/file/tests/fixtures/python with the real package.

    make_fixtures.py FOLDER

The committed ones were made once, with rotalabs-comply 1.1.0, and stay: every release must read
them. Making them again gives other ids, times and tokens. Each store has an `expected.json` beside
its segments; what it says is explained at `entries.describe`.

    plain/      one segment, content stored as it is
    rotated/    a day's numbered segments and its active one, hashes only
    encrypted/  content encrypted with the key in key.txt
    odd/        what Python writes and JSON or 64 bits do not hold; times of whole seconds, of
                other days, in no order, and equal ones
    duplicate/  an id that stands there twice, with different entries
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True

import entries  # noqa: E402
from common import lines, manager, segments  # noqa: E402
from rotalabs_comply.audit import AuditEntry, AuditLogger, FileStorage  # noqa: E402

MAX_BYTES = 100 * 1024


def logger_for(folder: Path, **options: Any) -> AuditLogger:
    folder.mkdir(parents=True)
    return AuditLogger(FileStorage(str(folder)), **options)


def save(folder: Path, content: str, described: dict[str, Any]) -> None:
    expected = {"written_by": f"rotalabs-comply {version('rotalabs-comply')}", "content": content, **described}
    text = json.dumps(expected, indent=1, allow_nan=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


async def plain(folder: Path) -> None:
    logger = logger_for(folder, store_content=True)
    written = [await entries.log(logger, number) for number in range(8)]
    save(folder, "plain", entries.describe(folder, written))


async def rotated(folder: Path) -> None:
    logger = logger_for(folder)
    logger.storage.rotation_size_bytes = 2400
    written = []
    while len(segments(folder)) < 4 or len(written) % 2:
        written.append(await entries.log(logger, len(written) * 2 % 8))
    save(folder, "hash", entries.describe(folder, written))


async def encrypted(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    key_file = folder.parent / "key.txt"
    logger = logger_for(folder, store_content=True, encryption=manager(key_file, create=True))
    key_file.rename(folder / "key.txt")
    written = [await entries.log(logger, number) for number in range(6)]
    save(folder, "encrypted", entries.describe(folder, written))


async def odd(folder: Path) -> None:
    logger = logger_for(folder, store_content=True)
    written = []
    corners = [
        *({"metadata": metadata} for metadata in entries.ODD_METADATA),
        {"latency_ms": float("inf")},
        {"latency_ms": float("nan"), "metadata": {"both": float("nan")}},
        {"provider": "Anbieter \ud83e", "alerts": ["\udc00"]},
        {"metadata": {"": {"empty key": []}, "größe": "ß", "日本": "🦀"}, "latency_ms": 1e-07},
    ]
    for number, corner in enumerate(corners):
        question, answer = entries.TEXTS[number % 6]
        given = {"input": question, "output": answer, "safety_passed": True, **corner}
        timestamp = entries.TIMESTAMPS[number % len(entries.TIMESTAMPS)]
        entry_id = await entries.write_at(logger, given, timestamp)
        written.append({"id": entry_id, "input": question, "output": answer})
    save(folder, "plain", entries.describe(folder, written))


async def duplicate(folder: Path) -> None:
    logger = logger_for(folder, store_content=True)
    for number in range(3):
        await entries.log(logger, number)
    first = AuditEntry.from_dict(json.loads(lines(folder)[1][1]))
    second = AuditEntry.from_dict({**first.to_dict(), "model": "another-model", "alerts": ["written twice"]})
    await logger.storage.write(second)
    await entries.log(logger, 3)
    ids = [json.loads(line)["id"] for _, line in lines(folder)]
    save(folder, "plain", {"ids": ids, "twice": first.id, "lines": [line for _, line in lines(folder)]})


async def make(root: Path) -> None:
    for store in (plain, rotated, encrypted, odd, duplicate):
        await store(root / store.__name__)
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    print(f"{size} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"the fixtures should stay under {MAX_BYTES} bytes")


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1])))
