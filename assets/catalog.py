"""The contract between assets and serving: which version of a dataset is live, how fresh it is, what it covers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import psycopg
from psycopg.rows import class_row

from assets.settings import SwitchdeskError


class CatalogError(SwitchdeskError):
    """The catalogue does not hold what was asked for."""


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """What is live of one dataset."""

    dataset: str
    """Name such as `zendesk.tickets`, `analytics.fct_tickets`, `milvus.comment_embeddings`."""
    version: int
    """Grows by one with each publication that changed content."""
    as_of: datetime
    """The data holds everything that had happened up to this moment (UTC)."""
    rows: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Figures shown to people, the same as in Dagster's metadata."""
    coverage: float = 1.0
    """Share (0-1) of the source rows that the dataset holds."""
    failed_checks: Sequence[str] = ()
    build_id: str = ""
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalogue at one epoch."""

    epoch: int
    datasets: Mapping[str, DatasetVersion]
    partitions: Mapping[tuple[str, str], int]
    """Content version of each (dataset, partition); a partition is a UTC month `2026-11`."""


def publish(
    connection: psycopg.Connection[Any],
    dataset: str,
    *,
    as_of: datetime,
    rows: int,
    facts: Mapping[str, Any] | None = None,
    coverage: float = 1.0,
    failed_checks: Sequence[str] = (),
    build_id: str = "",
    partitions: Mapping[str, tuple[str, int]] | None = None,
    changed: bool = True,
) -> int:
    """Publish a dataset inside the caller's transaction and return its version.

    `partitions` maps a partition to (content hash, rows); a partition's version grows only where its hash differs.
    With `changed=False` only freshness (as_of, facts, checks) moves and the version stays, so caches stay valid.
    The row lock on the epoch serialises publishers, which keeps the epoch growing in commit order.
    """
    with connection.cursor() as cursor:
        cursor.execute("update catalog.epoch set epoch = epoch + 1 returning epoch")
        row = cursor.fetchone()
        if row is None:
            raise CatalogError("catalogue is not set up: run `switchdesk migrate`")
        cursor.execute(
            """
            insert into catalog.datasets as d
                (dataset, version, as_of, rows, facts, coverage, failed_checks, build_id, epoch, published_at)
            values (%(dataset)s, 1, %(as_of)s, %(rows)s, %(facts)s, %(coverage)s, %(failed)s, %(build)s, %(epoch)s,
                    now())
            on conflict (dataset) do update set
                version = d.version + %(step)s, as_of = greatest(d.as_of, excluded.as_of), rows = excluded.rows,
                facts = excluded.facts, coverage = excluded.coverage, failed_checks = excluded.failed_checks,
                build_id = excluded.build_id, epoch = excluded.epoch, published_at = excluded.published_at
            returning version
            """,
            {
                "dataset": dataset,
                "as_of": as_of,
                "rows": rows,
                "facts": orjson.dumps(dict(facts or {})).decode(),
                "coverage": coverage,
                "failed": list(failed_checks),
                "build": build_id,
                "epoch": row[0],
                "step": 1 if changed else 0,
            },
        )
        published = cursor.fetchone()
        if partitions:
            cursor.executemany(
                """
                insert into catalog.partitions as p (dataset, partition, version, content_hash, rows)
                values (%s, %s, 1, %s, %s)
                on conflict (dataset, partition) do update set
                    version = p.version + 1, content_hash = excluded.content_hash, rows = excluded.rows
                where p.content_hash <> excluded.content_hash
                """,
                [(dataset, name, digest, count) for name, (digest, count) in partitions.items()],
            )
    assert published is not None
    return int(published[0])


def mark_failed(connection: psycopg.Connection[Any], schema: str, failed_checks: Sequence[str]) -> None:
    """Note on every dataset of a schema that its newest build failed and was not published; the live one stays."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update catalog.datasets set failed_checks = %s where split_part(dataset, '.', 1) = %s",
            (list(failed_checks), schema),
        )


def current(connection: psycopg.Connection[Any]) -> Snapshot:
    """Read the whole catalogue in the caller's transaction (REPEATABLE READ ties it to the rows read beside it)."""
    with connection.cursor() as cursor:
        cursor.execute("select epoch from catalog.epoch")
        epoch = cursor.fetchone()
        cursor.execute("select dataset, partition, version from catalog.partitions")
        partitions = {(row[0], row[1]): int(row[2]) for row in cursor.fetchall()}
    with connection.cursor(row_factory=class_row(DatasetVersion)) as cursor:
        cursor.execute(
            "select dataset, version, as_of, rows, facts, coverage, failed_checks, build_id, published_at"
            " from catalog.datasets"
        )
        datasets = {row.dataset: row for row in cursor.fetchall()}
    return Snapshot(int(epoch[0]) if epoch else 0, datasets, partitions)


def identity(connection: psycopg.Connection[Any]) -> str:
    """What tells this database from any other, by whatever address and login it is reached."""
    row = connection.execute(
        "select (select system_identifier from pg_control_system()), oid from pg_database"
        " where datname = current_database()"
    ).fetchone()
    assert row is not None
    return f"{row[0]}/{row[1]}"


def publish_document(connection: psycopg.Connection[Any], name: str, body: bytes) -> str:
    """Store a document under its digest, make it the live one of that name, and return the digest."""
    digest = hashlib.sha256(body).hexdigest()
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into catalog.documents (digest, name, body) values (%s, %s, %s) on conflict (digest) do nothing",
            (digest, name, body),
        )
        cursor.execute(
            "insert into catalog.live_documents (name, digest) values (%s, %s)"
            " on conflict (name) do update set digest = excluded.digest",
            (name, digest),
        )
    return digest


def live_digest(connection: psycopg.Connection[Any], name: str) -> str | None:
    """Digest of the live document of that name, or None where nothing was published yet."""
    with connection.cursor() as cursor:
        cursor.execute("select digest from catalog.live_documents where name = %s", (name,))
        row = cursor.fetchone()
    return row[0] if row else None


def document(connection: psycopg.Connection[Any], digest: str) -> bytes:
    """Body of a document; raises CatalogError where the digest is unknown."""
    with connection.cursor() as cursor:
        cursor.execute("select body from catalog.documents where digest = %s", (digest,))
        row = cursor.fetchone()
    if row is None:
        raise CatalogError(f"document unknown: {digest[:12]} was never published; run `switchdesk build analytics`")
    return bytes(row[0])
