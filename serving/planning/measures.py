"""Which number is asked for: metrics by name, by verb ("solved"), by state ("open"), by share and by aggregate."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from serving.planning.conditions import SOLVED, Condition, flag, group_cue, is_negated
from serving.planning.lexicon import Match, Sense
from serving.planning.normalise import Kind
from serving.planning.plan import Grain, Operator
from serving.planning.scene import VERSUS, AskBack, Scene
from serving.planning.times import Means, TimeSpan

_PLAIN = {"ticket", "how", "many", "number", "of", "count", "request", "case", "contact", "support", "volume"}
"""A phrase of these words alone says only that tickets are counted, not by which date."""
_AGGREGATES = {
    "average": "avg", "mean": "avg", "median": "median", "typical": "median", "p50": "median", "p75": "p75",
    "p90": "p90",
    "p95": "p95", "p99": "p99", "maximum": "max", "longest": "max", "minimum": "min", "shortest": "min",
}  # fmt: skip
_AGGREGATE_NAMES = {"avg": "average", "max": "maximum", "min": "minimum"}
_SHARES = {"percent", "%", "share", "proportion", "fraction", "rate", "ratio"}
_COUNTING = {"many", "number", "count", "much", "volume", "total", "percent", "%", "share", "proportion", "fraction"}
_CREATED, _SOLVED = "tickets created", "tickets solved"
_JOINERS = {"and", "vs", ",", "or", "&", "minus", "against"}

# A count that is also a condition: "first reply time of reopened tickets". By the name of the count; it holds where the
# catalogue has both the count and the dimensions.
_SCOPES: dict[str, tuple[tuple[str, object], ...]] = {
    "open_tickets": (("is_open", True),),
    "unassigned_tickets": (("is_open", True), ("is_assigned", False)),
    "unreplied_tickets": (("is_open", True), ("is_replied", False)),
    "reopened_tickets": (("is_reopened", True),),
    "one_touch_tickets": (("is_one_touch", True),),
    "escalated_tickets": (("is_escalated", True),),
    "tickets_solved": (("status", SOLVED),),
    "tickets_created": (),
    "good_ratings": (("satisfaction", "good"),),
    "bad_ratings": (("satisfaction", "bad"),),
}


@dataclass(slots=True)
class Measure:
    """The metrics asked for and what else was decided with them."""

    metrics: list[str]
    time: str | None = None
    """Time dimension, where it is not the metrics' own."""
    filters: list[Condition] = field(default_factory=list)
    spread: str | None = None
    """Dimension over whose values a share is shown."""
    is_series: bool = False
    """A stock over several periods: one row each, as one number would be that of the last."""
    mean_over: Grain | None = None
    """The mean over periods of this length is asked for."""


def scope(scene: Scene, metric: str) -> list[Condition] | None:
    """The filters that say the same as the count; None where it is no condition."""
    parts = _SCOPES.get(metric)
    if parts is None or any(name not in scene.semantics.dimensions for name, _ in parts):
        return None
    made: list[Condition] = []
    for name, value in parts:
        if isinstance(value, tuple):
            made.append(Condition(name, list(value), False, -1, -1))
        elif isinstance(value, bool):
            made.append(flag(name, value))
        else:
            made.append(Condition(name, [str(value)], False, -1, -1))
    return made


def is_plain(scene: Scene, match: Match) -> bool:
    """Whether the match only says "tickets"."""
    meaning = match.of(Sense.METRIC)
    if meaning is None or meaning.name != scene.lexicon.metric(_CREATED):
        return False
    return all(scene.stem(at) in _PLAIN for at in range(match.first, match.last + 1))


def named(scene: Scene) -> tuple[list[Match], list[Match]]:
    """Matches that name a metric: those that say more than "tickets", and those that do not."""
    strong: list[Match] = []
    plain: list[Match] = []
    for match in scene.matches:
        if match.of(Sense.METRIC) is None or match.first in scene.used:
            continue
        if match.of(Sense.DIMENSION) is not None and not _is_counted(scene, match):
            continue
        if match.of(Sense.VALUE) is not None and not _is_counted(scene, match) and len(match) == 1:
            continue
        (plain if is_plain(scene, match) else strong).append(match)
    return strong, plain


def _is_counted(scene: Scene, match: Match) -> bool:
    """Whether a word that is a metric and a dimension ("customers") is meant as the number."""
    if group_cue(scene, match) is not None:
        return False
    before = [scene.word(at) for at in range(max(match.first - 3, 0), match.first)]
    if before[-1:] in (["did"], ["do"], ["does"], ["have"], ["has"]) and match.of(Sense.VALUE) is not None:
        return False  # In "how many comments did customers write" it is the comments that are counted.
    if any(word in ("many", "number", "count", "unique", "distinct", "total") for word in before):
        return True
    dimension = match.of(Sense.DIMENSION)
    others = any(other is not match and other.of(Sense.METRIC) is not None for other in scene.matches)
    return dimension is None or (dimension.name not in ("assignee", "requester") and not others)


def measure(scene: Scene) -> Measure | None:
    """The number asked for; None where nothing is named that could be counted."""
    strong, plain = named(scene)
    verbs = _verbs(scene)
    if strong:
        found = _strong(scene, strong, verbs)
    elif plain or verbs or _counts(scene) or _kinds(scene):
        found = _counted(scene, verbs)
    else:
        return None
    if found is None:
        return None
    for match in (*strong, *plain):
        scene.use(match.first, match.last)
    if len(found.metrics) > 1:
        scene.used.update(at for at in range(len(scene.tokens)) if scene.word(at) in VERSUS | {"compare", "minus"})
    _aggregate(scene, found)
    _share(scene, found)
    _stock(scene, found, strong, verbs)
    return found


def _counts(scene: Scene) -> bool:
    return any(scene.word(at) in _COUNTING for at in range(len(scene.tokens)))


def _kinds(scene: Scene) -> bool:
    """Whether tickets are named by their kind: "incidents"."""
    return any(
        m.name == "type" for match in scene.matches for m in match.all(Sense.VALUE) if match.first not in scene.used
    )


def _verbs(scene: Scene) -> list[Match]:
    return [
        match
        for match in scene.matches
        if match.of(Sense.TIME) is not None and match.first not in scene.used and not is_negated(scene, match)
    ]


def _metric_of_verb(scene: Scene, verb: Match) -> str | None:
    meaning = verb.of(Sense.TIME)
    assert meaning is not None  # verbs are matches with that sense
    label = scene.semantics.dimensions[meaning.name].label
    for text in (f"tickets {label}", f"{label} tickets", f"tickets {scene.word(verb.first)}"):
        found = scene.lexicon.metric(text)
        if found is not None:
            return found
    return None


def _strong(scene: Scene, strong: list[Match], verbs: list[Match]) -> Measure | None:
    names: list[str] = []
    scopes: list[Match] = []
    others = [match for match in strong if scope(scene, _name(match)) is None]
    base = others or strong
    for match in base:
        if _name(match) not in names:
            names.append(_name(match))
    filters: list[Condition] = []
    time: str | None = None
    if others:
        scopes = [match for match in strong if match not in others]
        side_by_side = [match for match in scopes if _joined(scene, match, others)]
        for match in side_by_side:
            scopes.remove(match)
            names.append(_name(match))
        for match in scopes:
            filters += scope(scene, _name(match)) or []
            dated = scene.semantics.metrics[_name(match)].time
            own = scene.semantics.metrics[names[0]]
            if _name(match) in (scene.lexicon.metric(_SOLVED), scene.lexicon.metric(_CREATED)) and scene.ranges():
                time = dated if dated != own.time and dated in own.times else time
    elif len(names) > 1 and not _all_joined(scene, base):
        names, filters = _combined(scene, base, names)
    if len(names) == 1 and not filters:
        dated = _both_verbs(scene, base[0], verbs)
        if dated is not None:
            return dated
    found = Measure(names, time=time, filters=filters)
    if time is not None:
        label = scene.semantics.dimensions[time].label.lower()
        scene.notes.append(f"{scene.semantics.metrics[names[0]].label} is dated by when a ticket was {label}")
    _apply_verbs(scene, found, verbs)
    return found


def _both_verbs(scene: Scene, counted: Match, verbs: list[Match]) -> Measure | None:
    """Such as "tickets created and solved": the phrase names one count, a verb the other."""
    created, solved = scene.lexicon.metric(_CREATED), scene.lexicon.metric(_SOLVED)
    if created is None or _name(counted) not in (created, solved):
        return None
    for verb in verbs:
        other = _metric_of_verb(scene, verb)
        if other in (created, solved) and other != _name(counted):
            return _counted_by(scene, {_name(counted): counted, str(other): verb}, created, solved)
    return None


def _name(match: Match) -> str:
    meaning = match.of(Sense.METRIC)
    assert meaning is not None  # only matches with that sense are asked
    return meaning.name


def _between(scene: Scene, first: Match, second: Match) -> list[str]:
    low, high = (first, second) if first.last < second.first else (second, first)
    return [scene.word(at) for at in range(low.last + 1, high.first)]


def _joined(scene: Scene, match: Match, others: list[Match]) -> bool:
    gaps = [_between(scene, match, other) for other in others]
    return any(len(gap) <= 4 and any(word in _JOINERS for word in gap) for gap in gaps)


def _all_joined(scene: Scene, matches: list[Match]) -> bool:
    return all(any(word in _JOINERS for word in _between(scene, left, right)) for left, right in pairwise(matches))


def _combined(scene: Scene, matches: list[Match], names: list[str]) -> tuple[list[str], list[Condition]]:
    """Such as "Open tickets created in May": one count, the others as conditions."""
    created, solved = scene.lexicon.metric(_CREATED), scene.lexicon.metric(_SOLVED)
    head = next((name for name in names if name == created), next((n for n in names if n == solved), names[0]))
    filters: list[Condition] = []
    for name in names:
        if name != head:
            filters += scope(scene, name) or []
    return [head], filters


def _apply_verbs(scene: Scene, found: Measure, verbs: list[Match]) -> None:
    """Let "created" and "solved" decide by which date a metric counts."""
    for verb in verbs:
        meaning = verb.of(Sense.TIME)
        assert meaning is not None  # verbs are matches with that sense
        metric = scene.semantics.metrics[found.metrics[0]]
        as_count = _metric_of_verb(scene, verb)
        if metric.is_now and meaning.name == metric.time and scene.ranges():
            conditions = scope(scene, metric.name)
            created = scene.lexicon.metric(_CREATED)
            if conditions is not None and created is not None:
                found.metrics[0] = created
                found.filters += conditions
                scene.use(verb.first, verb.last)
                continue
        if meaning.name == metric.time or as_count in found.metrics:
            scene.use(verb.first, verb.last)
        elif meaning.name in metric.times:
            found.time = meaning.name
            scene.use(verb.first, verb.last)
            label = scene.semantics.dimensions[meaning.name].label.lower()
            scene.notes.append(f"{metric.label.lower()} is dated by when a ticket was {label}")


def _counted(scene: Scene, verbs: list[Match]) -> Measure | None:
    """Tickets counted, by the verb or the state that is said of them."""
    by_metric: dict[str, Match] = {}
    for verb in verbs:
        name = _metric_of_verb(scene, verb)
        if name is not None and name not in by_metric:
            by_metric[name] = verb
    created, solved = scene.lexicon.metric(_CREATED), scene.lexicon.metric(_SOLVED)
    if created is None:
        return None
    if len(by_metric) > 1:
        return _counted_by(scene, by_metric, created, solved)
    if by_metric:
        name, verb = next(iter(by_metric.items()))
        scene.use(verb.first, verb.last)
        return Measure([name])
    state = _state(scene)
    return Measure([created if state is None else state])


def _counted_by(scene: Scene, by_metric: dict[str, Match], created: str, solved: str | None) -> Measure:
    """Two verbs: two counts side by side, or one count with two dates."""
    matches = sorted(by_metric.values(), key=lambda match: match.first)
    apart = any(scene.in_time(at) for a, b in pairwise(matches) for at in range(a.last + 1, b.first))
    if _all_joined(scene, matches) and not apart and len(scene.ranges()) < 2:
        for match in matches:
            scene.use(match.first, match.last)
        return Measure([name for name, _ in sorted(by_metric.items(), key=lambda item: item[1].first)])
    return _two_dates(scene, by_metric, created, solved)


def _two_dates(scene: Scene, by_metric: dict[str, Match], created: str, solved: str | None) -> Measure:
    """Such as "Created in May and solved in June": counted by creation, the second date a filter."""
    for match in by_metric.values():
        scene.use(match.first, match.last)
    if created not in by_metric or solved not in by_metric:
        raise AskBack("two dates of a ticket are named; ask about one")
    made = Measure([created])
    ranges = scene.ranges()
    if len(ranges) < 2:
        made.filters.append(Condition("status", list(SOLVED), False, -1, -1))
        scene.notes.append("solved means solved or closed now, whenever that was")
        verb = min(by_metric.items(), key=lambda item: abs(item[1].first - ranges[0].first) if ranges else 0)
        if ranges and verb[0] == solved and by_metric[created].first < by_metric[solved].first < ranges[0].first:
            raise AskBack(
                "is the time that of the creation or of the solve?",
                ("How many tickets created last month are solved?", "How many tickets were solved last month?"),
            )
        return made
    name = scene.semantics.metrics[solved].time
    second = min(ranges, key=lambda span: span.first if span.first > by_metric[solved].first else 10_000)
    if name is None or (second.start is None and second.end is None):
        raise AskBack("two dates of a ticket are named; ask about one")
    if second.start is not None:
        made.filters.append(Condition(name, [second.start.isoformat()], False, -1, -1, Operator.GE))
    if second.end is not None:
        made.filters.append(Condition(name, [second.end.isoformat()], False, -1, -1, Operator.LT))
    scene.times = [span for span in scene.times if span is not second]
    scene.use(second.first, second.last)
    if second.note:
        scene.notes.append(second.note)
    return made


def _state(scene: Scene) -> str | None:
    """The count that a state names: "reopened" with tickets is the metric of reopened tickets."""
    found: dict[str, Match] = {}
    for match in scene.matches:
        if match.first in scene.used or match.of(Sense.METRIC) is not None:
            continue
        if match.of(Sense.FLAG) is None and not any(m.name == "status" for m in match.all(Sense.VALUE)):
            continue
        if scene.word(match.first - 1) in ("not", "never", "non", "status") or scene.stem(match.first - 2) == "status":
            return None
        said = scene.words(range(match.first, match.last + 1)).removeprefix("still ")
        name = scene.lexicon.metric(f"{said} tickets") or scene.lexicon.metric(f"tickets {said}")
        if name is not None:
            found[name] = match
    for at, token in enumerate(scene.tokens):
        if at in scene.used or any(match.first <= at <= match.last for match in scene.matches) or scene.in_time(at):
            continue
        # "open" alone may be the verb: "how many tickets did Acme open".
        adjective = token.kind is Kind.WORD and token.text != "open"
        name = scene.lexicon.metric(f"{token.text} tickets") if adjective else None
        if name is not None and name != scene.lexicon.metric(_CREATED) and scope(scene, name) is not None:
            found[name] = Match(at, at, ())
    if len(found) != 1:
        return None
    name, match = next(iter(found.items()))
    scene.use(match.first, match.last)
    return name


def _aggregate(scene: Scene, found: Measure) -> None:
    """Swap the metric for the aggregates that are asked for; raises AskBack where the catalogue has none such."""
    family = scene.lexicon.aggregates(found.metrics[0])
    asked = _asked_aggregates(scene, found.metrics[0], has_family=bool(family))
    if not asked:
        return
    if family:
        for aggregate in asked:
            if aggregate not in family:
                known = [scene.semantics.metrics[metric].label for metric in family.values()]
                wanted = _AGGREGATE_NAMES.get(aggregate, aggregate)
                raise AskBack(f"there is no {wanted} of that measure; there is: {', '.join(known)}", tuple(known))
        found.metrics[:1] = [family[aggregate] for aggregate in asked]
        scene.used.update(at for where in asked.values() for at in where)
        return
    metric = scene.semantics.metrics[found.metrics[0]]
    grain = next((span.unit for span in scene.times if span.means is Means.GRAIN and span.unit), None)
    if list(asked) == ["avg"] and metric.is_additive and grain is not None:
        found.mean_over = grain
        scene.used.update(asked["avg"])
    elif list(asked) == ["avg"] and (metric.unit == "share" or metric.name.startswith("avg")):
        scene.used.update(asked["avg"])


def _asked_aggregates(scene: Scene, metric: str, *, has_family: bool) -> dict[str, list[int]]:
    """Aggregates said in the question with their words, in order; "average" in a metric's own name counts as said."""
    asked: dict[str, list[int]] = {}
    for at in range(len(scene.tokens)):
        word = scene.word(at)
        value = scene.tokens[at].value
        if scene.word(at + 1) == "percentile" and value is not None and 0 < value < 100:
            asked["median" if value == 50 else f"p{int(value)}"] = [at, at + 1]
        elif word in _AGGREGATES and (has_family or word not in ("longest", "shortest", "maximum", "minimum")):
            asked[_AGGREGATES[word]] = [at]
    own = next((key for key, name in scene.lexicon.aggregates(metric).items() if name == metric), None)
    return {} if list(asked) == [own] and own != "avg" else asked


def _share(scene: Scene, found: Measure) -> None:
    """Such as "What percent of tickets were reopened": the rate, where the catalogue has it."""
    where = [at for at in range(len(scene.tokens)) if scene.word(at) in _SHARES]
    metric = scene.semantics.metrics[found.metrics[0]]
    if not where:
        return
    if metric.unit == "share":
        scene.used.update(where)
        return
    if scope(scene, metric.name) is None:
        return
    for text in (f"share of {metric.label}", *(f"share of tickets {word}" for word in _adjectives(scene, metric.name))):
        rate = scene.lexicon.metric(text)
        if rate is not None:
            found.metrics[0] = rate
            scene.used.update(where)
            return


def _adjectives(scene: Scene, metric: str) -> list[str]:
    return [metric.removesuffix("_tickets").removeprefix("tickets_").replace("_", " ")]


def _stock(scene: Scene, found: Measure, strong: list[Match], verbs: list[Match]) -> None:
    """Open tickets now, or the backlog of a day: decided by the time that is named."""
    name = found.metrics[0]
    open_now, backlog = scene.lexicon.metric("open tickets"), scene.lexicon.metric("backlog")
    if backlog is None or open_now is None or name not in (open_now, backlog):
        return
    ranges = scene.ranges()
    series = any(span.means is Means.GRAIN for span in scene.times)
    if series and not scene.has_time(Means.NOW):
        found.metrics[0] = backlog
        _note_backlog(scene)
        return
    if not ranges or scene.has_time(Means.NOW):
        if name == backlog:
            found.metrics[0] = open_now
            scene.notes.append("the backlog now is the tickets that are new, open, pending or on hold")
        return
    span = ranges[0]
    if _is_today(scene, span) and name == open_now:
        scene.times = [other for other in scene.times if other is not span]
        scene.use(span.first, span.last)
        scene.notes.append("open today is read as open at the moment asked")
        return
    one_day = span.unit is Grain.DAY and span.count == 1
    if name == backlog or span.means is Means.AS_OF or one_day:
        found.metrics[0] = backlog
        _note_backlog(scene)
        found.is_series = span.means is Means.RANGE and span.count > 1
        return
    raise AskBack(
        "open at the end of that time, or created in it and still open?",
        ("What was the backlog at the end of last month?", "How many tickets created last month are still open?"),
    )


def _is_today(scene: Scene, span: TimeSpan) -> bool:
    return span.unit is Grain.DAY and span.end is not None and span.end == scene.now and span.count == 1


def _note_backlog(scene: Scene) -> None:
    note = "the backlog is that at the end of each period, in UTC days"
    if note not in scene.notes:
        scene.notes.append(note)


def in_contrast(scene: Scene) -> bool:
    """Whether things are set side by side: "vs", "compare"."""
    return any(scene.word(at) in VERSUS | {"compare", "comparison", "versus"} for at in range(len(scene.tokens)))
