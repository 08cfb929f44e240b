"""Runs plans: versions, names and rows are read in one transaction, so that an answer never mixes two builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from assets import catalog
from assets.catalog import DatasetVersion, Snapshot
from serving.planning.plan import MetricPlan, TemplatePlan
from serving.semantics import manifest
from serving.semantics.catalogue import Semantics
from serving.semantics.compiler import ROW_CAP, Compiler
from serving.semantics.errors import QueryFailed, QueryTimeout
from serving.semantics.manifest import Manifest
from serving.semantics.periods import Clock
from serving.semantics.query import Column, CompiledQuery

MAIN_DATASET = "analytics.fct_tickets"
"""Its as-of is that of the build."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a plan came to."""

    columns: tuple[Column, ...]
    rows: list[list[Any]]
    """In column order; moments are aware, in the zone of the question."""
    truncated: bool
    """More rows exist than were returned, by our cap and not by the limit asked for."""
    total: int
    """Rows there are, of a list also those beyond its limit."""
    sql: str
    """The statement as run, values written in; for reading, never to be run again."""
    definitions: Mapping[str, str]
    datasets: Mapping[str, DatasetVersion]
    """Every dataset read, at the version read."""
    query: CompiledQuery

    @property
    def value(self) -> int | float | None:
        """The number, where the result is one number."""
        metrics = [i for i, column in enumerate(self.columns) if column.role == "metric"]
        if len(self.rows) == 1 and len(self.columns) == 1 and len(metrics) == 1:
            return self.rows[0][metrics[0]]
        return None


@dataclass(frozen=True, slots=True)
class _Published:
    epoch: int
    manifest: Manifest
    semantics: Semantics


class Analytics:
    """Answers plans from the published marts, with the login that can only read them."""

    def __init__(self, pool: ConnectionPool, *, timeout_ms: int = 10_000, row_cap: int = ROW_CAP) -> None:
        self._pool = pool
        self._timeout_ms = timeout_ms
        self._row_cap = row_cap
        self._kept: _Published | None = None

    def semantics(self) -> Semantics:
        """What can be asked now; raises NothingPublished."""
        with self._transaction() as connection:
            return self._published(connection, catalog.current(connection)).semantics

    def snapshot(self) -> Snapshot:
        """The catalogue now."""
        with self._transaction() as connection:
            return catalog.current(connection)

    def compile(
        self, plan: MetricPlan | TemplatePlan, *, zone: ZoneInfo, as_of: datetime | None = None
    ) -> tuple[CompiledQuery, Snapshot]:
        """The query of a plan and the catalogue it was compiled against; `query.versions(snapshot)` keys a cache."""
        with self._transaction() as connection:
            snapshot = catalog.current(connection)
            return self._compile(connection, snapshot, plan, zone, as_of), snapshot

    def run(self, plan: MetricPlan | TemplatePlan, *, zone: ZoneInfo, as_of: datetime | None = None) -> Result:
        """Compile and run a plan; `as_of` None means the data's own. Raises SemanticsError."""
        return self.run_all([plan], zone=zone, as_of=as_of)[0]

    def run_all(
        self, plans: Sequence[MetricPlan | TemplatePlan], *, zone: ZoneInfo, as_of: datetime | None = None
    ) -> list[Result]:
        """Run several plans against one build; raises SemanticsError."""
        with self._transaction() as connection:
            snapshot = catalog.current(connection)
            queries = [self._compile(connection, snapshot, plan, zone, as_of) for plan in plans]
            return [self._run(connection, snapshot, query) for query in queries]

    def _run(self, connection: psycopg.Connection[Any], snapshot: Snapshot, query: CompiledQuery) -> Result:
        connection.execute(
            "select set_config('timezone', %s, true), set_config('switchdesk.as_of', %s, true),"
            " set_config('statement_timeout', %s, true)",
            (query.time_zone, query.as_of.isoformat(), str(self._timeout_ms)),
        )
        statement = query.sql.encode()
        rows = [list(row) for row in connection.execute(statement, query.params).fetchall()]
        total = len(rows)
        if len(rows) > query.limit and any(column.role == "id" for column in query.columns):
            counted = b"select count(*) from (" + statement + b") as listed"
            total = int(connection.execute(counted, {**query.params, "limit": None}).fetchall()[0][0])
        return Result(
            columns=query.columns,
            rows=rows[: query.limit],
            truncated=query.is_capped and len(rows) > query.limit,
            total=total,
            sql=psycopg.ClientCursor(connection).mogrify(statement, query.params),
            definitions=query.definitions,
            datasets={name: snapshot.datasets[name] for name in query.datasets if name in snapshot.datasets},
            query=query,
        )

    def _compile(
        self,
        connection: psycopg.Connection[Any],
        snapshot: Snapshot,
        plan: MetricPlan | TemplatePlan,
        zone: ZoneInfo,
        as_of: datetime | None,
    ) -> CompiledQuery:
        published = self._published(connection, snapshot)
        main = snapshot.datasets.get(MAIN_DATASET)
        data_as_of = main.as_of if main else datetime.now(UTC)
        clock = Clock(zone=zone, as_of=as_of or data_as_of, data_as_of=data_as_of)
        compiler = Compiler(published.manifest, published.semantics)
        return compiler.compile(plan, clock, row_cap=self._row_cap)

    def _published(self, connection: psycopg.Connection[Any], snapshot: Snapshot) -> _Published:
        """Manifest and values of the snapshot; read again only where something was published since."""
        kept = self._kept
        if kept is None or kept.epoch != snapshot.epoch:
            self._kept = kept = _Published(snapshot.epoch, *manifest.load(connection))
        return kept

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with self._pool.connection() as connection, connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                yield connection
        except psycopg.errors.QueryCanceled as error:
            raise QueryTimeout(
                f"query stopped: it ran longer than {self._timeout_ms} ms; ask for less time or fewer groups"
            ) from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise QueryFailed("PostgreSQL does not answer: the query was not run; try again shortly") from error
        except psycopg.Error as error:
            raise QueryFailed(f"query refused by PostgreSQL: {type(error).__name__}") from error
