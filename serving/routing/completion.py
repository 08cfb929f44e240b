"""What a model call was and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


class Outcome(StrEnum):
    """How an attempt ended."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    """The model answered and the validator refused it."""
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    OVERLOADED = "overloaded"
    SKIPPED = "skipped"
    """Not asked: its breaker is open, or budget or deadline do not reach."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate and what came of it."""

    model: str
    outcome: Outcome
    reason: str
    usage: Usage = Usage()
    cost_usd: Decimal = Decimal(0)
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's text; prints as that text."""

    text: str
    model: str
    usage: Usage
    """Tokens of all attempts together."""
    cost_usd: Decimal
    """USD of all attempts together."""
    attempts: tuple[Attempt, ...]
    message: Mapping[str, Any]
    """The whole message, with tool calls where there are any."""
    finish_reason: str

    def __str__(self) -> str:
        return self.text
