"""Explanation: how a number moved between two ranges, which slices brought it, and what nothing accounts for.

The contribution of a slice is its change as a share of the whole change; within a dimension the parts add up, those
that are not named under "others". Averages and shares have no parts that add up: their slices are set side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import sqrt
from zoneinfo import ZoneInfo

from serving import compose
from serving.planning.plan import Filter, MetricPlan, SearchPlan
from serving.schemas import Cell
from serving.tiers.table import Column, Table, number

Part = tuple[MetricPlan, Table]

_LEADING_SHARE = 0.4
"""Least share of the change for a slice to be named as what brought it."""
_SURPRISE = 0.15
"""By how much that has to exceed the slice's share of the earlier total: big slices always move most."""
_NAMED = 3
"""Slices named of each dimension."""
_OFFSET = 3
"""How many times as far as the whole the slices may move for shares of its change to be told."""
_FEWEST = 5
"""Fewest cases behind an average or a share for it to be named."""
_SUBJECTS = {"product", "reason", "tag"}
"""Dimensions whose members are words that comments hold."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One member of a dimension in both ranges."""

    dimension: Column
    member: Cell
    before: float
    after: float
    contribution: float
    """Its change as a share of the whole change; below zero where it moved the other way."""
    base: float
    """Its share of the earlier total."""

    @property
    def change(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def surprise(self) -> float:
        """What it brought beyond its size."""
        return self.contribution - self.base


@dataclass(frozen=True, slots=True)
class Explanation:
    """A change in words, and what led it."""

    text: str
    leading: Slice | None
    """The slice that brought most of it, beyond its size; None where none did."""
    topic: str
    """What comments about it would hold: the leading members."""

    def search(self, plan: SearchPlan) -> SearchPlan:
        """The search narrowed to the leading slice, where there is one."""
        if self.leading is None or not isinstance(self.leading.member, str):
            return plan
        narrowed = Filter(dimension=self.leading.dimension.name, values=(self.leading.member,))
        return plan.model_copy(update={"query": self.topic, "filters": (*plan.filters, narrowed)})


def explain(
    parts: Sequence[Part], *, is_additive: bool, zone: ZoneInfo, as_of: datetime, limits: str = ""
) -> Explanation | None:
    """What moved between the first two totals of one metric; None where the figures hold no such pair.

    `limits` are the filters of the figures in words, as `, where priority is urgent`.
    """
    pair = _totals(parts)
    if pair is None:
        return None
    (earlier, old), (later, new) = pair
    was, now, column = old.value, new.value, new.columns[0]
    if was is None or now is None or was == now:
        return _unmoved(earlier, later, was, now, column, zone=zone, as_of=as_of)
    column = replace(column, label=f"{column.label}{limits},") if limits else column
    moved = _moved(earlier, later, was, now, column, zone=zone, as_of=as_of)
    sliced = list(_sliced(parts, earlier, later))
    peak = _peak(parts, column)
    if not is_additive:
        lines = [line for before, after in sliced if (line := _beside(before, after, column)) is not None]
        said = [f"{moved}.", *peak]
        if lines:
            said += ["What weighs most in it, slice by slice (parts of an average or a share do not add up):"]
        return Explanation("\n".join([*said, *lines]), None, "")
    cuts = [found for before, after in sliced if (found := contributions(before, after, was, now))]
    ranked = sorted(itertools.chain.from_iterable(cuts), key=lambda one: -one.surprise)
    strong = [one for one in ranked if one.contribution >= _LEADING_SHARE and one.surprise >= _SURPRISE]
    offset = any(_cancels(found, now - was) for found in cuts)
    strong = [] if offset else strong
    leading = next((one for one in strong if isinstance(one.member, str)), None)
    why = "slices moved both ways and largely cancel out" if offset else _led(leading, column, now - was)
    text = [f"{moved}; {why}." if cuts else f"{moved}."]
    if sqrt(was + now) * 2 > abs(now - was):
        text.append("A difference of that size also comes about by chance.")
    text += peak
    text += [_by(found, now - was, with_shares=not offset) for found in cuts]
    names = [one.member for one in strong if isinstance(one.member, str) and one.dimension.name in _SUBJECTS]
    return Explanation(
        "\n".join(text), leading, " ".join(dict.fromkeys(names)) or str(leading.member if leading else "")
    )


def contributions(before: Table, after: Table, was: float, now: float) -> list[Slice]:
    """Slices of a dimension, largest change first; what the tables leave out is no slice."""
    at, value = after.dimensions[0], after.metrics[0]
    counts: dict[Cell, list[float]] = {}
    for place, table in enumerate((before, after)):
        for row in table.rows:
            counts.setdefault(row[at], [0.0, 0.0])[place] += number(row[value]) or 0
    change = now - was
    found = [
        Slice(after.columns[at], member, old, new, (new - old) / change, old / was if was else 0.0)
        for member, (old, new) in counts.items()
    ]
    return sorted(found, key=lambda one: (-abs(one.change), str(one.member)))


def _cancels(slices: Sequence[Slice], change: float) -> bool:
    """Whether the slices moved far more than the whole did, so that shares of its change say little."""
    return sum(abs(one.change) for one in slices) > _OFFSET * abs(change)


def _totals(parts: Sequence[Part]) -> tuple[Part, Part] | None:
    """Two numbers of one metric over different ranges, the earlier first."""
    single = [
        (plan, table)
        for plan, table in parts
        if plan.time.from_ is not None and len(table.rows) == 1 and len(table.columns) == len(table.metrics) == 1
    ]
    for one, other in itertools.combinations(single, 2):
        (plan, _), (beside, _) = one, other
        same = plan.metrics == beside.metrics and plan.filters == beside.filters
        if same and plan.time.from_ != beside.time.from_:
            first, second = sorted((one, other), key=lambda part: _start(part[0]))
            return first, second
    return None


def _start(plan: MetricPlan) -> float:
    return plan.time.from_.timestamp() if plan.time.from_ is not None else 0.0


def _sliced(parts: Sequence[Part], earlier: MetricPlan, later: MetricPlan) -> Iterator[tuple[Table, Table]]:
    """Pairs of tables, each cut by the same dimension over the two ranges."""
    for plan, table in parts:
        if len(plan.group_by) != 1 or plan.time != later.time or not table.dimensions:
            continue
        for other, beside in parts:
            if other.group_by == plan.group_by and other.time == earlier.time and beside.dimensions:
                yield beside, table


def _unmoved(
    earlier: MetricPlan,
    later: MetricPlan,
    was: float | None,
    now: float | None,
    column: Column,
    *,
    zone: ZoneInfo,
    as_of: datetime,
) -> Explanation:
    spans = [compose.range_phrase(plan.time, zone, as_of) for plan in (earlier, later)]
    label = compose.label(column)
    if was is None or now is None:
        values = [compose.humanise(value, column.unit) for value in (was, now)]
        return Explanation(f"{label}: {values[0]} {spans[0]}, {values[1]} {spans[1]}.", None, "")
    return Explanation(
        f"{label} did not change: {compose.humanise(now, column.unit)} {spans[1]}, as {spans[0]}.", None, ""
    )


def _moved(
    earlier: MetricPlan, later: MetricPlan, was: float, now: float, column: Column, *, zone: ZoneInfo, as_of: datetime
) -> str:
    by = (
        f"{abs(now - was) * 100:.1f} points"
        if column.unit == "share"
        else compose.humanise(abs(now - was), column.unit)
    )
    relative = "" if not was or column.unit == "share" else f" ({_percent((now - was) / was, signed=True)})"
    return (
        f"{compose.label(column)} {'rose' if now > was else 'fell'} by {by}{relative}: "
        f"{compose.humanise(now, column.unit)} {compose.range_phrase(later.time, zone, as_of)}, "
        f"{compose.humanise(was, column.unit)} {compose.range_phrase(earlier.time, zone, as_of)}"
    )


def _led(leading: Slice | None, column: Column, change: float) -> str:
    way = "rise" if change > 0 else "fall"
    if leading is None:
        return f"no slice stands out, the {way} is spread over them"
    return (
        f"{leading.dimension.label.lower()} {compose.member_text(leading.dimension, leading.member)} brought "
        f"{_percent(leading.contribution)} of the {way} ({compose.humanise(leading.before, None)} to "
        f"{compose.humanise(leading.after, column.unit)}, {_percent(leading.base)} of all before)"
    )


def _by(slices: Sequence[Slice], change: float, *, with_shares: bool) -> str:
    """One dimension as a line: the slices that moved most, the rest as others, so that the parts add up."""
    moved = [one for one in slices if one.change]
    named, label = moved[:_NAMED], slices[0].dimension.label.lower()
    parts = [
        f"{compose.member_text(one.dimension, one.member)} {_signed(one.change, None)}"
        + (f" ({_percent(one.contribution)})" if with_shares else "")
        for one in named
    ]
    rest = change - sum(one.change for one in named)
    if rest:
        parts.append(f"others {_signed(rest, None)}" + (f" ({_percent(rest / change)})" if with_shares else ""))
    return f"- by {label}: {', '.join(parts)}"


def _beside(before: Table, after: Table, column: Column) -> str | None:
    """Slices of an average or a share, with how many cases are behind it now."""
    if len(after.metrics) < 2:
        return None
    at, value, cases = after.dimensions[0], after.metrics[0], after.metrics[1]
    old = {row[at]: row for row in before.rows}
    found: list[tuple[float, str]] = []
    for row in after.rows:
        earlier = old.get(row[at])
        now, many = number(row[value]), number(row[cases]) or 0
        was = number(earlier[value]) if earlier is not None else None
        if earlier is None or now is None or was is None or many < _FEWEST:
            continue
        said = (
            f"{compose.member_text(after.columns[at], row[at])} {compose.humanise(was, column.unit)} to "
            f"{compose.humanise(now, column.unit)} ({compose.humanise(earlier[cases], None)} to "
            f"{compose.humanise(many, after.columns[cases].unit)})"
        )
        found.append((abs(now - was) * many, said))
    if not found:
        return None
    named = [said for _, said in sorted(found, key=lambda pair: -pair[0])[:_NAMED]]
    return f"- by {after.columns[at].label.lower()}: {', '.join(named)}"


def _peak(parts: Sequence[Part], column: Column) -> list[str]:
    """The period that stands out in the series."""
    for plan, table in parts:
        if plan.time.grain is None or len(table.dimensions) != 1 or not table.metrics:
            continue
        at, value = table.dimensions[0], table.metrics[0]
        held = [(found, row[at]) for row in table.rows if (found := number(row[value])) is not None]
        if len(held) > 2:
            most, when = max(held, key=lambda pair: pair[0])
            shown = compose.member_text(table.columns[at], when)
            return [f"The highest {plan.time.grain.value} was {shown} with {compose.humanise(most, column.unit)}."]
    return []


def _signed(value: float, unit: str | None) -> str:
    if unit == "share":
        return f"{value * 100:+.1f} points"
    text = compose.humanise(abs(value), unit)
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{text}"


def _percent(share: float, *, signed: bool = False) -> str:
    return (f"{share:+.0%}" if signed else f"{share:.0%}").replace("%", " %").replace("-", "−")
