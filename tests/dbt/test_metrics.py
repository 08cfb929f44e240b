"""Every metric of the catalogue equals SQL written by hand."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from serving.planning.plan import Filter, Grain, MetricPlan, Operator, TemplatePlan, TimeRange
from serving.semantics.runner import Analytics, Result
from tests.fakes.handmade import AS_OF

ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")

_TICKETS = "from analytics.fct_tickets"
_COMMENTS = "from analytics.fct_comments"
_AGE = f"extract(epoch from timestamptz '{AS_OF.isoformat()}' - created_at) / 60"
BY_HAND = {
    "tickets_created": f"select count(*) {_TICKETS} where status <> 'deleted'",
    "tickets_solved": f"select count(*) {_TICKETS} where status in ('solved', 'closed')",
    "net_tickets": f"select count(*) filter (where status <> 'deleted')"
    f" - count(*) filter (where status in ('solved', 'closed')) {_TICKETS}",
    "open_tickets": f"select count(*) {_TICKETS} where status in ('new', 'open', 'pending', 'hold')",
    "unassigned_tickets": f"select count(*) {_TICKETS} where is_open and assignee_id is null",
    "unreplied_tickets": f"select count(*) {_TICKETS} where is_open and agent_replies = 0",
    "requesters": f"select count(distinct requester_id) {_TICKETS} where status <> 'deleted'",
    "avg_first_reply_minutes": f"select avg(extract(epoch from first_reply_at - created_at) / 60) {_TICKETS}",
    "median_first_reply_minutes": "select percentile_cont(0.5) within group (order by first_reply_minutes)"
    f" {_TICKETS} where not is_deleted",
    "p90_first_reply_minutes": "select percentile_cont(0.9) within group (order by first_reply_minutes)"
    f" {_TICKETS} where not is_deleted",
    "avg_first_resolution_minutes": "select avg(extract(epoch from first_solved_at - created_at) / 60)"
    f" {_TICKETS} where is_solved",
    "median_first_resolution_minutes": "select percentile_cont(0.5) within group (order by first_resolution_minutes)"
    f" {_TICKETS} where is_solved",
    "avg_full_resolution_minutes": "select avg(extract(epoch from solved_at - created_at) / 60)"
    f" {_TICKETS} where is_solved",
    "median_full_resolution_minutes": "select percentile_cont(0.5) within group (order by full_resolution_minutes)"
    f" {_TICKETS} where is_solved",
    "p90_full_resolution_minutes": "select percentile_cont(0.9) within group (order by full_resolution_minutes)"
    f" {_TICKETS} where is_solved",
    "avg_requester_wait_minutes": f"select avg(requester_wait_minutes) {_TICKETS} where is_solved",
    "avg_agent_work_minutes": f"select avg(agent_work_minutes) {_TICKETS} where is_solved",
    "avg_on_hold_minutes": f"select avg(on_hold_minutes) {_TICKETS} where is_solved",
    "reopens": f"select sum(greatest(resolutions - 1, 0)) {_TICKETS} where not is_deleted",
    "reopened_tickets": f"select count(*) {_TICKETS} where is_solved and resolutions > 1",
    "reopen_rate": f"select avg((resolutions > 1)::int::float) {_TICKETS} where is_solved",
    "one_touch_tickets": f"select count(*) {_TICKETS} where is_solved and agent_public_comments = 1",
    "one_touch_rate": f"select avg((agent_public_comments = 1)::int::float) {_TICKETS} where is_solved",
    "transfers": f"select sum(transfers) {_TICKETS} where not is_deleted",
    "escalated_tickets": f"select count(*) {_TICKETS} where transfers > 0 and not is_deleted",
    "escalation_rate": f"select avg((transfers > 0)::int::float) {_TICKETS} where not is_deleted",
    "avg_agent_replies": f"select avg(agent_replies) {_TICKETS} where is_solved",
    "good_ratings": f"select count(*) {_TICKETS} where satisfaction = 'good'",
    "bad_ratings": f"select count(*) {_TICKETS} where satisfaction = 'bad'",
    "ratings": f"select count(satisfaction) {_TICKETS}",
    "csat": f"select avg((satisfaction = 'good')::int::float) {_TICKETS}",
    "ratings_given": f"select count(satisfaction) {_TICKETS}",
    "ratings_offered": f"select count(*) {_TICKETS} where is_rating_offered",
    "rating_response_rate": f"select avg((satisfaction is not null)::int::float) {_TICKETS} where is_rating_offered",
    "avg_open_age_minutes": f"select avg({_AGE}) {_TICKETS} where is_open",
    "median_open_age_minutes": f"select percentile_cont(0.5) within group (order by {_AGE}) {_TICKETS} where is_open",
    "max_open_age_minutes": f"select max({_AGE}) {_TICKETS} where is_open",
    "comments": f"select count(*) {_COMMENTS}",
    "public_comments": f"select count(*) {_COMMENTS} where is_public",
    "internal_notes": f"select count(*) {_COMMENTS} where not is_public",
    "agent_replies": f"select count(*) {_COMMENTS} where author_role = 'agent' and is_public and position > 1",
    "customer_comments": f"select count(*) {_COMMENTS} where author_role = 'customer'",
    "replying_agents": f"select count(distinct author_id) {_COMMENTS} where is_agent_reply",
    "backlog": f"select count(*) from analytics.fct_backlog_daily where date_day = '{AS_OF.date()}'",
}
_DATED = {
    name: "solved_at" for name in BY_HAND if "resolution" in name or name.startswith(("tickets_solved", "one_touch"))
}


def run(analytics: Analytics, *metrics: str, zone: ZoneInfo = ZONE, **plan: Any) -> Result:
    return analytics.run(MetricPlan(metrics=metrics, **plan), zone=zone)


def between(start: datetime, stop: datetime, **further: Any) -> TimeRange:
    return TimeRange(**{"from": start, "to": stop, **further})


def test_every_metric_has_sql_by_hand(analytics: Analytics) -> None:
    assert set(analytics.semantics().metrics) == set(BY_HAND)


@pytest.mark.parametrize("metric", BY_HAND)
def test_a_metric_equals_sql_by_hand(metric: str, analytics: Analytics, owner: psycopg.Connection) -> None:
    by_hand = owner.execute(BY_HAND[metric].encode()).fetchone()
    assert by_hand is not None
    assert run(analytics, metric).value == pytest.approx(float(by_hand[0]))


@pytest.mark.parametrize("metric", sorted(_DATED))
def test_a_range_counts_by_the_metrics_own_date(metric: str, analytics: Analytics, owner: psycopg.Connection) -> None:
    start, stop = datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 6, 10, tzinfo=UTC)
    sql = f"{BY_HAND[metric]} and {_DATED[metric]} >= '{start}' and {_DATED[metric]} < '{stop}'"
    by_hand = owner.execute(sql.encode()).fetchone()
    assert by_hand is not None
    assert run(analytics, metric, time=between(start, stop)).value == pytest.approx(float(by_hand[0]))


def test_days_are_cut_in_the_zone_of_the_question(analytics: Analytics) -> None:
    """The ticket of 23:30 UTC on the 11th was created on the 12th in Berlin, and on the 11th in New York."""
    for zone, day in ((BERLIN, 12), (ZONE, 11), (ZoneInfo("America/New_York"), 11)):
        range_ = between(datetime(2026, 3, 11, tzinfo=zone), datetime(2026, 3, 13, tzinfo=zone), grain=Grain.DAY)
        rows = run(analytics, "tickets_created", zone=zone, time=range_).rows
        assert rows == [[date(2026, 3, each), int(each == day)] for each in (11, 12)]


def test_a_series_fills_empty_periods_with_zero_and_rates_with_null(analytics: Analytics) -> None:
    range_ = between(datetime(2026, 3, 12, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC), grain=Grain.DAY)
    result = run(analytics, "tickets_created", "net_tickets", "csat", time=range_)
    assert result.rows == [
        [date(2026, 3, 12), 0, -1, None],
        [date(2026, 3, 13), 0, 0, None],
        [date(2026, 3, 14), 0, 0, None],
        [date(2026, 3, 15), 0, 0, None],
    ]


def test_a_series_ends_at_the_moment_asked(analytics: Analytics) -> None:
    range_ = between(datetime(2026, 3, 16, tzinfo=UTC), datetime(2026, 4, 13, tzinfo=UTC), grain=Grain.WEEK)
    assert [row[0] for row in run(analytics, "backlog", time=range_).rows] == [date(2026, 3, 16)]


def test_a_day_that_clocks_change_has_all_its_hours(analytics: Analytics) -> None:
    start = datetime(2026, 3, 29, tzinfo=BERLIN)
    plan = MetricPlan(
        metrics=("tickets_created",), time=between(start, datetime(2026, 3, 30, tzinfo=BERLIN), grain=Grain.HOUR)
    )
    result = analytics.run(plan, zone=BERLIN, as_of=datetime(2026, 4, 1, tzinfo=UTC))
    assert len(result.rows) == 23


def test_tickets_without_a_solve_are_in_no_period(analytics: Analytics) -> None:
    rows = run(analytics, "tickets_solved", time=TimeRange(grain=Grain.MONTH)).rows
    assert all(row[0] is not None for row in rows)
    assert sum(row[1] for row in rows) == run(analytics, "tickets_solved").value


def test_the_backlog_of_a_period_is_that_of_its_last_day(analytics: Analytics, owner: psycopg.Connection) -> None:
    range_ = between(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 20, tzinfo=UTC), grain=Grain.WEEK)
    rows = run(analytics, "backlog", time=range_).rows
    days = {
        date(2026, 3, 2): date(2026, 3, 8),
        date(2026, 3, 9): date(2026, 3, 15),
        date(2026, 3, 16): date(2026, 3, 19),
    }
    expected = [
        [
            week,
            len(owner.execute("select 1 from analytics.fct_backlog_daily where date_day = %s", (last,)).fetchall()),
        ]
        for week, last in days.items()
    ]
    assert rows == expected


def test_a_group_without_open_tickets_on_the_last_day_has_no_backlog(analytics: Analytics) -> None:
    """The first ticket was open on the 2nd alone; an older day must not stand in for the last one."""
    wanted = (Filter(dimension="tag", values=("vip",)),)
    first = between(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, 9, tzinfo=UTC))
    later = between(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC))
    assert run(analytics, "backlog", filters=wanted, time=later).value == 0
    assert run(analytics, "backlog", time=first).value == 1


def test_a_ticket_counts_once_under_each_of_its_tags(analytics: Analytics) -> None:
    result = run(analytics, "tickets_created", "csat", group_by=("tag",))
    assert {row[0]: row[1:] for row in result.rows} == {
        "refund": [3, 0.5],
        "vip": [1, 1.0],
        "ping": [1, None],
    }


def test_a_group_that_counts_nothing_is_no_row_but_a_rate_of_zero_is(analytics: Analytics) -> None:
    """The only ticket with the tag `spam` is deleted; the only rating of web tickets is a bad one."""
    tags = [row[0] for row in run(analytics, "tickets_created", group_by=("tag",)).rows]
    assert "spam" not in tags
    assert ["web", 0.0] in run(analytics, "csat", group_by=("channel",)).rows
    range_ = between(datetime(2026, 3, 11, tzinfo=UTC), datetime(2026, 3, 14, tzinfo=UTC), grain=Grain.DAY)
    assert run(analytics, "tickets_created", group_by=("organization",), time=range_).rows == [
        ["Boréal", date(2026, 3, 11), 1],
        ["Boréal", date(2026, 3, 12), 0],
        ["Boréal", date(2026, 3, 13), 0],
    ]


def test_filters_by_tag_count_a_ticket_once(analytics: Analytics) -> None:
    def count(op: Operator, *values: str) -> Any:
        return run(analytics, "tickets_created", filters=(Filter(dimension="tag", op=op, values=values),)).value

    everything = run(analytics, "tickets_created").value or 0
    assert count(Operator.EQ, "refund") == 3
    assert count(Operator.IN, "refund", "vip", "ping") == 3
    assert count(Operator.NE, "refund") == everything - 3
    assert count(Operator.NOT_IN, "refund", "vip") == everything - 3
    assert count(Operator.CONTAINS, "REF") == 3
    assert count(Operator.IS_NULL) == everything - 3


def test_metrics_of_tickets_and_comments_share_one_table(analytics: Analytics, owner: psycopg.Connection) -> None:
    result = run(analytics, "tickets_created", "agent_replies", "backlog", group_by=("organization",))
    rows = {row[0]: row[1:] for row in result.rows}
    for name in ("Acme", "Boréal", None):
        found = owner.execute(
            """
            select count(*) filter (where not t.is_deleted), sum(t.agent_replies),
                count(*) filter (where t.ticket_id in (
                    select ticket_id from analytics.fct_backlog_daily where date_day = %s))
            from analytics.fct_tickets t left join analytics.dim_organizations o using (organization_id)
            where o.name is not distinct from %s
            """,
            (AS_OF.date(), name),
        ).fetchone()
        assert tuple(rows[name]) == found


def test_a_filter_of_not_equal_keeps_rows_without_a_value(analytics: Analytics, owner: psycopg.Connection) -> None:
    wanted = (Filter(dimension="priority", op=Operator.NE, values=("high",)),)
    by_hand = owner.execute(
        "select count(*) from analytics.fct_tickets where not is_deleted and priority is distinct from 'high'"
    ).fetchone()
    assert (run(analytics, "tickets_created", filters=wanted).value,) == by_hand


def test_what_still_runs_is_counted_to_the_moment_asked(analytics: Analytics) -> None:
    plan = MetricPlan(metrics=("max_open_age_minutes",))
    later = analytics.run(plan, zone=ZONE, as_of=AS_OF + timedelta(hours=2))
    assert later.query.depends_on_as_of
    assert later.value == pytest.approx(float(run(analytics, "max_open_age_minutes").value or 0) + 120)


def test_lists_name_tickets_in_a_fixed_order(analytics: Analytics, owner: psycopg.Connection) -> None:
    oldest = analytics.run(TemplatePlan(template="oldest_open", limit=2), zone=ZONE)
    by_hand = owner.execute(
        "select ticket_id from analytics.fct_tickets where is_open order by created_at, ticket_id limit 2"
    ).fetchall()
    assert [(row[0],) for row in oldest.rows] == by_hand
    assert oldest.truncated
    urgent = analytics.run(
        TemplatePlan(template="ticket_list", filters=(Filter(dimension="priority", values=("urgent",)),)), zone=ZONE
    )
    assert [row[0] for row in urgent.rows] == [15, 11]
    assert not urgent.truncated
    deleted = TemplatePlan(template="ticket_list", filters=(Filter(dimension="status", values=("deleted",)),))
    assert [row[0] for row in analytics.run(deleted, zone=ZONE).rows] == [14, 6]
    replies = analytics.run(TemplatePlan(template="most_replies", limit=1), zone=ZONE)
    assert replies.rows[0][0] == 2
    one = analytics.run(TemplatePlan(template="ticket", ticket_id=11), zone=ZONE)
    assert one.rows[0][1] == "'; drop table analytics.fct_tickets; --"
    assert analytics.run(TemplatePlan(template="ticket", ticket_id=4_711), zone=ZONE).rows == []
