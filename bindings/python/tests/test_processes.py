"""Forks, kills, and the end of the interpreter."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from attestry import AuditLogger, FileStorage


def python(code: str, *arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Runs a program in a fresh interpreter, for at most ``timeout`` seconds."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def recorded(folder: str) -> int:
    return AuditLogger(FileStorage(folder, read_only=True)).count()


def test_a_forked_child_opens_the_store_again(folder: str) -> None:
    done = python(
        """
        import asyncio, os, sys
        from attestry import AuditLogger, AsyncAuditLogger
        logger = AuditLogger(sys.argv[1])
        twin = AsyncAuditLogger(logger.storage)
        ids = [logger.log("parent", "")]
        asyncio.run(twin.log("parent", ""))
        call = logger.start("parent")
        children = []
        for _ in range(3):
            if (child := os.fork()) == 0:
                logger.log("child", "")
                asyncio.run(twin.log("child", ""))
                try:
                    call.finish()
                except RuntimeError as error:
                    assert "parent" in str(error)
                    sys.exit(0)
                os._exit(1)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        call.finish()
        logger.log("parent", "")
        assert logger.count() == 2 + 6 + 2 + 1, logger.count()
        assert len({entry.id for entry in logger.query()}) == 11
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert recorded(folder) == 11


def test_a_logger_of_another_store_works_in_a_forked_child() -> None:
    done = python(
        """
        import os, signal
        from attestry import AuditLogger, MemoryStorage
        class Own(MemoryStorage):
            pass
        logger = AuditLogger(Own())
        logger.log("parent", "")
        if (child := os.fork()) == 0:
            signal.alarm(20)
            logger.log("child", "")
            os._exit(0 if logger.count() == 2 else 1)
        assert os.waitpid(child, 0)[1] == 0
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_fork_while_threads_record(folder: str) -> None:
    done = python(
        """
        import os, sys, threading
        from attestry import AuditLogger
        logger = AuditLogger(sys.argv[1])
        stop = False
        def record():
            while not stop:
                logger.log("x" * 1000, "y")
        threads = [threading.Thread(target=record) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(10):
            if (child := os.fork()) == 0:
                logger.log("child", "")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop = True
        for thread in threads:
            thread.join()
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr


def record_in_worker(folder: str) -> int:
    logger = AuditLogger(folder)
    for _ in range(50):
        logger.log("a", "b")
    return 50


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(folder: str, method: str) -> None:
    AuditLogger(folder).log("parent", "")
    with multiprocessing.get_context(method).Pool(3) as pool:
        assert sum(pool.map(record_in_worker, [folder] * 3)) == 150
    assert recorded(folder) == 151


APPLICATION = """
import os
from attestry import AuditLogger

logger = AuditLogger(os.environ["STORE"])
logger.log("before the fork", "")


def application(environ, start_response):
    entry_id = logger.log("request", "", metadata={"pid": os.getpid()})
    start_response("200 OK", [("content-type", "text/plain")])
    return [entry_id.encode()]
"""


def test_workers_of_gunicorn_that_are_forked_with_an_open_store(folder: str, tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(APPLICATION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=3", f"--bind={address}"]
    environment = {**os.environ, "STORE": folder}
    server = subprocess.Popen(
        [*command, "served:application"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        ids: list[str] = []
        deadline = time.monotonic() + 60
        while len(ids) < 60:
            assert server.poll() is None and time.monotonic() < deadline
            try:
                with urllib.request.urlopen(f"http://{address}/", timeout=20) as response:
                    ids.append(response.read().decode())
            except ConnectionError:
                time.sleep(0.05)
            except urllib.error.URLError:
                time.sleep(0.05)
    finally:
        server.terminate()
        server.wait()
    entries = list(AuditLogger(FileStorage(folder, read_only=True)).query())
    assert {entry.id for entry in entries} >= set(ids) and len(entries) == 61
    pids = {entry.metadata["pid"] for entry in entries if entry.metadata}
    assert pids and server.pid not in pids


def test_a_store_in_memory_is_refused_after_a_fork() -> None:
    done = python(
        """
        import os
        from attestry import _native
        storage = _native.Storage(url="memory:")
        logger = _native.Logger(storage, None, False, 1, True)
        logger.count(None)
        if (child := os.fork()) == 0:
            try:
                _native.Logger(storage, None, False, 1, True).count(None)
            except RuntimeError as error:
                os._exit(0 if "after a fork" in str(error) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_killed_process_loses_nothing_that_returned(folder: str, tmp_path: Path) -> None:
    code = """
        import asyncio, sys
        from attestry.audit import AuditLogger
        async def run():
            logger = AuditLogger(sys.argv[1])
            async def one(i):
                print(await logger.log(str(i), "x"), flush=True)
            while True:
                await asyncio.gather(*(one(i) for i in range(1000)))
        asyncio.run(run())
        """
    output = tmp_path / "ids"
    for _ in range(3):
        with output.open("w") as file:
            command = [sys.executable, "-c", textwrap.dedent(code), folder]
            process = subprocess.Popen(command, stdout=file)
            while output.stat().st_size < 37 * 500 and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
        returned = output.read_text().split("\n")[:-1]
        assert len(returned) >= 500
        logger = AuditLogger(folder)
        stored = {entry.id for entry in logger.query()}
        assert set(returned) <= stored
        logger.close()


def test_the_end_of_the_interpreter_stores_what_was_called(folder: str) -> None:
    done = python(
        """
        import asyncio, sys
        from attestry import AsyncAuditLogger, AuditLogger
        dropped = AuditLogger(sys.argv[1]).start("never ended")
        async def run():
            logger = AsyncAuditLogger(sys.argv[1])
            tasks = [asyncio.ensure_future(logger.log("a", "b")) for _ in range(20)]
            await logger.log("c", "d")
            sys.exit(0)
        asyncio.run(run())
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    entries = list(AuditLogger(FileStorage(folder, read_only=True)).query())
    starts = [e for e in entries if e.metadata.get("attestry.phase") == "start"]
    assert len(starts) == 1 and len(entries) >= 2


def test_the_end_of_the_interpreter_closes_all_stores_though_one_fails(tmp_path: Path) -> None:
    done = python(
        """
        import asyncio, resource, signal, sys, threading, time
        from attestry import AuditLogger, Evidence, FileStorage, SigningKey
        from attestry.audit import AuditEntry
        folder = sys.argv[1]
        key = Evidence(SigningKey.generate("test"))
        failing = AuditLogger(folder + "/failing")
        call = failing.start("cannot end")
        later = AuditLogger(FileStorage(folder + "/later", evidence=key))
        later.log("a", "b")
        def keep():
            # No other reference to the store: it is not dropped.
            storage = FileStorage(folder + "/unlogged", evidence=key)
            asyncio.run(storage.write(AuditEntry("id", "2026-01-28T09:15:00", "a" * 64, "b" * 64)))
            written.set()
            time.sleep(1000)
        written = threading.Event()
        threading.Thread(target=keep, daemon=True).start()
        assert written.wait(60)
        # The end entry of the call is too long for the file.
        call.push("x" * 100)
        call.set(metadata={"long": "x" * 100_000})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, -1))
        del call
        """,
        str(tmp_path),
    )
    assert "StorageIOError" in done.stderr, done.stderr
    for store in ("later", "unlogged"):
        assert has_checkpoint(tmp_path / store), (store, done.stderr)


def has_checkpoint(folder: Path) -> bool:
    """Whether one was signed, as the close of a store does."""
    return any("checkpoint" in file.name and file.stat().st_size for file in folder.rglob("*"))


def test_setting_fields_of_a_call_while_others_push(folder: str) -> None:
    done = python(
        """
        import signal, sys, threading, time
        from attestry import AuditLogger
        signal.alarm(20)
        class Slow(float):
            def __float__(self):
                inside.set()
                time.sleep(0.2)
                return 1.5
        class Latency:
            __float__ = Slow.__float__
        inside = threading.Event()
        call = AuditLogger(sys.argv[1], store_content=True).start("2+2?")
        setter = threading.Thread(target=lambda: call.set(latency_ms=Latency()))
        setter.start()
        assert inside.wait(10)
        call.push("4")
        setter.join()
        call.finish()
        """,
        folder,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_ctrl_c_ends_a_wait(folder: str) -> None:
    code = """
        import sys, threading, signal, os
        from attestry import AuditLogger
        # A shell starts background jobs with the signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        logger = AuditLogger(sys.argv[1])
        logger.log("a", "b")
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                logger.log("a", "b")
        except KeyboardInterrupt:
            print("interrupted")
        """
    done = python(code, folder)
    assert done.stdout == "interrupted\n", done.stderr


def test_subinterpreters_are_refused_clearly() -> None:
    done = python(
        """
        import attestry
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        id = interpreters.create()
        try:
            failure = interpreters.run_string(id, "import attestry")
        except Exception as error:
            failure = error
        print(failure)
        """
    )
    assert "interpreter" in done.stdout and "attestry" in done.stdout, (done.stdout, done.stderr)


def test_import_takes_little_time_and_brings_no_optional_package() -> None:
    done = python(
        """
        import sys
        import attestry, json
        optional = {"cryptography", "boto3", "pandas", "pyarrow", "openai", "anthropic", "numpy"}
        print(json.dumps(sorted(optional & set(sys.modules))))
        """
    )
    assert json.loads(done.stdout) == [], done.stderr


@pytest.mark.slow
def test_memory_stays_flat(folder: str) -> None:
    done = python(
        """
        import asyncio, gc, sys, tracemalloc
        from attestry.audit import AuditLogger, FileStorage
        def resident():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096
        async def run(calls):
            for _ in range(calls // 256):
                await asyncio.gather(*(logger.log("x" * 500, "y" * 500) for _ in range(256)))
        logger = AuditLogger(FileStorage(sys.argv[1], rotation_size_mb=1, durability="buffered"))
        calls = int(sys.argv[2])
        asyncio.run(run(calls // 4))
        gc.collect()
        tracemalloc.start()
        asyncio.run(run(2560))
        gc.collect()
        python, process = tracemalloc.get_traced_memory()[0], resident()
        asyncio.run(run(calls))
        gc.collect()
        print(tracemalloc.get_traced_memory()[0] - python, resident() - process)
        """,
        folder,
        # A million takes two minutes.
        os.environ.get("ATTESTRY_MEMORY_CALLS", "40000"),
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    python_growth, growth = map(int, done.stdout.split())
    assert python_growth < 200_000, python_growth
    # The index of the segments grows with the entries, by a few bytes each.
    assert growth < 24 << 20, growth
