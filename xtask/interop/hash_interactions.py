"""Prints the hashes that the real package gives the texts of each interaction in a file.

    hash_interactions.py FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from common import report  # noqa: E402
from rotalabs_comply.audit import hash_content  # noqa: E402


def main() -> None:
    hashes = []
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").split("\n"):
        if line.strip():
            given = json.loads(line)
            hashes.append([hash_content(given["input"]), hash_content(given["output"])])
    report(hashes)


if __name__ == "__main__":
    main()
