"""Does one thing with the real package on a bucket, and prints how many seconds it took once
connected.

    time_bucket.py OPERATION BUCKET PREFIX
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

sys.dont_write_bytecode = True

from common import report  # noqa: E402
from rotalabs_comply.audit import (  # noqa: E402
    AuditEntry,
    AuditLogger,
    S3Storage,
    create_entry_id,
    hash_content,
)

# Where the bench of the crate puts its entries.
FIRST_DAY = datetime(2025, 1, 1)
WRITES = 2_000


def entry(moment: datetime) -> AuditEntry:
    return AuditEntry(
        id=create_entry_id(),
        timestamp=moment.isoformat(),
        input_hash=hash_content("in"),
        output_hash=hash_content("out"),
        provider="openai",
        model="gpt-4",
    )


async def write(storage: S3Storage) -> None:
    entries = [entry(datetime.utcnow()) for _ in range(WRITES)]
    await asyncio.gather(*(storage.write(each) for each in entries))


async def list_all(storage: S3Storage) -> None:
    found = await storage.list_entries(FIRST_DAY, FIRST_DAY + timedelta(days=10))
    assert len(found) == 2_000, len(found)


async def count(storage: S3Storage) -> None:
    found = await storage.count()
    assert found == 60_000, found


async def read_unknown(storage: S3Storage) -> None:
    assert await storage.read(create_entry_id()) is None


async def cleanup(storage: S3Storage) -> None:
    deleted = await AuditLogger(storage, retention_days=30).cleanup_expired()
    assert deleted == 2_000, deleted


def connect(storage: S3Storage) -> None:
    """Asks for one key, as Attestry does when it connects, which is not timed either.

    Left alone the package imports boto3 and makes its client within the first call."""
    client = storage._get_client()
    client.list_objects_v2(Bucket=storage.bucket, Prefix=storage.prefix, MaxKeys=1)


async def timed(operation: Callable[[S3Storage], Awaitable[Any]], storage: S3Storage) -> float:
    start = time.perf_counter()
    await operation(storage)
    return time.perf_counter() - start


async def run(operation: str, bucket: str, prefix: str) -> float:
    storage = S3Storage(bucket, prefix=prefix)
    connect(storage)
    if operation == "read_recent":
        recent = entry(datetime.utcnow())
        await storage.write(recent)

        async def read_recent(storage: S3Storage) -> None:
            assert await storage.read(recent.id) is not None

        return await timed(read_recent, storage)
    operations = {
        "append": write,
        "list": list_all,
        "count": count,
        "read_unknown": read_unknown,
        "cleanup": cleanup,
    }
    return await timed(operations[operation], storage)


def main() -> None:
    operation, bucket, prefix = sys.argv[1:]
    report({"seconds": asyncio.run(run(operation, bucket, prefix))})


if __name__ == "__main__":
    main()
