"""How a reading is said back in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from serving.planning.plan import Filter, Operator, Scalar, TimeRange
from serving.semantics.catalogue import Semantics

_SAID = {
    Operator.EQ: "is", Operator.NE: "is not", Operator.IN: "is one of", Operator.NOT_IN: "is none of",
    Operator.GT: "is more than", Operator.GE: "is at least", Operator.LT: "is less than", Operator.LE: "is at most",
    Operator.IS_NULL: "is not set", Operator.IS_NOT_NULL: "is set", Operator.CONTAINS: "contains",
}  # fmt: skip


def _value(value: Scalar) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def said(condition: Filter, semantics: Semantics) -> str:
    """One filter: "priority is urgent"."""
    dimension = semantics.dimensions.get(condition.dimension)
    label = (dimension.label if dimension is not None else condition.dimension).lower()
    if (
        condition.op is Operator.EQ
        and condition.values in ((True,), (False,))
        and isinstance(condition.values[0], bool)
    ):
        return label if condition.values[0] else f"not {label}"
    values = ", ".join(_value(value) for value in condition.values)
    return f"{label} {_SAID[condition.op]} {values}".strip()


def where(filters: Sequence[Filter], semantics: Semantics) -> str:
    """All filters: ", where priority is urgent and channel is email"; empty without any."""
    if not filters:
        return ""
    return ", where " + " and ".join(said(condition, semantics) for condition in filters)


def _moment(moment: datetime, zone: tzinfo, *, last: bool = False) -> str:
    there = moment.astimezone(zone)
    if (there.hour, there.minute, there.second) == (0, 0, 0):
        return str(there.date() - timedelta(days=1) if last else there.date())
    return there.strftime("%Y-%m-%d %H:%M")


def when(time: TimeRange, zone: tzinfo) -> str:
    """The range: ", from 2026-11-16 to 2026-11-22 (Europe/Berlin)", the last day named being included."""
    name = f" ({zone})"
    if time.from_ is None and time.to is None:
        return ""
    if time.from_ is None and time.to is not None:
        return f", up to {_moment(time.to, zone, last=True)}{name}"
    if time.from_ is not None and time.to is None:
        return f", from {_moment(time.from_, zone)}{name}"
    assert time.from_ is not None  # the cases above leave only two ends
    assert time.to is not None
    first, last = _moment(time.from_, zone), _moment(time.to, zone, last=True)
    return f", on {first}{name}" if first == last else f", from {first} to {last}{name}"


def listed(names: Sequence[str]) -> str:
    """Names joined as in a sentence."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
