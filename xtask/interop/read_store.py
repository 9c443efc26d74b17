"""Reads a whole store with the real package, and prints all it finds.

    read_store.py FOLDER [--key-file FILE] [--absent ID]...

Each entry comes as `list_entries` gives it, together with its line in the file, whether `read`
gives the same entry, and its texts (decrypted with the key, if there is one) with whether their
hashes are the entry's. An id given as absent must not be found by any of the package's methods.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True

from common import lines, manager, report, segments, strict  # noqa: E402
from rotalabs_comply.audit import EncryptionManager, FileStorage, hash_content  # noqa: E402


def text_of(content: str | None, encryption: EncryptionManager | None) -> str | None:
    return encryption.decrypt(content) if encryption and content is not None else content


async def read(options: argparse.Namespace) -> dict[str, Any]:
    storage = FileStorage(str(options.folder))
    encryption = manager(options.key_file)
    raw = {json.loads(line)["id"]: line for _, line in lines(options.folder)}
    found = []
    for entry in await storage.list_entries(datetime.min, datetime.max):
        again = await storage.read(entry.id)
        texts = {side: text_of(getattr(entry, f"{side}_content"), encryption) for side in ("input", "output")}
        hashes = [
            hash_content(text) == getattr(entry, f"{side}_hash")
            for side, text in texts.items()
            if text is not None
        ]
        found.append(
            {
                "entry": strict(entry.to_dict()),
                "line": raw[entry.id],
                # Compared as text: NaN equals nothing.
                "read_is_same": again is not None and repr(again) == repr(entry),
                # The package's own writer would have written the same bytes.
                "line_is_pythons": raw[entry.id] == json.dumps(entry.to_dict()),
                "hashes_match": all(hashes),
                **texts,
            }
        )
    for absent in options.absent:
        if await storage.read(absent) is not None or any(f["entry"]["id"] == absent for f in found):
            raise SystemExit(f"{absent} should be gone, and is still found")
    return {
        "count": await storage.count(),
        "entries": found,
        "files": [path.name for path in segments(options.folder)],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--absent", action="append", default=[])
    report(asyncio.run(read(parser.parse_args())))


if __name__ == "__main__":
    main()
