"""Kafka: how topics are made, and how producers and consumers are opened."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from assets.settings import SwitchdeskError

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 48 << 20
"""Bytes; a comment may have 10 MB of text, which its event holds three times (text, HTML, plain)."""
_PATIENCE = 15.0
_LEADERLESS = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
)


class KafkaStoreError(SwitchdeskError):
    """Kafka cannot be reached or refuses what was asked."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]


def ensure_topics(bootstrap: str, topics: Iterable[Topic]) -> dict[str, int]:
    """Create the topics that are missing and return every topic's number of partitions."""
    wanted = {topic.name: topic for topic in topics}
    admin = AdminClient(_common(bootstrap))
    try:
        present = admin.list_topics(timeout=_PATIENCE).topics
        missing = [topic for name, topic in wanted.items() if name not in present]
        created = admin.create_topics(
            # The broker's own default: one copy on a laptop, three on a cluster.
            [NewTopic(topic.name, topic.partitions, -1, config=dict(topic.config)) for topic in missing],
            operation_timeout=_PATIENCE,
        ) if missing else {}  # fmt: skip
        for future in created.values():
            try:
                future.result(timeout=2 * _PATIENCE)
            except KafkaException as error:
                # Another process may have been faster.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
    except KafkaException as error:
        raise KafkaStoreError(_unreachable(bootstrap, error)) from None
    return {
        name: len(present[name].partitions) if name in present else topic.partitions for name, topic in wanted.items()
    }


def producer(bootstrap: str, *, client: str) -> Producer:
    """An idempotent producer that waits for all in-sync copies."""
    return Producer(
        {
            **_common(bootstrap),
            "client.id": client,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "zstd",
            "linger.ms": 20,
            "batch.size": 1 << 20,
            "message.max.bytes": LARGEST_MESSAGE,
            "queue.buffering.max.messages": 50_000,
            "queue.buffering.max.kbytes": 128 << 10,
            "delivery.timeout.ms": 60_000,
        }
    )


def consumer(bootstrap: str, *, group: str, client: str, tells_ends: bool = False) -> Consumer:
    """A consumer that is told its positions and commits nothing by itself; with `tells_ends` each end is an event."""
    return Consumer(
        {
            **_common(bootstrap),
            "client.id": client,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": tells_ends,
            # A position that is gone is a fault to be handled, never a reason to jump silently.
            "auto.offset.reset": "error",
            "fetch.message.max.bytes": LARGEST_MESSAGE,
            "fetch.max.bytes": LARGEST_MESSAGE * 2,
            "queued.max.messages.kbytes": 64 << 10,
            "fetch.wait.max.ms": 50,
        }
    )


def extent(client: Consumer, topic: str, part: int) -> tuple[int, int]:
    """First offset that is still held and the one after the last, of one partition."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            low, high = client.get_watermark_offsets(TopicPartition(topic, part), timeout=_PATIENCE, cached=False)
        except KafkaException as error:
            # A topic that was just made has no leader for a moment.
            fault: KafkaError = error.args[0]
            passes = fault.retriable() or fault.code() in _LEADERLESS
            if not passes or time.monotonic() > deadline:
                raise KafkaStoreError(f"Kafka does not answer: offsets of {topic}/{part}: {fault.name()}") from None
            time.sleep(0.1)
        else:
            return int(low), int(high)


def extents(bootstrap: str, topic: str, parts: Iterable[int]) -> dict[int, tuple[int, int]]:
    """The same for several partitions of a topic, with a connection of its own."""
    client = Consumer({**_common(bootstrap), "group.id": "switchdesk-looks"})
    try:
        return {part: extent(client, topic, part) for part in parts}
    finally:
        client.close()


def _common(bootstrap: str) -> dict[str, str | int | float | bool]:
    # The application meets failures where it waits; the library's own lines would repeat them on stderr.
    return {"bootstrap.servers": bootstrap, "log_level": 0, "socket.connection.setup.timeout.ms": 10_000}


def _unreachable(bootstrap: str, error: KafkaException) -> str:
    return (
        f"Kafka does not answer: {bootstrap} ({error.args[0].name()}); "
        "check SWITCHDESK_KAFKA_BOOTSTRAP or run `switchdesk up`"
    )
