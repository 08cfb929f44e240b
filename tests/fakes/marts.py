"""A handful of tickets in hand-made marts, published with the project's own semantic manifest: no dbt run needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from assets import catalog
from assets.dbt_project import semantic_manifest
from assets.settings import Settings
from assets.stores import postgres
from serving.semantics.manifest import DOCUMENT

AS_OF = datetime.now(UTC).replace(second=0, microsecond=0)

_DDL = """
create table analytics.dim_brands (brand_id bigint, name text, created_at timestamptz);
create table analytics.dim_forms (form_id bigint, name text, created_at timestamptz);
create table analytics.dim_groups (group_id bigint, name text, created_at timestamptz);
create table analytics.dim_organizations (organization_id bigint, name text, created_at timestamptz);
create table analytics.dim_users (
    user_id bigint, name text, role text, is_agent boolean, is_active boolean, organization_id bigint,
    created_at timestamptz
);
create table analytics.bridge_ticket_tags (ticket_id bigint, tag text);
create table analytics.fct_tickets (
    ticket_id bigint primary key, requester_id bigint, submitter_id bigint, assignee_id bigint, organization_id bigint,
    group_id bigint, brand_id bigint, form_id bigint, problem_id bigint, first_assignee_id bigint,
    first_group_id bigint, subject text, status text not null default 'open', priority text, type text, channel text,
    product text, reason text, tags text[], satisfaction text, first_satisfaction text,
    is_deleted boolean not null default false, is_open boolean not null default true,
    is_solved boolean not null default false, is_one_touch boolean, is_reopened boolean, is_escalated boolean,
    is_replied boolean, is_assigned boolean, is_rating_offered boolean, tag_count integer, resolutions bigint,
    reopens bigint, comments bigint, public_comments bigint, internal_notes bigint, agent_replies bigint,
    agent_public_comments bigint, handoffs bigint, assignee_stations bigint, group_stations bigint, transfers bigint,
    good_to_bad bigint, bad_to_good bigint, first_reply_minutes double precision,
    first_resolution_minutes double precision, full_resolution_minutes double precision,
    requester_wait_minutes double precision, agent_wait_minutes double precision, agent_work_minutes double precision,
    on_hold_minutes double precision, created_at timestamptz not null, changed_at timestamptz,
    first_assigned_at timestamptz, first_reply_at timestamptz, first_solved_at timestamptz, solved_at timestamptz,
    closed_at timestamptz, status_since timestamptz, rated_at timestamptz
);
grant select on all tables in schema analytics to switchdesk_questions;
"""
_DATASETS = (
    "dim_brands",
    "dim_forms",
    "dim_groups",
    "dim_organizations",
    "dim_users",
    "bridge_ticket_tags",
    "fct_tickets",
)


@dataclass(frozen=True)
class Mart:
    """One ticket as the marts hold it."""

    id: int
    created_at: datetime
    channel: str = "email"
    group_id: int = 1
    organization_id: int = 1
    further: dict[str, Any] = field(default_factory=dict)


def days_ago(days: float) -> datetime:
    """A moment before the data's as-of."""
    return AS_OF - timedelta(days=days)


class Marts:
    """The published marts of a test."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        with connection.transaction():
            connection.execute(_DDL)
            connection.execute("insert into analytics.dim_groups values (1, 'Billing', now()), (2, 'Delivery', now())")
            connection.execute(
                "insert into analytics.dim_organizations values (1, 'Alder Bakery', now()), (2, 'Birch Dental', now())"
            )
            catalog.publish_document(connection, DOCUMENT, semantic_manifest())

    def publish(self, tickets: Sequence[Mart], *, as_of: datetime = AS_OF, failed_checks: Sequence[str] = ()) -> None:
        """Make these the tickets, and publish every mart as changed."""
        with self._connection.transaction():
            self._connection.execute("delete from analytics.fct_tickets")
            for ticket in tickets:
                columns = {
                    "ticket_id": ticket.id,
                    "created_at": ticket.created_at,
                    "channel": ticket.channel,
                    "group_id": ticket.group_id,
                    "organization_id": ticket.organization_id,
                    "subject": f"Subject {ticket.id}",
                    **ticket.further,
                }
                names = ", ".join(columns)
                marks = ", ".join(["%s"] * len(columns))
                self._connection.execute(
                    f"insert into analytics.fct_tickets ({names}) values ({marks})",  # pyright: ignore[reportArgumentType]
                    list(columns.values()),
                )
            values = {
                "channel": {ticket.channel for ticket in tickets},
                "group": {"Billing", "Delivery"},
                "organization": {"Alder Bakery", "Birch Dental"},
            }
            self._connection.execute("delete from catalog.dimension_values")
            for dimension, known in values.items():
                for value in known:
                    self._connection.execute(
                        "insert into catalog.dimension_values values (%s, %s, 1)", (dimension, value)
                    )
            months: dict[str, tuple[str, int]] = {}
            for ticket in tickets:
                name = f"{ticket.created_at.astimezone(UTC):%Y-%m}"
                digest, count = months.get(name, ("", 0))
                months[name] = (f"{digest};{ticket}", count + 1)
            for dataset in _DATASETS:
                catalog.publish(
                    self._connection,
                    f"analytics.{dataset}",
                    as_of=as_of,
                    rows=len(tickets),
                    failed_checks=failed_checks,
                    partitions=months if dataset == "fct_tickets" else None,
                )

    def renew(self, as_of: datetime) -> None:
        """Publish that nothing has changed up to a later moment."""
        with self._connection.transaction():
            for dataset in _DATASETS:
                catalog.publish(self._connection, f"analytics.{dataset}", as_of=as_of, rows=1, changed=False)


@contextmanager
def opened_marts(settings: Settings) -> Iterator[Marts]:
    """Marts in a test's own database."""
    with postgres.connect(settings.require("postgres_url"), application="tests", autocommit=True) as connection:
        yield Marts(connection)
