"""How many texts a second Python encrypts.

    encrypt_rate.py TEXTS.json --count N

TEXTS.json is a list of texts, of which the first N are encrypted over and over. Prints the texts a
second of `Fernet.encrypt` of the package `cryptography`, and of the real package's
`EncryptionManager.encrypt`, which encodes the token once more.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet
from rotalabs_comply.audit import EncryptionManager


def rate(texts: list, count: int, encrypt: Callable) -> float:
    start = time.perf_counter()
    for number in range(count):
        encrypt(texts[number % len(texts)])
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", type=Path)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    texts = json.loads(options.texts.read_text(encoding="utf-8"))
    encoded = [text.encode("utf-8") for text in texts]
    found = {
        "fernet": rate(encoded, options.count, Fernet(Fernet.generate_key()).encrypt),
        "manager": rate(texts, options.count, EncryptionManager().encrypt),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
