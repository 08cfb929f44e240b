"""How far a running sync is, read from the stores alone, so that any process can watch any other's run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from assets.zendesk.lease import LEASE
from assets.zendesk.records import parse_moment
from assets.zendesk.streams import STREAMS


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one stream is at this moment."""

    stream: str
    rows: int
    """Rows in the table."""
    read: int
    """Rows read from Zendesk so far, repeats included."""
    is_at_end: bool
    status: str
    fraction: float | None
    """Share (0-1) of the stream's time that is loaded; None where it cannot be told."""


def holder(connection: psycopg.Connection[Any]) -> str | None:
    """`HOST/PID` of the process that syncs at this moment; None where nobody does."""
    row = connection.execute(
        "select holder from ops.leases where name = %s and expires_at > now()", (LEASE,)
    ).fetchone()
    return str(row[0]).rsplit("/", 1)[0] if row else None


def standings(connection: psycopg.Connection[Any]) -> dict[str, Standing]:
    """All streams that were begun."""
    now = datetime.now(UTC)
    rows = connection.execute(
        """
        select s.stream, s.status, s.cursor, s.end_of_stream, s.records, s.as_of, coalesce(d.rows, 0)
        from ops.sync_state s left join catalog.datasets d on d.dataset = 'zendesk.' || s.stream
        """
    ).fetchall()
    found = {}
    for stream, status, cursor, is_end, read, as_of, held in rows:
        first = parse_moment(cursor.get("first_at"))
        if is_end:
            fraction = 1.0
        elif first is not None and as_of is not None and now > first:
            fraction = min(1.0, max(0.0, (as_of - first) / (now - first)))
        else:
            fraction = None
        found[stream] = Standing(stream, int(held), int(read), bool(is_end), status, fraction)
    return {stream: found[stream] for stream in STREAMS if stream in found}
