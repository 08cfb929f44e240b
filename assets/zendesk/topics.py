"""Topics of the sync: `zendesk.STREAM.raw` carries envelopes, `zendesk.STREAM.dlq` what could not be loaded."""

from __future__ import annotations

from assets.stores import kafka
from assets.zendesk.streams import STREAMS

RETENTION_HOURS = 72
"""Text that must go (redacted, erased) leaves Kafka within this time."""
_HOUR_MS = 3_600_000
_CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": str(RETENTION_HOURS * _HOUR_MS),
    # Retention removes whole segments; a quiet topic must roll them, or its text would stay for a week.
    "segment.ms": str(6 * _HOUR_MS),
    "compression.type": "zstd",
    "max.message.bytes": str(kafka.LARGEST_MESSAGE),
}


def raw(stream: str) -> str:
    """Topic of a stream's rows."""
    return f"zendesk.{stream}.raw"


def dead_letters(stream: str) -> str:
    """Topic of a stream's rows that could not be loaded."""
    return f"zendesk.{stream}.dlq"


def stream_of(topic: str) -> str:
    """Stream that a raw topic belongs to."""
    return topic.removeprefix("zendesk.").removesuffix(".raw")


def ensure(bootstrap: str) -> dict[str, int]:
    """Make all topics that are missing; return the number of partitions of each raw topic by stream."""
    wanted = [
        topic
        for name, stream in STREAMS.items()
        for topic in (
            kafka.Topic(raw(name), stream.partitions, _CONFIG),
            kafka.Topic(dead_letters(name), 1, _CONFIG),
        )
    ]
    partitions = kafka.ensure_topics(bootstrap, wanted)
    return {name: partitions[raw(name)] for name in STREAMS}
