"""Questions about reasons: figures of two periods along a few dimensions, with comments and linked problems."""

from __future__ import annotations

from serving.planning import conditions, intents, measures
from serving.planning.normalise import Kind
from serving.planning.outcome import done, filters_of
from serving.planning.periods import spanning, split_ranges, start_of, with_grain
from serving.planning.plan import (
    ComplexPlan,
    Filter,
    GraphPlan,
    MetricPlan,
    Reading,
    SearchPlan,
)
from serving.planning.scene import AskBack, Scene, month_before
from serving.planning.times import earlier
from serving.planning.wording import when, where
from serving.semantics.catalogue import Metric

_SLOW = {"slow", "slower", "fast", "faster", "late", "delay", "delays", "delayed", "waiting", "wait"}


_SLICES = ("product", "reason", "group", "channel")
"""Dimensions along which a change is looked at."""
_MOST_SLICES = 100
_CASES = {"created_at": "tickets created", "solved_at": "tickets solved", "rated_at": "ratings"}
"""What counts the cases behind an average or a share, by its date."""


def read_reasons(scene: Scene) -> Reading:
    """Figures of the period and the one before, along a few dimensions, with comments and linked problems."""
    compared, ranges = split_ranges(scene)
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
    if earlier(start_of(span), start_of(before)):
        span, before = before, span
    now_range, then_range = scene.range_of(span), scene.range_of(before)
    themes = intents.is_themes(scene.text.line)
    plans = [
        MetricPlan(metrics=(name,), filters=filters, time=now_range),
        MetricPlan(metrics=(name,), filters=filters, time=then_range),
        MetricPlan(metrics=(name,), filters=filters, time=with_grain(spanning(before, span), metric)),
    ]
    if themes:
        plans = []
    counted = () if metric.is_additive else _cases(scene, metric)
    for dimension in ("reason", "product", "group") if themes else _SLICES:
        if dimension in metric.dimensions and all(one.dimension != dimension for one in filters):
            plans += [
                MetricPlan(
                    metrics=(name, *counted),
                    group_by=(dimension,),
                    filters=filters,
                    time=time,
                    order_by=(f"-{name}",),
                    limit=_MOST_SLICES,
                )
                for time in ((now_range,) if themes else (now_range, then_range))
            ]
    words = [at for at, token in enumerate(scene.tokens) if not scene.in_time(at) and token.kind is not Kind.SYMBOL]
    customers = Filter(dimension="author_role", values=("customer",))
    searchable = (*(one for one in filters if one.dimension in scene.semantics.dimensions), customers)
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
    if themes:
        limits = f"{where(filters, scene.semantics)}{when(now_range, scene.zone)}"
        echo = f"What comes up most in {metric.label.lower()}{limits}."
    return done(scene, plan, echo)


def _cases(scene: Scene, metric: Metric) -> tuple[str, ...]:
    """The count of the cases behind an average or a share, where it can be cut the same way."""
    name = scene.lexicon.metric(_CASES.get(metric.time or "", ""))
    if name is None or not metric.dimensions <= scene.semantics.metrics[name].dimensions:
        return ()
    return (name,)


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
    return name, filters_of(scene, [one for one in made if one.dimension in metric.dimensions])
