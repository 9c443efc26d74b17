"""What the package has beyond ``rotalabs_comply.audit``."""

from __future__ import annotations

import asyncio
import gc
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pandas
import pyarrow
import pytest

import attestry
from attestry import AsyncAuditLogger, AuditLogger, Evidence, FileStorage, MemoryStorage, SigningKey
from attestry.audit import AuditEntry


def test_the_twin_has_the_same_methods() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(AuditLogger) == public(AsyncAuditLogger)


@pytest.mark.parametrize("in_memory", [False, True])
def test_plain_methods(folder: str, in_memory: bool) -> None:
    storage = MemoryStorage() if in_memory else FileStorage(folder)
    with AuditLogger(storage, store_content=True, retention_days=0) as logger:
        entry_id = logger.log("a", "b", metadata={"k": 1})
        entry = logger.get_entry(entry_id)
        assert entry and entry.input_content == "a" and entry.metadata == {"k": 1}
        assert logger.get_entries(datetime(2000, 1, 1), datetime(2200, 1, 1)) == [entry]
        assert logger.count() == 1 and logger.get_entry("x") is None
        assert logger.delete(entry_id) and not logger.delete(entry_id)
        logger.log("a", "b")
        assert logger.cleanup_expired() == 1
        logger.flush()


def test_plain_methods_on_a_store_of_ones_own() -> None:
    class Slow(MemoryStorage):
        async def write(self, entry: AuditEntry) -> str:
            await asyncio.sleep(0.001)
            return await super().write(entry)

    logger = AuditLogger(Slow())
    assert logger.get_entry(logger.log("a", "b")) and logger.count() == 1


def test_many_threads(folder: str) -> None:
    logger = AuditLogger(folder)
    ids: list[str] = []

    def record() -> None:
        for i in range(20):
            ids.append(logger.log(str(i), ""))

    threads = [threading.Thread(target=record) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 2000 == logger.count()


def test_queries(folder: str) -> None:
    logger = AuditLogger(folder, store_content=True)
    for i in range(500):
        metadata = {"user.id": f"u{i % 5}", "n": i}
        if i % 7 == 0:
            metadata["ticket"] = None
        logger.log(f"question {i}", "x", provider="p" if i % 2 else "q", metadata=metadata)

    def numbers(**conditions: object) -> list[int]:
        return [entry.metadata["n"] for entry in logger.query(**conditions)]  # type: ignore[arg-type]

    assert numbers() == list(range(500))
    assert numbers(newest_first=True, limit=2) == [499, 498]
    assert numbers(metadata={"user.id": "u3"}, limit=2) == [3, 8]
    assert numbers(metadata={"ticket": ...}) == list(range(0, 500, 7))
    assert numbers(metadata={"n": 9}) == [9]
    assert numbers(provider="p", text_contains="tion 33") == [33, 331, 333, 335, 337, 339]
    assert numbers(until=datetime(2000, 1, 1)) == []
    with pytest.raises(attestry.InvalidQueryError):
        numbers(since=datetime(2001, 1, 1), until=datetime(2000, 1, 1))
    with pytest.raises(ValueError):
        logger.query(phase="middle")
    with pytest.raises(TypeError):
        logger.query(colour="red")  # type: ignore[call-arg]

    async def run() -> list[int]:
        found = AsyncAuditLogger(logger.storage).query(metadata={"user.id": "u4"})
        return [entry.metadata["n"] async for entry in found]

    assert asyncio.run(run()) == list(range(4, 500, 5))
    assert logger.delete_matching(metadata={"user.id": "u3"}, dry_run=True) == 100
    assert logger.delete_matching(metadata={"user.id": "u3"}) == 100
    assert logger.count() == 400 and numbers(metadata={"user.id": "u3"}) == []


def test_a_corrupt_record_hides_none_after_it(folder: str) -> None:
    with AuditLogger(folder) as logger:
        logger.log("a", "")
        [file] = Path(folder).glob("audit_*.jsonl")
        with file.open("a") as lines:
            lines.write("{torn\n")
    logger = AuditLogger(folder)
    logger.log("b", "")
    problems: list[attestry.CorruptRecordError] = []
    assert len(list(logger.query(on_corrupt=problems.append))) == 2
    assert [problem.path for problem in problems] == [str(file)]
    found, read = logger.query(), 0
    with pytest.raises(attestry.CorruptRecordError):
        for _ in found:
            read += 1
    assert read + len(list(found)) == 2
    with pytest.raises(attestry.CorruptRecordError):
        logger.delete_matching(provider="none")


def test_calls_have_a_start_and_an_end(folder: str) -> None:
    logger = AuditLogger(folder, store_content=True)
    with logger.start("2+2?", model="gpt-4", metadata={"user.id": "ada"}) as call:
        assert logger.count() == 1 and call.id
        call.push("The answer ")
        call.push("is 4.")
        call.set(output_tokens=6, metadata={"k": "v"})
    with pytest.raises(KeyError), logger.start("2+2?"):
        raise KeyError("x")
    with pytest.raises(KeyboardInterrupt), logger.start("2+2?"):
        raise KeyboardInterrupt
    ends = list(logger.query(phase="end"))
    assert [end.metadata.get("attestry.outcome") for end in ends] == [None, "failed", "cut_off"]
    assert ends[1].metadata["error.type"] == "KeyError"
    assert ends[0].output_content == "The answer is 4." and ends[0].input_content == "2+2?"
    assert ends[0].model == "gpt-4" and ends[0].output_tokens == 6
    assert ends[0].metadata["attestry.call"] == call.id
    assert (ends[0].metadata["user.id"], ends[0].metadata["k"]) == ("ada", "v")
    with pytest.raises(RuntimeError, match="ended"):
        call.push("more")


def test_calls_in_asyncio(folder: str) -> None:
    async def run() -> None:
        logger = AsyncAuditLogger(folder)
        call = await logger.start("2+2?")
        call.push("4")
        await call.finish()

        started = asyncio.Event()

        async def endless() -> None:
            async with logger.start("2+2?"):
                started.set()
                await asyncio.sleep(1000)

        task = asyncio.create_task(endless())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        outcomes = [entry.metadata.get("attestry.outcome") async for entry in logger.query(phase="end")]
        assert outcomes == [None, "cut_off"]

    asyncio.run(run())


def test_a_dropped_call_is_recorded(folder: str) -> None:
    logger = AuditLogger(folder)
    call = logger.start("2+2?")
    del call
    gc.collect()
    logger.close()
    reader = AuditLogger(FileStorage(folder, read_only=True))
    assert [e.metadata["attestry.outcome"] for e in reader.query(phase="end")] == ["abandoned"]


def test_evidence(folder: str, tmp_path: Path) -> None:
    key = SigningKey.generate("example.com/audit")
    assert key.text not in repr(key)
    key.write_new_file(tmp_path / "key")
    assert SigningKey.from_file(tmp_path / "key") == key
    logger = AuditLogger(FileStorage(folder, evidence=Evidence(key)), store_content=True)
    ids = [logger.log(str(i), "x" * 10) for i in range(10)]
    kept = logger.checkpoint()
    assert kept == logger.latest_checkpoint()
    proof = logger.prove(ids[3])
    assert proof and proof.verify(key.public_key) == 10 and ids[3].encode() in proof.line
    with pytest.raises(attestry.EvidenceError):
        attestry.Proof(proof.line.replace(b"3", b"4"), proof.proof).verify(key.public_key)
    assert logger.prove("no such entry") is None
    report = logger.verify(public_key=key.public_key, against=kept)
    assert report.is_clean and report.leaves == 10 and report.problems == []
    logger.close()
    [file] = Path(folder).glob("audit_*.jsonl")
    file.write_bytes(file.read_bytes().replace(b'"xxxxxxxxxx"', b'"xxxxxxyxxx"', 1))

    async def verify() -> attestry.Verification:
        reader = AsyncAuditLogger(FileStorage(folder, read_only=True))
        return await reader.verify(public_key=key.public_key, against=kept)

    report = asyncio.run(verify())
    assert not report.is_clean and report.problems[0].id == ids[0]
    with pytest.raises(ValueError):
        SigningKey("no key")


def test_without_evidence_there_is_none(folder: str) -> None:
    with pytest.raises(attestry.EvidenceError):
        AuditLogger(folder).checkpoint()


def test_metrics(folder: str) -> None:
    logger = AuditLogger(folder)
    assert logger.metrics() == {}
    logger.log("a", "b")
    assert logger.metrics()["entries"] == 1
    assert logger.metrics()["storage"]["syncs"]["count"] >= 1


def test_stores_of_ones_own_have_no_queries() -> None:
    logger = AuditLogger(MemoryStorage())
    with pytest.raises(TypeError, match="needs a FileStorage"):
        logger.query()


def test_tables(folder: str) -> None:
    logger = AuditLogger(folder)
    assert len(logger.query().to_pandas()) == 0 and logger.query().to_arrow().num_rows == 0
    logger.log("a", "b", input_tokens=3, alerts=["x"], metadata={"k": [1]})
    logger.log("a", "b", latency_ms=1.5)
    frame = logger.query().to_pandas()
    assert list(frame.columns) == list(AuditEntry.__dataclass_fields__)
    assert frame["input_tokens"].sum() == 3 and frame["latency_ms"].sum() == 1.5
    age = pandas.Timestamp.now(tz="UTC") - frame["timestamp"].max()
    assert abs(age) < timedelta(hours=1)
    table = logger.query().to_arrow()
    assert table.schema.field("timestamp").type == pyarrow.timestamp("us", "UTC")
    assert table["metadata"].to_pylist() == ['{"k": [1]}', "{}"]
    assert table["alerts"].to_pylist() == [["x"], []]
