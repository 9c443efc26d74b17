"""Made-up interactions with the corners that matter, recorded through the real package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common import lines, strict
from rotalabs_comply.audit import AuditEntry, AuditLogger, create_entry_id, hash_content

TEXTS = [
    ("How long does a passport renewal take?", "Usually three to six weeks."),
    ("Où se trouve la mairie ?", "À côté de l'église, rue des Érables."),
    ("請把這段文字翻譯成英文。", "Please translate this passage into English."),
    ("Write a haiku about 🦀", "Seitwärts geht sie fort —\nSalz und Sand an ihren Zangen,\n🌊 und dann die Flut."),
    ("Quote \"this\" and C:\\temp\\new", "Tab\there, bell \x07, escape \x1b, delete \x7f, end \u2028 of line"),
    ("", ""),
    ("Summarise the minutes. " + "The board met again. " * 40, "They met. " * 20),
]

METADATA: list[dict[str, Any]] = [
    {},
    {"session": "s-81", "attempt": 2, "cached": False, "parent": None},
    {"größe": "mittel", "タグ": ["翻訳", "✅"], "z": 1, "a": 2},
    {"scores": {"toxicity": 0.1, "tiny": 1e-07, "huge": 1e16, "round": 3.0, "minus": -0.0}},
    {"deep": [[{"er": [{"still": [1, 2.5, "three", None, True]}]}]]},
    {"big": 2**63 - 1, "unsigned": 2**64 - 1, "negative": -(2**63), 7: "a key that was a number"},
]

# What Python writes and JSON does not allow, or 64 bits do not hold.
ODD_METADATA: list[dict[str, Any]] = [
    {"score": float("nan"), "max": float("inf"), "min": float("-inf"), "text": "NaN, Infinity"},
    {"cut": "half a pair: \ud83e", "other": "\udc00 first", "pair": "🦀", "nested": [{"\ud800": 1}]},
    {"beyond": 2**70, "below": -(2**65)},
]

PROVIDERS = [("openai", "gpt-4"), ("anthropic", "claude-3-opus"), ("mistral", "mistral-large"), (None, None)]

# Timestamps that `log` never makes today but a store may hold: whole seconds, other days, ties.
TIMESTAMPS = [
    "2026-01-28T09:15:00",
    "2026-01-28T09:15:00.000123",
    "2024-02-29T23:59:59.999999",
    "2025-12-31T00:00:00",
    "2026-01-28T09:15:00",
]


def latency(number: int) -> float:
    if number % 27 == 26:
        return float("inf")
    return number * 12.625 if number % 5 else 0.0


def interaction(number: int) -> dict[str, Any]:
    """The arguments of the `number`-th call of `log`."""
    question, answer = TEXTS[number % len(TEXTS)]
    provider, model = PROVIDERS[number % len(PROVIDERS)]
    blocked = number % 6 == 4
    odd = ODD_METADATA[number // 9 % len(ODD_METADATA)] if number % 9 == 8 else None
    return {
        "input": question,
        "output": answer,
        "provider": provider,
        "model": model,
        "conversation_id": f"gespräch-{number // 4}" if number % 3 else None,
        "safety_passed": not blocked,
        "detectors_triggered": ["pii", "prompt-injection"] if blocked else None,
        "block_reason": "personal data: Straße & Name" if blocked else None,
        "alerts": [f"reviewed by № {number}"] if blocked else None,
        "latency_ms": latency(number),
        "input_tokens": number * 7 if number % 2 else None,
        "output_tokens": number * 11 if number % 2 else None,
        "metadata": odd or METADATA[number % len(METADATA)],
    }


async def log(logger: AuditLogger, number: int) -> dict[str, Any]:
    """Records the `number`-th interaction; every fourth one with a timestamp of its own."""
    given = interaction(number)
    texts = {"input": given["input"], "output": given["output"]}
    if number % 4 != 3:
        return {"id": await logger.log(**given), **texts}
    timestamp = TIMESTAMPS[number // 4 % len(TIMESTAMPS)]
    return {"id": await write_at(logger, given, timestamp), **texts}


async def write_at(logger: AuditLogger, given: dict[str, Any], timestamp: str) -> str:
    """What `log` does, with a time of our choice."""
    given = dict(given)
    content = {}
    for side in ("input", "output"):
        text = given.pop(side)
        content[f"{side}_content"], content[f"{side}_hash"] = logger._prepare_content(text)
    given["detectors_triggered"] = given.get("detectors_triggered") or []
    given["alerts"] = given.get("alerts") or []
    given["metadata"] = given.get("metadata") or {}
    entry = AuditEntry(id=create_entry_id(), timestamp=timestamp, **content, **given)
    return await logger.storage.write(entry)


def describe(folder: Path, written: list[dict[str, Any]]) -> dict[str, Any]:
    """What stands in the store for each of `written`.

    `line` is the line as written. `read_as` is the line of the entry that Attestry reads, where
    that differs: NaN and infinities are null then, lone surrogates U+FFFD, and whole numbers
    beyond 64 bits floats. Texts are there to be compared with content and hashes.
    """
    stored: dict[str, tuple[str, str]] = {}
    for name, line in lines(folder):
        stored.setdefault(json.loads(line)["id"], (name, line))
    described = []
    for entry in written:
        name, line = stored[entry["id"]]
        data = json.loads(line)
        read_as = json.dumps(strict(data))
        assert data["input_hash"] == hash_content(entry["input"])
        described.append(
            {
                "id": entry["id"],
                "timestamp": data["timestamp"],
                "file": name,
                "line": line,
                "read_as": read_as if read_as != line else None,
                "input": entry["input"],
                "output": entry["output"],
            }
        )
    return {"entries": described, "files": sorted({name for name, _ in stored.values()})}
