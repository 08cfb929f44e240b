"""What the first sentence of an answer holds: the number asked for, its limits, its range, and how much there is."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from serving import compose
from serving.planning.plan import Grain, GraphPlan, MetricPlan, TemplatePlan, TimeRange
from serving.schemas import Cell
from serving.tiers.table import Column, Table

ZONE, AS_OF = ZoneInfo("UTC"), datetime(2026, 11, 25, 12, tzinfo=UTC)
OCTOBER = TimeRange.model_validate({"from": datetime(2026, 10, 1, tzinfo=UTC), "to": datetime(2026, 11, 1, tzinfo=UTC)})
COUNT = Column("tickets_created", "integer", "tickets", "metric", "tickets created")


def words(name: str, label: str | None = None) -> Column:
    return Column(name, "text", None, "dimension", label or name)


def ticket_table(rows: list[tuple[Cell, ...]], total: int | None = None) -> Table:
    columns = (
        Column("ticket_id", "integer", None, "id", "ticket number"),
        words("subject"),
        words("status"),
        words("assignee"),
        Column("created_at", "timestamp", None, "dimension", "created"),
    )
    return Table(columns, tuple(rows), total is not None, total)


def first_line(text: str) -> str:
    return text.splitlines()[0]


def test_a_number_says_what_limits_it() -> None:
    plan = MetricPlan(metrics=("tickets_created",), time=OCTOBER)
    text = compose.metric_text(
        plan, Table((COUNT,), ((17,),)), zone=ZONE, as_of=AS_OF, limits="where priority is urgent"
    )
    assert text == "Tickets created: 17 tickets where priority is urgent, from 2026-10-01 to 2026-10-31 (UTC)."


def test_a_share_is_a_number_with_both_its_counts() -> None:
    plan = MetricPlan(metrics=("tickets_created",), group_by=("channel",), time=OCTOBER, share_of=("chat",))
    table = Table((words("channel"), COUNT), (("email", 180), ("chat", 20)))
    assert compose.asked_of_rows(plan, table) == pytest.approx(0.1)
    text = compose.metric_text(plan, table, zone=ZONE, as_of=AS_OF)
    assert first_line(text) == (
        "10.0 % of tickets created from 2026-10-01 to 2026-10-31 (UTC) are channel chat: 20 of 200 tickets."
    )


def test_a_share_of_a_value_that_does_not_occur_is_nought() -> None:
    plan = MetricPlan(metrics=("tickets_created",), group_by=("channel",), share_of=("voice",))
    assert compose.asked_of_rows(plan, Table((words("channel"), COUNT), (("email", 5),))) == 0
    assert compose.asked_of_rows(plan, Table((words("channel"), COUNT), ())) is None


def test_a_share_of_cut_rows_is_no_number() -> None:
    plan = MetricPlan(metrics=("tickets_created",), group_by=("channel",), share_of=("email",))
    assert compose.asked_of_rows(plan, Table((words("channel"), COUNT), (("email", 5),), truncated=True)) is None


def test_a_mean_counts_empty_periods() -> None:
    time = OCTOBER.model_copy(update={"grain": Grain.DAY})
    plan = MetricPlan(metrics=("tickets_created",), time=time, is_mean=True)
    table = Table((words("time", "day"), COUNT), (("2026-10-01", 3), ("2026-10-02", 0), ("2026-10-03", 3)))
    assert compose.asked_of_rows(plan, table) == 2
    text = compose.metric_text(plan, table, zone=ZONE, as_of=AS_OF)
    assert "2 tickets a day on average, 6 tickets in 3 days" in first_line(text)


def test_a_cut_list_tells_how_many_there_are() -> None:
    rows: list[tuple[Cell, ...]] = [(at, f"Parcel {at}", "open", None, "2026-11-24T10:00:00+00:00") for at in (1, 2)]
    plan = TemplatePlan(template="ticket_list", limit=2)
    text = compose.template_text(plan, ticket_table(rows, 1_234), zone=ZONE, as_of=AS_OF, limits="where still open")
    assert first_line(text) == (
        "1,234 tickets where still open, as of 2026-11-25 12:00 (UTC); the 2 newest are listed."
    )
    assert "- ticket 1 “Parcel 1”: open, no assignee, created 2026-11-24 10:00" in text


def test_a_whole_list_is_not_called_cut() -> None:
    rows: list[tuple[Cell, ...]] = [(7, "Parcel", "open", "Ada", "2026-11-24T10:00:00+00:00")]
    text = compose.template_text(TemplatePlan(template="oldest_open"), ticket_table(rows), zone=ZONE, as_of=AS_OF)
    assert first_line(text) == "1 open ticket as of 2026-11-25 12:00 (UTC)."


def test_one_ticket_is_told_in_few_lines_with_its_number_as_written() -> None:
    rows: list[tuple[Cell, ...]] = [(19_985, "Cannot log in", "new", None, "2026-11-24T23:53:00+00:00")]
    text = compose.template_text(
        TemplatePlan(template="ticket", ticket_id=19_985), ticket_table(rows), zone=ZONE, as_of=AS_OF
    )
    assert first_line(text) == "Ticket 19985 “Cannot log in” is new, priority not set; no assignee."


def test_links_say_what_hangs_on_what_and_how_many_there_are() -> None:
    table = Table(
        (
            Column("ticket_id", "number", None, "id", "ticket"),
            Column("incidents", "number", "tickets", "metric", "incidents"),
            words("subject"),
            Column("first_at", "time", None, "dimension", "first at"),
            Column("last_at", "time", None, "dimension", "last at"),
        ),
        ((5, 85, "Crash", "2026-10-13T10:56:00+00:00", "2026-10-18T19:10:00+00:00"),),
        True,
        12,
    )
    text = compose.graph_text(GraphPlan(relation="problems"), table)
    assert text.splitlines() == [
        "12 problem tickets with incidents; the first 1 are listed:",
        "- ticket 5 “Crash”: 85 incidents from 2026-10-13 to 2026-10-18",
    ]
