"""The planner: question text to a reading, by rules alone.

A question becomes tokens, the tokens become spans of time, catalogue words and numbers, and a handful of patterns over
those spans become a plan. A word that carries meaning and fits no pattern is never dropped: it is named in
`unknown_words` and lowers the confidence, so that a model is asked, or the asker.

Where a plan allows several forms: two values compared ("email vs chat") are one metric plan, filtered to them and
grouped by their dimension; two neighbouring calendar periods ("this week vs last week") are one metric plan over both
with that period as its grain; any other two periods are a complex plan of two metric plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from serving.planning import conditions, intents, measures, orders
from serving.planning.conditions import Condition
from serving.planning.english import FUNCTION
from serving.planning.lexicon import Match, Sense, lexicon_of
from serving.planning.normalise import MAX_CHARACTERS, Kind, fold, tokenise
from serving.planning.plan import (
    ClarifyPlan,
    ComplexPlan,
    Filter,
    Grain,
    GraphPlan,
    MetricPlan,
    Operator,
    Plan,
    Reading,
    RefusePlan,
    SearchPlan,
    TemplatePlan,
    TimeRange,
)
from serving.planning.scene import EXAMPLES, AskBack, Scene, month_before
from serving.planning.times import Means, TimeSpan, begin, earlier, local, shift
from serving.planning.wording import listed, when, where
from serving.semantics.catalogue import Metric, Semantics

LEFT_OVER = 0.7
"""Highest confidence of a reading that leaves a meaning-bearing word over; every other reading has at least 0.85."""
_SERIES = {Grain.HOUR: 24, Grain.DAY: 30, Grain.WEEK: 12}
_GRAINS = tuple(Grain)
_JUDGEMENTS = ("best", "worst", "good", "bad", "better", "great", "strongest", "weakest", "star")
_SLOW = {"slow", "slower", "fast", "faster", "late", "delay", "delays", "delayed", "waiting", "wait"}
_SLICES = ("product", "reason", "group", "channel")
"""Dimensions along which a change is looked at."""
_COMPARING = {
    "more", "fewer", "less", "higher", "lower", "change", "changed", "difference", "differ", "compare", "compared",
    "comparison", "vs", "versus", "increase", "increased", "decrease", "decreased", "grow", "grew", "grown", "growth",
    "drop",
    "dropped", "rise", "rose", "risen", "fell", "fall", "develop", "developed", "evolve", "evolved", "against", "side",
    "previous", "period", "before", "better", "worse", "faster", "slower", "month", "week", "year", "quarter", "day",
    "previously", "earlier", "busier", "quieter", "improve", "improved", "between", "went", "gone",
}  # fmt: skip
_CHANGES = {
    "increase", "increased", "decrease", "decreased", "grow", "grew", "grown", "rise", "rose", "risen", "drop",
    "dropped",
    "fall", "fell", "fallen", "improve", "improved", "worsen", "worsened", "change", "changed",
}  # fmt: skip
_RANKINGS: tuple[tuple[str, Literal["oldest_open", "most_replies"]], ...] = (
    ("oldest", "oldest_open"),
    ("longest", "oldest_open"),
)


def read(question: str, *, semantics: Semantics, now: datetime, zone: tzinfo) -> Reading:
    """Read a question as a plan; the same arguments always give the same reading.

    Args:
        question: What was asked, any text.
        semantics: The published catalogue: metrics and dimensions with their words and values.
        now: The moment asked (aware); relative dates are counted from it.
        zone: Zone in which days, weeks and months are cut.
    """
    if len(question) > MAX_CHARACTERS:
        reason = (
            f"the question is too long: {len(question)} characters, at most {MAX_CHARACTERS}; ask one short question"
        )
        return _clarify(AskBack(reason))
    tokens = tokenise(question)
    if not any(token.kind is not Kind.SYMBOL for token in tokens):
        return _clarify(AskBack("the question holds no words; ask one in English"))
    refused = intents.refusal(intents.Text.of(tokens, hide_quoted=True), fold(question))
    if refused is not None:
        return _refuse(refused)
    lexicon = lexicon_of(semantics)
    share, is_foreign = intents.foreign_share(tokens, [lexicon.knows(token) for token in tokens])
    if is_foreign and share > 0.3:
        return _clarify(AskBack("questions are answered in English; please ask it in English"))
    tokens, corrections = lexicon.corrected(tokens)
    scene = Scene(question, tokens, corrections, lexicon, now, zone, intents.Text.of(tokens))
    try:
        return _route(scene)
    except AskBack as asked:
        return _clarify(asked)


def ask_back(reading: Reading, *, semantics: Semantics) -> ClarifyPlan:
    """What to ask where a reading left words over and no model could account for them."""
    if isinstance(reading.plan, ClarifyPlan):
        return reading.plan
    lexicon = lexicon_of(semantics)
    words = reading.unknown_words[:3]
    near = list(dict.fromkeys(name for word in words for name in lexicon.nearest(word)))[:3]
    if not words:
        return ClarifyPlan(reason="the question has no sure reading", suggestions=EXAMPLES)
    named = ", ".join(f'"{word}"' for word in words)
    hint = f"; known names like it: {', '.join(near)}" if near else ""
    return ClarifyPlan(reason=f"not understood: {named}{hint}", suggestions=(*near, *EXAMPLES[: 3 - len(near)]))


def _clarify(asked: AskBack) -> Reading:
    plan = ClarifyPlan(reason=asked.reason, suggestions=asked.suggestions)
    return Reading(plan=plan, confidence=1.0, echo=f"Asked back: {asked.reason}.")


def _refuse(reason: str) -> Reading:
    return Reading(plan=RefusePlan(reason=reason), confidence=1.0, echo=f"Refused: {reason}.")


def _done(scene: Scene, plan: Plan, echo: str) -> Reading:
    """The reading of a plan: what is left over lowers the confidence, what was filled in is told."""
    unknown = scene.left_over()
    notes = [f'"{fix.written}" is read as "{fix.read}"' for fix in scene.corrections]
    words = [token for token in scene.tokens if token.kind is Kind.WORD and token.text not in FUNCTION]
    confidence = max(0.85, scene.doubt * 0.97 ** len(scene.corrections))
    if unknown:
        confidence = LEFT_OVER * max(0.15, 1 - len(unknown) / max(len(words), len(unknown) + 1))
    return Reading(
        plan=plan,
        confidence=round(confidence, 3),
        echo=echo,
        assumptions=tuple(dict.fromkeys((*notes, *scene.notes))),
        unknown_words=tuple(unknown),
    )


def _route(scene: Scene) -> Reading:
    line = scene.text.line
    if intents.is_vague(line):
        raise AskBack("the question names nothing that can be measured: say which number, list or topic")
    if intents.is_follow_up(line):
        raise AskBack("the question leans on one before it; ask it whole")
    if intents.is_about_oneself(line):
        raise AskBack("who asks is not known here: name the person")
    ids = intents.ticket_ids(scene.text)
    if any(not 1 <= number < 2**63 for number, _ in ids):
        raise AskBack("a ticket number is 1 or more and has at most 18 digits")
    taken = frozenset(at for _, words in ids for at in words)
    relation = intents.relation(scene.text)
    if relation is not None and not scene.metric_match(relation[1][0]):
        scene.find(taken)
        scene.check_times()
        scene.used.update(taken)
        return _graph(scene, relation, [number for number, _ in ids])
    if ids:
        return _tickets(scene, [number for number, _ in ids], taken)
    scene.find(taken)
    topic = intents.topic(scene.text)
    word = intents.outside(line)
    if word is not None and topic is None and not _is_known(scene, word):
        return _refuse(f"the help desk's data does not tell that: {word}")
    if intents.is_forecast(line):
        raise AskBack("no forecast is made; what has happened up to now can be asked for")
    scene.check_times()
    if intents.is_complex(line):
        return _reasons(scene)
    if topic is not None and not _is_filter(scene, topic):
        return _search(scene, topic)
    ranking = _ranking(scene)
    if ranking is not None:
        return ranking
    if intents.is_list(line) and _lists_tickets(scene):
        return _list(scene)
    return _measure(scene)


def _is_known(scene: Scene, word: str) -> bool:
    at = scene.text.token_at(scene.text.line.find(word))
    return any(match.first <= at <= match.last for match in scene.matches)


def _filters(scene: Scene, found: Sequence[Condition]) -> tuple[Filter, ...]:
    filters = [condition.filter() for condition in found]
    if any(
        "deleted" in one.values and one.op in (Operator.EQ, Operator.IN) for one in filters if one.dimension == "status"
    ):
        raise AskBack("deleted tickets are counted nowhere and listed nowhere")
    if scene.ranges() and any(one.dimension in ("status", "is_open") and one.op is Operator.EQ for one in filters):
        scene.notes.append("the status is that of now")
    return tuple(dict.fromkeys(filters))


# Links, single tickets, content


def _graph(scene: Scene, relation: tuple[str, list[range]], ids: list[int]) -> Reading:
    name, words = relation
    ticket = ids[0] if ids else None
    if name == "related" and ticket is None:
        raise AskBack("related to which ticket? Name its number", ("Which tickets are related to ticket 12?",))
    scene.used.update(at for span in words for at in span)
    if name in ("merged", "follow_ups", "repeat_contacts") and intents.is_count(scene.text.line):
        scene.notes.append("the links are listed, up to the limit; their number is the number of rows")
    filters = (
        _filters(scene, conditions.conditions(scene, scene.lexicon.metric("tickets created"))) if ticket is None else ()
    )
    time = scene.only_range()
    plan = GraphPlan.model_validate(
        {"relation": name, "ticket_id": ticket, "filters": filters, "time": time, "limit": 20}
    )
    of = "" if ticket is None else f" of ticket {ticket}"
    echo = {
        "related": f"Tickets related to ticket {ticket}",
        "incidents": f"Incidents{of}",
        "merged": f"Merged tickets{of}",
        "follow_ups": f"Follow-up tickets{of}",
        "repeat_contacts": f"Repeat contacts{of}",
        "escalations": f"Paths between groups{of}",
        "problems": "Problem tickets and their incidents",
    }[name]
    for match in scene.matches:
        if measures.is_plain(scene, match) or match.of(Sense.DIMENSION) is not None:
            scene.use(match.first, match.last)
    if ticket is None and time.from_ is None and time.to is None:
        scene.notes.append("no time named: all the data")
    return _done(scene, plan, f"{echo}{where(filters, scene.semantics)}{when(time, scene.zone)}.")


def _tickets(scene: Scene, ids: list[int], taken: frozenset[int]) -> Reading:
    numbers = tuple(dict.fromkeys(ids))
    scene.used.update(range(len(scene.tokens)))
    if len(numbers) == 1:
        plan = TemplatePlan(template="ticket", ticket_id=numbers[0])
        return _done(scene, plan, f"Facts of ticket {numbers[0]}.")
    chosen = Filter(dimension="ticket_id", op=Operator.IN, values=numbers)
    plan = TemplatePlan(template="ticket_list", filters=(chosen,), limit=max(20, len(numbers)))
    return _done(scene, plan, f"Tickets {listed([str(number) for number in numbers])}.")


def _is_filter(scene: Scene, topic: intents.Topic) -> bool:
    """Whether what stands after "about" limits a number rather than being looked for; a number of writings is none."""
    cut = any(m.of(Sense.DIMENSION) and conditions.group_cue(scene, m) is not None for m in scene.matches)
    counted = intents.is_count(scene.text.line) or scene.has_time(Means.GRAIN) or cut
    if not topic.words:
        strong, _ = measures.named(scene)
        return bool(strong) and counted
    inside = [match for match in scene.matches if match.first in topic.words]
    before = [match for match in scene.matches if match.last < topic.words.start and match.of(Sense.METRIC)]
    if any(len(match) > 1 and not measures.is_plain(scene, match) for match in before):
        return True
    if not counted:
        return False
    if any(match.of(Sense.VALUE) or match.of(Sense.METRIC) for match in inside):
        return True
    content = [at for at in topic.words if not scene.in_time(at) and scene.tokens[at].kind is not Kind.SYMBOL]
    said = scene.own_words(content)
    raise AskBack(
        f"tickets are not counted by what is written in them: {said}; comments about it can be shown, or tickets "
        "counted by tag, product or contact reason",
        (f"Show examples of tickets about {said}", "How many tickets were created by contact reason last month?"),
    )


def _search(scene: Scene, topic: intents.Topic) -> Reading:
    filters: list[Condition] = []
    gone: set[int] = set()
    limit = _list_limit(scene, 10, 100)
    for match in scene.matches:
        if all(
            meaning.name == "author_role" or meaning.sense not in (Sense.VALUE, Sense.FLAG)
            for meaning in match.meanings
        ):
            continue
        in_topic = match.first in topic.words
        preposition = scene.word(match.first - 1) in ("from", "by", "via", "for", "with", "in", "on")
        rest = [
            at for at in range(match.last + 1, topic.words.stop)
            if not scene.in_time(at) and scene.tokens[at].kind is not Kind.SYMBOL
        ]  # fmt: skip
        at_end = in_topic and preposition and match.first - 1 > topic.words.start and not rest
        if at_end or match.first in topic.scope or (not in_topic and match.last < topic.words.start):
            made = conditions.one(scene, match)
            if made is not None:
                filters.append(made)
                gone.update(range(match.first - 1 if at_end else match.first, match.last + 1))
    words = [at for at in topic.words if not scene.in_time(at) and at not in gone]
    while words and scene.tokens[words[-1]].kind is Kind.SYMBOL:
        words.pop()
    while words and scene.tokens[words[0]].kind is Kind.SYMBOL:
        words.pop(0)
    if not any(scene.word(at) not in FUNCTION and scene.tokens[at].kind is not Kind.SYMBOL for at in words):
        raise AskBack("about what? The topic is missing", ("What do customers say about late deliveries?",))
    query = scene.own_words(words)
    scene.used.update(topic.cue, topic.words, topic.scope)
    time = scene.only_range()
    scene.used.update(range(topic.cue.start))
    found = _filters(scene, filters)
    plan = SearchPlan(query=query, filters=found, time=time, limit=limit)
    return _done(scene, plan, f'Comments about "{query}"{where(found, scene.semantics)}{when(time, scene.zone)}.')


# Reasons


def _reasons(scene: Scene) -> Reading:
    """Figures of the period and the one before, along a few dimensions, with comments and linked problems."""
    compared, ranges = _split_ranges(scene)
    name, filters = _subject(scene)
    metric = scene.semantics.metrics[name]
    if ranges and ranges[0].start is not None and ranges[0].end is not None:
        span = ranges[0]
    else:
        span = month_before(scene.now, scene.zone)
        scene.notes.append("no range named: the 30 full days before today")
    before = compared or (ranges[1] if len(ranges) > 1 else scene.previous(span))
    if before.start is None or before.end is None:
        before = scene.previous(span)
    if earlier(_start(span), _start(before)):
        span, before = before, span
    now_range, then_range = scene.range_of(span), scene.range_of(before)
    plans = [
        MetricPlan(metrics=(name,), filters=filters, time=now_range),
        MetricPlan(metrics=(name,), filters=filters, time=then_range),
        MetricPlan(metrics=(name,), filters=filters, time=_with_grain(_both(before, span), metric)),
    ]
    for dimension in _SLICES:
        if dimension in metric.dimensions and all(one.dimension != dimension for one in filters) and len(plans) < 6:
            plans.append(
                MetricPlan(
                    metrics=(name,),
                    group_by=(dimension,),
                    filters=filters,
                    time=now_range,
                    order_by=(f"-{name}",),
                    limit=10,
                )
            )
    words = [at for at, token in enumerate(scene.tokens) if not scene.in_time(at) and token.kind is not Kind.SYMBOL]
    searchable = tuple(one for one in filters if one.dimension in scene.semantics.dimensions)
    plan = ComplexPlan(
        metrics=tuple(plans),
        search=SearchPlan(
            query=scene.own_words(words)[:500] or scene.question[:500], filters=searchable, time=now_range
        ),
        graph=GraphPlan.model_validate({"relation": "problems", "time": now_range, "limit": 20}),
    )
    scene.used.update(range(len(scene.tokens)))
    echo = (
        f"Reasons behind {metric.label.lower()}{where(filters, scene.semantics)}{when(now_range, scene.zone)}, "
        f"beside the period before{when(then_range, scene.zone)}."
    )
    return _done(scene, plan, echo)


def _start(span: TimeSpan) -> datetime:
    assert span.start is not None  # spans of reasons were checked for both ends
    return span.start


def _both(first: TimeSpan, second: TimeSpan) -> TimeRange:
    return TimeRange.model_validate({"from": first.start, "to": second.end})


def _with_grain(time: TimeRange, metric: Metric) -> TimeRange:
    """The range with the grain that shows it in a readable number of periods."""
    assert time.from_ is not None  # only whole ranges are cut
    assert time.to is not None
    length = time.to - time.from_
    grain = Grain.MONTH
    for limit, candidate in (
        (timedelta(days=2), Grain.HOUR),
        (timedelta(days=62), Grain.DAY),
        (timedelta(days=200), Grain.WEEK),
    ):
        if length <= limit:
            grain = candidate
            break
    if _GRAINS.index(grain) < _GRAINS.index(metric.finest_grain):
        grain = metric.finest_grain
    return time.model_copy(update={"grain": grain})


def _subject(scene: Scene) -> tuple[str, tuple[Filter, ...]]:
    """The metric whose change is asked about, tickets created where none is named."""
    conditions.groups(scene)
    try:
        found = measures.measure(scene)
    except AskBack:
        found = None
    slow = any(scene.word(at) in _SLOW for at in range(len(scene.tokens)))
    default = "average first reply time" if slow else "tickets created"
    name = found.metrics[0] if found is not None else scene.lexicon.metric(default)
    if name is None:
        raise AskBack("no metric is named whose change could be explained")
    if found is None:
        scene.notes.append(f"no metric named: {default}")
    if scene.semantics.metrics[name].is_now:
        name = scene.lexicon.metric("backlog") or name
    metric = scene.semantics.metrics[name]
    made = [*(found.filters if found is not None else []), *conditions.conditions(scene, name)]
    return name, _filters(scene, [one for one in made if one.dimension in metric.dimensions])


# Lists of tickets


def _ranking(scene: Scene) -> Reading | None:
    """The oldest open tickets, or those with the most replies."""
    template: Literal["oldest_open", "most_replies"] | None = None
    for at in range(len(scene.tokens)):
        word, nouns = scene.word(at), [scene.stem(near) for near in range(at + 1, min(at + 6, len(scene.tokens)))]
        covered = any(m.first <= at <= m.last and m.of(Sense.METRIC) and len(m) > 1 for m in scene.matches)
        if covered and not any(m.first <= at <= m.last and scene.word(m.first) == "oldest" for m in scene.matches):
            continue
        if word in ("oldest",) or (
            word == "longest" and any(near in ("open", "waiting", "unsolved") for near in nouns)
        ):
            if any(near in ("ticket", "case", "request", "one") for near in nouns) or word == "longest":
                if "age" in nouns or scene.word(0) == "how" or intents.is_count(scene.text.line):
                    return None
                template = "oldest_open"
                scene.use(at, at)
                break
        if (word == "most" and scene.stem(at + 1) in ("reply", "comment", "message", "back")) or (
            word == "most" and scene.word(at + 1) in ("agent", "public") and scene.stem(at + 2) in ("reply", "comment")
        ):  # fmt: skip
            before = [scene.stem(near) for near in range(at)]
            if any(near in ("ticket", "case", "request") for near in before):
                template = "most_replies"
                scene.use(at, at + 2 if scene.word(at + 1) in ("agent", "public") else at + 1)
                if scene.stem(at + 1) == "comment":
                    scene.notes.append("comments are counted as public agent replies")
                break
    if template is None:
        return None
    filters, time = _listed_conditions(scene)
    plural = any(scene.word(at) in ("tickets", "cases", "requests") for at in range(len(scene.tokens)))
    limit = _list_limit(scene, 20 if plural else 1, 1_000)
    if template == "oldest_open":
        scene.used.update(at for at in range(len(scene.tokens)) if scene.word(at) in ("waiting", "open"))
        filters = tuple(one for one in filters if one.dimension != "is_open")
    plan = TemplatePlan(template=template, filters=filters, time=time, limit=limit)
    what = "Oldest open tickets" if template == "oldest_open" else "Tickets with the most agent replies"
    return _done(scene, plan, f"{what}, {limit} at most{where(filters, scene.semantics)}{when(time, scene.zone)}.")


def _lists_tickets(scene: Scene) -> bool:
    """Whether rows of tickets are asked for, not a number of them or a cut of it."""
    line = scene.text.line
    if intents.is_count(line) or scene.has_time(Means.GRAIN):
        return False
    if any(match.of(Sense.DIMENSION) and conditions.group_cue(scene, match) is not None for match in scene.matches):
        return False
    strong, plain = measures.named(scene)
    if any(measures.scope(scene, match.meanings[0].name) is None for match in strong):
        return False
    nouns = [
        at for at in range(len(scene.tokens)) if scene.word(at) in ("tickets", "cases", "requests", "ticket", "case")
    ]
    if any(
        scene.stem(at + 1) in ("volume", "count", "number", "inflow", "trend", "distribution", "stat") for at in nouns
    ):
        return False
    named_types = any(m.name == "type" for match in scene.matches for m in match.all(Sense.VALUE))
    return bool(nouns) or named_types or bool(strong and not plain)


def _listed_conditions(scene: Scene) -> tuple[tuple[Filter, ...], TimeRange]:
    """Filters and time of a list of tickets."""
    older = conditions.older_than(scene)
    made = conditions.thresholds(scene)
    dimension: str | None = None
    strong, plain = measures.named(scene)
    for match in strong:
        meaning = match.of(Sense.METRIC)
        assert meaning is not None  # named matches have that sense
        made += measures.scope(scene, meaning.name) or []
        metric = scene.semantics.metrics[meaning.name]
        if not metric.is_now and meaning.name != scene.lexicon.metric("tickets created") and metric.time is not None:
            dimension = metric.time
    for match in (*strong, *plain):
        scene.use(match.first, match.last)
    for match in scene.matches:
        verb = match.of(Sense.TIME)
        if verb is None or match.first in scene.used or conditions.is_negated(scene, match):
            continue
        if verb.name not in ("created_at", "solved_at", "rated_at"):
            continue
        if verb.name == "solved_at":
            made.append(Condition("status", list(conditions.SOLVED), False, match.first, match.last))
        dimension = verb.name if dimension in (None, "created_at") else dimension
        scene.use(match.first, match.last)
    for match in scene.matches:
        if match.first not in scene.used and match.of(Sense.FLAG) is not None and scene.ranges() and dimension is None:
            said = scene.words(range(match.first, match.last + 1))
            counted = scene.lexicon.metric(f"{said} tickets")
            if counted is not None and not scene.semantics.metrics[counted].is_now:
                dimension = scene.semantics.metrics[counted].time
    made += conditions.conditions(scene, scene.lexicon.metric("tickets created"))
    time = scene.only_range()
    if older is not None:
        if time.from_ is not None or time.to is not None:
            raise AskBack("two times are named: an age and a range; ask about one")
        time = TimeRange.model_validate({"to": older})
    elif time.from_ is not None or time.to is not None:
        chosen = dimension or "created_at"
        time = time.model_copy(update={"dimension": chosen})
        label = scene.semantics.dimensions[chosen].label.lower()
        scene.notes.append(f"the time is that when a ticket was {label}")
    return _filters(scene, made), time


def _list(scene: Scene) -> Reading:
    filters, time = _listed_conditions(scene)
    if scene.has_time(Means.NOW) and not filters:
        raise AskBack("which tickets now? Name a status, a group or another limit", ("List the open tickets",))
    limit = _list_limit(scene, 20, 1_000)
    for at in range(len(scene.tokens)):
        if scene.word(at) in (
            "latest",
            "newest",
            "recent",
            "last",
            "first",
            "full",
            "complete",
            "most",
        ) and not scene.in_time(at):
            if scene.word(at) == "first":
                break
            scene.used.add(at)
    if limit == 20:
        scene.notes.append("the 20 newest are listed")
    plan = TemplatePlan(template="ticket_list", filters=filters, time=time, limit=limit)
    return _done(
        scene, plan, f"Tickets, newest first, {limit} at most{where(filters, scene.semantics)}{when(time, scene.zone)}."
    )


def _list_limit(scene: Scene, default: int, most: int) -> int:
    """A number of rows that is asked for: "10 oldest tickets", "list 5 tickets"."""
    for at, token in enumerate(scene.tokens):
        if token.value is None or at in scene.used or scene.in_time(at) or token.value != int(token.value):
            continue
        before, after = scene.word(at - 1), scene.stem(at + 1)
        near = {scene.stem(ahead) for ahead in range(at + 1, min(at + 5, len(scene.tokens)))}
        cue = before in (
            "list",
            "show",
            "me",
            "top",
            "first",
            "last",
            "latest",
            "newest",
            "the",
            "oldest",
            "find",
            "give",
            "display",
            "any",
            "our",
            "",
        )
        if cue and (
            near & {"ticket", "case", "request", "example", "comment", "quote", "complaint", "one", "message"}
            or after == ""
        ):
            if not 1 <= token.value <= most:
                raise AskBack(f"the number of rows must be 1 to {most}: {int(token.value)}")
            scene.used.add(at)
            if before in ("top", "first", "latest", "newest", "last"):
                scene.used.add(at - 1)
            return int(token.value)
    return default


# Numbers


def _measure(scene: Scene) -> Reading:
    older = conditions.older_than(scene)
    limits = conditions.thresholds(scene)
    order = orders.find(scene)
    groups = conditions.groups(scene)
    if order is not None and not groups:
        order, groups = _ranked(scene, order)
    found = measures.measure(scene)
    if found is None:
        return _nothing(scene, order, groups, limits)
    if order is not None:
        _check_judgement(scene, order, found, groups)
    _account(scene, scene.semantics.metrics[found.metrics[0]])
    made = [*found.filters, *limits, *conditions.conditions(scene, found.metrics[0])]
    groups = _contrast(scene, made, groups)
    groups = _spread(scene, made, groups)
    _check_dimensions(scene, found.metrics, [one.dimension for one in made], groups)
    if "assignee" in groups and all(one.dimension != "assignee" for one in made):
        made.append(Condition("assignee", [], False, -1, -1, Operator.IS_NOT_NULL))
        scene.notes.append("tickets without an assignee are left out")
    filters = _filters(scene, made)
    metric = scene.semantics.metrics[found.metrics[0]]
    if order is not None and scene.word(0) == "when":
        raise AskBack("by which period: the busiest hour, day, week or month?")
    if order is not None and not groups and order.grain is None and not scene.has_time(Means.GRAIN):
        if order.word in ("most", "top", "best", "worst", "more") or order.limit is not None:
            raise AskBack("the most of what? Say by which: agent, group, organization, channel, product", EXAMPLES)
    sort: tuple[str, ...] = ()
    limit: int | None = None
    if groups or (order is not None and order.grain is not None):
        descending = order.is_descending(metric) if order is not None else True
        sort = (f"-{metric.name}" if descending else metric.name,)
        limit = order.limit if order is not None else None
        if order is not None and limit is None:
            limit = orders.TIES
            scene.notes.append(f"the first {limit} are shown, so that ties are seen")
    base = MetricPlan(
        metrics=tuple(dict.fromkeys(found.metrics)), group_by=tuple(groups), filters=filters, order_by=sort, limit=limit
    )
    if older is not None:
        return _aged(scene, base, older)
    return _timed(scene, base, found, order)


def _ranked(scene: Scene, order: orders.Order) -> tuple[orders.Order, list[str]]:
    """The dimension that an order ranks: "top 5 organizations", "agents with the most tickets", "who solved most"."""
    if order.grain is not None:
        return order, []
    for match in scene.matches:
        meaning = match.of(Sense.DIMENSION)
        if meaning is None or match.first in scene.used or match.first - order.at > 3:
            continue
        scene.use(match.first, match.last)
        before = scene.tokens[match.first - 1].value if match.first else None
        if order.limit is None and before is not None and before == int(before) and 1 <= before <= 1_000:
            scene.used.add(match.first - 1)
            order = replace(order, limit=int(before))
        return order, [meaning.name]
    return order, ["assignee"] if scene.word(0) == "who" else []


def _check_judgement(scene: Scene, order: orders.Order, found: measures.Measure, groups: list[str]) -> None:
    """Ask back where "busiest agent" or "best group" name no number of their own."""
    strong, plain = measures.named(scene)
    says_metric = bool(strong) or bool(plain) or found.metrics[0] != scene.lexicon.metric("tickets created")
    people = {"assignee", "requester"}
    if order.word in _JUDGEMENTS and not (strong or found.metrics[0] != scene.lexicon.metric("tickets created")):
        raise AskBack("best or worst by what? Name a number, such as CSAT or first reply time", EXAMPLES)
    if not says_metric and order.word in ("busiest", "slowest", "fastest", "quickest", "top") and people & set(groups):
        raise AskBack(
            f"{order.word} by what: tickets solved, first reply time or CSAT?",
            ("Which agent solved the most tickets last month?", "Which agent has the lowest median first reply time?"),
        )


def _account(scene: Scene, metric: Metric) -> None:
    """Mark what only holds the sentence together once a metric is known."""
    fillers: set[str] = set()
    if metric.unit == "minutes":
        fillers = {"time", "times", "duration", "long", "fast", "quickly", "takes", "take", "minutes", "hours"}
    if metric.time == "created_at":
        fillers |= {"contact", "contacted", "wrote", "write", "reached", "generate", "generates", "generated", "cause"}
        fillers |= {"causes", "caused", "produce", "produces", "produced", "bring", "brings", "brought"}
        if any(scene.word(at) in ("did", "do", "does", "have", "has") for at in range(len(scene.tokens))):
            fillers.add("open")
    for at in range(len(scene.tokens)):
        team = scene.word(at) in ("support", "team", "desk", "helpdesk", "staff")
        inside = any(match.first <= at <= match.last and match.first not in scene.used for match in scene.matches)
        if (scene.word(at) in fillers and not inside) or (
            team and scene.word(at - 1) in ("our", "the", "did", "does", "do")
        ):
            scene.used.add(at)
    for at in range(len(scene.tokens)):
        if not metric.is_additive and scene.word(at) == "per" and scene.stem(at + 1) in ("ticket", "case"):
            scene.use(at, at + 1)
    for match in scene.matches:
        people = any(meaning.name in ("assignee", "requester", "group") for meaning in match.all(Sense.DIMENSION))
        if people and match.first not in scene.used and conditions.is_subject(scene, match):
            scene.use(match.first, match.last)


def _contrast(scene: Scene, made: list[Condition], groups: list[str]) -> list[str]:
    """Two values set side by side are a cut by their dimension."""
    compared = measures.in_contrast(scene)
    for condition in made:
        if len(condition.values) < 2 or condition.negated or condition.dimension in groups or condition.first < 0:
            continue
        if condition.compared or (compared and not scene.has_time(Means.PREVIOUS)):
            groups = [*groups, condition.dimension]
            for at in range(len(scene.tokens)):
                if scene.word(at) in _COMPARING:
                    scene.used.add(at)
    return groups


def _spread(scene: Scene, made: list[Condition], groups: list[str]) -> list[str]:
    """A share of one value is shown as the counts of all values of its dimension, so that the whole is seen."""
    where_said = [
        at for at in range(len(scene.tokens)) if scene.word(at) in ("percent", "%", "share", "proportion", "fraction")
    ]
    where_said = [at for at in where_said if at not in scene.used]
    if not where_said:
        return groups
    candidates = [one for one in made if one.first >= 0 and one.op is None]
    if not groups and len(candidates) >= 1:
        one = candidates[-1]
        made.remove(one)
        scene.used.update(where_said)
        label = scene.semantics.dimensions[one.dimension].label.lower()
        scene.notes.append(f"the share is that row's part of all rows: tickets are shown by {label}")
        return [one.dimension]
    if groups:
        scene.used.update(where_said)
        scene.notes.append("a share is that row's part of all rows")
    return groups


def _check_dimensions(scene: Scene, metrics: Sequence[str], filters: Sequence[str], groups: Sequence[str]) -> None:
    for name in metrics:
        metric = scene.semantics.metrics[name]
        for dimension in (*filters, *groups):
            if dimension not in metric.dimensions:
                label = scene.semantics.dimensions[dimension].label.lower()
                known = sorted(scene.semantics.dimensions[one].label.lower() for one in metric.dimensions)
                raise AskBack(f"{metric.label.lower()} cannot be cut by {label}; it can by {', '.join(known[:12])}")


def _nothing(scene: Scene, order: orders.Order | None, groups: list[str], limits: list[Condition]) -> Reading:
    """No number is named: values alone count tickets, anything else is asked back."""
    line = scene.text.line
    if order is not None and groups:
        created = scene.lexicon.metric("tickets created")
        counting = order.word in ("busiest", "quietest", "top", "most", "largest", "biggest", "fewest", "bottom")
        if counting and created is not None and "assignee" not in groups:
            return _measured_by_default(scene, order, groups, created)
        raise AskBack(f"{order.word} by what? Name a number, such as tickets solved, CSAT or first reply time")
    if order is not None and order.grain is not None:
        created = scene.lexicon.metric("tickets created")
        if created is not None and order.word in ("busiest", "quietest"):
            return _measured_by_default(scene, order, groups, created)
    if intents.is_judgement(line):
        raise AskBack("good or bad by what? Name a number, such as CSAT, first reply time or backlog")
    unknown = scene.left_over()
    named = f": {', '.join(unknown[:5])}" if unknown else ""
    near = list(dict.fromkeys(name for word in unknown[:3] for name in scene.lexicon.nearest(word)))[:3]
    hint = f"; known names like it: {', '.join(near)}" if near else ""
    reason = f"no metric of the catalogue is recognised{named}{hint}"
    plan = ClarifyPlan(reason=reason, suggestions=EXAMPLES)
    confidence = 0.3 if any(match.meanings for match in scene.matches) or scene.times else 0.9
    return Reading(plan=plan, confidence=confidence, echo=f"Asked back: {reason}.", unknown_words=tuple(unknown))


def _measured_by_default(scene: Scene, order: orders.Order, groups: list[str], metric: str) -> Reading:
    made = conditions.conditions(scene, metric)
    _check_dimensions(scene, [metric], [one.dimension for one in made], groups)
    scene.notes.append(f"{order.word} is read by tickets created")
    descending = order.is_descending(scene.semantics.metrics[metric])
    sort = (f"-{metric}" if descending else metric,)
    plan = MetricPlan(
        metrics=(metric,),
        group_by=tuple(groups),
        filters=_filters(scene, made),
        order_by=sort,
        limit=order.limit or orders.TIES,
    )
    return _timed(scene, plan, measures.Measure([metric]), order)


# Time of numbers


def _split_ranges(scene: Scene) -> tuple[TimeSpan | None, list[TimeSpan]]:
    ranges = scene.ranges()
    compared = next((span for span in ranges if span.compared), None)
    return compared, [span for span in ranges if span is not compared]


def _aged(scene: Scene, base: MetricPlan, moment: datetime) -> Reading:
    """Open tickets older than so long: created before that moment."""
    if scene.ranges() or scene.has_time(Means.GRAIN):
        raise AskBack("two times are named: an age and a range; ask about one")
    created = scene.lexicon.metric("tickets created")
    metric = scene.semantics.metrics[base.metrics[0]]
    if created is None or not (metric.is_now or base.metrics[0] == created):
        raise AskBack(f"{metric.label.lower()} has no age")
    filters = base.filters
    opened = Filter(dimension="is_open", values=(True,))
    if base.metrics[0] == created and opened not in filters and "is_open" in metric.dimensions:
        filters = (*filters, opened)
    plan = base.model_copy(update={"filters": filters, "time": TimeRange.model_validate({"to": moment})})
    if metric.time is not None and "created_at" not in (metric.time, *metric.times):
        raise AskBack(f"{metric.label.lower()} has no age")
    return _done(scene, plan, _said(scene, plan))


def _timed(scene: Scene, base: MetricPlan, found: measures.Measure, order: orders.Order | None) -> Reading:
    """The plan with its time: a range, a series, or two periods side by side."""
    metric = scene.semantics.metrics[base.metrics[0]]
    compared, ranges = _split_ranges(scene)
    grain = order.grain if order is not None and order.grain is not None else _grain(scene)
    _check_grain(scene, base, grain)
    dimension = found.time
    is_series = grain is not None or found.is_series or any(span.means is Means.GRAIN for span in scene.times)
    contrast = compared is not None or scene.has_time(Means.PREVIOUS) or scene.has_time(Means.YEAR_BEFORE)
    if not contrast and not is_series and len(ranges) == 1 and _asks_for_change(scene):
        scene.notes.append("compared with the period before")
        contrast = True
    if len(ranges) > 1 and not contrast:
        if len(ranges) == 2 and (measures.in_contrast(scene) or _coordinated(scene, ranges)):
            compared, ranges, contrast = ranges[1], ranges[:1], True
        else:
            raise AskBack("several times are named: ask about one range, or compare two with vs")
    if contrast:
        return _compared(scene, base, ranges[0] if ranges else None, compared, grain, dimension)
    if metric.is_now and not ranges:
        if scene.has_time(Means.ALL) or is_series:
            raise AskBack(f"{metric.label.lower()} is known for this moment only; its history is the backlog")
        return _done(scene, base, _said(scene, base))
    if not ranges:
        return _unranged(scene, base, grain, is_series, dimension)
    time = scene.range_of(ranges[0], dimension)
    if is_series:
        if grain is None:
            if time.from_ is None or time.to is None:
                grain = Grain.MONTH
                time = time.model_copy(update={"grain": grain})
            elif ranges[0].count >= 3 and ranges[0].unit is not None:
                time = time.model_copy(update={"grain": ranges[0].unit})
            else:
                time = _with_grain(time, metric)
            scene.notes.append(f"one row a {time.grain}")
        else:
            time = time.model_copy(update={"grain": grain})
    plan = base.model_copy(update={"time": time})
    if found.mean_over is not None:
        scene.notes.append(f"the mean per {found.mean_over} is that over all rows shown, empty periods included")
    return _done(scene, plan, _said(scene, plan))


def _asks_for_change(scene: Scene) -> bool:
    """Whether a rise or fall is asked about: "did tickets increase last month"."""
    return any(
        scene.word(at) in _CHANGES
        or (scene.word(at) in ("go", "went", "gone") and scene.word(at + 1) in ("up", "down"))
        for at in range(len(scene.tokens))
        if at not in scene.used
    )


def _coordinated(scene: Scene, ranges: Sequence[TimeSpan]) -> bool:
    gap = [scene.word(at) for at in range(ranges[0].last + 1, ranges[1].first)]
    return 0 < len(gap) <= 2 and gap[0] in ("and", "or", ",", "vs")


def _grain(scene: Scene) -> Grain | None:
    return next((span.unit for span in scene.times if span.means is Means.GRAIN and span.unit is not None), None)


def _check_grain(scene: Scene, base: MetricPlan, grain: Grain | None) -> None:
    for name in base.metrics:
        metric = scene.semantics.metrics[name]
        if grain is not None and _GRAINS.index(grain) < _GRAINS.index(metric.finest_grain):
            raise AskBack(f"{metric.label.lower()} has no {grain}s; its finest period is a {metric.finest_grain}")


def _unranged(scene: Scene, base: MetricPlan, grain: Grain | None, is_series: bool, dimension: str | None) -> Reading:
    """No range is named: everything, or for fine series the last few periods."""
    if not is_series:
        if not scene.has_time(Means.ALL):
            scene.notes.append("no time named: all the data")
        plan = base.model_copy(update={"time": TimeRange(dimension=dimension)})
        return _done(scene, plan, _said(scene, plan))
    if grain is None:
        grain = Grain.MONTH
        scene.notes.append("one row a month")
    count = _SERIES.get(grain)
    if count is None or scene.has_time(Means.ALL):
        if not scene.has_time(Means.ALL):
            scene.notes.append("no time named: all the data")
        plan = base.model_copy(update={"time": TimeRange(dimension=dimension, grain=grain)})
        return _done(scene, plan, _said(scene, plan))
    today = scene.now.astimezone(scene.zone).date()
    if grain is Grain.HOUR:
        end = scene.now.astimezone(scene.zone).replace(minute=0, second=0, microsecond=0)
        start = (end.astimezone(UTC) - timedelta(hours=count)).astimezone(scene.zone)
    else:
        last = begin(grain, today)
        end, start = local(last, scene.zone), local(shift(grain, last, -count), scene.zone)
    scene.notes.append(f"no time named: the {count} full {grain}s before this one")
    time = TimeRange.model_validate({"dimension": dimension, "grain": grain, "from": start, "to": end})
    plan = base.model_copy(update={"time": time})
    return _done(scene, plan, _said(scene, plan))


def _compared(
    scene: Scene,
    base: MetricPlan,
    span: TimeSpan | None,
    other: TimeSpan | None,
    grain: Grain | None,
    dimension: str | None,
) -> Reading:
    """Two periods side by side."""
    if any(scene.semantics.metrics[name].is_now for name in base.metrics):
        backlog = scene.lexicon.metric("backlog")
        if backlog is None:
            raise AskBack("what is open now cannot be compared with another time")
        base = base.model_copy(update={"metrics": (backlog,)})
    if span is None:
        year = scene.has_time(Means.YEAR_BEFORE)
        if other is not None:
            span = _current(scene, other)
        elif year:
            today = scene.now.astimezone(scene.zone).date()
            start = local(begin(Grain.YEAR, today), scene.zone)
            span = TimeSpan(0, -1, Means.RANGE, start, scene.now.astimezone(scene.zone), Grain.YEAR)
            scene.notes.append("no time named: this year so far")
        else:
            raise AskBack("compared with the period before, but which period? Name one, such as last week")
    if other is None:
        other = scene.year_before(span) if scene.has_time(Means.YEAR_BEFORE) else scene.previous(span)
    for at in range(len(scene.tokens)):
        if scene.word(at) in _COMPARING:
            scene.used.add(at)
    first, second = (other, span) if earlier(_start(other), _start(span)) else (span, other)
    neighbours = grain is None and not base.group_by and _are_neighbours(first, second)
    if neighbours:
        time = _both(first, second).model_copy(update={"grain": first.unit, "dimension": dimension})
        for one in (first, second):
            scene.range_of(one)
        plan = base.model_copy(update={"time": time, "order_by": (), "limit": None})
        return _done(scene, plan, _said(scene, plan))
    plans = [base.model_copy(update={"time": scene.range_of(one, dimension, grain)}) for one in (first, second)]
    echo = f"{_said(scene, plans[0])} Beside it: {_said(scene, plans[1])}"
    return _done(scene, ComplexPlan(metrics=tuple(plans)), echo)


def _are_neighbours(first: TimeSpan, second: TimeSpan) -> bool:
    """Whether both are single calendar periods of one kind, the second right after the first."""
    calendar = first.unit is not None and first.unit is second.unit and first.unit is not Grain.HOUR
    single = first.count == second.count == 1 and not first.rolling and not second.rolling
    return calendar and single and first.end is not None and first.end == second.start


def _current(scene: Scene, other: TimeSpan) -> TimeSpan:
    """The running period to set beside the one named after "than": "more than last week" means this week."""
    if other.unit is None or other.rolling or other.count != 1:
        raise AskBack("compared with which period? Name both, such as this week vs last week")
    today = scene.now.astimezone(scene.zone).date()
    start = local(begin(other.unit, today), scene.zone)
    end = scene.now.astimezone(scene.zone)
    if other.end is None or earlier(start, other.end) or not earlier(start, end):
        raise AskBack("compared with which period? Name both, such as this week vs last week")
    scene.notes.append(f"compared with this {other.unit} so far")
    return TimeSpan(0, -1, Means.RANGE, start, end, other.unit)


def _said(scene: Scene, plan: MetricPlan) -> str:
    """The plan in plain words."""
    semantics = scene.semantics
    text = listed([semantics.metrics[name].label for name in plan.metrics])
    if plan.group_by:
        text += " by " + listed([semantics.dimensions[name].label.lower() for name in plan.group_by])
    text += where(plan.filters, semantics)
    if plan.time.dimension is not None:
        text += f", dated by {semantics.dimensions[plan.time.dimension].label.lower()}"
    text += when(plan.time, scene.zone)
    if all(semantics.metrics[name].is_now for name in plan.metrics):
        text += f", now ({scene.now.astimezone(scene.zone):%Y-%m-%d %H:%M} {scene.zone})"
    if plan.time.grain is not None:
        text += f", per {plan.time.grain}"
    if plan.order_by and plan.limit is not None:
        text += f", {'highest' if plan.order_by[0].startswith('-') else 'lowest'} {plan.limit}"
    return text + "."


__all__ = ["LEFT_OVER", "Match", "ask_back", "read"]
