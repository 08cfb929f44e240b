"""Compiling plans needs no database; names, grains and combinations are checked before any SQL is written."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlglot
from sqlglot import exp

from assets.dbt_project import semantic_manifest
from serving.planning.plan import Filter, Grain, MetricPlan, Operator, TemplatePlan, TimeRange
from serving.semantics import manifest
from serving.semantics.check import UnsafeQuery, check
from serving.semantics.compiler import Compiler
from serving.semantics.errors import (
    ImpossiblePlan,
    SemanticsError,
    UnknownDimension,
    UnknownMetric,
    UnknownName,
    UnknownValue,
)
from serving.semantics.periods import Clock
from serving.semantics.query import CompiledQuery
from tests.fakes.semantics import VALUES

NOW = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    parsed = manifest.parse("0" * 64, semantic_manifest())
    return Compiler(parsed, parsed.semantics.with_values(VALUES))


def compiled(compiler: Compiler, *metrics: str, zone: ZoneInfo = BERLIN, **plan: Any) -> CompiledQuery:
    return compiler.compile(MetricPlan(metrics=metrics, **plan), Clock(zone, NOW, NOW))


def span(start: datetime | None, stop: datetime | None, **further: Any) -> TimeRange:
    return TimeRange(**{"from": start, "to": stop, **further})


def test_values_travel_beside_the_statement(compiler: Compiler) -> None:
    query = compiled(
        compiler,
        "tickets_created",
        filters=(
            Filter(dimension="subject", values=("{{ 1 }}'; drop table x; --",)),
            Filter(dimension="group", op=Operator.IN, values=("billing", "TIER 1 SUPPORT")),
            Filter(dimension="reply_count", op=Operator.GT, values=(3,)),
        ),
    )
    assert "drop" not in query.sql
    assert list(query.params.values())[:3] == ["{{ 1 }}'; drop table x; --", ["Billing", "Tier 1 Support"], 3]


def test_metricflow_cuts_time_by_the_session_alone(compiler: Compiler) -> None:
    """The contract with MetricFlow: every period comes of date_trunc over the column as it is, and no zone is written.

    `SET LOCAL timezone` then decides where a day begins; a version that casts or converts breaks this test first.
    """
    query = compiled(compiler, "tickets_created", time=span(datetime(2026, 11, 1, tzinfo=BERLIN), NOW, grain=Grain.DAY))
    tree = sqlglot.parse_one(query.sql.replace("%(", "'").replace(")s", "'"), read="postgres")
    cuts = {cut.sql(dialect="postgres").lower() for cut in tree.find_all(exp.TimestampTrunc, exp.DateTrunc)}
    assert "date_trunc('day', created_at)" in cuts
    assert "date_trunc('second', created_at)" in cuts
    assert "at time zone" not in query.sql.lower()
    assert query.time_zone == "Europe/Berlin"


def test_the_same_shape_compiles_to_the_same_text_whatever_the_values(compiler: Compiler) -> None:
    one = compiled(compiler, "csat", filters=(Filter(dimension="group", values=("Billing",)),))
    other = compiled(compiler, "csat", filters=(Filter(dimension="group", values=("Engineering",)),))
    assert one.sql == other.sql
    assert one.params != other.params


def test_every_metric_goes_with_every_dimension_it_names(compiler: Compiler) -> None:
    semantics = compiler.semantics
    for number, metric in enumerate(semantics.metrics.values()):
        groups = sorted(name for name in metric.dimensions if semantics.dimensions[name].type != "time")
        # A third of them for each metric, so that all dimensions come up with every kind of metric.
        for name in groups[number % 3 :: 3]:
            query = compiled(compiler, metric.name, group_by=(name,), time=TimeRange(grain=Grain.MONTH))
            assert [column.name for column in query.columns] == [name, "time", metric.name]


def test_only_what_still_runs_depends_on_the_moment_asked(compiler: Compiler) -> None:
    over = span(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC), grain=Grain.DAY)
    running = span(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), grain=Grain.DAY)
    assert not compiled(compiler, "tickets_created", "backlog", time=over).depends_on_as_of
    assert compiled(compiler, "tickets_created", time=running).depends_on_as_of
    assert compiled(compiler, "backlog").depends_on_as_of
    assert compiled(compiler, "avg_open_age_minutes", time=over).depends_on_as_of
    assert not compiled(compiler, "tickets_created").depends_on_as_of


def test_columns_carry_unit_and_role(compiler: Compiler) -> None:
    query = compiled(compiler, "csat", "tickets_created", group_by=("group",), time=TimeRange(grain=Grain.WEEK))
    assert [(c.name, c.type, c.unit, c.role) for c in query.columns] == [
        ("group", "text", None, "dimension"),
        ("time", "date", "week", "dimension"),
        ("csat", "number", "share", "metric"),
        ("tickets_created", "integer", "tickets", "metric"),
    ]


@pytest.mark.parametrize(
    ("plan", "error", "nearest"),
    [
        ({"metrics": ("ticket_created",)}, UnknownMetric, "tickets_created"),
        ({"metrics": ("csat",), "group_by": ("grup",)}, UnknownDimension, "group"),
        ({"metrics": ("csat",), "group_by": ("author",)}, UnknownDimension, None),
        (
            {"metrics": ("csat",), "filters": (Filter(dimension="priorty", values=("high",)),)},
            UnknownDimension,
            "priority",
        ),
        ({"metrics": ("csat",), "filters": (Filter(dimension="priority", values=("hihg",)),)}, UnknownValue, "high"),
        ({"metrics": ("csat",), "order_by": ("-tickets",)}, UnknownName, None),
        ({"metrics": ("csat",), "time": TimeRange(dimension="create_at")}, UnknownName, "created_at"),
    ],
)
def test_unknown_names_come_with_the_nearest(
    compiler: Compiler, plan: dict[str, Any], error: type[UnknownName], nearest: str | None
) -> None:
    with pytest.raises(error) as caught:
        compiler.compile(MetricPlan(**plan), Clock(BERLIN, NOW, NOW))
    assert len(caught.value.nearest) <= 3
    if nearest is not None:
        assert nearest == next(iter(caught.value.nearest), None)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"metrics": ("backlog",), "time": TimeRange(grain=Grain.HOUR)}, "grain too fine"),
        ({"metrics": ("csat",), "time": span(NOW, NOW)}, "range empty"),
        ({"metrics": ("csat",), "time": span(datetime(2026, 1, 1), None)}, "time without a zone"),
        ({"metrics": ("csat",), "time": span(datetime(1900, 1, 1, tzinfo=UTC), NOW, grain=Grain.HOUR)}, "too long"),
        ({"metrics": ("csat",), "group_by": ("created_at",)}, "not a group"),
        ({"metrics": ("csat",), "filters": (Filter(dimension="group", op=Operator.GT, values=("a",)),)}, "operator"),
        ({"metrics": ("csat",), "filters": (Filter(dimension="group", op=Operator.IN),)}, "value missing"),
        ({"metrics": ("csat",), "filters": (Filter(dimension="group"),)}, "one value wanted"),
        ({"metrics": ("csat",), "filters": (Filter(dimension="reply_count", values=("many",)),)}, "wrong type"),
        ({"metrics": ("csat",), "filters": (Filter(dimension="reply_count", values=(2**70,)),)}, "out of range"),
        (
            {"metrics": ("csat",), "filters": (Filter(dimension="created_at", op=Operator.GE, values=("soon",)),)},
            "not a time",
        ),
    ],
)
def test_impossible_plans_say_why(compiler: Compiler, plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ImpossiblePlan, match=message):
        compiler.compile(MetricPlan(**plan), Clock(BERLIN, NOW, NOW))


def test_the_template_of_one_ticket_needs_its_number(compiler: Compiler) -> None:
    with pytest.raises(ImpossiblePlan, match="ticket number missing"):
        compiler.compile(TemplatePlan(template="ticket"), Clock(BERLIN, NOW, NOW))
    query = compiler.compile(TemplatePlan(template="ticket", ticket_id=7), Clock(BERLIN, NOW, NOW))
    assert query.params["ticket_id"] == 7


def test_a_stock_ends_with_the_data(compiler: Compiler) -> None:
    """The day after the newest build has no backlog yet, which must not read as zero."""
    data = datetime(2026, 11, 24, 23, 50, tzinfo=UTC)
    query = compiler.compile(MetricPlan(metrics=("backlog",)), Clock(BERLIN, NOW, data))
    assert query.params["until_day"] == date(2026, 11, 25)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; select 2",
        "delete from analytics.fct_tickets",
        "with gone as (delete from analytics.fct_tickets returning *) select * from gone",
        "select * from zendesk.tickets",
        "select * from pg_catalog.pg_authid",
        "select * from pg_authid",
        "select pg_sleep(10)",
        "select pg_read_file('/etc/passwd')",
        "select * from other.analytics.fct_tickets",
        "select * into analytics.mine from analytics.fct_tickets",
        "select * from analytics.fct_tickets for update",
        "select set_config('role', 'postgres', false)",
        "select lo_import('/etc/passwd')",
        "select * from dblink('x', 'y') as t(a int)",
        "copy analytics.fct_tickets to '/tmp/x'",
        "set role postgres",
        "select 'unfinished",
        "",
    ],
)
def test_a_statement_that_does_more_than_read_the_marts_is_refused(sql: str) -> None:
    with pytest.raises(UnsafeQuery):
        check(sql)


def test_errors_are_one_family() -> None:
    for error in (UnknownMetric, UnknownDimension, UnknownValue, ImpossiblePlan, UnsafeQuery):
        assert issubclass(error, SemanticsError)
