"""Measures this package against ``rotalabs-comply``, alternately in one run.

A ratio is the time of theirs divided by the time of ours, from the medians of the rounds. Ours is on stable
storage when a call returns; theirs is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import rotalabs_comply.audit as theirs

import attestry
from attestry import audit as ours

warnings.filterwarnings("ignore", category=DeprecationWarning)

START, END = datetime(2000, 1, 1), datetime(2100, 1, 1)
QUESTION, ANSWER = "q" * 900, "a" * 1900

# The row, and the ratio that it is to reach.
ROWS: dict[str, float] = {
    "log, one after another": 2,
    "log, 256 tasks": 15,
    "log, 8 threads": 10,
    "get_entry of 20,000": 1000,
    "get_entries of 1,000": 10,
    "count of 20,000": 1000,
    "memory log": 1,
    "memory get_entry": 1,
    "memory get_entries": 1,
    "memory count": 1,
    "memory delete": 1,
}


def timed(calls: int, run: Callable[[], object]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    run()
    return (time.perf_counter() - begun) / calls


class Bench:
    """One package with its stores."""

    def __init__(self, package: Any, folder: str, entries: int) -> None:
        self.package = package
        self.folder = folder
        self.loop = asyncio.new_event_loop()
        self.filled = package.AuditLogger(f"{folder}/filled")
        self.thousand = package.AuditLogger(f"{folder}/thousand")
        self.ids = self.run(self.fill(self.filled, entries))
        self.run(self.fill(self.thousand, 1000))
        self.memory = package.AuditLogger(package.MemoryStorage())
        self.memory_ids = self.run(self.fill(self.memory, 1000))

    def run(self, call: Any) -> Any:
        return self.loop.run_until_complete(call)

    async def fill(self, logger: Any, entries: int) -> list[str]:
        ids: list[str] = []
        for _ in range(0, entries, 250):
            some = (logger.log(QUESTION, ANSWER, provider="openai") for _ in range(250))
            ids.extend(await asyncio.gather(*some))
        return ids

    def logger(self) -> Any:
        return self.package.AuditLogger(tempfile.mkdtemp(dir=self.folder))

    def measure(self, row: str) -> float:
        if row == "log, one after another":
            return self.one_after_another(self.logger(), 300)
        if row == "log, 256 tasks":
            return self.tasks(self.logger())
        if row == "log, 8 threads":
            return self.threads()
        if row.startswith("get_entry "):
            return self.each(self.filled.get_entry, self.ids[len(self.ids) // 2 :: 7][:3])
        if row.startswith("get_entries"):
            return timed(1, lambda: self.run(self.thousand.get_entries(START, END)))
        if row.startswith("count"):
            return self.each(lambda _: self.filled.storage.count(), [0])
        if row == "memory log":
            return self.one_after_another(self.memory, 300)
        if row == "memory get_entry":
            return self.each(self.memory.get_entry, self.memory_ids * 20)
        if row == "memory get_entries":
            return timed(1, lambda: self.run(self.memory.get_entries(START, END)))
        if row == "memory count":
            return self.each(lambda _: self.memory.storage.count(), range(20_000))
        logger = self.package.AuditLogger(self.package.MemoryStorage())
        return self.each(logger.storage.delete, self.run(self.fill(logger, 1000)))

    def each(self, call: Callable[[Any], Any], arguments: Any) -> float:
        async def run() -> None:
            for argument in arguments:
                await call(argument)

        return timed(len(arguments), lambda: self.run(run()))

    def one_after_another(self, logger: Any, calls: int) -> float:
        async def run() -> None:
            for _ in range(calls):
                await logger.log(QUESTION, ANSWER, provider="openai", model="gpt-4")

        self.run(logger.log("warm", "up"))
        return timed(calls, lambda: self.run(run()))

    def tasks(self, logger: Any) -> float:
        rounds = 40 if self.package is ours else 2

        async def run() -> None:
            for _ in range(rounds):
                await asyncio.gather(*(logger.log(QUESTION, ANSWER) for _ in range(256)))

        self.run(logger.log("warm", "up"))
        return timed(rounds * 256, lambda: self.run(run()))

    def threads(self) -> float:
        """Eight threads: plain calls of ours; a loop each with theirs, which has no plain calls."""
        folder = tempfile.mkdtemp(dir=self.folder)
        calls = 500 if self.package is ours else 50
        if self.package is ours:
            plain = attestry.AuditLogger(folder)
            plain.log("warm", "up")

            def work() -> None:
                for _ in range(calls):
                    plain.log(QUESTION, ANSWER)
        else:
            logger = self.package.AuditLogger(folder)

            async def run() -> None:
                for _ in range(calls):
                    await logger.log(QUESTION, ANSWER)

            def work() -> None:
                asyncio.run(run())

        threads = [threading.Thread(target=work) for _ in range(8)]

        def all_of_them() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return timed(8 * calls, all_of_them)


def import_seconds() -> float:
    """Of the package in a fresh interpreter, apart from the start of the interpreter."""
    code = "import time; t = time.perf_counter(); import attestry; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--only", action="append")
    parser.add_argument("--json")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="attestry-bench-", dir=".")
    try:
        benches = [Bench(p, tempfile.mkdtemp(dir=folder), options.entries) for p in (theirs, ours)]
        results = []
        print(f"{'row':26}{'theirs':>12}{'ours':>12}{'ratio':>10}{'wanted':>8}")
        for row, wanted in ROWS.items():
            if options.only and row not in options.only:
                continue
            times: list[list[float]] = [[], []]
            for _ in range(options.rounds):
                for bench, found in zip(benches, times, strict=True):
                    found.append(bench.measure(row))
            their, our = (statistics.median(found) for found in times)
            ratio = their / our
            print(f"{row:26}{their * 1e6:9.1f} us{our * 1e6:9.1f} us{ratio:10.1f}{wanted:8.0f}", flush=True)
            results.append({"row": row, "theirs": their, "ours": our, "ratio": ratio, "wanted": wanted})
        seconds = import_seconds()
        print(f"{'import':26}{'':12}{seconds * 1e3:9.1f} ms")
        results.append({"row": "import", "ours": seconds})
        if options.json:
            with open(options.json, "w") as file:
                json.dump(results, file, indent=1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
