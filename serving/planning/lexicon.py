"""The words of the catalogue: which phrase of a question names which metric, dimension or value."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from serving.planning.english import FUNCTION, is_common
from serving.planning.normalise import Kind, Token, phrase, stem
from serving.planning.plan import Scalar
from serving.semantics.catalogue import Dimension, Semantics


class Sense(StrEnum):
    """What a phrase can name."""

    METRIC = "metric"
    DIMENSION = "dimension"
    VALUE = "value"
    FLAG = "flag"
    """A boolean dimension said as an adjective: "escalated"."""
    TIME = "time"
    """A time dimension said as a verb: "solved"."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One thing that a phrase can name."""

    sense: Sense
    name: str
    """Of the metric or dimension."""
    value: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Tokens first..last (inclusive) and everything they can name."""

    first: int
    last: int
    meanings: tuple[Meaning, ...]

    def of(self, sense: Sense) -> Meaning | None:
        """The first meaning of that sense."""
        return next((meaning for meaning in self.meanings if meaning.sense is sense), None)

    def all(self, sense: Sense) -> tuple[Meaning, ...]:
        """All meanings of that sense."""
        return tuple(meaning for meaning in self.meanings if meaning.sense is sense)

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Correction:
    """A misspelt word and the known one it was read as."""

    written: str
    read: str


PHRASINGS = {
    "average first reply time": (
        "time to first reply", "time to first response", "time until first reply", "time until the first reply",
        "time to reply",
        "first answer time", "time to respond", "how long until first reply", "how long until the first reply",
        "how long do customers wait for a first reply", "how long do customers wait for a reply", "first reply times",
        "how long does it take to reply", "how long does it take us to reply", "how fast do we respond",
        "speed of first reply", "how long do customers wait for a first answer",
        "how long do customers wait for an answer", "wait for a first answer",
        "wait for a first reply", "wait for a first response", "wait for an answer",
        "how quickly do we respond", "how fast did we reply", "how long does a first reply take", "response times",
    ),
    "average full resolution time": (
        "time to close", "time to fix", "time until solved", "how long does it take to resolve a ticket",
        "solving time",
        "how long does it take to solve a ticket", "how long does it take us to solve a ticket", "closing time",
        "how long does it take to close a ticket", "how fast do we solve tickets", "how quickly do we solve tickets",
        "how long do tickets take to solve", "how long do tickets take to resolve", "how long does resolution take",
    ),
    "average first resolution time": ("time to first resolution", "time to first solve"),
    "open tickets": (
        "tickets open", "tickets are open", "tickets are still open", "tickets currently open", "tickets unsolved",
        "tickets are unsolved", "tickets unresolved", "tickets are unresolved", "tickets are not solved",
        "tickets not solved",
        "tickets are not closed", "tickets are not resolved", "unclosed tickets", "not solved tickets",
        "in the backlog now",
        "pending work", "tickets that are open", "tickets that are unsolved", "tickets that are not solved",
        "tickets in the backlog", "tickets do we have open", "tickets are outstanding", "tickets are unsolved",
    ),
    "unassigned tickets": (
        "tickets unassigned", "tickets are unassigned", "tickets assigned to nobody", "tickets assigned to no one",
        "tickets that are unassigned", "tickets with no assignee",
        "tickets have no assignee", "tickets without an assignee", "tickets without assignee", "tickets not assigned",
        "tickets are not assigned", "tickets with no owner", "tickets without an agent", "tickets have no owner",
        "tickets without owner", "tickets nobody owns", "tickets are without an assignee",
    ),
    "unreplied tickets": (
        "tickets without reply", "tickets without a first reply", "tickets not replied", "tickets are unanswered",
        "tickets unanswered", "tickets have no reply", "tickets with no reply", "tickets are waiting for a first reply",
        "tickets not answered", "tickets have not been answered", "tickets without an answer",
    ),
    "csat": ("customer satisfaction score", "csat score", "satisfaction level", "happiness of customers",
    "customer happiness"),
    "tickets created": (
        "incoming volume", "ticket inflow", "tickets opened", "tickets received", "tickets raised", "tickets submitted",
        "tickets came in", "tickets come in", "tickets did we get", "tickets did we receive", "new cases",
        "new requests",
        "support requests", "support tickets", "inbound tickets", "ticket numbers", "ticket volumes", "workload",
    ),
    "one-touch rate": ("first contact resolution", "share of one touch tickets",
    "percent of tickets solved in one touch"),
    "tickets solved": ("tickets fixed", "tickets completed", "tickets finished", "tickets handled",
    "tickets were closed"),
    "replying agents": ("agents replied", "agents answered", "agents were active"),
    "net tickets": ("net growth", "backlog growth", "created vs solved difference"),
}  # fmt: skip
"""Turns of phrase (right) for a name of the catalogue (left); they count where the catalogue has that name."""

_VERB_FORMS = {
    "created": ("create", "creating"), "solved": ("solve", "solving"), "resolved": ("resolve", "resolving"),
    "closed": ("close", "closing"), "received": ("receive", "receiving"), "raised": ("raise", "raising"),
    "submitted": ("submit", "submitting"), "filed": ("file", "filing"), "fixed": ("fix", "fixing"),
    "finished": ("finish", "finishing"), "completed": ("complete", "completing")
}  # fmt: skip
"""Other forms of the verbs by which the catalogue names its times."""
_GRAMMAR = frozenset(
    """
last previous past this week month quarter year today yesterday since between before after average median percentile
tickets ticket solved created opened closed resolved reopened assigned unassigned agent agents customer customers
organization organizations priority status channel group groups brand product urgent pending highest lowest most
fewest least compared compare show list which many number share percent percentage january february march april june
july august september october november december monday tuesday wednesday thursday friday saturday sunday daily weekly
monthly quarterly yearly backlog oldest newest longest slowest fastest busiest comments replies reply response
resolution satisfaction complaints complain examples related incidents problem merged escalated
""".split()
)
"""Words of the grammar that a misspelling may be meant for."""
_NEAR = 62
"""Likeness (0-100) from which a name is offered for a word that is not known."""
_ARTICLES = {"the", "a", "an", "our"}
_AGGREGATE = re.compile(r"(average|avg|mean|median|p\d\d|max|min)_(.+)")
_SAME_AGGREGATE = {"average": "avg", "mean": "avg"}


class Lexicon:
    """Phrases of one catalogue, looked up longest first."""

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics
        self._phrases: dict[tuple[str, ...], list[Meaning]] = {}
        for metric in semantics.metrics.values():
            for text in (metric.label, metric.name, *metric.synonyms):
                self._add(text, Meaning(Sense.METRIC, metric.name))
        for name, texts in PHRASINGS.items():
            known = self.metric(name)
            if known is not None:
                for text in texts:
                    if phrase(text) not in self._phrases:
                        self._add(text, Meaning(Sense.METRIC, known))
        for dimension in semantics.dimensions.values():
            for meaning, text in _meanings(dimension):
                self._add(text, meaning)
            if dimension.name == "assignee":
                for text, value in _short_names(dimension.values):
                    if phrase(text) not in self._phrases:
                        self._add(text, Meaning(Sense.VALUE, dimension.name, value))
        self._longest = max((len(key) for key in self._phrases), default=0)
        self._known = frozenset(word for key in self._phrases for word in key)
        plain = {word for word in self._known if len(word) >= 4 and word not in FUNCTION}
        self._spellings = sorted(plain | {stem(word) for word in _GRAMMAR})
        self._of_values = frozenset(
            word
            for key, meanings in self._phrases.items()
            for word in key
            if all(m.sense is Sense.VALUE for m in meanings)
        )
        self.families = _families(semantics)

    def _add(self, text: str, meaning: Meaning) -> None:
        if "&" in text:
            self._add(text.replace("&", " and "), meaning)
            text = text.replace("&", " ")
        key = phrase(text)
        if key:
            meanings = self._phrases.setdefault(key, [])
            if meaning not in meanings:
                meanings.append(meaning)

    def metric(self, text: str) -> str | None:
        """The metric that a phrase names, if it names one."""
        return next((m.name for m in self._phrases.get(phrase(text), ()) if m.sense is Sense.METRIC), None)

    def time_of(self, metric: str) -> str | None:
        """The time dimension by which the metric is dated."""
        return self.semantics.metrics[metric].time

    def aggregates(self, metric: str) -> dict[str, str]:
        """The same measure by aggregate: `{"avg": ..., "median": ..., "p90": ...}`."""
        found = _AGGREGATE.fullmatch(metric)
        return self.families.get(found[2], {}) if found else {}

    def matches(self, tokens: Sequence[Token]) -> list[Match]:
        """Every known phrase in the tokens, overlapping ones too, longest first."""
        found: list[Match] = []
        for first in range(len(tokens)):
            keys: set[tuple[str, ...]] = {()}
            for last in range(first, min(first + self._longest + 2, len(tokens))):
                if tokens[last].text == "&" and last > first:
                    continue
                if tokens[last].kind is Kind.SYMBOL:
                    break
                longer = {(*key, tokens[last].stem) for key in keys}
                known = {meaning for key in longer for meaning in self._phrases.get(key, ())}
                if known:
                    meanings = [m for key in sorted(longer) for m in self._phrases.get(key, ())]
                    found.append(Match(first, last, tuple(dict.fromkeys(meanings))))
                # "waiting on the customer" is "waiting on customer".
                keys = longer | keys if last > first and tokens[last].text in _ARTICLES else longer
        return sorted(found, key=lambda match: (-len(match), match.first))

    def is_adjective(self, token: Token) -> bool:
        """Whether the word alone can be a value or a flag."""
        return any(m.sense in (Sense.VALUE, Sense.FLAG) for m in self._phrases.get((token.stem,), ()))

    def knows(self, token: Token) -> bool:
        """Whether the word occurs in any phrase of the catalogue."""
        return token.stem in self._known

    def corrected(self, tokens: Sequence[Token]) -> tuple[list[Token], list[Correction]]:
        """Misspelt words replaced by the one known word that is clearly nearest."""
        out: list[Token] = []
        corrections: list[Correction] = []
        for token in tokens:
            spelling = self._spelling(token)
            if spelling is None:
                out.append(token)
                continue
            text = spelling + "s" if token.text.endswith("s") and not spelling.endswith("s") else spelling
            corrections.append(Correction(token.text, text))
            out.append(replace(token, text=text, stem=spelling))
        return out, corrections

    def _spelling(self, token: Token) -> str | None:
        word = token.stem
        if token.kind is not Kind.WORD or token.quoted or len(word) < 4 or not word.isalpha():
            return None
        if word in self._known or stem(token.text) in _GRAMMAR_STEMS or token.text in _GRAMMAR or is_common(token.text):
            return None
        allowed = 1 if len(word) < 9 else 2
        near = process.extract(word, self._spellings, scorer=OSA.distance, score_cutoff=allowed, limit=4)
        if not near:
            return None
        best = near[0][1]
        words = [spelling for spelling, distance, _ in near if distance == best and _is_slip(word, spelling)]
        if token.capital:
            words = [spelling for spelling in words if spelling in self._of_values]
        elif len(words) > 1:
            words = [spelling for spelling in words if spelling not in self._of_values]
        shortest = min(words, key=len, default="")
        if len(words) > 1 and all(spelling.startswith(shortest) for spelling in words):
            words = [max(words, key=len)]
        return words[0] if len(words) == 1 else None

    def nearest(self, word: str, count: int = 3) -> tuple[str, ...]:
        """Names of the catalogue that look most like the word."""
        labels: dict[str, str] = {}
        for metric in self.semantics.metrics.values():
            labels.setdefault(metric.label.lower(), metric.label)
        for dimension in self.semantics.dimensions.values():
            labels.setdefault(dimension.label.lower(), dimension.label)
            for value in dimension.values[:2_000]:
                labels.setdefault(value.lower(), value)
        pieces = {piece: label for key, label in reversed(labels.items()) for piece in (*re.split(r"[\W_]+", key), key)}
        found = process.extract(
            word.lower(), list(pieces), scorer=fuzz.ratio, limit=3 * count, score_cutoff=_NEAR if len(word) > 3 else 100
        )
        return tuple(dict.fromkeys(pieces[piece] for piece, _, _ in found))[:count]


_GRAMMAR_STEMS = frozenset(stem(word) for word in _GRAMMAR)


def _meanings(dimension: Dimension) -> Iterator[tuple[Meaning, str]]:
    names = (dimension.label, dimension.name, *dimension.synonyms)
    if dimension.type == "time":
        for text in (dimension.label, *dimension.synonyms):
            for form in (text, *_VERB_FORMS.get(text.lower(), ())):
                yield Meaning(Sense.TIME, dimension.name), form
        return
    if dimension.type == "boolean":
        for text in (dimension.label, *dimension.synonyms):
            yield Meaning(Sense.FLAG, dimension.name, True), text
        return
    for text in names:
        yield Meaning(Sense.DIMENSION, dimension.name), text
    if dimension.is_free or dimension.type == "number":
        return
    for value in dimension.values:
        yield Meaning(Sense.VALUE, dimension.name, value), value
        for text in dimension.value_synonyms.get(value, ()):
            yield Meaning(Sense.VALUE, dimension.name, value), text


def _is_slip(word: str, spelling: str) -> bool:
    """Whether the one is a plausible slip of the pen for the other.

    The first letter is rarely wrong; in a short word another letter makes another word, while a missing, doubled or
    swapped one does not.
    """
    begins = word[0] == spelling[0] or word[:2] == spelling[1::-1]
    moved = len(word) > 6 or len(word) != len(spelling) or sorted(word) == sorted(spelling)
    return len(spelling) >= 4 and begins and moved


def _short_names(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """First and last names that only one person has."""
    parts = Counter(part for name in names for part in {name.split()[0], name.split()[-1]} if len(name.split()) > 1)
    for name in names:
        words = name.split()
        for part in dict.fromkeys((words[0], words[-1])) if len(words) > 1 else ():
            if parts[part] == 1:
                yield part, name


def _families(semantics: Semantics) -> dict[str, dict[str, str]]:
    """Metrics that are the same measure under different aggregates, by the measure's name."""
    families: dict[str, dict[str, str]] = {}
    for name in semantics.metrics:
        found = _AGGREGATE.fullmatch(name)
        if found is not None:
            aggregate = _SAME_AGGREGATE.get(found[1], found[1])
            families.setdefault(found[2], {})[aggregate] = name
    return families


_Key = tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]
_KEPT: OrderedDict[_Key, Lexicon] = OrderedDict()
_MOST_KEPT = 4


def lexicon_of(semantics: Semantics) -> Lexicon:
    """The lexicon of a catalogue, made once for each manifest and set of values."""
    key = (semantics.digest, tuple((name, dimension.values) for name, dimension in semantics.dimensions.items()))
    known = _KEPT.get(key)
    if known is None:
        known = _KEPT[key] = Lexicon(semantics)
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return known
