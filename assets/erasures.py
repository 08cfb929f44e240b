"""Erasures on their way out: words that left PostgreSQL leave Milvus, Neo4j, kept answers and decisions too.

The loader writes a row of `ops.erasures` in the transaction that erases; here each store is emptied and the row marked
for that store alone. A store that is away delays its own mark and nothing else: the next cycle tries again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from assets import catalog
from assets.settings import Settings, SwitchdeskError
from assets.stores import answers
from assets.stores.postgres import BuildLock

logger = logging.getLogger(__name__)

_VECTORS = "milvus.comment_embeddings"


@dataclass(frozen=True, slots=True)
class Erasure:
    """Words that have to go."""

    id: int
    ticket_id: int
    comment_id: int | None
    """None: all that hangs on the ticket."""


def drain(connection: psycopg.Connection[Any], settings: Settings) -> Mapping[str, int]:
    """Empty every store of what was erased; return how many erasures still wait for a store, by store.

    `connection` is the owner's and in autocommit.
    """
    waiting: dict[str, int] = {}
    for store, (column, erase) in _STORES.items():
        rows = connection.execute(
            f"select id, ticket_id, comment_id from ops.erasures where {column} is null order by id".encode()
        ).fetchall()
        if not rows:
            continue
        erasures = [Erasure(*row) for row in rows]
        try:
            is_final = erase(connection, settings, erasures)
        except SwitchdeskError as error:
            is_final = False
            logger.warning("erasures wait for a store", extra={"store": store, "rows": len(rows), "reason": str(error)})
        if not is_final:
            waiting[store] = len(rows)
            continue
        connection.execute(
            f"update ops.erasures set {column} = now() where id = any(%s)".encode(), ([each.id for each in erasures],)
        )
    return waiting


def _vectors(connection: psycopg.Connection[Any], settings: Settings, erasures: Sequence[Erasure]) -> bool:
    """The vectors of the comments; those that still have words are embedded anew by the next build."""
    # The clients take seconds to import, and nearly every sync has nothing to erase.
    from assets.stores.milvus import Milvus, Where

    milvus = Milvus(settings.require("milvus_url"), timeout=10.0)
    tickets = Where(ticket_ids=[each.ticket_id for each in erasures if each.comment_id is None])
    comments = Where(comment_ids=[each.comment_id for each in erasures if each.comment_id is not None])
    published = catalog.current(connection).datasets.get(_VECTORS)
    live = published.facts.get("collection") if published is not None else None
    try:
        with _builds_held(connection, BuildLock.COMMENT_INDEX) as is_final:
            for collection in milvus.collections():
                held = {row.id: row for where in (tickets, comments) for row in milvus.rows(collection, where)}
                if not held:
                    continue
                milvus.delete_keys(collection, list(held))
                if published is not None and collection == live:
                    months = Counter(_month(row.created_at) for row in held.values() if row.chunk == 0)
                    _publish(connection, published, milvus.count(collection), months)
    finally:
        milvus.close()
    return is_final


def _publish(
    connection: psycopg.Connection[Any], published: catalog.DatasetVersion, rows: int, months: Mapping[str, int]
) -> None:
    """What was read from the vectors before is not to be taken for what they say now."""
    counts = {
        name: int(count)
        for name, count in connection.execute(
            "select partition, rows from catalog.partitions where dataset = %s and partition = any(%s)",
            (_VECTORS, list(months)),
        ).fetchall()
    }
    mark = f"erased:{datetime.now(UTC).isoformat()}"
    with connection.transaction():
        catalog.publish(
            connection,
            _VECTORS,
            as_of=published.as_of,
            rows=rows,
            facts=published.facts,
            coverage=published.coverage,
            failed_checks=published.failed_checks,
            build_id=published.build_id,
            partitions={month: (mark, max(0, counts.get(month, 0) - gone)) for month, gone in months.items()},
        )


def _nodes(connection: psycopg.Connection[Any], settings: Settings, erasures: Sequence[Erasure]) -> bool:
    """The subjects of scrubbed tickets; of comments the graph holds no words."""
    scrubbed = [{"id": each.ticket_id} for each in erasures if each.comment_id is None]
    if not scrubbed:
        return True
    from assets.stores.neo4j import Neo4j

    neo4j = Neo4j(settings.require("neo4j_url"), settings.neo4j_user, settings.require("neo4j_password"))
    try:
        with _builds_held(connection, BuildLock.TICKET_GRAPH) as is_final:
            neo4j.write("unwind $rows as row match (t:Ticket {id: row.id}) remove t.subject", scrubbed)
    finally:
        neo4j.close()
    return is_final


def _answers(connection: psycopg.Connection[Any], settings: Settings, erasures: Sequence[Erasure]) -> bool:
    """Kept answers that name the tickets, and the answers of decisions that do."""
    tickets = sorted({each.ticket_id for each in erasures})
    connection.execute("select catalog.forget_answers(%s::bigint[])", (tickets,))
    answers.remove(settings.require("redis_url"), catalog.identity(connection), tickets)
    return True


_STORES: dict[str, tuple[str, Callable[[psycopg.Connection[Any], Settings, Sequence[Erasure]], bool]]] = {
    "milvus": ("milvus_at", _vectors),
    "neo4j": ("neo4j_at", _nodes),
    "redis": ("redis_at", _answers),
}


@contextmanager
def _builds_held(connection: psycopg.Connection[Any], lock: BuildLock) -> Iterator[bool]:
    """Keep builds of a store out; false where one is under way, which may yet write what it had read before."""
    row = connection.execute("select pg_try_advisory_lock(%s)", (lock,)).fetchone()
    is_held = bool(row and row[0])
    try:
        yield is_held
    finally:
        if is_held:
            connection.execute("select pg_advisory_unlock(%s)", (lock,))


def _month(created_at: int) -> str:
    return datetime.fromtimestamp(created_at, UTC).strftime("%Y-%m")
