"""`bench load`: Kafka to PostgreSQL by the loader, beside a plain COPY of the same rows into bare tables."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk import topics
from assets.zendesk.exporter import Outbox
from assets.zendesk.flow import Flow
from assets.zendesk.loader import Loader
from assets.zendesk.records import Record, comments_of, envelope, micros, without_nul
from assets.zendesk.tables import TABLES
from benchmarks.bench_stack import fresh_database, running
from benchmarks.sync import pages


def run(*, tickets: int, rounds: int, say: Callable[[str], None]) -> None:
    """Time both in turn, `rounds` times, over the tickets, audits and comments of a demo help desk."""
    ours: list[float] = []
    plain: list[float] = []
    with running(tickets) as settings:
        now = datetime.now(UTC)
        rows: dict[str, list[tuple[Record, bytes]]] = {"tickets": [], "ticket_events": [], "ticket_comments": []}
        for name in ("tickets", "ticket_events"):
            for row in map(without_nul, pages(settings, name)):
                rows[name].append(_row(name, row, None, now))
                if name == "ticket_events":
                    rows["ticket_comments"].extend(
                        _row("ticket_comments", each, row["ticket_id"], now) for each in comments_of(row)
                    )
        records = sum(len(each) for each in rows.values())
        for _ in range(rounds):
            for name, measure, found in (("plain COPY", _plain, plain), ("loader", _ours, ours)):
                seconds = measure(settings, rows)
                found.append(records / seconds)
                load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
                say(f"{name:<10} {records:>9,} rows {seconds:>7.1f} s {found[-1]:>9,.0f} rows/s   {load}")
    share = statistics.median(ours) / statistics.median(plain)
    say(f"median of {rounds}: {statistics.median(ours):,.0f} of {statistics.median(plain):,.0f} rows/s, {share:.0%}")


def _row(stream: str, row: dict[str, object], parent_id: int | None, now: datetime) -> tuple[Record, bytes]:
    entity_id, version = int(str(row["id"])), micros(now)
    record = envelope(stream, entity_id, version, now, row, parent_id=parent_id)
    return record, TABLES[stream].line(entity_id, version, row, parent_id)


def _ours(settings: Settings, rows: dict[str, list[tuple[Record, bytes]]]) -> float:
    """From the topics, where they lie already, into tables with keys, versions, offsets and catalogue."""
    bootstrap = settings.require("kafka_bootstrap")
    with fresh_database(settings) as own:
        flow = Flow(threading.Event())
        loader = Loader(own.require("postgres_url"), bootstrap, topics.ensure(bootstrap), flow)
        try:
            loader.open(set())
            outbox = Outbox(bootstrap, "bench")
            for stream, found in rows.items():
                for record, _ in found:
                    outbox.put(stream, record)
            for stream, ends in outbox.flush().items():
                flow.acked(stream, ends)
            finished = threading.Event()
            finished.set()
            started = time.monotonic()
            loader.run(finished, lambda: None)
            return time.monotonic() - started
        finally:
            loader.close()


def _plain(settings: Settings, rows: dict[str, list[tuple[Record, bytes]]]) -> float:
    """Of lines that are ready, into tables with the same columns and no index."""
    with (
        fresh_database(settings) as own,
        postgres.connect(own.require("postgres_url"), application="bench") as connection,
    ):
        seconds = 0.0
        for stream, found in rows.items():
            table = TABLES[stream]
            connection.execute(table.stage.replace("temporary ", "").replace("on commit delete rows ", "").encode())
            started = time.monotonic()
            with connection.cursor() as cursor, cursor.copy(table.copy.encode()) as copy:
                for start in range(0, len(found), 4_000):
                    copy.write(b"".join(line for _, line in found[start : start + 4_000]))
            connection.commit()
            seconds += time.monotonic() - started
        return seconds
