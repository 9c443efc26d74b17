"""S3 storage against a real server, whose bucket and address the environment names."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import rotalabs_comply.audit as theirs

import attestry
from attestry import AuditLogger, S3Storage
from attestry.audit import AuditLogger as AsyncAuditLogger
from attestry.audit import EncryptionManager

BUCKET = os.environ.get("ATTESTRY_TEST_BUCKET", "")

if not BUCKET:
    reason = "no server: `cargo xtask ci python` starts one and sets ATTESTRY_TEST_BUCKET"
    if os.environ.get("ATTESTRY_REQUIRE") == "all":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture
def prefix() -> str:
    return f"python/{uuid.uuid4()}/"


def store(prefix: str, bucket: str = BUCKET) -> S3Storage:
    return S3Storage(bucket, prefix, "us-east-1", path_style=True)


def test_the_async_logger_stores_in_a_bucket(prefix: str) -> None:
    async def run() -> None:
        manager = EncryptionManager()
        logger = AsyncAuditLogger(store(prefix), manager, store_content=True, retention_days=30)
        ids = await asyncio.gather(*(logger.log(f"{n}+1?", f"ünf {n}") for n in range(20)))
        assert await logger.count() == 20
        entry = await logger.get_entry(ids[3])
        assert entry and entry.output_content
        assert logger.decrypt_content(entry.output_content) == "ünf 3"
        now = datetime.now(timezone.utc)
        found = await logger.get_entries(now - timedelta(hours=1), now)
        assert {entry.id for entry in found} == set(ids)
        assert await logger.delete(ids[3]) and not await logger.delete(ids[3])
        assert await logger.get_entry(ids[3]) is None
        assert await logger.cleanup_expired() == 0
        await logger.close()

    asyncio.run(run())
    assert AuditLogger(store(prefix)).count() == 19, "a new client of the bucket sees the rest"


def test_calls_and_queries_in_a_bucket(prefix: str) -> None:
    with AuditLogger(store(prefix), store_content=True) as logger:
        with logger.start("2+2?", model="gpt-4", metadata={"user.id": "ada"}) as call:
            call.push("4")
        opened = logger.start("6*7?", metadata={"user.id": "bob"})
        assert [entry.input_content for entry in logger.query(phase="open")] == ["6*7?"]
        opened.finish()
        [entry] = logger.query(metadata={"user.id": "ada"}, phase="latest")
        assert entry.output_content == "4" and entry.metadata["attestry.call"] == call.id
        assert logger.delete_matching(metadata={"user.id": "ada"}) == 2
        assert logger.count() == 2


def test_each_package_reads_the_bucket_of_the_other(prefix: str) -> None:
    async def run() -> None:
        their_logger = theirs.AuditLogger(theirs.S3Storage(BUCKET, prefix), store_content=True)
        our_logger = AsyncAuditLogger(store(prefix), store_content=True)
        their_id = await their_logger.log("their question", "their answer", metadata={"n": 1})
        our_id = await our_logger.log("our question", "our answer", metadata={"n": 2})
        for entry_id in (their_id, our_id):
            left, right = await their_logger.get_entry(entry_id), await our_logger.get_entry(entry_id)
            assert left is not None and right is not None and left.to_dict() == right.to_dict()
        assert await their_logger.storage.count() == await our_logger.count() == 2

    asyncio.run(run())


def test_a_store_is_selected_by_its_url(prefix: str) -> None:
    storage = S3Storage.from_url(f"s3://{BUCKET}/{prefix}?region=us-east-1&path_style=true")
    assert (storage.bucket, storage.prefix) == (BUCKET, prefix)
    entry_id = AuditLogger(storage).log("a", "b")
    assert AuditLogger(store(prefix)).get_entry(entry_id) is not None
    with pytest.raises(ValueError, match="s3://"):
        S3Storage.from_url("https://example.org/")


FORKED = """
import os, sys
from attestry import AuditLogger, S3Storage
logger = AuditLogger(S3Storage(sys.argv[1], sys.argv[2], "us-east-1", path_style=True))
logger.log("parent", "1")
child = os.fork()
logger.log("child" if child == 0 else "parent again", "2")
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    assert logger.count() == 3, logger.count()
"""


def test_a_forked_child_connects_again(prefix: str) -> None:
    subprocess.run([sys.executable, "-c", FORKED, BUCKET, prefix], check=True, timeout=300)


def test_failures_name_the_bucket(prefix: str) -> None:
    with pytest.raises(attestry.RemoteError, match="does not exist") as caught:
        AuditLogger(store(prefix, "attestry-missing")).log("a", "b")
    assert caught.value.location == "s3://attestry-missing" and not caught.value.retryable
    assert isinstance(caught.value, OSError)
    closed = S3Storage(BUCKET, prefix, "us-east-1", endpoint="http://127.0.0.1:1", path_style=True)
    with pytest.raises(attestry.RemoteError, match="cannot reach") as caught:
        AuditLogger(closed).count()
    assert caught.value.location == f"s3://{BUCKET}" and caught.value.retryable


def test_a_plain_address_beyond_this_machine_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="insecure"):
        AuditLogger(S3Storage(BUCKET, prefix, "us-east-1", endpoint="http://192.0.2.1")).count()
