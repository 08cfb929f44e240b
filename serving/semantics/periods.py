"""Time in a query: the range as conditions, the series of periods, and the closing day of a stock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from serving.planning.plan import Grain, TimeRange
from serving.semantics.catalogue import Metric
from serving.semantics.errors import ImpossiblePlan
from serving.semantics.parameters import Parameters

MAX_PERIODS = 10_000
"""A longer series is refused."""

_STEPS = {
    Grain.HOUR: "interval '1 hour'",
    Grain.DAY: "interval '1 day'",
    Grain.WEEK: "interval '7 days'",
    Grain.MONTH: "interval '1 month'",
    Grain.QUARTER: "interval '3 months'",
    Grain.YEAR: "interval '1 year'",
}
_SHORTEST = {
    Grain.HOUR: timedelta(hours=1),
    Grain.DAY: timedelta(days=1),
    Grain.WEEK: timedelta(days=7),
    Grain.MONTH: timedelta(days=28),
    Grain.QUARTER: timedelta(days=90),
    Grain.YEAR: timedelta(days=365),
}
_ORDER = tuple(Grain)


@dataclass(frozen=True, slots=True)
class Clock:
    """The moments against which a plan is read."""

    zone: ZoneInfo
    """Days, weeks and months are cut in it."""
    as_of: datetime
    """The moment asked."""
    data_as_of: datetime
    """The data holds everything up to here."""


def check_range(time: TimeRange, metrics: Sequence[Metric]) -> None:
    """Refuse what no query can answer: an empty range, times without a zone, a grain finer than the data."""
    for name, moment in (("from", time.from_), ("to", time.to)):
        if moment is not None and moment.tzinfo is None:
            raise ImpossiblePlan(f"time without a zone: {name} is {moment.isoformat()}; add an offset such as +00:00")
    if time.from_ and time.to and time.from_ >= time.to:
        raise ImpossiblePlan(f"range empty: it ends at {time.to.isoformat()}, not after {time.from_.isoformat()}")
    if time.grain is None:
        return
    for metric in metrics:
        if _ORDER.index(time.grain) < _ORDER.index(metric.finest_grain):
            raise ImpossiblePlan(
                f"grain too fine: {metric.name} has no {time.grain}s; its finest grain is {metric.finest_grain}"
            )
    if time.from_ and time.to and (time.to - time.from_) / _SHORTEST[time.grain] > MAX_PERIODS:
        raise ImpossiblePlan(f"series too long: over {MAX_PERIODS} {time.grain}s; ask for a coarser grain or less time")


def conditions(name: str, time: TimeRange, *, is_daily: bool, clock: Clock, parameters: Parameters) -> list[str]:
    """The range over a time dimension that the reference names; days are those of the question's zone."""
    found: list[str] = []
    if is_daily:
        if time.from_ is not None:
            found.append(f"{name} >= {parameters.day('from_day', time.from_.astimezone(clock.zone).date())}")
        found.append(f"{name} < {parameters.day('until_day', until(time, clock))}")
        return found
    if time.from_ is not None:
        found.append(f"{name} >= {parameters.moment('from', time.from_)}")
    if time.to is not None:
        found.append(f"{name} < {parameters.moment('to', time.to)}")
    return found


def until(time: TimeRange, clock: Clock) -> date:
    """The day after the last one of which a stock is known; its days are UTC days up to the data's own moment."""
    known = min(clock.as_of, clock.data_as_of).astimezone(UTC).date() + timedelta(days=1)
    if time.to is None:
        return known
    end = time.to.astimezone(clock.zone)
    day = end.date() if end.time() == datetime.min.time() else end.date() + timedelta(days=1)
    return min(day, known)


def cut(expression: str, grain: Grain) -> str:
    """The start of the period in the zone of the session."""
    return f"date_trunc('{grain}', {expression})"


def closing_day(day: str, grain: Grain | None, parameters: Parameters) -> str:
    """Condition that a day is the last one known of its period, or of the whole range."""
    last = parameters_until(parameters)
    if grain is None:
        return f"cast({day} as date) = {last} - 1"
    return f"cast({day} as date) = least(cast({cut(day, grain)} + {_STEPS[grain]} as date), {last}) - 1"


def parameters_until(parameters: Parameters) -> str:
    """The `until_day` that `conditions` left."""
    return parameters.day("until_day", parameters.values["until_day"])


def series(time: TimeRange, grain: Grain, clock: Clock, parameters: Parameters, tables: Sequence[str]) -> str:
    """Every period of the range up to the moment asked, as a column `t`.

    Without a range: from the first to the last period that has rows.
    """
    observed = " union all ".join(f"select t from {table}" for table in tables)
    start = (
        cut(parameters.moment("from", time.from_), grain)
        if time.from_ is not None
        else f"(select min(t) from ({observed}) as observed)"
    )
    if time.to is not None or time.from_ is not None:
        end = min(time.to or clock.as_of, clock.as_of)
        stop = f"{parameters.moment('series_end', end)} - interval '1 microsecond'"
    else:
        stop = f"(select max(t) from ({observed}) as observed)"
    return f"select t from generate_series({start}, {stop}, {_STEPS[grain]}) as series (t)"
