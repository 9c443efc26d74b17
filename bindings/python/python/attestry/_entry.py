"""The audit entry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class AuditEntry:
    """One recorded interaction.

    Attributes:
        id: Unique identifier of this entry.
        timestamp: When the interaction occurred, UTC, in ISO format without a time zone.
        input_hash: SHA-256 of the input.
        output_hash: SHA-256 of the output.
        input_content: The input, plain or encrypted, if content is stored.
        output_content: The output, plain or encrypted, if content is stored.
        provider: The AI provider, such as ``openai``.
        model: The model, such as ``gpt-4``.
        conversation_id: Links the interactions of one conversation.
        safety_passed: Whether the interaction passed all safety checks.
        detectors_triggered: Names of the safety detectors that triggered.
        block_reason: Why the request was blocked, if it was.
        alerts: Alert messages generated.
        latency_ms: Time taken to process the request, in milliseconds.
        input_tokens: Tokens of the input.
        output_tokens: Tokens of the output.
        metadata: Further data.

    >>> entry = AuditEntry("1", "2026-01-28T09:15:00", "…", "…", provider="openai")
    >>> AuditEntry.from_dict(entry.to_dict()) == entry
    True
    """

    id: str
    timestamp: str
    input_hash: str
    output_hash: str
    input_content: str | None = None
    output_content: str | None = None
    provider: str | None = None
    model: str | None = None
    conversation_id: str | None = None
    safety_passed: bool = True
    detectors_triggered: list[str] = field(default_factory=list[str])
    block_reason: str | None = None
    alerts: list[str] = field(default_factory=list[str])
    latency_ms: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_dict(self) -> dict[str, Any]:
        """The fields, as ``dataclasses.asdict`` returns them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> AuditEntry:
        """The entry of these fields. Raises ``TypeError`` for an unknown or missing one."""
        return cls(**data)
