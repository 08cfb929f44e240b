"""Dead letters: records that no table could hold, set aside with their reason until they are dealt with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg
from confluent_kafka import KafkaError, KafkaException, Message
from psycopg.rows import class_row

from assets.settings import Settings
from assets.stores import kafka, postgres
from assets.zendesk import loading
from assets.zendesk.errors import SyncBusy, ZendeskError

_COLUMNS = (
    "id, topic, part, record_offset, stream, entity_id, ticket_id, reason, body, created_at, replayed_at, erased_at,"
    " settled"
)
_PATIENCE_SECONDS = 120.0
_SHOWN = 16_384
"""Characters of a body that are shown; a comment may have ten million."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was set aside."""

    id: int
    topic: str
    part: int
    record_offset: int
    stream: str
    entity_id: int | None
    """None where not even that could be read."""
    ticket_id: int | None
    reason: str
    body: bytes | None
    """The record as it stood in the topic; None where it had none, or where it was erased with its ticket's text."""
    created_at: datetime
    replayed_at: datetime | None
    erased_at: datetime | None
    settled: str | None
    """`replayed`, `newer copy` (a later record of the same row was loaded), `scrubbed` (its ticket is gone for good);
    None: open."""

    @property
    def origin(self) -> str:
        """Where in Kafka it stood."""
        return f"{self.topic}/{self.part}@{self.record_offset}"

    @property
    def state(self) -> str:
        """`open` or how it was settled; `erased` where it is open and only reading the row again can help."""
        return self.settled or ("erased" if self.erased_at is not None else "open")

    def text(self) -> str:
        """The body for people: indented where it is JSON, every control character escaped, cut where it is long."""
        if self.body is None:
            return "erased with the text of its ticket" if self.erased_at is not None else "empty"
        try:
            shown = orjson.dumps(orjson.loads(self.body), option=orjson.OPT_INDENT_2).decode()
        except orjson.JSONDecodeError:
            shown = self.body.decode("utf-8", "backslashreplace")
        safe = "".join(
            each if each == "\n" or each.isprintable() else each.encode("unicode_escape").decode()
            for each in shown[:_SHOWN]
        )
        left = len(shown) - _SHOWN
        return f"{safe}\n… {left:,} more characters" if left > 0 else safe


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of the dead letters that were put into their topics again."""

    replayed: Sequence[int]
    erased: Sequence[int]
    """They have no text any more: only reading their rows again brings them."""
    again: Mapping[int, str]
    """Those that were set aside again, with the reason."""


def listed(
    connection: psycopg.Connection[Any], *, stream: str | None = None, settled: bool = False
) -> list[DeadLetter]:
    """Dead letters, the oldest first, without their bodies; with `settled` those that were dealt with too."""
    columns = _COLUMNS.replace(" body,", " null::bytea as body,")
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(
            f"""
            select {columns} from ops.dead_letters
            where (%(stream)s::text is null or stream = %(stream)s) and (%(settled)s or settled is null) order by id
            """.encode(),
            {"stream": stream, "settled": settled},
        ).fetchall()


def one(connection: psycopg.Connection[Any], letter_id: int) -> DeadLetter:
    """One dead letter with its body; raises ZendeskError where there is none of that number."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        letter = cursor.execute(
            f"select {_COLUMNS} from ops.dead_letters where id = %s".encode(), (letter_id,)
        ).fetchone()
    if letter is None:
        raise ZendeskError(f"dead letter unknown: {letter_id}; `switchdesk dlq list --all` shows those there are")
    return letter


def replay(
    settings: Settings,
    letter_ids: Sequence[int] | None = None,
    *,
    notice: Callable[[str], None] = lambda text: None,
) -> Replay:
    """Put dead letters (default: all open ones) into their topics again and see them loaded.

    They go the way of every record, so a newer row stays, and one that still fits no table becomes a dead letter of
    its own. Those settled already are left alone: replaying twice does nothing. Loads here where no sync runs, and
    waits for the sync that does otherwise. Raises ZendeskError where nothing takes them up for two minutes.
    """
    url, bootstrap = settings.require("postgres_url"), settings.require("kafka_bootstrap")
    with postgres.connect(url, application="switchdesk-dead-letters", autocommit=True) as connection:
        erased = []
        for letter_id in letter_ids or ():
            if one(connection, letter_id).state == "erased":
                erased.append(letter_id)
        places = _produce(connection, bootstrap, letter_ids)
        if places:
            _see_loaded(settings, connection, places, notice)
        again = {
            letter_id: str(row[0])
            for letter_id, place in places.items()
            if (
                row := connection.execute(
                    "select reason from ops.dead_letters where topic = %s and part = %s and record_offset = %s", place
                ).fetchone()
            )
        }
    return Replay(list(places), erased, again)


def _produce(
    connection: psycopg.Connection[Any], bootstrap: str, letter_ids: Sequence[int] | None
) -> dict[int, tuple[str, int, int]]:
    """Put the open ones into their topics; return where each lies now.

    They are marked once Kafka holds them: a death between the two replays them once more, which changes nothing.
    """
    with connection.transaction():
        rows = connection.execute(
            """
            select id, topic, body, entity_id, stream from ops.dead_letters
            where settled is null and body is not null and (%(ids)s::bigint[] is null or id = any(%(ids)s))
            order by id for update skip locked
            """,
            {"ids": None if letter_ids is None else list(letter_ids)},
        ).fetchall()
        if not rows:
            return {}
        producer = kafka.producer(bootstrap, client="switchdesk-replay")
        places: dict[int, tuple[str, int, int]] = {}
        errors: list[KafkaError] = []

        def delivered(letter_id: int) -> Callable[[KafkaError | None, Message], None]:
            def note(error: KafkaError | None, message: Message) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    part, offset = int(message.partition() or 0), int(message.offset() or 0)
                    places[letter_id] = (str(message.topic()), part, offset)

            return note

        for letter_id, topic, body, entity_id, stream in rows:
            key = _key(bytes(body), entity_id, stream)
            while True:
                try:
                    producer.produce(topic, bytes(body), key, on_delivery=delivered(letter_id))
                    break
                except BufferError:
                    producer.poll(0.5)
                except KafkaException as error:
                    raise kafka.KafkaStoreError(f"Kafka refuses a record: {topic}: {error.args[0].name()}") from None
        left = producer.flush(65)
        connection.execute(
            "update ops.dead_letters set replayed_at = now(), settled = 'replayed' where id = any(%s)",
            (list(places),),
        )
    if left or errors:
        raise kafka.KafkaStoreError(
            f"Kafka took {len(places)} of {len(rows)} dead letters; check SWITCHDESK_KAFKA_BOOTSTRAP and replay again"
        )
    return places


def _key(body: bytes, entity_id: int | None, stream: str) -> bytes | None:
    """The key under which the record stood: the same row goes into the same partition, behind its earlier copies."""
    if entity_id is None:
        return None
    if stream != "holidays":
        return str(entity_id).encode()
    try:
        return f"{orjson.loads(body)['parent_id']}:{entity_id}".encode()
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return str(entity_id).encode()


def _see_loaded(
    settings: Settings,
    connection: psycopg.Connection[Any],
    places: Mapping[int, tuple[str, int, int]],
    notice: Callable[[str], None],
) -> None:
    """Load here where the lease is free, else watch the sync that holds it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    told = False
    while not _are_loaded(connection, places):
        try:
            loading.load_rest(settings)
        except SyncBusy as busy:
            if not told:
                notice(f"{str(busy).split(';')[0]}; waiting for it to load them")
                told = True
            if time.monotonic() > deadline:
                raise ZendeskError(
                    "dead letters not loaded yet: they lie in their topics again, and the next sync loads them"
                ) from None
            threading.Event().wait(0.5)


def _are_loaded(connection: psycopg.Connection[Any], places: Mapping[int, tuple[str, int, int]]) -> bool:
    ends: dict[tuple[str, int], int] = {}
    for topic, part, offset in places.values():
        ends[topic, part] = max(ends.get((topic, part), 0), offset + 1)
    reached = {
        (row[0], row[1]): int(row[2])
        for row in connection.execute("select topic, part, next_offset from ops.kafka_offsets").fetchall()
    }
    return all(reached.get(place, 0) >= end for place, end in ends.items())
