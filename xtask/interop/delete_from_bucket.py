"""Deletes entries from a bucket with the real package; prints for each whether it was there.

    delete_from_bucket.py BUCKET PREFIX ID...
"""

from __future__ import annotations

import asyncio
import sys

sys.dont_write_bytecode = True

from common import report  # noqa: E402
from rotalabs_comply.audit import S3Storage  # noqa: E402


async def delete(bucket: str, prefix: str, ids: list[str]) -> list[bool]:
    storage = S3Storage(bucket, prefix=prefix)
    return [await storage.delete(entry_id) for entry_id in ids]


def main() -> None:
    bucket, prefix, *ids = sys.argv[1:]
    report(asyncio.run(delete(bucket, prefix, ids)))


if __name__ == "__main__":
    main()
