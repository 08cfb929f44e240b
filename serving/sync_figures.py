"""Figures of the sync for Prometheus, read from the catalogue: whoever runs the sync, the API tells how it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg_pool import ConnectionPool, PoolTimeout

from assets.settings import SwitchdeskError


class FiguresUnavailable(SwitchdeskError):
    """PostgreSQL does not answer, so there is nothing to tell of the sync."""


# A registry keeps collectors by identity.
@dataclass(frozen=True, slots=True, eq=False)
class SyncFigures(Collector):
    """How the sync stands."""

    streams: Sequence[tuple[str, datetime | None, int, float | None]]
    """Stream, moment up to which it is whole, rows, seconds that the last loaded records lay in Kafka."""
    calls: Sequence[tuple[str, str, int]]
    """Stream, outcome, calls."""

    @classmethod
    def read(cls, questions: ConnectionPool) -> SyncFigures:
        """Read them with the login of questions (blocking); raises FiguresUnavailable."""
        try:
            with questions.connection(timeout=2) as connection:
                streams = connection.execute(
                    "select stream, as_of, rows, loader_lag_seconds from catalog.sync_streams order by stream"
                ).fetchall()
                calls = connection.execute(
                    "select stream, status, calls from catalog.sync_calls order by stream, status"
                ).fetchall()
        except (psycopg.Error, PoolTimeout) as error:
            raise FiguresUnavailable(f"figures of the sync cannot be read: {type(error).__name__}") from None
        return cls(streams, calls)

    def expose(self) -> bytes:
        """The exposition text; of the database, so each worker tells the same."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        now = datetime.now(UTC)
        lag = GaugeMetricFamily(
            "zendesk_sync_lag_seconds", "Age of the moment up to which a stream is whole", labels=["stream"]
        )
        rows = GaugeMetricFamily("zendesk_rows_total", "Rows of a stream's table", labels=["stream"])
        loader = GaugeMetricFamily(
            "kafka_loader_lag_seconds", "Time the last loaded records of a stream lay in Kafka", labels=["stream"]
        )
        for stream, as_of, count, waited in self.streams:
            if as_of is not None:
                lag.add_metric([stream], (now - as_of).total_seconds())
            rows.add_metric([stream], count)
            if waited is not None:
                loader.add_metric([stream], max(0.0, waited))
        calls = CounterMetricFamily("zendesk_api_calls", "Calls to Zendesk by outcome", labels=["stream", "status"])
        for stream, status, count in self.calls:
            calls.add_metric([stream, status], count)
        yield from (lag, rows, loader, calls)
