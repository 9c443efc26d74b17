"""Reads a whole bucket with the real package, and prints all it finds, by id.

    read_bucket.py BUCKET PREFIX

`listed` says whether `list_entries` finds the entry, which it never does on the 29th to 31st.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from typing import Any

sys.dont_write_bytecode = True

import boto3  # noqa: E402
from common import report, strict  # noqa: E402
from rotalabs_comply.audit import S3Storage  # noqa: E402


def bodies(bucket: str, prefix: str) -> dict[str, str]:
    """Every object's text by the id in its key."""
    client = boto3.client("s3")
    found = {}
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            if item["Key"].endswith(".json"):
                body = client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
                found[item["Key"].rsplit("/", 1)[1][: -len(".json")]] = body.decode("utf-8")
    return found


async def read(bucket: str, prefix: str) -> dict[str, Any]:
    storage = S3Storage(bucket, prefix=prefix)
    listed = set()
    for year, month in [(2024, 2), (2026, 1), (2026, 2), (2026, 3)]:
        entries = await storage.list_entries(datetime(year, month, 1), datetime(year, month, 28, 23, 59, 59, 999999))
        listed.update(entry.id for entry in entries)
    found = {}
    for entry_id, body in bodies(bucket, prefix).items():
        entry = await storage.read(entry_id)
        found[entry_id] = {
            "entry": strict(entry.to_dict()),
            "read_is_same": json.dumps(entry.to_dict()) == json.dumps(json.loads(body)),
            "body_is_pythons": json.dumps(entry.to_dict()) == body,
            "listed": entry_id in listed,
        }
    return {"count": await storage.count(), "entries": found}


def main() -> None:
    bucket, prefix = sys.argv[1:]
    report(asyncio.run(read(bucket, prefix)))


if __name__ == "__main__":
    main()
