"""Filters and groupings: which values limit what counts, which dimensions cut it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from serving.planning.english import FUNCTION
from serving.planning.lexicon import Match, Meaning, Sense
from serving.planning.normalise import Kind
from serving.planning.plan import Filter, Grain, Operator, Scalar
from serving.planning.scene import ROLES, VERSUS, AskBack, Scene
from serving.planning.times import local, shift

SOLVED = ("solved", "closed")
"""Statuses that mean solved: a closed ticket was solved before."""
_GROUP_CUES = {"by", "per", "each", "every", "across", "which"}
_GROUP_VERBS = {
    "split",
    "broken",
    "break",
    "down",
    "grouped",
    "segmented",
    "sliced",
    "breakdown",
    "distribution",
    "distributed",
}
_FILLERS = {
    "the",
    "a",
    "an",
    "ticket",
    "tickets",
    "different",
    "individual",
    "our",
    "single",
    "all",
    "of",
    "these",
    "those",
}
_NEGATIONS = {"not", "neither", "nor", "besides", "except", "excluding", "exclude", "without", "non", "no", "never"}
_COPULAS = {"is", "are", "was", "were", "be", "been", "being", "=", ":", "the", "a", "an", "via", "by", "from", "in",
"for", "with",
            "of", "on", "any", "to", "that", "those", "all", "ones", "tickets", "yet", "ever", "have", "has", "named",
            "called", "equals", "at",
            "as"}  # fmt: skip
_JOINERS = {"and", "or", ",", "vs", "/", "&", "against", "with", "to", "than"}
_COMPARATORS = (
    (("more", "than"), Operator.GT), (("greater", "than"), Operator.GT), (("over",), Operator.GT), (("above",),
    Operator.GT),
    (("at", "least"), Operator.GE), (("no", "less", "than"), Operator.GE), (("less", "than"), Operator.LT),
    (("fewer", "than"), Operator.LT), (("under",), Operator.LT), (("below",), Operator.LT), (("at", "most"),
    Operator.LE),
    (("no", "more", "than"), Operator.LE), (("exactly",), Operator.EQ), ((">", "="), Operator.GE), ((">",),
    Operator.GT),
    (("<", "="), Operator.LE), (("<",), Operator.LT),
)  # fmt: skip
_OLDER = (("older", "than"), ("open", "for", "more", "than"), ("open", "for", "over"), ("open", "longer", "than"),
          ("open", "more", "than"), ("open", "for", "longer", "than"), ("open", "over"))  # fmt: skip
_UNITS = {"hour": Grain.HOUR, "day": Grain.DAY, "week": Grain.WEEK, "month": Grain.MONTH, "year": Grain.YEAR}


@dataclass(slots=True)
class Condition:
    """A filter with the words that say it."""

    dimension: str
    values: list[Scalar]
    negated: bool
    first: int
    last: int
    op: Operator | None = None
    """Set: not equality."""
    compared: bool = False
    """Its values stand side by side: "email vs chat"."""

    def filter(self) -> Filter:
        """The filter of the plan."""
        if self.op is not None:
            return Filter(dimension=self.dimension, op=self.op, values=tuple(self.values))
        if len(self.values) == 1:
            if isinstance(self.values[0], bool):
                return Filter(dimension=self.dimension, values=(self.values[0] != self.negated,))
            return Filter(
                dimension=self.dimension, op=Operator.NE if self.negated else Operator.EQ, values=tuple(self.values)
            )
        return Filter(
            dimension=self.dimension, op=Operator.NOT_IN if self.negated else Operator.IN, values=tuple(self.values)
        )


def flag(dimension: str, value: bool) -> Condition:
    """A condition on a boolean dimension that no single word says."""
    return Condition(dimension, [value], False, -1, -1)


def thresholds(scene: Scene) -> list[Condition]:
    """Such as "More than 5 replies": a number against a numeric dimension."""
    found: list[Condition] = []
    for at in range(len(scene.tokens)):
        for words, op in _COMPARATORS:
            if tuple(scene.word(at + offset) for offset in range(len(words))) != words:
                continue
            number_at = at + len(words)
            value = scene.tokens[number_at].value if number_at < len(scene.tokens) else None
            if value is None:
                continue
            noun_at = number_at + 1 + (scene.word(number_at + 1) in ("agent", "public"))
            name = _numeric(scene, scene.stem(noun_at))
            if name is None:
                continue
            number: Scalar = int(value) if value == int(value) else value
            scene.use(at, noun_at)
            found.append(Condition(name, [number], False, at, noun_at, op))
            break
    return found


def _numeric(scene: Scene, noun: str) -> str | None:
    if len(noun) < 4:
        return None
    for name, dimension in scene.semantics.dimensions.items():
        if (
            dimension.type == "number"
            and not dimension.is_id
            and any(key[-1:] == (noun,) and "per" not in key for key in scene.names_of(name))
        ):
            return name
    return None


def older_than(scene: Scene) -> datetime | None:
    """Such as "Older than 3 days": created before that moment; None where nothing of the kind is said."""
    for at in range(len(scene.tokens)):
        for words in _OLDER:
            if tuple(scene.word(at + offset) for offset in range(len(words))) != words:
                continue
            number_at = at + len(words)
            value = scene.tokens[number_at].value if number_at < len(scene.tokens) else None
            number_at, count = (
                (number_at, 1) if value is None and scene.word(number_at) in ("a", "an") else (number_at, value)
            )
            unit = _UNITS.get(scene.stem(number_at + 1))
            if count is None or unit is None or not 0 < count <= 10_000:
                continue
            first = at + 1 if words[0] == "open" else at
            scene.use(first, number_at + 1)
            scene.times = [span for span in scene.times if span.last < at or span.first > number_at + 1]
            if unit in (Grain.HOUR, Grain.DAY, Grain.WEEK):
                return scene.now.astimezone(UTC) - timedelta(
                    hours=count * {Grain.HOUR: 1, Grain.DAY: 24, Grain.WEEK: 168}[unit]
                )
            moment = scene.now.astimezone(scene.zone)
            return local(shift(unit, moment.date(), -int(count)), scene.zone)
    return None


def groups(scene: Scene, metric_of_dimension: set[int] | None = None) -> list[str]:
    """Dimensions to cut by, in the order they are said; their words are accounted for."""
    found: list[str] = []
    previous_last = -10
    for match in scene.matches:
        meaning = _dimension_of(scene, match)
        if meaning is None or match.first in scene.used:
            continue
        if _is_author(scene, match):
            continue
        continues = scene.word(match.first - 1) in ("and", ",", "&") and previous_last == match.first - 2
        if not (group_cue(scene, match) is not None or continues):
            continue
        if _holds_value(scene, match, meaning.name):
            continue
        cue = group_cue(scene, match)
        scene.use(match.first if cue is None else cue, match.last)
        previous_last = match.last
        if meaning.name not in found:
            found.append(meaning.name)
    if found:
        for at, token in enumerate(scene.tokens):
            if token.text in _GROUP_VERBS:
                scene.used.add(at)
    return found


def _is_author(scene: Scene, match: Match) -> bool:
    """Whether "by agents" says whose comments are counted, not a cut by agent."""
    if scene.word(match.last) == scene.stem(match.last) or all(m.name != "author_role" for m in match.all(Sense.VALUE)):
        return False
    metrics = [meaning.name for other in scene.matches for meaning in other.all(Sense.METRIC)]
    return any("author_role" in scene.semantics.metrics[name].dimensions for name in metrics)


def _dimension_of(scene: Scene, match: Match) -> Meaning | None:
    meanings = match.all(Sense.DIMENSION)
    if len({meaning.name for meaning in meanings}) > 1:
        exact = [m for m in meanings if scene.stem(match.first) == "".join(scene.names_of(m.name)[0])]
        return (exact or list(meanings))[0]
    return meanings[0] if meanings else None


def group_cue(scene: Scene, match: Match) -> int | None:
    """Where the word stands that makes the dimension a grouping, over fillers back from it."""
    at = match.first - 1
    while at >= 0 and (scene.word(at) in _FILLERS or scene.tokens[at].value is not None) and match.first - at <= 3:
        at -= 1
    if at < 0:
        return None
    word = scene.word(at)
    if word in _GROUP_CUES or (word == "what" and scene.word(match.last + 1) not in ("", "?", "time")):
        return at
    if word == "for" and scene.word(at + 1) in ("each", "every"):
        return at
    if word == "distribution" or (word == "over" and scene.word(at - 1) == "distribution"):
        return at
    return None


def _holds_value(scene: Scene, match: Match, dimension: str) -> bool:
    """Whether a value of the dimension stands right beside its name: "by agent Ada"."""
    after = match.last + 1
    while scene.word(after) in ("is", "=", ":", "named", "called", '"', "'"):
        after += 1
    if scene.semantics.dimensions[dimension].is_free and after < len(scene.tokens):
        token = scene.tokens[after]
        return (token.capital or token.quoted) and not scene.in_time(after)
    return any(
        other.first == after and any(m.name == dimension for m in other.all(Sense.VALUE)) for other in scene.matches
    )


def conditions(scene: Scene, metric: str | None) -> list[Condition]:
    """All filters said by values, adjectives and names; their words are accounted for."""
    allowed = scene.semantics.metrics[metric].dimensions if metric is not None else None
    found: list[Condition] = []
    for match in scene.matches:
        if match.first in scene.used:
            continue
        made = _condition(scene, match, allowed)
        if made is not None:
            found.append(made)
    found.extend(_missing(scene, allowed))
    found.extend(_named(scene, allowed))
    return _merged(scene, found)


def _condition(scene: Scene, match: Match, allowed: frozenset[str] | None) -> Condition | None:
    options = [m for m in match.meanings if m.sense in (Sense.VALUE, Sense.FLAG)]
    if allowed is not None:
        options = [m for m in options if m.name in allowed] or [m for m in options if m.name != "author_role"]
    if len({m.name for m in options}) > 1:
        options = [m for m in options if m.name not in ("author_role", "backlog_status")]
    if len({m.name for m in options}) > 1 and not _name_beside(scene, match, "tag"):
        # Tags repeat the names of groups and products; a tag is meant where it is called one.
        options = [m for m in options if m.name != "tag"]
    if not options:
        return None
    meaning = _meant(scene, match, options)
    negation = _negation(scene, match.first)
    first = match.first if negation is None else negation
    scene.use(match.first, match.last)
    if negation is not None:
        scene.used.add(negation)
        if scene.word(negation) == "other":
            scene.used.add(negation + 1)
    _use_name(scene, match, meaning.name)
    negated = negation is not None
    if (
        meaning.name == "status"
        and "is_open" in scene.semantics.dimensions
        and (allowed is None or "is_open" in allowed)
    ):
        named = _name_beside(scene, match, "status")
        if meaning.value == "open" and not named:
            _note(scene, "open means not solved yet: new, open, pending or hold")
            return Condition("is_open", [True], negated, first, match.last)
        if meaning.value in SOLVED and not (named and meaning.value == "closed"):
            if negated:
                _note(scene, "not solved means new, open, pending or hold")
                return Condition("is_open", [True], False, first, match.last)
            _note(scene, "solved means solved or closed")
            return Condition("status", list(SOLVED), False, first, match.last)
    assert meaning.value is not None  # only values and adjectives are options
    return Condition(meaning.name, [meaning.value], negated, first, match.last)


def one(scene: Scene, match: Match) -> Condition | None:
    """The filter that one match says, whatever the metric."""
    return _condition(scene, match, None)


def is_negated(scene: Scene, match: Match) -> bool:
    """Whether a word before the match turns it round."""
    return _negation(scene, match.first) is not None


def is_subject(scene: Scene, match: Match) -> bool:
    """Whether people are named only as those who act: "did our agents solve", "have customers opened"."""
    before = scene.word(match.first - 1)
    if before in ("our", "the"):
        before = scene.word(match.first - 2)
    return before in (
        "did",
        "do",
        "does",
        "have",
        "has",
        "by",
        "from",
        "were",
        "are",
        "for",
        "to",
        "of",
        "with",
    ) and scene.word(match.first - 1) not in ("by", "per")


def _note(scene: Scene, text: str) -> None:
    if text not in scene.notes:
        scene.notes.append(text)


def _meant(scene: Scene, match: Match, options: list[Meaning]) -> Meaning:
    """The one dimension a value belongs to; raises AskBack where nothing decides between several."""
    names = list(dict.fromkeys(option.name for option in options))
    if len(names) == 1:
        return options[0]
    for option in options:
        if _name_beside(scene, match, option.name):
            return option
    before = scene.word(match.first - 1)
    if before in ("the", "our", "a"):
        before = scene.word(match.first - 2)
    for name in ROLES.get(before, ()):
        for option in options:
            if option.name == name:
                _note(scene, f'"{scene.words(range(match.first, match.last + 1))}" is read as {_label(scene, name)}')
                scene.doubt = min(scene.doubt, 0.95)
                return option
    flags = [option for option in options if option.sense is Sense.FLAG]
    if flags:
        return flags[0]
    said = scene.own_words(range(match.first, match.last + 1))
    labels = [_label(scene, name) for name in names]
    raise AskBack(
        f'"{said}" can be a {" or a ".join(labels)}; say which', tuple(f"… with {label} {said}" for label in labels)
    )


def _label(scene: Scene, dimension: str) -> str:
    return scene.semantics.dimensions[dimension].label.lower()


def _name_beside(scene: Scene, match: Match, dimension: str) -> bool:
    """Whether the dimension's own name stands before the value ("group Billing", "group is Billing") or after it."""
    names = scene.names_of(dimension)
    after = match.last + 1
    if any(tuple(scene.stem(after + i) for i in range(len(name))) == name for name in names):
        return True
    at = match.first - 1
    while at >= 0 and scene.word(at) in _COPULAS | {"not", '"', "'", "either"} and match.first - at <= 4:
        at -= 1
    return any(tuple(scene.stem(at - len(name) + 1 + i) for i in range(len(name))) == name for name in names)


def _use_name(scene: Scene, match: Match, dimension: str) -> None:
    """Account for the dimension's name beside its value."""
    for other in scene.matches:
        if not any(m.name == dimension for m in other.all(Sense.DIMENSION)) or other.first in scene.used:
            continue
        between = range(other.last + 1, match.first) if other.last < match.first else range(match.last + 1, other.first)
        if len(between) <= 3 and all(scene.word(at) in _COPULAS | _NEGATIONS | {'"', "'", "either"} for at in between):
            scene.use(other.first, other.last)


def _negation(scene: Scene, first: int) -> int | None:
    """Where the word stands that turns the value round."""
    at = first - 1
    steps = 0
    while at >= 0 and steps < 4:
        word = scene.word(at)
        if word in _NEGATIONS:
            return at
        if word == "than" and scene.word(at - 1) == "other":
            return at - 1
        known = any(
            match.first <= at <= match.last and (match.of(Sense.DIMENSION) or match.first in scene.used)
            and match.of(Sense.VALUE) is None for match in scene.matches
        )  # fmt: skip
        if word not in _COPULAS and not known:
            return None
        at -= 1
        steps += 1
    return None


def _missing(scene: Scene, allowed: frozenset[str] | None) -> list[Condition]:
    """Such as "Without an organization", "priority is not set"."""
    found: list[Condition] = []
    for match in scene.matches:
        meaning = _dimension_of(scene, match)
        if meaning is None or match.first in scene.used or (allowed is not None and meaning.name not in allowed):
            continue
        after = [scene.word(match.last + i) for i in range(1, 4)]
        if after[0] in ("is", "are", "was") and after[1] in ("not", "un") and after[2] in ("set", "given", "filled"):
            scene.use(match.first, match.last + 3)
            found.append(Condition(meaning.name, [], False, match.first, match.last + 3, Operator.IS_NULL))
            continue
        negation = _negation(scene, match.first)
        if negation is not None and scene.word(negation) in ("without", "no"):
            scene.use(negation, match.last)
            found.append(Condition(meaning.name, [], False, negation, match.last, Operator.IS_NULL))
    return found


def _named(scene: Scene, allowed: frozenset[str] | None) -> list[Condition]:
    """A name or quoted text after a dimension whose values are not listed: "requester Jane Doe"."""
    found: list[Condition] = []
    for match in scene.matches:
        meaning = match.of(Sense.DIMENSION)
        if meaning is None or match.first in scene.used:
            continue
        dimension = scene.semantics.dimensions[meaning.name]
        if not dimension.is_free or (allowed is not None and meaning.name not in allowed):
            continue
        at = match.last + 1
        contains = False
        while scene.word(at) in _COPULAS | {'"', "'", "contains", "containing", "including"}:
            contains = contains or scene.word(at).startswith("contain") or scene.word(at) == "including"
            at += 1
        last = at
        while last < len(scene.tokens) and (scene.tokens[last].quoted or scene.tokens[last].capital) and (
            scene.tokens[last].kind is not Kind.SYMBOL and not scene.in_time(last)
        ):  # fmt: skip
            last += 1
        if last == at:
            continue
        op = Operator.CONTAINS if contains else Operator.EQ
        found.append(Condition(meaning.name, [scene.own_words(range(at, last))], False, match.first, last - 1, op))
        scene.use(match.first, last - 1)
    return found


def _merged(scene: Scene, found: list[Condition]) -> list[Condition]:
    """Values of one dimension said side by side become one filter."""
    merged: list[Condition] = []
    for condition in sorted(found, key=lambda c: c.first):
        same = next(
            (c for c in merged if c.dimension == condition.dimension and c.op is None and condition.op is None), None
        )
        if same is None:
            merged.append(condition)
            continue
        between = [scene.word(at) for at in range(same.last + 1, condition.first)]
        joined = bool(between) and all(word in _JOINERS | FUNCTION for word in between)
        if (
            same.negated
            and not condition.negated
            and joined
            and any(word in ("or", "and", ",", "nor") for word in between)
        ):
            condition.negated = True
        if same.negated != condition.negated or isinstance(condition.values[0], bool):
            if condition.values != same.values or condition.negated != same.negated:
                merged.append(condition)
            continue
        same.compared = same.compared or condition.compared or any(word in VERSUS for word in between)
        same.values.extend(value for value in condition.values if value not in same.values)
        same.last = condition.last
        for at in range(same.first, same.last + 1):
            if scene.word(at) in _JOINERS | VERSUS:
                scene.used.add(at)
    return merged
