"""Topics of the sync: `zendesk.STREAM.raw` carries envelopes, `.state` each row's newest, `.dlq` what was refused."""

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
_STATE_CONFIG = {
    **{name: value for name, value in _CONFIG.items() if name != "retention.ms"},
    "cleanup.policy": "compact",
    # A consumer that is less than an hour behind sees each change.
    "min.compaction.lag.ms": str(_HOUR_MS),
    # Without it a text that was replaced stays until enough else has changed, which may be never.
    "max.compaction.lag.ms": str(48 * _HOUR_MS),
    # A consumer that was away for less than a week still hears what was deleted.
    "delete.retention.ms": str(7 * 24 * _HOUR_MS),
}


def raw(stream: str) -> str:
    """Topic of a stream's rows."""
    return f"zendesk.{stream}.raw"


def state(stream: str) -> str:
    """Compacted topic with the newest copy of each of a stream's rows; a tombstone says that a row is gone."""
    return f"zendesk.{stream}.state"


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
            kafka.Topic(state(name), stream.partitions, _STATE_CONFIG),
            kafka.Topic(dead_letters(name), 1, _CONFIG),
        )
    ]
    partitions = kafka.ensure_topics(bootstrap, wanted)
    return {name: partitions[raw(name)] for name in STREAMS}
