"""A question as tokens: folded, with contractions, shorthand and number words resolved, offsets into the text kept."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

MAX_CHARACTERS = 2_000
"""Longest question that is read; more is a pasted document, not a question."""


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"
    NUMBER = "number"
    DATE = "date"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, date or sign."""

    text: str
    """Folded: lower case, no accents, no invisible characters."""
    stem: str
    """The singular of a word; for anything else the text."""
    start: int
    end: int
    """Where it stands in the original text."""
    kind: Kind = Kind.WORD
    value: float | None = None
    """Of a number."""
    spelled: bool = False
    """The number was written as a word."""
    capital: bool = False
    """Written with a capital first letter, not at the start of the text."""
    quoted: bool = False
    """Stands between quotation marks."""
    glued: bool = False
    """A hyphen without spaces joins it to the token before."""
    possessive: bool = False
    """Written with 's."""


_QUOTES = {"‘": "'", "’": "'", "‚": "'", "‛": "'", "ʼ": "'", "´": "'", "`": "'"} | dict.fromkeys("“”„‟«»", '"')
_DASHES = dict.fromkeys("‐‑‒–—―−", "-")

_TOKEN = re.compile(
    r"(?P<address>[\w.+-]+@[\w-]+\.[\w.-]+|https?://\S+)"
    r"|(?P<date>\d{4}-\d{1,2}-\d{1,2}(?:t\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?(?:z|[+-]\d{2}:?\d{2})?)?(?!\d)"
    r"|\d{4}-w\d{1,2}(?!\w)|\d{4}-\d{2}(?![\d-])|\d{1,4}[/.]\d{1,2}[/.]\d{2,4}(?!\d)|\d{1,2}:\d{2}(?!\d))"
    r"|(?P<ordinal>\d{1,4}(?:st|nd|rd|th)(?!\w))"
    r"|(?P<span>\d{1,6}(?:h|d|w|hrs?|days?|min|mins|wks?|weeks?|months?|mo|yrs?|years?)(?!\w))"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\w)|\d+(?:\.\d+)?k?(?!\w))"
    r"|(?P<word>[^\W_]+(?:'[^\W_]+)*)"
    r"|(?P<symbol>[^\w\s]|_)"
)

_CONTRACTIONS = {
    "what's": "what is", "whats": "what is", "how's": "how is", "hows": "how is", "who's": "who is",
    "where's": "where is",
    "when's": "when is", "which's": "which is", "that's": "that is", "there's": "there is", "it's": "it is",
    "let's": "let us", "i'm": "i am", "we're": "we are", "they're": "they are", "you're": "you are", "we've": "we have",
    "i've": "i have", "they've": "they have", "you've": "you have", "i'd": "i would", "we'd": "we would",
    "i'll": "i will", "we'll": "we will", "don't": "do not", "dont": "do not", "doesn't": "does not",
    "doesnt": "does not",
    "didn't": "did not", "didnt": "did not", "isn't": "is not", "isnt": "is not", "aren't": "are not",
    "arent": "are not",
    "wasn't": "was not", "wasnt": "was not", "weren't": "were not", "haven't": "have not", "havent": "have not",
    "hasn't": "has not", "hasnt": "has not", "hadn't": "had not", "won't": "will not", "can't": "can not",
    "cannot": "can not", "couldn't": "could not", "shouldn't": "should not", "wouldn't": "would not",
}  # fmt: skip
_SHORTHAND = {
    "wek": "week", "weeek": "week", "mnth": "month", "yestrday": "yesterday", "pls": "please", "plz": "please",
    "u": "you", "ur": "your", "r": "are", "thx": "thanks", "avg": "average",
    "med": "median", "versus": "vs", "v": "vs", "wk": "week", "wks": "weeks", "mth": "month", "mths": "months",
    "mo": "months", "yr": "year", "yrs": "years", "hr": "hour", "hrs": "hours", "h": "hours", "d": "days", "w": "weeks",
    "min": "minutes", "mins": "minutes", "qtr": "quarter", "yday": "yesterday", "tix": "tickets", "tkt": "ticket",
    "tkts": "tickets", "prio": "priority", "prios": "priorities", "org": "organization", "orgs": "organizations",
    "organisation": "organization", "organisations": "organizations", "cust": "customer", "custs": "customers",
    "pct": "percent", "percentage": "percent", "max": "maximum", "hw": "how", "mny": "many", "w/": "with",
    "wo": "without", "nr": "number", "num": "number", "amt": "number", "info": "information", "prev": "previous",
    "curr": "current", "btw": "between", "betw": "between", "res": "resolution", "resp": "response",
    "frt": "first reply time",
}  # fmt: skip
_SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "dozen": 12,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SINGULAR_ENDS = ("ss", "us", "is", "as", "os")
_UNIT_OF_SPAN = re.compile(r"(\d+)([a-z]+)")


def stem(word: str) -> str:
    """Singular of an English word, by its ending alone; used alike on both sides of a match."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(_SINGULAR_ENDS):
        return word[:-1]
    return word


def _fold(text: str) -> tuple[str, list[int]]:
    """The folded text and, for each of its characters, the offset it came from."""
    folded: list[str] = []
    offsets: list[int] = []
    for offset, character in enumerate(text):
        if character.isascii():
            folded.append(character.lower() if character.isprintable() else " ")
            offsets.append(offset)
            continue
        replacement = _QUOTES.get(character) or _DASHES.get(character)
        if replacement is None:
            category = unicodedata.category(character)
            if category == "Cf":
                continue
            if category[0] in "ZC":
                replacement = " "
            else:
                parts = unicodedata.normalize("NFKD", character).casefold()
                replacement = "".join(part for part in parts if not unicodedata.combining(part))
        for part in replacement:
            folded.append(part)
            offsets.append(offset)
    offsets.append(len(text))
    return "".join(folded), offsets


def fold(text: str) -> str:
    """The text as tokens compare it: lower case, without accents and invisible characters."""
    return _fold(text)[0]


def _words(raw: str) -> list[str]:
    expanded = _CONTRACTIONS.get(raw) or _SHORTHAND.get(raw) or raw
    return expanded.split()


def _pieces(found: re.Match[str], text: str, offsets: list[int], *, glued: bool, quoted: bool) -> list[Token]:
    """The tokens of one match of the pattern."""
    raw = found[0]
    start, end = offsets[found.start()], offsets[found.end() - 1] + 1
    kind = found.lastgroup
    if kind in ("address", "symbol"):
        return [Token(raw, raw, start, end, Kind.WORD if kind == "address" else Kind.SYMBOL, quoted=quoted)]
    if kind == "date":
        return [Token(raw, raw, start, end, Kind.DATE, quoted=quoted)]
    if kind == "ordinal":
        return [Token(raw, raw, start, end, Kind.NUMBER, float(raw[:-2]), quoted=quoted, glued=glued)]
    if kind == "span":
        parts = _UNIT_OF_SPAN.fullmatch(raw)
        assert parts is not None  # the pattern of `span` is exactly digits and letters
        unit = _words(parts[2])[0]
        split = start + len(parts[1])
        return [
            Token(parts[1], parts[1], start, split, Kind.NUMBER, float(parts[1]), glued=glued),
            Token(unit, stem(unit), split, end),
        ]
    if kind == "number":
        digits = raw.replace(",", "")
        value = float(digits[:-1]) * 1000 if digits.endswith("k") else float(digits)
        return [Token(raw, digits, start, end, Kind.NUMBER, value, quoted=quoted, glued=glued)]
    possessive = False
    if raw not in _CONTRACTIONS and raw.endswith("'s"):
        raw, possessive = raw[:-2], True
    capital = text[start].isupper() and text[:start].strip(" \t\n\"'“”‘’«»(") != ""
    return [
        Token(
            word, stem(word), start, end, capital=capital, quoted=quoted, glued=glued and first, possessive=possessive
        )
        for first, word in zip((True, False, False), _words(raw), strict=False)
    ]


def _quoted_stretches(folded: str) -> list[tuple[int, int]]:
    """Stretches between a pair of quotation marks; an apostrophe inside a word is none."""
    found = re.finditer(r'"([^"]{1,300})"|(?<!\w)\'([^\']{1,300})\'(?!\w)', folded)
    return [(match.start(), match.end()) for match in found]


def _numbers(tokens: list[Token]) -> list[Token]:
    """Number words as numbers: "twenty five" is one token."""
    out: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        value = _SMALL.get(token.text, _TENS.get(token.text)) if token.kind is Kind.WORD and not token.quoted else None
        if value is None:
            out.append(token)
            position += 1
            continue
        end = token.end
        position += 1
        if token.text in _TENS and position < len(tokens) and 0 < _SMALL.get(tokens[position].text, 0) < 10:
            value += _SMALL[tokens[position].text]
            end = tokens[position].end
            position += 1
        if position < len(tokens) and tokens[position].text == "hundred":
            value *= 100
            end = tokens[position].end
            position += 1
        text = str(value)
        out.append(Token(text, text, token.start, end, Kind.NUMBER, float(value), spelled=True, glued=token.glued))
    return out


def tokenise(text: str) -> list[Token]:
    """The tokens of a text, in order."""
    folded, offsets = _fold(text[:MAX_CHARACTERS])
    quoted = _quoted_stretches(folded)
    tokens: list[Token] = []
    glue = False
    previous_end = -1
    for found in _TOKEN.finditer(folded):
        start, end = found.span()
        if found.lastgroup == "symbol" and found[0] in "-_":
            tight = start == previous_end and end < len(folded) and folded[end].isalnum()
            if tight and tokens and tokens[-1].kind is not Kind.SYMBOL:
                glue, previous_end = True, end
                continue
        inside = any(first < start and end < last for first, last in quoted)
        pieces = _pieces(found, text, offsets, glued=glue and start == previous_end, quoted=inside)
        if glue and pieces and tokens and tokens[-1].text in ("e", "re") and pieces[0].kind is Kind.WORD:
            head = tokens.pop()
            word = head.text + pieces[0].text
            pieces[0] = Token(word, stem(word), head.start, pieces[0].end, capital=head.capital, quoted=inside)
        tokens.extend(pieces)
        glue, previous_end = False, end
    return _numbers(tokens)


def phrase(text: str) -> tuple[str, ...]:
    """The stems of a catalogue phrase, as they are looked for in a question."""
    return tuple(token.stem for token in tokenise(text) if token.kind is not Kind.SYMBOL)
