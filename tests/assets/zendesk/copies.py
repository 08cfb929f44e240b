"""Reads a copy out of PostgreSQL, and what the help desk says it has to hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk.records import without_nul
from assets.zendesk.streams import STREAMS
from infra.local.desk.answers import Answers, Call
from infra.local.desk.inspection import Inspection
from tests.fakes.desk import RunningDesk

Rows = dict[Any, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Copy:
    """The tables of one database."""

    connection: psycopg.Connection[Any]

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> "Iterator[Copy]":
        with postgres.connect(settings.require("postgres_url"), application="tests", autocommit=True) as connection:
            yield cls(connection)

    def rows(self, stream: str) -> Rows:
        key = "schedule_id || ':' || id" if stream == "holidays" else "id"
        return dict(self.all(f"select {key}, payload from zendesk.{stream}"))

    def traces(self, stream: str) -> dict[int, tuple[Any, ...]]:
        """What changes when a row is touched."""
        rows = self.all(f"select id, version, load_seq, loaded_at from zendesk.{stream}")
        return {row[0]: row[1:] for row in rows}

    def all(self, query: str, *parameters: Any) -> list[Any]:
        return self.connection.execute(query.encode(), parameters or None).fetchall()

    def one(self, query: str, *parameters: Any) -> Any:
        rows = self.all(query, *parameters)
        assert len(rows) == 1
        return rows[0]


def shown(desk: RunningDesk, stream: str) -> Rows:
    """Every row of a stream as the help desk would show it now."""
    server = desk.server

    def read() -> list[dict[str, Any]]:
        inspection = Inspection(server.world, Answers(server.world, server.exports))
        return orjson.loads(orjson.dumps(inspection.rows(stream)))

    rows = without_nul(desk.call(read))
    if stream == "holidays":
        return {
            f"{row['schedule_id']}:{row['id']}": {name: value for name, value in row.items() if name != "schedule_id"}
            for row in rows
        }
    if stream == "ticket_comments":
        # The export shows a comment as a child of its audit.
        events = without_nul(desk.call(lambda: orjson.loads(orjson.dumps(_events(server.world)))))
        return {
            child["id"]: child
            for event in events
            for child in event["child_events"]
            if child["event_type"] == "Comment"
        }
    return {row["id"]: row for row in rows}


def differences(copy: Copy, desk: RunningDesk) -> dict[str, str]:
    """Streams whose table is not what the help desk shows, each with its first difference."""
    found = {}
    for stream in STREAMS:
        held, right = copy.rows(stream), shown(desk, stream)
        if held != right:
            missing, extra = right.keys() - held.keys(), held.keys() - right.keys()
            other = [key for key in held.keys() & right.keys() if held[key] != right[key]]
            found[stream] = f"missing {sorted(missing)[:3]}, extra {sorted(extra)[:3]}, other {sorted(other)[:3]}"
    return found


def _events(world: Any) -> list[dict[str, Any]]:
    from infra.local.desk import records

    return [
        records.ticket_event(audit, True)
        for ticket in world.tickets.values()
        if not ticket.scrubbed
        for audit in ticket.audits
    ]


__all__ = ["Call", "Copy", "Rows", "differences", "shown"]
