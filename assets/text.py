"""Comments as text to embed: personal details masked, quoted mail left out, long ones cut into chunks that overlap.

Masking keeps the length, so that a chunk's place in the cleaned text is its place in the comment's body.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

VERSION = 1
"""Grows with every change of what is embedded of a comment; the next build then compares all of them."""
BLANKS = " \t\n\r\v\f\u00a0\u200b\u2060\ufeff▇"
"""Characters that are no text: space of all kinds, and the block that Zendesk puts in place of redacted text."""
HAS_TEXT = "btrim(body, %(blanks)s) <> ''"
"""The same rule in SQL, for counting comments that can be embedded."""

MAX_CHUNKS = 256
CHUNK_TOKENS = 254
"""Model's 256 less the two that frame a text."""
OVERLAP_TOKENS = 32
LONGEST = 1 << 18
"""Characters read of one comment: four times what Zendesk accepts; the rest is not embedded."""

_QUOTED = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_FORWARDED = re.compile(
    r"^[ \t]*(?:-{2,} ?(?:original|forwarded) message ?-{2,}|on [^\n]{5,200} wrote:)[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_NOTICES = re.compile(
    r"(?<=This is a follow-up to your previous request )#\d+ [^\n]{1,300}"
    r"|(?<=This request was closed and merged into request )#\d+ [^\n]{1,300}"
    r"|^Request #\d+ [^\n]{1,300}? was closed and merged into this request\.(?: Last comment in request #\d+:)?",
    re.MULTILINE,
)
"""Subjects of other tickets in Zendesk's own sentences: they are not what this comment is about."""
_REDACTED = re.compile("▇+")
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Every pattern starts where no such run is under way and is bounded, so a megabyte of one letter costs one pass.
_MASKS = (
    ("link", re.compile(r"\b(?:https?://|www\.)[^\s<>]{4,}", re.IGNORECASE)),
    ("email", re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")),
    ("account", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("card", re.compile(r"(?<![\d+])\d(?:[ -]?\d){12,18}(?!\d)")),
    ("phone", re.compile(r"(?<!\w)(?:\+\d|00\d|\(\+?\d)[\d ()./-]{6,18}\d(?!\w)")),
    ("phone", re.compile(r"(?<![\w-])\d{3}[ .-]\d{3}[ .-]\d{4}(?![\w-])")),
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a comment that becomes one vector."""

    start: int
    end: int
    """Characters (from, to) of the body."""
    text: str
    """Cleaned."""
    digest: str
    """SHA-256 of the normalised text, hex; macros and automatic replies share it and are embedded once."""


def has_text(body: str) -> bool:
    """Whether anything but space and redaction marks is in it."""
    return bool(body.strip(BLANKS))


def clean(body: str) -> str:
    """Mask addresses, numbers of accounts, cards and phones, and links; blank quoted mail and redactions out.

    The result is as long as the body (`LONGEST` at most). A body that is nothing but quoted mail keeps it.
    """
    masked = _UNSEEN.sub(" ", _REDACTED.sub(_blank, body[:LONGEST]))
    for word, pattern in _MASKS:
        masked = pattern.sub(lambda found, word=word: word[: len(found[0])].ljust(len(found[0])), masked)
    own = masked = _NOTICES.sub(_blank, masked) if has_text(_NOTICES.sub("", masked)) else masked
    if forwarded := _FORWARDED.search(own):
        own = own[: forwarded.start()].ljust(len(masked))
    own = _QUOTED.sub(_blank, own)
    return own if has_text(own) else masked


def digest(text: str) -> str:
    """SHA-256 of a text with case and space levelled, as the model levels them: equal digests, equal vectors."""
    return hashlib.sha256(" ".join(text.lower().split()).encode(errors="replace")).hexdigest()


def chunks(body: str, token_spans: Callable[[str], Sequence[tuple[int, int]]]) -> list[Chunk]:
    """Cut a comment into at most 256 chunks of at most 254 tokens; none where it has no text.

    `token_spans` gives the place of each token in a text (`Embedder.token_spans`).
    """
    if not has_text(body):
        return []
    cleaned = clean(body)
    # A token is at least one character long, so a short text needs no counting.
    spans = token_spans(cleaned) if len(cleaned) > CHUNK_TOKENS else ()
    if len(spans) <= CHUNK_TOKENS:
        return [Chunk(0, len(cleaned), cleaned, digest(cleaned))]
    pieces: list[Chunk] = []
    for first in range(0, len(spans) - OVERLAP_TOKENS, CHUNK_TOKENS - OVERLAP_TOKENS):
        start, end = spans[first][0], spans[min(first + CHUNK_TOKENS, len(spans)) - 1][1]
        pieces.append(Chunk(start, end, cleaned[start:end], digest(cleaned[start:end])))
        if len(pieces) == MAX_CHUNKS:
            break
    return pieces


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])
