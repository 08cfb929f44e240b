"""Statements about the copy that must hold, looked up in the stores themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from assets.stores import kafka
from assets.zendesk import topics
from assets.zendesk.streams import STREAMS
from assets.zendesk.sync import BEHIND_SECONDS


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one statement holds."""

    check: str
    holds: bool
    is_serious: bool
    """Whether what is built on the table has to wait where it does not hold."""
    text: str
    figures: Mapping[str, Any]


def checks_of(stream: str) -> tuple[str, ...]:
    """Names of the statements about one stream."""
    names = ("offsets_are_contiguous", "no_dead_letters", "newest_row_is_fresh")
    return (*names, "comments_have_tickets") if stream == "ticket_comments" else names


def findings(connection: psycopg.Connection[Any], bootstrap: str, stream: str) -> list[Finding]:
    """All statements about one stream."""
    found = [
        _offsets_are_contiguous(connection, bootstrap, stream),
        _no_dead_letters(connection, stream),
        _newest_row_is_fresh(connection, stream),
    ]
    if stream == "ticket_comments":
        found.append(_comments_have_tickets(connection))
    return found


def _offsets_are_contiguous(connection: psycopg.Connection[Any], bootstrap: str, stream: str) -> Finding:
    topic = topics.raw(stream)
    rows = connection.execute(
        "select part, next_offset from ops.kafka_offsets where topic = %s order by part", (topic,)
    ).fetchall()
    held = kafka.extents(bootstrap, topic, [int(row[0]) for row in rows])
    outside = [part for part, position in rows if not held[part][0] <= position <= held[part][1]]
    lag = sum(max(0, held[part][1] - position) for part, position in rows)
    return Finding(
        "offsets_are_contiguous",
        holds=bool(rows) and not outside and len(rows) == STREAMS[stream].partitions,
        is_serious=True,
        text=f"{len(rows)} partitions, {lag} records not loaded yet"
        + (f", outside of what Kafka holds: {outside}" if outside else ""),
        figures={"records_behind": lag, "partitions": len(rows)},
    )


def _no_dead_letters(connection: psycopg.Connection[Any], stream: str) -> Finding:
    row = connection.execute(
        "select count(*), min(reason) from ops.dead_letters where stream = %s and settled is null", (stream,)
    ).fetchone()
    assert row is not None
    return Finding(
        "no_dead_letters",
        holds=row[0] == 0,
        is_serious=False,
        text=f"{row[0]} records set aside: {row[1]}" if row[0] else "every record was loaded",
        figures={"dead_letters": int(row[0])},
    )


def _newest_row_is_fresh(connection: psycopg.Connection[Any], stream: str) -> Finding:
    row = connection.execute("select as_of from ops.sync_state where stream = %s", (stream,)).fetchone()
    as_of = row[0] if row else None
    if as_of is None:
        return Finding("newest_row_is_fresh", False, False, "not read to its end yet", {})
    lag = (datetime.now(UTC) - as_of).total_seconds()
    return Finding(
        "newest_row_is_fresh",
        holds=lag <= BEHIND_SECONDS,
        is_serious=False,
        text=f"whole up to {as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        figures={"lag_seconds": round(lag, 1)},
    )


def _comments_have_tickets(connection: psycopg.Connection[Any]) -> Finding:
    # Exports leave out a row that changed within the newest minute, so a ticket may be missing while its older comments
    # are there. It comes with a later sync; a comment that has waited through ten minutes of them waits in vain.
    row = connection.execute(
        """
        select count(*), min(c.ticket_id)
        from zendesk.ticket_comments c
        where c.loaded_at < (select updated_at from ops.sync_state where stream = 'tickets') - interval '10 minutes'
          and not exists (select from zendesk.tickets t where t.id = c.ticket_id)
        """
    ).fetchone()
    assert row is not None
    return Finding(
        "comments_have_tickets",
        holds=row[0] == 0,
        is_serious=True,
        text=f"{row[0]} comments without a ticket, for example of ticket {row[1]}" if row[0] else "every one has",
        figures={"comments_without_ticket": int(row[0])},
    )
