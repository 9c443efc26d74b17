"""Deletes entries from a store with the real package; prints for each whether it was there.

    delete_entries.py FOLDER ID...
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from common import report  # noqa: E402
from rotalabs_comply.audit import FileStorage  # noqa: E402


async def delete(folder: Path, ids: list[str]) -> list[bool]:
    storage = FileStorage(str(folder))
    return [await storage.delete(entry_id) for entry_id in ids]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("ids", nargs="+")
    options = parser.parse_args()
    report(asyncio.run(delete(options.folder, options.ids)))


if __name__ == "__main__":
    main()
