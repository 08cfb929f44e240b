"""Every row and column of the marts agrees with a calculation that shares nothing with their SQL."""

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.dbt.conftest import Built
from tests.dbt.definitions import expected_backlog, expected_ticket
from tests.fakes.handmade import GONE, UNKNOWN


def test_every_ticket_agrees_with_the_plain_calculation(built: Built, owner: psycopg.Connection) -> None:
    with owner.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select * from analytics.fct_tickets order by ticket_id")
        rows = {row["ticket_id"]: row for row in cursor.fetchall()}
    assert list(rows) == [ticket.id for ticket in built.desk.tickets]
    for ticket in built.desk.tickets:
        expected = expected_ticket(ticket)
        found = {name: rows[ticket.id][name] for name in expected}
        for name, value in expected.items():
            wanted = pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
            assert found[name] == wanted, f"ticket {ticket.id}: {name}"


def test_the_backlog_agrees_with_a_look_at_each_day(built: Built, owner: psycopg.Connection) -> None:
    rows = set(owner.execute("select date_day, ticket_id, status from analytics.fct_backlog_daily").fetchall())
    assert rows == expected_backlog(built.desk.tickets)


def test_people_nobody_knows_keep_their_tickets_and_get_a_name(owner: psycopg.Connection) -> None:
    names = dict(owner.execute("select user_id, name from analytics.dim_users").fetchall())
    assert names[UNKNOWN] == f"Unknown user {UNKNOWN}"
    assert names[GONE] == f"Unknown user {GONE}"
    found = owner.execute("select count(*) from analytics.fct_tickets where requester_id = %s", (UNKNOWN,)).fetchone()
    assert found == (1,)


def test_tags_are_rows_of_a_bridge(owner: psycopg.Connection) -> None:
    rows = owner.execute("select tag, count(*) from analytics.bridge_ticket_tags group by tag").fetchall()
    assert dict(rows) == {"refund": 3, "vip": 1, "spam": 1, "ping": 1}


def test_values_of_dimensions_are_published_with_their_frequency(owner: psycopg.Connection) -> None:
    rows = owner.execute("select value, rows from catalog.dimension_values where dimension = 'priority'").fetchall()
    assert dict(rows) == {"high": 1, "normal": 1, "low": 1, "urgent": 2}
    groups = owner.execute("select value, rows from catalog.dimension_values where dimension = 'group'").fetchall()
    assert dict(groups) == {
        "Tier 1": len(owner.execute("select 1 from analytics.fct_tickets").fetchall()),
        "Billing": 0,
    }
