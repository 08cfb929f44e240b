"""The copy out of Kafka alone: fills empty tables from the state topics, without the help desk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from assets import catalog
from assets.settings import Settings
from assets.stores import kafka, postgres
from assets.zendesk import topics
from assets.zendesk.errors import ZendeskError
from assets.zendesk.lease import LEASE, Lease
from assets.zendesk.streams import STREAMS, Gone
from assets.zendesk.tables import TABLES

GROUP = "switchdesk-rebuild"
_BATCH = 4_000
# A batch is complete when it is full or when this has passed: every stream pays it once, at its end.
_WAIT_SECONDS = 0.2
_SILENT_SECONDS = 60.0
_UNKNOWN_AS_OF = datetime(1970, 1, 1, tzinfo=UTC)


def rebuild(settings: Settings, *, progress: Callable[[str, int], None] = lambda stream, rows: None) -> dict[str, int]:
    """Fill the empty tables of this database from the state topics; return rows by stream.

    All in one transaction: a rebuild that dies leaves nothing behind. The tables are then as the last load left them,
    without a moment up to which they are whole: the next sync, which reads the account from its beginning or from
    `--since`, gives them one. Raises ZendeskError where a table holds rows, SyncBusy where a sync is running.
    """
    url, bootstrap = settings.require("postgres_url"), settings.require("kafka_bootstrap")
    with ExitStack() as stack:
        lease = Lease(url, LEASE)
        stack.callback(lease.release)
        lease.acquire(wait=False, stop=threading.Event())
        partitions = topics.ensure(bootstrap)
        consumer = kafka.consumer(bootstrap, group=GROUP, client=GROUP, tells_ends=True)
        stack.callback(consumer.close)
        connection = stack.enter_context(postgres.connect(url, application=GROUP))
        _require_empty(connection)
        rows: dict[str, int] = {}
        # In the order of the streams: what hangs on a ticket asks whether it was scrubbed.
        for stream, count in partitions.items():
            extents = kafka.extents(bootstrap, topics.state(stream), range(count))
            held = {part for part, (first, end) in extents.items() if end > first}
            rows[stream] = _Filling(connection, consumer, stream).run(held, lease.keep)
            progress(stream, rows[stream])
        connection.commit()
    return rows


def _require_empty(connection: psycopg.Connection[Any]) -> None:
    for stream in STREAMS:
        if connection.execute(f"select 1 from zendesk.{stream} limit 1".encode()).fetchone():
            raise ZendeskError(
                f"copy not empty: zendesk.{stream} holds rows, and a rebuild fills an empty database; name one that "
                "was only migrated (SWITCHDESK_POSTGRES_URL), or let `switchdesk sync` go on with this one"
            )


class _Filling:
    """One stream's table being filled."""

    def __init__(self, connection: psycopg.Connection[Any], consumer: Consumer, stream: str) -> None:
        self._connection = connection
        self._consumer = consumer
        self._stream = stream
        self._table = TABLES[stream]
        row = connection.execute("select nextval('zendesk.load_seq')").fetchone()
        assert row is not None
        self._load_seq = int(row[0])

    def run(self, partitions: set[int], keep: Callable[[], None]) -> int:
        """Read the partitions that hold records from their first to their end; return the rows of the table."""
        topic = topics.state(self._stream)
        self._connection.execute(self._table.stage.encode())
        self._consumer.assign([TopicPartition(topic, part, OFFSET_BEGINNING) for part in partitions])
        left, heard_at = set(partitions), time.monotonic()
        while left:
            keep()
            newest: dict[bytes, bytes | None] = {}
            for message in self._consumer.consume(_BATCH, timeout=_WAIT_SECONDS):
                heard_at = time.monotonic()
                error = message.error()
                if error is None:
                    newest[_bytes(message.key()) or b""] = _bytes(message.value())
                elif error.code() == KafkaError._PARTITION_EOF:  # pyright: ignore
                    left.discard(int(message.partition() or 0))
                elif error.fatal() or not error.retriable():
                    raise kafka.KafkaStoreError(f"Kafka does not deliver: {topic}: {error.name()}")
            if newest:
                self._apply(newest)
            if time.monotonic() - heard_at > _SILENT_SECONDS:
                raise kafka.KafkaStoreError(f"Kafka delivers nothing: {topic} was silent for a minute before its end")
        return self._publish()

    def _apply(self, newest: dict[bytes, bytes | None]) -> None:
        lines: list[bytes] = []
        gone: list[int] = []
        removed: list[bytes] = []
        for key, value in newest.items():
            if value is None:
                removed.append(key)
                continue
            record = orjson.loads(value)
            lines.append(self._table.line(record["id"], record["version"], record["payload"], record.get("parent_id")))
            if record.get("is_gone"):
                gone.append(record["id"])
        name = self._stream
        with self._connection.cursor() as cursor:
            if removed:
                key = "schedule_id::text || ':' || id" if name == "holidays" else "id::text"
                cursor.execute(
                    f"delete from zendesk.{name} where {key} = any(%s)".encode(), ([each.decode() for each in removed],)
                )
            with cursor.copy(self._table.copy.encode()) as copy:
                copy.write(b"".join(lines))
            cursor.execute(self._table.upsert.encode(), {"load_seq": self._load_seq})
            cursor.execute(f"truncate stage_{name}".encode())
            flag = {Gone.DELETED_FLAG: "is_deleted = true", Gone.INACTIVE_FLAG: "is_active = false"}.get(
                STREAMS[name].gone
            )
            if gone and flag:
                cursor.execute(f"update zendesk.{name} set {flag} where id = any(%s)".encode(), (gone,))

    def _publish(self) -> int:
        month = STREAMS[self._stream].month_of
        month_sql = f"to_char({month} at time zone 'UTC', 'YYYY-MM')" if month else "null::text"
        counts = dict(
            self._connection.execute(
                f"select {month_sql}, count(*) from zendesk.{self._stream} group by 1".encode()
            ).fetchall()
        )
        rows = sum(counts.values())
        if rows:
            catalog.publish(
                self._connection,
                f"zendesk.{self._stream}",
                as_of=_UNKNOWN_AS_OF,
                rows=rows,
                facts={"load_seq": self._load_seq},
                partitions={
                    name: (str(self._load_seq), int(count)) for name, count in counts.items() if name is not None
                },
            )
        return rows


def _bytes(value: Any) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
