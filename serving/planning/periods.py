"""The time of a number: a range, a series, or two periods side by side."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from serving.planning import measures, orders
from serving.planning.outcome import done
from serving.planning.plan import (
    ComplexPlan,
    Filter,
    Grain,
    MetricPlan,
    Reading,
    TimeRange,
)
from serving.planning.scene import AskBack, Scene
from serving.planning.times import Means, TimeSpan, begin, earlier, local, shift
from serving.planning.wording import listed, when, where
from serving.semantics.catalogue import Metric

COMPARING = {
    "more", "fewer", "less", "higher", "lower", "change", "changed", "difference", "differ", "compare", "compared",
    "comparison", "vs", "versus", "increase", "increased", "decrease", "decreased", "grow", "grew", "grown", "growth",
    "drop",
    "dropped", "rise", "rose", "risen", "fell", "fall", "develop", "developed", "evolve", "evolved", "against", "side",
    "previous", "period", "before", "better", "worse", "faster", "slower", "month", "week", "year", "quarter", "day",
    "previously", "earlier", "busier", "quieter", "improve", "improved", "between", "went", "gone",
}  # fmt: skip
"""Words that only say that things are set side by side."""
_SERIES = {Grain.HOUR: 24, Grain.DAY: 30, Grain.WEEK: 12}


_GRAINS = tuple(Grain)


_CHANGES = {
    "increase", "increased", "decrease", "decreased", "grow", "grew", "grown", "rise", "rose", "risen", "drop",
    "dropped",
    "fall", "fell", "fallen", "improve", "improved", "worsen", "worsened", "change", "changed",
}  # fmt: skip


def split_ranges(scene: Scene) -> tuple[TimeSpan | None, list[TimeSpan]]:
    """The stretch that others are compared with, and the rest."""
    ranges = scene.ranges()
    compared = next((span for span in ranges if span.compared), None)
    return compared, [span for span in ranges if span is not compared]


def start_of(span: TimeSpan) -> datetime:
    """Start of a stretch that has one."""
    assert span.start is not None  # only spans with both ends are compared
    return span.start


def spanning(first: TimeSpan, second: TimeSpan) -> TimeRange:
    """From the start of the first to the end of the second."""
    return TimeRange.model_validate({"from": first.start, "to": second.end})


def with_grain(time: TimeRange, metric: Metric) -> TimeRange:
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


def aged(scene: Scene, base: MetricPlan, moment: datetime) -> Reading:
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
    return done(scene, plan, _said(scene, plan))


def timed(scene: Scene, base: MetricPlan, found: measures.Measure, order: orders.Order | None) -> Reading:
    """The plan with its time: a range, a series, or two periods side by side."""
    metric = scene.semantics.metrics[base.metrics[0]]
    compared, ranges = split_ranges(scene)
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
        return done(scene, base, _said(scene, base))
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
                time = with_grain(time, metric)
            scene.notes.append(f"one row a {time.grain}")
        else:
            time = time.model_copy(update={"grain": grain})
    plan = base.model_copy(update={"time": time})
    if found.mean_over is not None:
        scene.notes.append("periods without any count as 0")
        plan = plan.model_copy(update={"is_mean": True})
    return done(scene, plan, _said(scene, plan))


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
        return done(scene, plan, _said(scene, plan))
    if grain is None:
        grain = Grain.MONTH
        scene.notes.append("one row a month")
    count = _SERIES.get(grain)
    if count is None or scene.has_time(Means.ALL):
        if not scene.has_time(Means.ALL):
            scene.notes.append("no time named: all the data")
        plan = base.model_copy(update={"time": TimeRange(dimension=dimension, grain=grain)})
        return done(scene, plan, _said(scene, plan))
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
    return done(scene, plan, _said(scene, plan))


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
        if scene.word(at) in COMPARING:
            scene.used.add(at)
    first, second = (other, span) if earlier(start_of(other), start_of(span)) else (span, other)
    neighbours = grain is None and not base.group_by and _are_neighbours(first, second)
    if neighbours:
        time = spanning(first, second).model_copy(update={"grain": first.unit, "dimension": dimension})
        for one in (first, second):
            scene.range_of(one)
        plan = base.model_copy(update={"time": time, "order_by": (), "limit": None})
        return done(scene, plan, _said(scene, plan))
    plans = [base.model_copy(update={"time": scene.range_of(one, dimension, grain)}) for one in (first, second)]
    echo = f"{_said(scene, plans[0])} Beside it: {_said(scene, plans[1])}"
    return done(scene, ComplexPlan(metrics=tuple(plans)), echo)


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
