"""The validator: is what a model wrote usable, and is it borne out by what it was shown?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from serving.vllm import ChatAnswer

_REFUSAL = re.compile(
    r"^\s*(?:i(?:'|’)?m sorry|sorry,? (?:but )?i|i (?:can(?:'|’)?t|cannot|am unable|am not able)|as an ai\b)",
    re.IGNORECASE,
)
_SECRET = re.compile(r"\bswd_[0-9a-f]{12}_[\w-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w])")
_WORD = re.compile(r"[^\W\d_]{4,}")
_QUOTED = re.compile(r"[\"“]([^\"”]{8,})[\"”]")
_FIRST_PERSON = re.compile(r"\b(?:I|I[’']\w+|[Mm]y|[Mm]e|[Ww]e|[Oo]ur|[Uu]s)\b")
_MAX_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score from 0 to 1 and what spoke against the text."""

    score: float
    faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing spoke against it."""
        return not self.faults


def check_text(answer: ChatAnswer) -> Verdict:
    """Plain text: there is some, in a script people read, no refusal, no endless repetition, no secret."""
    text = answer.text.strip()
    if not text:
        # A message with tool calls and no text is an answer.
        return Verdict(1.0) if answer.message.get("tool_calls") else Verdict(0.0, ("empty",))
    faults = []
    if len(text) > _MAX_CHARS:
        faults.append("too long")
    if _REFUSAL.search(text):
        faults.append("refuses")
    if _SECRET.search(text):
        faults.append("shows a secret")
    if is_repetitive(text):
        faults.append("repeats itself")
    return Verdict(0.3 if faults else 1.0, tuple(faults))


def check_grounded(text: str, *, sources: Iterable[str], numbers: Iterable[float], threshold: float) -> Verdict:
    """A summary: its numbers occur in the figures or sources, its quotes verbatim, its words mostly in the sources."""
    held = [normalise(source) for source in sources]
    everything = " ".join(held)
    faults = []
    wrong = unsupported_numbers(text, numbers, everything)
    if wrong:
        faults.append(f"numbers from nowhere: {', '.join(wrong[:3])}")
    invented = [quote for quote in _QUOTED.findall(text) if normalise(quote).rstrip(".,") not in everything]
    if invented:
        faults.append("a quote that nobody wrote")
    if _FIRST_PERSON.search(_QUOTED.sub("", text)):
        faults.append("speaks as if it were the customer")
    words = [stem(word) for word in _WORD.findall(normalise(text))]
    known = {stem(word) for word in _WORD.findall(everything)}
    score = sum(word in known for word in words) / len(words) if words else 0.0
    if score < threshold:
        faults.append(f"{score:.0%} of its words occur in the sources, {threshold:.0%} are needed")
    return Verdict(score, tuple(faults))


def unsupported_numbers(text: str, numbers: Iterable[float], sources: str = "") -> list[str]:
    """Numbers of a text that neither the figures (also rounded, as shares or hours) nor the sources hold."""
    known = {round(form, digits) for number in numbers for form in _forms(number) for digits in (0, 1, 2, 3)}
    in_sources = {_value(match) for match in _NUMBER.findall(sources)}
    return [match for match in _NUMBER.findall(text) if _value(match) not in known | in_sources]


def json_object(answer: ChatAnswer) -> dict[str, Any] | None:
    """The object a constrained answer holds; None where it is cut off or none."""
    if answer.finish_reason == "length":
        return None
    text = answer.text.strip().removeprefix("```json").removesuffix("```").strip()
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def is_repetitive(text: str) -> bool:
    """Whether a text runs in circles: most of its five-word windows occur again."""
    words = text.lower().split()
    windows = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return len(windows) >= 15 and len(set(windows)) < 0.5 * len(windows)


def normalise(text: str) -> str:
    """Lower case, one form of each character, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def stem(word: str) -> str:
    """A word without its commonest endings: enough to see that two words are the same."""
    for ending in ("ingly", "edly", "ing", "ies", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def _forms(number: float) -> tuple[float, ...]:
    # As it is, as a percentage, and minutes as hours or days.
    return (number, abs(number), number * 100, number / 60, number / 1440)


def _value(text: str) -> float:
    return float(text.replace(",", ""))
