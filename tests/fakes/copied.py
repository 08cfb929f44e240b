"""A few rows of the copy, written as the loader writes them, for tests of what is made from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

from assets import catalog
from assets.settings import Settings
from assets.stores import postgres
from assets.stores.milvus import Milvus
from assets.stores.neo4j import Neo4j

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@contextmanager
def opened(settings: Settings) -> Iterator[Copied]:
    """The owner's connection to a test's own database."""
    url = settings.require("postgres_url")
    with postgres.connect(url, application="tests", autocommit=True) as connection:
        yield Copied(connection)


@contextmanager
def emptied_milvus(settings: Settings) -> Iterator[Milvus]:
    """The test stack's Milvus without any collection of ours, before and after."""
    milvus = Milvus(settings.require("milvus_url"))
    _empty(milvus)
    yield milvus
    _empty(milvus)
    milvus.close()


def _empty(milvus: Milvus) -> None:
    milvus.unpoint()
    for collection in milvus.collections():
        milvus.drop(collection)


@contextmanager
def emptied_neo4j(settings: Settings) -> Iterator[Neo4j]:
    """The test stack's Neo4j without any node, before and after."""
    neo4j = Neo4j(settings.require("neo4j_url"), settings.neo4j_user, settings.require("neo4j_password"))
    neo4j.run("match (n) detach delete n")
    yield neo4j
    neo4j.run("match (n) detach delete n")
    neo4j.close()


class Copied:
    """Writes rows over the owner's connection; every call is one load with a number of its own."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def ticket(
        self,
        id: int,
        *,
        subject: str = "Something is wrong",
        status: str = "open",
        requester_id: int | None = 501,
        created_at: datetime = NOON,
        tags: Sequence[str] = (),
        payload: dict[str, Any] | None = None,
        **columns: Any,
    ) -> None:
        self._write(
            "tickets",
            id,
            {"tags": list(tags), **(payload or {})},
            generated_timestamp=int(created_at.timestamp()),
            created_at=created_at,
            updated_at=created_at,
            status=status,
            subject=subject,
            requester_id=requester_id,
            **columns,
        )

    def comment(
        self,
        id: int,
        ticket_id: int,
        body: str,
        *,
        author_id: int = 501,
        created_at: datetime = NOON,
        is_public: bool = True,
        payload: dict[str, Any] | None = None,
    ) -> None:
        self._write(
            "ticket_comments",
            id,
            payload or {},
            ticket_id=ticket_id,
            author_id=author_id,
            created_at=created_at,
            is_public=is_public,
            body=body,
        )

    def moves(self, id: int, ticket_id: int, group_ids: Sequence[int | str | None], at: datetime = NOON) -> None:
        """An audit that sets the group several times, the first time at creation."""
        children = [
            {"id": id * 100 + place, "event_type": "Change" if place else "Create", "group_id": group}
            for place, group in enumerate(group_ids)
        ]
        self._write("ticket_events", id, {"child_events": children}, ticket_id=ticket_id, created_at=at)

    def user(self, id: int, name: str, role: str = "end-user", organization_id: int | None = None) -> None:
        self._write("users", id, {}, name=name, role=role, organization_id=organization_id, is_active=True)

    def group(self, id: int, name: str) -> None:
        self._write("groups", id, {}, name=name)

    def organization(self, id: int, name: str) -> None:
        self._write("organizations", id, {}, name=name)

    def member(self, id: int, user_id: int, group_id: int) -> None:
        self._write("group_memberships", id, {}, user_id=user_id, group_id=group_id)

    def scrub(self, ticket_id: int) -> None:
        """What the loader does when Zendesk has deleted a ticket for good."""
        self.ticket(ticket_id, subject="SCRUBBED", status="deleted", payload={"description": "X"})
        for table in ("ticket_comments", "ticket_events"):
            self.connection.execute(f"delete from zendesk.{table} where ticket_id = %s", (ticket_id,))
        self.connection.execute("insert into ops.erasures (ticket_id, reason) values (%s, 'scrubbed')", (ticket_id,))

    def redact(self, comment_id: int, ticket_id: int, body: str) -> None:
        """What the loader does when a comment was redacted."""
        self.connection.execute(
            "update zendesk.ticket_comments set body = %s, load_seq = nextval('zendesk.load_seq') where id = %s",
            (body, comment_id),
        )
        self.connection.execute(
            "insert into ops.erasures (ticket_id, comment_id, reason) values (%s, %s, 'redacted')",
            (ticket_id, comment_id),
        )

    def publish(self, as_of: datetime = NOON) -> None:
        """Publish the streams as loaded up to a moment."""
        with self.connection.transaction():
            for stream in ("tickets", "ticket_events", "ticket_comments"):
                catalog.publish(self.connection, f"zendesk.{stream}", as_of=as_of, rows=0)

    def marts(self) -> None:
        """Publish the few columns of the marts that filters read."""
        self.connection.execute(
            """
            drop table if exists analytics.fct_tickets, analytics.dim_groups;
            create table analytics.fct_tickets as
                select id as ticket_id, subject, status, priority, group_id, organization_id, requester_id, assignee_id,
                    brand_id, ticket_form_id as form_id, created_at, status in ('new', 'open') as is_open,
                    array(select jsonb_array_elements_text(payload -> 'tags')) as tags
                from zendesk.tickets;
            create table analytics.dim_groups as select id as group_id, name from zendesk.groups;
            grant select on all tables in schema analytics to switchdesk_questions;
            """
        )

    def _write(self, stream: str, id: int, payload: dict[str, Any], **columns: Any) -> None:
        values = {
            "id": id,
            **columns,
            "version": 1,
            "payload": orjson.dumps({"id": id, **payload}).decode(),
        }
        names = ", ".join(values)
        updates = ", ".join(f"{name} = excluded.{name}" for name in (*values, "load_seq") if name != "id")
        self.connection.execute(
            f"insert into zendesk.{stream} ({names}, load_seq)"
            f" values ({', '.join(['%s'] * len(values))}, nextval('zendesk.load_seq'))"
            f" on conflict (id) do update set {updates}",
            list(values.values()),
        )
