"""Writes entries into a bucket with the real package, and prints what it wrote.

    write_bucket.py BUCKET PREFIX [--count N]

`body` is what the object holds, `read_as` the entry as Attestry reads it: without what JSON or 64 bits do not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

sys.dont_write_bytecode = True

import entries  # noqa: E402
from common import report, strict  # noqa: E402
from rotalabs_comply.audit import AuditLogger, S3Storage  # noqa: E402

# The package's own listing passes over the last days of a month.
DAYS = ["2026-01-28", "2026-01-29", "2026-01-30", "2026-01-31", "2024-02-29", "2026-02-01"]


async def write(options: argparse.Namespace) -> list[dict[str, Any]]:
    storage = S3Storage(options.bucket, prefix=options.prefix)
    logger = AuditLogger(storage)
    written = []
    for number in range(options.count):
        given = entries.interaction(number)
        if number % 4 == 3:
            entry_id = await logger.log(**given)
        else:
            fraction = "" if number % 5 == 0 else f".{number:06}"
            timestamp = f"{DAYS[number % len(DAYS)]}T23:{number % 60:02}:59{fraction}"
            entry_id = await entries.write_at(logger, given, timestamp)
        body = json.dumps((await storage.read(entry_id)).to_dict())
        written.append({"id": entry_id, "body": body, "read_as": strict(json.loads(body))})
    return written


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bucket")
    parser.add_argument("prefix")
    parser.add_argument("--count", type=int, default=48)
    report(asyncio.run(write(parser.parse_args())))


if __name__ == "__main__":
    main()
