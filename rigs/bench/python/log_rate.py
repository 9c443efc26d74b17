"""How many interactions a second the real package logs, one after another.

    log_rate.py STORE INTERACTIONS.jsonl --content hash|plain|encrypted [--count N]

Prints {"count": N, "seconds": S}. Only the calls of `log` are timed, not the start of Python.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

from rotalabs_comply.audit import AuditLogger, EncryptionManager, FileStorage


async def rate(options: argparse.Namespace) -> dict[str, float]:
    with options.interactions.open(encoding="utf-8") as lines:
        given = [json.loads(line) for _, line in zip(range(options.count), lines)]
    encryption = EncryptionManager() if options.content == "encrypted" else None
    logger = AuditLogger(
        FileStorage(str(options.store)),
        encryption=encryption,
        store_content=options.content != "hash",
    )
    start = time.perf_counter()
    for interaction in given:
        await logger.log(**interaction)
    return {"count": len(given), "seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("interactions", type=Path)
    parser.add_argument("--content", choices=["hash", "plain", "encrypted"], required=True)
    parser.add_argument("--count", type=int, default=4_000)
    print(json.dumps(asyncio.run(rate(parser.parse_args()))))


if __name__ == "__main__":
    main()
