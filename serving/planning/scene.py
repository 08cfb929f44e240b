"""A question being read: its tokens, the times and catalogue words in them, and which words are accounted for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo

from serving.planning.english import FUNCTION, TELLING, is_common
from serving.planning.intents import Text
from serving.planning.lexicon import Correction, Lexicon, Match, Meaning, Sense
from serving.planning.normalise import Kind, Token, phrase
from serving.planning.plan import Grain, TimeRange
from serving.planning.times import Means, TimeSpan, find_times, local, shift
from serving.semantics.catalogue import Semantics

EXAMPLES = (
    "How many tickets were created last week?",
    "What is the median first reply time by group this month?",
    "What do customers say about late deliveries?",
)

VERSUS = {"vs", "against", "compared"}
ROLES = {
    "from": ("organization", "requester", "channel"), "by": ("assignee", "requester"), "to": ("assignee", "group"),
    "in": ("group", "product"), "via": ("channel",), "through": ("channel",), "over": ("channel",),
    "on": ("channel", "product"), "with": ("tag", "priority", "status"), "tagged": ("tag",),
    "for": ("organization", "product", "brand", "group"), "about": ("reason", "product", "tag"),
    "regarding": ("reason", "product", "tag"), "at": ("organization",), "of": ("organization", "group", "product"),
}  # fmt: skip
"""Dimensions that a value after the preposition belongs to, likeliest first."""
_SHORT_STATES = {
    "are", "is", "were", "was", "be", "still", "not", "as", "now", "currently", "status", "non", "or", "and", "vs",
    "only",
    "compare",
}  # fmt: skip
_BESIDE_CHANNEL = {
    "by", "via", "through", "over", "from", "on", "in", "vs", "and", "or", "compare", "not", "except", "per", "non",
    "using", "the", "than", "excluding", "without", "of",
}  # fmt: skip
_JOINING = {"or", "and", "vs", "not", "non", "nor", "neither"}
_BESIDE_NAME = {"vs", "compare", "not", "except", "excluding", "or"}
_BESIDE_TYPE = {
    "many",
    "of",
    "list",
    "show",
    "all",
    "open",
    "new",
    "are",
    "and",
    "or",
    "vs",
    "the",
    "compare",
    "not",
    "urgent",
}
_ALSO_NAMES = {"may", "will", "art", "mark"}
"""Function words that are names when written with a capital."""
_WRITING = {"write", "wrote", "written", "post", "posted", "send", "sent", "leave", "left"}
_NOUNS = {"ticket", "case", "request", "one", "issue", "1s", "ones"}


class AskBack(Exception):
    """The question has no single reading; carries what to ask."""

    def __init__(self, reason: str, suggestions: Sequence[str] = EXAMPLES) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestions = tuple(suggestions)


@dataclass(slots=True)
class Scene:
    """What was found in a question so far."""

    question: str
    tokens: list[Token]
    corrections: list[Correction]
    lexicon: Lexicon
    now: datetime
    zone: tzinfo
    text: Text
    times: list[TimeSpan] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    """Tokens that are accounted for."""
    notes: list[str] = field(default_factory=list)
    """Defaults and choices to tell."""
    doubt: float = 1.0
    """Factor on the confidence for choices among near equals."""

    @property
    def semantics(self) -> Semantics:
        """The catalogue."""
        return self.lexicon.semantics

    def find(self, taken: frozenset[int]) -> None:
        """Fill in times and catalogue words."""
        self.times = find_times(self.tokens, now=self.now, zone=self.zone, taken=taken)
        self.matches = self._chosen(taken)

    def check_times(self) -> None:
        """Raise AskBack where a time cannot be read."""
        for span in self.times:
            if span.means is Means.PROBLEM:
                raise AskBack(f"the time cannot be read: {span.note}")

    def word(self, at: int) -> str:
        """The folded word at a position, empty outside."""
        return self.tokens[at].text if 0 <= at < len(self.tokens) else ""

    def stem(self, at: int) -> str:
        """Its stem."""
        return self.tokens[at].stem if 0 <= at < len(self.tokens) else ""

    def words(self, positions: Iterable[int]) -> str:
        """Folded words of the positions."""
        return " ".join(self.word(at) for at in positions)

    def own_words(self, positions: Sequence[int]) -> str:
        """The question's own text of the tokens, what lies between them left out."""
        runs: list[list[int]] = []
        for at in positions:
            if runs and at == runs[-1][-1] + 1:
                runs[-1].append(at)
            else:
                runs.append([at])
        pieces = [self.question[self.tokens[run[0]].start : self.tokens[run[-1]].end] for run in runs]
        return " ".join(" ".join(pieces).split()).strip(" ?!.,;:\"'“”‘’")

    def use(self, first: int, last: int) -> None:
        """Mark tokens as accounted for."""
        self.used.update(range(first, last + 1))

    def in_time(self, at: int) -> bool:
        """Whether the token is part of a time."""
        return any(span.first <= at <= span.last for span in self.times)

    def left_over(self) -> list[str]:
        """Words that carry meaning and are not accounted for."""
        left: list[str] = []
        for at, token in enumerate(self.tokens):
            if at in self.used or token.kind is Kind.SYMBOL or self.in_time(at):
                continue
            plain = token.kind is Kind.WORD and token.text in FUNCTION and not token.quoted
            if plain and not (token.capital and token.text in _ALSO_NAMES and not self._is_title()):
                continue
            if token.spelled and token.text == "1":
                continue
            left.append(token.text)
        return list(dict.fromkeys(left))

    def _is_title(self) -> bool:
        """Whether the question is written with capitals throughout, which then say nothing."""
        later = [token for token in self.tokens[1:] if token.kind is Kind.WORD]
        return bool(later) and sum(token.capital for token in later) > len(later) / 2

    # Time

    def ranges(self) -> list[TimeSpan]:
        """Stretches of time that limit what counts."""
        return [span for span in self.times if span.means in (Means.RANGE, Means.AS_OF)]

    def has_time(self, means: Means) -> bool:
        """Whether a time of that meaning is named."""
        return any(span.means is means for span in self.times)

    def range_of(self, span: TimeSpan, dimension: str | None = None, grain: Grain | None = None) -> TimeRange:
        """A range of the plan; its assumption is noted."""
        if span.note and span.note not in self.notes:
            self.notes.append(span.note)
        return TimeRange.model_validate({"dimension": dimension, "grain": grain, "from": span.start, "to": span.end})

    def only_range(self) -> TimeRange:
        """The one range named; raises AskBack where there are several."""
        ranges = self.ranges()
        if len(ranges) > 1:
            raise AskBack("two times are named: ask about one, or compare them with vs")
        return self.range_of(ranges[0]) if ranges else TimeRange()

    def previous(self, span: TimeSpan) -> TimeSpan:
        """The stretch of the same length just before."""
        if span.start is None or span.end is None:
            raise AskBack("a comparison needs a range with a start and an end")
        first = span.start.astimezone(self.zone).date()
        if span.unit is not None and span.unit is not Grain.HOUR:
            start = local(shift(span.unit, first, -span.count), self.zone)
            return replace(span, start=start, end=span.start, note="")
        first, last = span.start.astimezone(UTC), span.end.astimezone(UTC)
        return replace(span, start=(first - (last - first)).astimezone(self.zone), end=span.start, note="")

    def year_before(self, span: TimeSpan) -> TimeSpan:
        """The same stretch a year earlier."""
        if span.start is None or span.end is None:
            raise AskBack("a comparison needs a range with a start and an end")

        def back(moment: datetime) -> datetime:
            there = moment.astimezone(self.zone)
            day = shift(Grain.YEAR, there.date(), -1)
            return there.replace(year=day.year, month=day.month, day=day.day)

        return replace(span, start=back(span.start), end=back(span.end), note="")

    # Catalogue words

    def _chosen(self, taken: frozenset[int]) -> list[Match]:
        """Non-overlapping matches, longest first; everyday words only where something says that they are values."""
        chosen: list[Match] = []
        busy: set[int] = set(taken)
        for match in self.lexicon.matches(self.tokens):
            positions = range(match.first, match.last + 1)
            if any(at in busy for at in positions):
                continue
            kept = tuple(meaning for meaning in self._beside_time(match) if self._is_meant(match, meaning))
            if kept:
                chosen.append(replace(match, meanings=kept))
                busy.update(positions)
        return sorted(chosen, key=lambda match: match.first)

    def _beside_time(self, match: Match) -> tuple[Meaning, ...]:
        """What a match may mean where it overlaps a time: a metric that holds all of it, or a quoted or named value."""
        over = [span for span in self.times if span.first <= match.last and match.first <= span.last]
        if not over or all(span.solo for span in over):
            return match.meanings
        whole = all(match.first <= span.first and span.last <= match.last for span in over)
        soft = all(span.means in (Means.GRAIN, Means.NOW) for span in over)
        return match.all(Sense.METRIC) if whole and soft and len(match) > 1 else ()

    def _is_meant(self, match: Match, meaning: Meaning) -> bool:
        """Whether a phrase that is also an everyday word is used as the value it could be."""
        token = self.tokens[match.first]
        if meaning.sense is not Sense.VALUE or len(match) > 1 or not (is_common(token.text) or token.text in TELLING):
            return True
        if token.quoted or token.capital:
            return True
        before, after = self.word(match.first - 1), self.stem(match.last + 1)
        names = {word for name in self.names_of(meaning.name) for word in name}
        if after in names or any(self.stem(at) in names for at in range(max(match.first - 3, 0), match.first)):
            return True
        match meaning.name:
            case "status":
                return self._qualifies(match.last + 1) or after in ("and", "or", "vs") or before in _SHORT_STATES
            case "priority":
                if str(meaning.value) == "urgent":
                    return True
                return after == "priority" or self._qualifies(match.last + 1) or (after in ("and", "or", "vs",
                ",") and before in ("", "compare")) or (
                    before in _JOINING and self._is_value_of("priority", match.first - 2)
                ) or (after in ("and", "or", "vs") and self._is_value_of("priority", match.last + 2))  # fmt: skip
            case "type":
                plural = token.text != token.stem
                return after in _NOUNS or (plural and (before in _BESIDE_TYPE or before == ""))
            case "channel":
                if before in ("many", "of", "number") and token.text != token.stem:
                    return True
                return before in _BESIDE_CHANNEL or after in _NOUNS | {"channel", "vs", "and", "or"} or before == ""
            case "author_role" if self.word(match.last + 1) in _WRITING:
                return True
            case "satisfaction":
                return after in ("rating", "score", "feedback", "review", "satisfaction")
            case _:
                if token.text in TELLING and before not in ("in", "from"):
                    return False
                return before in ROLES or before in _BESIDE_NAME or after in _NOUNS

    def _qualifies(self, at: int) -> bool:
        """Whether "tickets" follows, over further adjectives: "open urgent tickets"."""
        for ahead in range(at, min(at + 4, len(self.tokens))):
            if self.stem(ahead) in _NOUNS or self.word(ahead) in ("incidents", "problems", "questions", "tasks"):
                return True
            if not (
                self.word(ahead) in ("and", "or", ",", "priority") or self.lexicon.is_adjective(self.tokens[ahead])
            ):
                return False
        return False

    def _is_value_of(self, dimension: str, at: int) -> bool:
        if not 0 <= at < len(self.tokens):
            return False
        known = self.semantics.dimensions.get(dimension)
        return known is not None and any(self.stem(at) == "".join(phrase(value)) for value in known.values)

    def names_of(self, dimension: str) -> list[tuple[str, ...]]:
        """Stems of the names of a dimension."""
        known = self.semantics.dimensions[dimension]
        return [phrase(name) for name in (known.label, known.name, *known.synonyms)]

    def metric_match(self, words: range) -> bool:
        """Whether the words lie inside the name of a metric."""
        return any(
            match.of(Sense.METRIC) is not None
            and len(match) > 1
            and match.first <= words.start
            and words.stop - 1 <= match.last
            for match in self.lexicon.matches(self.tokens)
        )


def month_before(now: datetime, zone: tzinfo) -> TimeSpan:
    """The 30 full days before today."""
    today = now.astimezone(zone).date()
    start, end = local(today - timedelta(days=30), zone), local(today, zone)
    return TimeSpan(0, -1, Means.RANGE, start, end, Grain.DAY, 30, rolling=True)
