"""Running plans: nothing but reading, no text of an asker in a statement, one build in an answer, clear errors."""

from contextlib import suppress
from datetime import UTC, datetime
from threading import Thread
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

from assets import catalog
from assets.settings import Settings
from assets.stores import postgres
from serving.planning.plan import Filter, MetricPlan, Operator, TemplatePlan, TimeRange
from serving.semantics.errors import ImpossiblePlan, NothingPublished, QueryTimeout, SemanticsError, UnknownValue
from serving.semantics.runner import Analytics
from tests.dbt.conftest import Built
from tests.fakes.handmade import AS_OF

ZONE = ZoneInfo("UTC")
HOSTILE = [
    "'; drop table analytics.fct_tickets; --",
    "x' or '1'='1",
    "{{ Dimension('ticket__status') }}",
    "{% raw %}",
    "'swd_limit'",
    "%(limit)s",
    "%s %",
    "$1",
    "\\'; select pg_sleep(10); --",
    '"; set role postgres; --',
    "a\nb\tc",
    "👩‍👩‍👧‍👦 ▇▇▇ שלום",
    "",
    " " * 50,
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_is_only_ever_compared(value: str, analytics: Analytics) -> None:
    for op in (Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN, Operator.CONTAINS):
        wanted = (Filter(dimension="subject", op=op, values=(value,)),)
        result = analytics.run(MetricPlan(metrics=("tickets_created",), filters=wanted), zone=ZONE)
        assert isinstance(result.value, int)
        listed = analytics.run(TemplatePlan(template="ticket_list", filters=wanted), zone=ZONE)
        harmless = (Filter(dimension="subject", op=op, values=("harmless",)),)
        usual = analytics.run(TemplatePlan(template="ticket_list", filters=harmless), zone=ZONE)
        assert listed.query.sql == usual.query.sql
    drop = HOSTILE[0]
    found = analytics.run(
        TemplatePlan(template="ticket_list", filters=(Filter(dimension="subject", values=(drop,)),)), zone=ZONE
    )
    assert [row[0] for row in found.rows] == [11]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=st.text(max_size=60), name=st.sampled_from(["subject", "requester", "tag", "group", "priority"]))
def test_any_text_gives_rows_or_a_clear_error(text: str, name: str, analytics: Analytics) -> None:
    plan = MetricPlan(metrics=("tickets_created",), filters=(Filter(dimension=name, values=(text,)),))
    with suppress(SemanticsError):
        assert isinstance(analytics.run(plan, zone=ZONE).value, int)


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
@pytest.mark.parametrize("name", ["subject", "tag"])
@pytest.mark.parametrize("op", [Operator.EQ, Operator.IN, Operator.CONTAINS])
def test_text_that_no_database_can_hold_is_refused(value: str, name: str, op: Operator, analytics: Analytics) -> None:
    plan = MetricPlan(metrics=("tickets_created",), filters=(Filter(dimension=name, op=op, values=(value,)),))
    with pytest.raises(ImpossiblePlan, match="cannot be text"):
        analytics.run(plan, zone=ZONE)


def test_ten_thousand_values_are_one_parameter(analytics: Analytics) -> None:
    wanted = Filter(dimension="ticket_id", op=Operator.IN, values=tuple(range(10_000)))
    result = analytics.run(MetricPlan(metrics=("comments",), filters=(wanted,)), zone=ZONE)
    everything = analytics.run(MetricPlan(metrics=("comments",)), zone=ZONE)
    assert result.value == everything.value
    assert len(result.query.sql) < 5_000


def test_unknown_values_are_answered_with_the_nearest(analytics: Analytics) -> None:
    plan = MetricPlan(metrics=("tickets_created",), filters=(Filter(dimension="group", values=("Teir 1",)),))
    with pytest.raises(UnknownValue) as caught:
        analytics.run(plan, zone=ZONE)
    assert caught.value.nearest[0] == "Tier 1"


def test_the_login_of_questions_cannot_write_or_look_elsewhere(pool: ConnectionPool) -> None:
    for statement in (
        "insert into analytics.dim_dates values ('2050-01-01')",
        "create table analytics.mine (id int)",
        "create temporary table mine (id int)",
        "select * from zendesk.tickets",
        "select * from serving.keys",
        "set default_transaction_read_only = off; delete from analytics.fct_tickets",
    ):
        with pool.connection() as connection, pytest.raises(psycopg.Error):
            connection.execute(statement.encode())


def test_an_answer_says_which_data_it_read(analytics: Analytics) -> None:
    result = analytics.run(MetricPlan(metrics=("tickets_created",), group_by=("group",)), zone=ZONE)
    assert set(result.datasets) == {"analytics.fct_tickets", "analytics.dim_groups"}
    assert {dataset.as_of for dataset in result.datasets.values()} == {AS_OF}
    assert result.definitions == {"tickets_created": "Tickets by creation, deleted ones left out."}
    assert "%(" not in result.sql


def test_a_cached_answer_depends_on_the_months_it_read_alone(analytics: Analytics) -> None:
    plan = MetricPlan(
        metrics=("tickets_solved",),
        time=TimeRange.model_validate(
            {"from": datetime(2026, 3, 1, tzinfo=UTC), "to": datetime(2026, 4, 1, tzinfo=UTC)}
        ),
    )
    query, snapshot = analytics.compile(plan, zone=ZONE)
    assert query.versions(snapshot) == (
        ("analytics.fct_tickets", "solved_at:2026-03", 1),
        ("analytics.fct_tickets", "solved_at:2026-04", 0),
    )
    assert not query.depends_on_as_of


def test_a_query_that_takes_too_long_is_stopped(pool: ConnectionPool) -> None:
    hurried = Analytics(pool, timeout_ms=1)
    names = ("median_full_resolution_minutes", "comments", "backlog", "p90_first_reply_minutes")
    plan = MetricPlan(metrics=names, group_by=("tag", "assignee", "organization"))

    def until_stopped() -> None:
        for _ in range(50):
            hurried.run(plan, zone=ZONE)

    with pytest.raises(QueryTimeout, match="longer than 1 ms"):
        until_stopped()


def test_rows_beyond_the_cap_are_cut_and_said_to_be(pool: ConnectionPool) -> None:
    capped = Analytics(pool, row_cap=2)
    cut = capped.run(MetricPlan(metrics=("tickets_created",), group_by=("priority",)), zone=ZONE)
    assert (len(cut.rows), cut.truncated) == (2, True)
    asked = capped.run(MetricPlan(metrics=("tickets_created",), group_by=("priority",), limit=1), zone=ZONE)
    assert (len(asked.rows), asked.truncated) == (1, False)


def test_threads_get_the_same_statement(analytics: Analytics) -> None:
    plan = MetricPlan(metrics=("net_tickets", "csat"), group_by=("group", "priority"))
    found: list[str] = []
    threads = [Thread(target=lambda: found.append(analytics.run(plan, zone=ZONE).sql)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_names_and_values_of_a_new_build_are_known_at_once(built: Built, analytics: Analytics) -> None:
    assert "Hearth Hub" in analytics.semantics().dimensions["product"].values
    with postgres.connect(built.settings.require("postgres_url"), application="tests") as connection:
        connection.execute("insert into catalog.dimension_values values ('product', 'Newcomer', 1)")
        catalog.publish(connection, "zendesk.tickets", as_of=AS_OF, rows=15, changed=False)
        connection.commit()
        assert "Newcomer" in analytics.semantics().dimensions["product"].values
        connection.execute("delete from catalog.dimension_values where value = 'Newcomer'")
        catalog.publish(connection, "zendesk.tickets", as_of=AS_OF, rows=15, changed=False)
    assert "Newcomer" not in analytics.semantics().dimensions["product"].values


def test_without_a_published_build_the_way_out_is_named(database: Settings) -> None:
    with (
        postgres.pool(database.require("postgres_questions_url"), application="tests", size=1) as pool,
        pytest.raises(NothingPublished, match="switchdesk build analytics"),
    ):
        Analytics(pool).run(MetricPlan(metrics=("tickets_created",)), zone=ZONE)


def test_the_run_reported_rows_and_versions_of_the_catalogue(built: Built, analytics: Analytics) -> None:
    datasets = analytics.snapshot().datasets
    for event in built.run.get_asset_materialization_events():
        made = event.step_materialization_data.materialization
        if made.asset_key.path[0] == "analytics":
            dataset = datasets[".".join(made.asset_key.path)]
            assert made.metadata["dagster/row_count"].value == dataset.rows
            assert made.tags is not None
            assert made.tags["dagster/data_version"] == str(dataset.version)
    assert all(check.passed for check in built.run.get_asset_check_evaluations())
