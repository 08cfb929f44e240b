"""A short way to write down the plan that a question must give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from serving.planning.plan import ComplexPlan, Filter, MetricPlan, Plan, Scalar, TimeRange

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
"""A Wednesday, 15:30 in Berlin."""


def moment(text: str) -> datetime | None:
    """A local day or minute of Berlin; empty: open."""
    if not text:
        return None
    return NOW if text == "now" else datetime.fromisoformat(text).replace(tzinfo=ZONE)


def during(text: str, grain: str | None = None, dimension: str | None = None) -> TimeRange:
    """`2026-11-16/2026-11-23`, `/2026-05-01`, `2026-11-01/now` or nothing."""
    start, _, end = text.partition("/")
    return TimeRange.model_validate({"from": moment(start), "to": moment(end), "grain": grain, "dimension": dimension})


def where(**values: Any) -> tuple[Filter, ...]:
    """`priority="urgent"`, `channel=("in", "email", "chat")`, `assignee=("is_not_null",)`."""
    filters: list[Filter] = []
    for name, value in values.items():
        if isinstance(value, tuple):
            op, *rest = value
            filters.append(Filter.model_validate({"dimension": name, "op": op, "values": tuple(rest)}))
        else:
            filters.append(Filter(dimension=name, values=(value,)))
    return tuple(filters)


def number(*metrics: str, time: str = "", grain: str | None = None, dated: str | None = None, by: tuple[str, ...] = (),
           order: tuple[str, ...] | None = None, limit: int | None = None,
           share_of: tuple[Scalar, ...] = (), is_mean: bool = False, **filters: Any) -> MetricPlan:  # fmt: skip
    """A metric plan; groups without a series are ordered by the first metric, largest first, unless told otherwise."""
    return MetricPlan(
        metrics=metrics,
        group_by=by,
        filters=where(**filters),
        time=during(time, grain, dated),
        order_by=order if order is not None else ((f"-{metrics[0]}",) if by and grain is None else ()),
        limit=limit,
        share_of=share_of,
        is_mean=is_mean,
    )


def same(first: Plan, second: Plan) -> bool:
    """Equal but for the order of filters, and with moments compared as moments."""
    return _plain(first) == _plain(second)


def _plain(plan: Plan) -> Any:
    if isinstance(plan, ComplexPlan):
        return [_plain(one) for one in plan.metrics], plan.search, plan.graph
    body = plan.model_dump()
    if "filters" in body:
        body["filters"] = sorted(str(one) for one in body["filters"])
    if "time" in body:
        for end in ("from_", "to"):
            at = body["time"][end]
            body["time"][end] = at.astimezone(UTC) if at is not None else None
    return body
