"""From a plan to one SELECT: numbers through MetricFlow, lists through templates, periods filled around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from serving.planning.plan import Grain, MetricPlan, TemplatePlan
from serving.semantics import periods, templates
from serving.semantics.catalogue import Dimension, Metric, Semantics
from serving.semantics.check import check
from serving.semantics.engine import Engine, reference
from serving.semantics.errors import ImpossiblePlan, UnknownDimension
from serving.semantics.filters import condition
from serving.semantics.manifest import BY_TAG, Manifest, Model
from serving.semantics.parameters import Parameters, with_placeholders
from serving.semantics.periods import Clock
from serving.semantics.query import Column, CompiledQuery, Reads, partitions

ROW_CAP = 10_000
"""Rows that a query returns at most, whatever was asked."""

_TWIN = re.compile(rf"analytics\.(\w+){BY_TAG}\b")

# Parsing SQL costs as much as writing it; texts hold no values, so few of them occur.
_relations = lru_cache(maxsize=2048)(check)
_engine = lru_cache(maxsize=4)(Engine)


@dataclass(frozen=True, slots=True)
class _Part:
    """A common table of one MetricFlow query: columns d0.., t and m_NAME.."""

    name: str
    sql: str
    metrics: tuple[str, ...]


class Compiler:
    """Compiles plans against one published build; safe to share between threads."""

    def __init__(self, manifest: Manifest, semantics: Semantics) -> None:
        self._manifest = manifest
        self.semantics = semantics

    def compile(self, plan: MetricPlan | TemplatePlan, clock: Clock, *, row_cap: int = ROW_CAP) -> CompiledQuery:
        """Return the query of a plan; raises SemanticsError naming what is unknown or impossible."""
        if isinstance(plan, TemplatePlan):
            return self._template(plan, clock, row_cap)
        return _MetricQuery(self._manifest, self.semantics, plan, clock).compile(row_cap)

    def _template(self, plan: TemplatePlan, clock: Clock, row_cap: int) -> CompiledQuery:
        periods.check_range(plan.time, ())
        parameters = Parameters()
        sql, columns = templates.render(plan, self._manifest, self.semantics, clock.zone, parameters)
        limit = min(plan.limit, row_cap)
        parameters.name("limit", limit + 1)
        return CompiledQuery(
            sql=with_placeholders(sql),
            params=parameters.values,
            columns=columns,
            reads=tuple(Reads(relation, None) for relation in _relations(sql)),
            definitions={},
            time_zone=clock.zone.key,
            as_of=clock.as_of,
            depends_on_as_of="switchdesk.as_of" in sql,
            range=(plan.time.from_, plan.time.to),
            limit=limit,
            is_capped=True,
        )


class _MetricQuery:
    """One metric plan on its way to SQL."""

    def __init__(self, manifest: Manifest, semantics: Semantics, plan: MetricPlan, clock: Clock) -> None:
        self._manifest = manifest
        self._semantics = semantics
        self._clock = clock
        self._plan = plan
        self._time = plan.time
        self._parameters = Parameters()
        self._metrics = [semantics.metric(name) for name in dict.fromkeys(plan.metrics)]
        self._dimensions = [self._groupable(name) for name in dict.fromkeys(plan.group_by)]
        self._is_by_tag = any(dimension.type == "list" for dimension in self._dimensions)
        self._suffix = BY_TAG if self._is_by_tag else ""

    def compile(self, row_cap: int) -> CompiledQuery:
        periods.check_range(self._time, self._metrics)
        for metric in self._metrics:
            if self._time.dimension is not None and self._time.dimension not in metric.times:
                raise UnknownDimension(self._time.dimension, metric.times, where=f" as a time of {metric.name}")
        parts = [self._part(f"q{number}", group) for number, group in enumerate(self._groups())]
        order = self._order()
        limit = min(self._plan.limit or row_cap, row_cap)
        sql = self._assemble(parts, order)
        self._parameters.name("limit", limit + 1)
        return CompiledQuery(
            sql=with_placeholders(sql),
            params=self._parameters.values,
            columns=self._columns(),
            reads=self._reads(sql),
            definitions={metric.name: metric.description for metric in self._metrics},
            time_zone=self._clock.zone.key,
            as_of=self._clock.as_of,
            depends_on_as_of=self._depends_on_as_of(sql),
            range=(self._time.from_, self._time.to),
            limit=limit,
            is_capped=self._plan.limit is None or self._plan.limit > row_cap,
        )

    def _depends_on_as_of(self, sql: str) -> bool:
        """A length that still runs does; so does a series or a stock whose range is not over yet."""
        is_cut = not {"series_end", "until_day"}.isdisjoint(self._parameters.values)
        is_over = self._time.to is not None and self._time.to <= self._clock.as_of
        return "switchdesk.as_of" in sql or (is_cut and not is_over)

    def _groupable(self, name: str) -> Dimension:
        dimension = self._semantics.dimension(name, of=self._metrics)
        if dimension.type == "time":
            raise ImpossiblePlan(f"not a group: {name} is a time; set time.dimension and time.grain for a series")
        return dimension

    def _groups(self) -> list[list[Metric]]:
        """Metrics that one MetricFlow query answers together: dimensions are reached the same way."""
        groups: dict[tuple[str, ...], list[Metric]] = {}
        for metric in self._metrics:
            groups.setdefault(self._manifest.bases[metric.name], []).append(metric)
        return list(groups.values())

    def _part(self, name: str, metrics: Sequence[Metric]) -> _Part:
        model = self._manifest.model_of(metrics[0].name)
        is_stock = metrics[0].name in self._manifest.stocks
        grain = Grain.DAY if is_stock else self._time.grain
        time = "metric_time"
        if self._time.dimension is not None and not is_stock:
            time = self._path(model, self._time.dimension)
        where = periods.conditions(
            reference(time, time_grain="day" if is_stock else "second"),
            self._time,
            is_daily=is_stock,
            clock=self._clock,
            parameters=self._parameters,
        )
        for wanted in self._plan.filters:
            dimension = self._semantics.dimension(wanted.dimension, of=self._metrics)
            expression = reference(
                self._path(model, dimension.name), time_grain="second" if dimension.type == "time" else None
            )
            if self._is_by_tag and dimension.type == "list":
                dimension = replace(dimension, type="text")
            where.append(condition(expression, dimension, wanted, self._clock.zone, self._parameters))
        group_by = [self._path(model, dimension.name) for dimension in self._dimensions]
        inner = _engine(self._manifest.body).sql(
            [metric.name + self._suffix for metric in metrics],
            [*group_by, *([f"{time}__{grain}"] if grain else [])],
            where,
        )
        columns = [f"{path} as d{i}" for i, path in enumerate(group_by)]
        if self._time.grain:
            start = f"{time}__{grain}"
            columns.append(f"{periods.cut(start, self._time.grain) if is_stock else start} as t")
        columns += [
            f"cast({metric.name}{self._suffix} as {_sql_type(metric)}) as m_{metric.name}" for metric in metrics
        ]
        sql = f"{name} as (\nselect {', '.join(columns)}\nfrom (\n{inner}\n) as source"
        if is_stock:
            sql += f"\nwhere {periods.closing_day('metric_time__day', self._time.grain, self._parameters)}"
        return _Part(name, f"{sql}\n)", tuple(metric.name for metric in metrics))

    def _path(self, model: Model, name: str) -> str:
        path, attribute = self._manifest.paths[model.name][name]
        if not self._is_by_tag:
            return path
        if attribute.public.type == "list":
            return f"{model.primary_entity}{BY_TAG}__tag"
        own = f"{model.primary_entity}__"
        return f"{model.primary_entity}{BY_TAG}__{path.removeprefix(own)}" if path.startswith(own) else path

    def _assemble(self, parts: Sequence[_Part], order: Sequence[str]) -> str:
        """Join the parts cell by cell; grouping treats two nulls as the same, which a join would not."""
        keys = [f"d{i}" for i in range(len(self._dimensions))]
        cell = [*keys, *(["t"] if self._time.grain else [])]
        tables = [part.sql for part in parts]
        # A group that nothing was counted for is no answer: the tickets it has were left out by the metric itself.
        kept = {part.name: f" where {self._is_counted(part.metrics)}" if keys else "" for part in parts}
        rows = [_row(part.name, cell, part.metrics, self._metrics) + kept[part.name] for part in parts]
        if self._time.grain:
            names = [part.name for part in parts]
            tables.append(
                f"periods as ({periods.series(self._time, self._time.grain, self._clock, self._parameters, names)})"
            )
            source = "periods"
            if keys:
                seen = " union ".join(f"select {', '.join(keys)} from {name}{kept[name]}" for name in names)
                tables.append(f"keys as ({seen})")
                source = "keys cross join periods"
            rows.append(_row(source, cell, (), self._metrics))
        for twin in sorted(set(_TWIN.findall("".join(tables)))):
            tables.insert(
                0,
                f"{twin}{BY_TAG} as (select source.*, tags.tag from analytics.{twin} as source"
                " inner join analytics.bridge_ticket_tags as tags on source.ticket_id = tags.ticket_id)",
            )
        selected = [f'{key} as "{dimension.name}"' for key, dimension in zip(keys, self._dimensions, strict=True)]
        if self._time.grain:
            selected.append('t as "time"' if self._time.grain is Grain.HOUR else 'cast(t as date) as "time"')
        selected += [
            f'coalesce(max(m_{metric.name}), {metric.empty}) as "{metric.name}"'
            if metric.empty is not None
            else f'max(m_{metric.name}) as "{metric.name}"'
            for metric in self._metrics
        ]
        body = "\nunion all\n".join(rows)
        sql = "with " + ",\n".join(tables)
        sql += f"\nselect {', '.join(selected)}\nfrom (\n{body}\n) as cells"
        if self._time.grain:
            sql += "\nwhere t is not null"
        if cell:
            sql += f"\ngroup by {', '.join(cell)}"
        if order:
            sql += f"\norder by {', '.join(order)}"
        return _TWIN.sub(rf"\1{BY_TAG}", sql) + "\nlimit 'swd_limit'"

    def _is_counted(self, metrics: Sequence[str]) -> str:
        return " or ".join(
            f"m_{name} <> 0" if name in self._manifest.counts else f"m_{name} is not null" for name in metrics
        )

    def _order(self) -> list[str]:
        """What was asked, then a fixed order, so that equal rows never swap places."""
        known = {metric.name for metric in self._metrics} | {dimension.name for dimension in self._dimensions}
        if self._time.grain:
            known.add("time")
        order: dict[str, str] = {}
        for item in self._plan.order_by:
            name = item.removeprefix("-")
            if name not in known:
                raise UnknownDimension(name, known, where=" in order_by")
            order.setdefault(name, f'"{name}" {"desc" if item.startswith("-") else "asc"} nulls last')
        if self._time.grain:
            order.setdefault("time", '"time" asc')
        elif self._dimensions and not self._plan.order_by:
            order.setdefault(self._metrics[0].name, f'"{self._metrics[0].name}" desc nulls last')
        for dimension in self._dimensions:
            order.setdefault(dimension.name, f'"{dimension.name}" asc nulls last')
        return list(order.values())

    def _columns(self) -> tuple[Column, ...]:
        columns = [
            Column(dimension.name, "text" if dimension.type == "list" else dimension.type, None, "dimension")
            for dimension in self._dimensions
        ]
        if self._time.grain:
            kind = "timestamp" if self._time.grain is Grain.HOUR else "date"
            columns.append(Column("time", kind, self._time.grain, "dimension"))
        columns += [
            Column(metric.name, "number" if metric.empty is None else "integer", metric.unit, "metric")
            for metric in self._metrics
        ]
        return tuple(columns)

    def _reads(self, sql: str) -> tuple[Reads, ...]:
        """A mart that is measured depends on the months of the range; one that is only joined, on all of it."""
        found: list[Reads] = []
        for relation in _relations(sql):
            measured = [metric for metric in self._metrics if relation in metric.datasets]
            months = None
            others = any(relation not in metric.datasets for metric in self._metrics)
            if measured and not others:
                used = {
                    name
                    for metric in measured
                    for name in ((self._time.dimension,) if self._time.dimension else self._manifest.dated[metric.name])
                }
                months = self._months(relation, used)
            found.append(Reads(relation, months))
        return tuple(found)

    def _months(self, relation: str, names: set[str]) -> tuple[str, ...] | None:
        times = self._manifest.times_of(relation)
        if not names <= set(times):
            return None
        return partitions(self._time, tuple(None if name == times[0] else name for name in sorted(names)))


def _row(source: str, cell: Sequence[str], present: Sequence[str], metrics: Sequence[Metric]) -> str:
    columns = list(cell)
    for metric in metrics:
        value = f"m_{metric.name}" if metric.name in present else f"cast(null as {_sql_type(metric)})"
        columns.append(f"{value} as m_{metric.name}" if metric.name not in present else value)
    return f"select {', '.join(columns)} from {source}"


def _sql_type(metric: Metric) -> str:
    return "double precision" if metric.empty is None else "bigint"
