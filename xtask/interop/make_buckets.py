"""Makes the buckets named PLAIN VERSIONED LOCKED, once the server takes a write.

    make_buckets.py PLAIN VERSIONED LOCKED
"""

from __future__ import annotations

import sys
import time

sys.dont_write_bytecode = True

import boto3  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402

PATIENCE_SECONDS = 90


def main() -> None:
    plain, versioned, locked = sys.argv[1:]
    client = boto3.client("s3")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=plain)
            client.put_object(Bucket=plain, Key="ready", Body=b"yes")
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    client.delete_object(Bucket=plain, Key="ready")
    client.create_bucket(Bucket=versioned)
    client.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Enabled"})
    client.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    print("null")


if __name__ == "__main__":
    main()
