"""Writes entries into a store with the real package, and prints what it wrote, in order.

    write_store.py FOLDER --content hash|plain|encrypted [--key-file FILE]
                   [--count N] [--rotation-bytes N]

An existing store is continued. A key file that does not exist is made.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True

import entries  # noqa: E402
from common import manager, report  # noqa: E402
from rotalabs_comply.audit import AuditLogger, FileStorage  # noqa: E402


async def write(options: argparse.Namespace) -> dict[str, Any]:
    storage = FileStorage(str(options.folder))
    storage.rotation_size_bytes = options.rotation_bytes
    encryption = manager(options.key_file, create=True)
    if (options.content == "encrypted") != (encryption is not None):
        raise SystemExit("--key-file goes with --content encrypted, and only with it")
    logger = AuditLogger(storage, encryption=encryption, store_content=options.content != "hash")
    written = [await entries.log(logger, number) for number in range(options.count)]
    return entries.describe(options.folder, written)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--content", choices=["hash", "plain", "encrypted"], required=True)
    parser.add_argument("--key-file", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rotation-bytes", type=int, default=100 * 1024 * 1024)
    report(asyncio.run(write(parser.parse_args())))


if __name__ == "__main__":
    main()
