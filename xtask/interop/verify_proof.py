"""Checks a proof that an entry is in a log, with nothing of Attestry.

    pip install cryptography
    python verify_proof.py KEY ENTRY PROOF

KEY has the log's public key, ENTRY the raw line, PROOF what c2sp.org/tlog-proof describes.
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def climb(found, index, size, path):
    """The root that a path leads to (RFC 9162, section 2.1.3.2)."""
    last = size - 1
    for sibling in path:
        if last == 0:
            raise ValueError("the path is too long")
        if index % 2 or index == last:
            found = node(sibling, found)
            while index and index % 2 == 0:
                index, last = index >> 1, last >> 1
        else:
            found = node(found, sibling)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise ValueError("the path is too short")
    return found


def open_checkpoint(checkpoint, key):
    """The size and root in a signed checkpoint, once its signature holds."""
    name, key_hash, material = key.split("+", 2)
    material = base64.b64decode(material)
    text, signatures = checkpoint.rsplit("\n\n", 1)
    origin, size, root = text.split("\n")[:3]
    if origin != name or material[0] != 1:
        raise ValueError("another log, or another kind of key")
    for line in signatures.splitlines():
        _, signer, signature = line.split(" ")
        signature = base64.b64decode(signature)
        if signer == name and signature[:4].hex() == key_hash:
            public = Ed25519PublicKey.from_public_bytes(material[1:])
            public.verify(signature[4:], f"{text}\n".encode())
            return int(size), base64.b64decode(root)
    raise ValueError("not signed by the log")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main(key_file, entry_file, proof_file):
    key = read(key_file).decode().strip()
    entry = read(entry_file)
    entry = entry[:-1] if entry.endswith(b"\n") else entry
    if b"\n" in entry:
        raise ValueError("an entry is one line")
    head, checkpoint = read(proof_file).decode().split("\n\n", 1)
    header, *lines = head.split("\n")
    if header != "c2sp.org/tlog-proof@v1":
        raise ValueError("not a proof")
    if lines[0].startswith("extra "):
        lines.pop(0)
    index = int(lines.pop(0)[len("index "):])
    size, root = open_checkpoint(checkpoint, key)
    if not 0 <= index < size:
        raise ValueError("no such entry")
    leaf = hashlib.sha256(b"\x00" + entry).digest()
    if climb(leaf, index, size, [base64.b64decode(line) for line in lines]) != root:
        raise ValueError("this entry is not in the log")
    print(json.dumps({"index": index, "size": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
