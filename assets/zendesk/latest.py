"""The state topics: the newest copy of each row as the tables hold it, for whoever wants the copy without its history.

The loader writes them, inside the transaction that changes the rows and before it commits. The exporter could not: only
the database decides which copy of a row is the newest, what a redaction makes of an audit, and what a scrub removes.
A death between Kafka's word and the commit leaves the topics one batch ahead; the offsets did not move, so that batch
is loaded again and written again, each key to the same value. Two loaders do not mix: the second waits for the row
locks on the offsets that the first took at the beginning of its transaction, and fences it. So a row that is committed
is always in its topic, and what a topic holds is, or is about to be, in its table.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from assets.stores import kafka
from assets.zendesk import topics
from assets.zendesk.records import envelope, key_of
from assets.zendesk.streams import STREAMS, Gone
from assets.zendesk.tables import COLUMNS

_FLUSH_SECONDS = 65
_FILL_ROWS = 2_000


class Latest:
    """Writes the state topics through the loader's producer."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._error: KafkaError | None = None

    def put(self, stream: str, key: bytes | str | None, value: bytes | str | None) -> None:
        """Write a record as it came; value None is a tombstone."""
        while True:
            try:
                self._producer.produce(topics.state(stream), value, key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.5)
            except KafkaException as error:
                name = error.args[0].name()
                raise kafka.KafkaStoreError(f"Kafka refuses a record: {topics.state(stream)}: {name}") from None

    def write(
        self,
        stream: str,
        entity_id: int,
        version: int,
        payload: dict[str, Any],
        *,
        parent_id: int | None = None,
        is_gone: bool = False,
    ) -> None:
        """Write a row that the database itself has changed."""
        now = datetime.now(UTC)
        record = envelope(stream, entity_id, version, now, payload, parent_id=parent_id, is_gone=is_gone)
        self.put(stream, record.key, record.value)

    def bury(self, stream: str, entity_id: int, parent_id: int | None) -> None:
        """Say that a row is gone."""
        self.put(stream, key_of(stream, entity_id, parent_id), None)

    def flush(self) -> None:
        """Wait until Kafka holds all of it; raises KafkaStoreError, and the transaction is undone."""
        left = self._producer.flush(_FLUSH_SECONDS)
        error, self._error = self._error, None
        if left or error is not None:
            reason = error.name() if error is not None else f"{left} records unconfirmed"
            raise kafka.KafkaStoreError(
                f"Kafka does not take the newest rows: {reason}; the batch was undone, check "
                "SWITCHDESK_KAFKA_BOOTSTRAP and run the sync again"
            )

    def fill(self, connection: psycopg.Connection[Any], stream: str) -> None:
        """Write a whole table."""
        parent = next((column.name for column in COLUMNS[stream] if not column.field), "null")
        flag = {Gone.DELETED_FLAG: "is_deleted is true", Gone.INACTIVE_FLAG: "is_active is false"}.get(
            STREAMS[stream].gone, "false"
        )
        with connection.cursor(name="latest") as cursor:
            cursor.itersize = _FILL_ROWS
            cursor.execute(f"select id, version, payload, {parent}, {flag} from zendesk.{stream}".encode())
            for entity_id, version, payload, parent_id, is_gone in cursor:
                self.write(stream, entity_id, version, payload, parent_id=parent_id, is_gone=is_gone)
        self.flush()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        del message
        if error is not None:
            self._error = error
