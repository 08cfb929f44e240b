"""Metrics: plans run against the published marts, their results as tables with labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from assets.catalog import DatasetVersion
from serving.planning.plan import Filter, MetricPlan, TemplatePlan
from serving.schemas import Cell
from serving.semantics.catalogue import Semantics
from serving.semantics.runner import Analytics, Result
from serving.tiers.table import Column, Role, Table

Countable = MetricPlan | TemplatePlan


@dataclass(frozen=True, slots=True)
class Figures:
    """What one plan came to."""

    table: Table
    sql: str
    definitions: Mapping[str, str]
    """By label."""
    datasets: Mapping[str, DatasetVersion]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a plan's result depends on besides the plan: the data part of a cache key."""

    versions: tuple[tuple[str, str, int], ...]
    depends_on_as_of: bool


class Metrics:
    """Runs plans within the rows an asker may see (blocking)."""

    def __init__(self, analytics: Analytics) -> None:
        self._analytics = analytics

    def fingerprint(self, plan: Countable, *, zone: ZoneInfo, as_of: datetime, rows: Sequence[Filter]) -> Fingerprint:
        """What the result will depend on; raises SemanticsError for a plan that cannot be."""
        query, snapshot = self._analytics.compile(scoped(plan, rows), zone=zone, as_of=as_of)
        return Fingerprint(query.versions(snapshot), query.depends_on_as_of)

    def run(
        self,
        plans: Sequence[Countable],
        *,
        semantics: Semantics,
        zone: ZoneInfo,
        as_of: datetime,
        rows: Sequence[Filter],
    ) -> list[Figures]:
        """Run plans, all against one build; raises SemanticsError."""
        narrowed = [scoped(plan, rows) for plan in plans]
        return [_figures(result, semantics) for result in self._analytics.run_all(narrowed, zone=zone, as_of=as_of)]


def scoped(plan: Countable, rows: Sequence[Filter]) -> Countable:
    """The plan narrowed to the rows an asker may see."""
    return plan.model_copy(update={"filters": (*plan.filters, *rows)}) if rows else plan


def cell(value: object) -> Cell:
    """A value of a store as JSON has it; times as ISO texts, lists joined."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime() | date():
            return value.isoformat()
        case list() | tuple():
            return ", ".join(str(item) for item in value)
        case _:
            return _number(value)


def _figures(result: Result, semantics: Semantics) -> Figures:
    columns = tuple(
        Column(column.name, column.type, column.unit, _role(column.role), label(column.name, semantics))
        for column in result.columns
    )
    return Figures(
        table=Table(
            columns, tuple(tuple(cell(value) for value in row) for row in result.rows), result.truncated, result.total
        ),
        sql=result.sql,
        definitions={label(name, semantics): text for name, text in result.definitions.items()},
        datasets=result.datasets,
    )


def label(name: str, semantics: Semantics) -> str:
    """What people call a metric, a dimension or another column."""
    if name in semantics.metrics:
        return semantics.metrics[name].label
    if name in semantics.dimensions:
        return semantics.dimensions[name].label
    return plain_label(name)


def plain_label(name: str) -> str:
    """A column's name as words; its unit and its being an id are told otherwise."""
    return name.removesuffix("_minutes").removesuffix("_id").replace("_", " ")


def _role(role: str) -> Role:
    return "metric" if role == "metric" else "id" if role == "id" else "dimension"


def _number(value: object) -> float | int | str:
    try:
        exact = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return str(value)
    return int(exact) if exact.is_integer() and abs(exact) < 2**53 else exact
