"""Kafka to PostgreSQL, exactly once: rows, offsets, dead letters and the catalogue in one transaction a batch."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from assets import catalog
from assets.stores import kafka, postgres
from assets.zendesk import topics
from assets.zendesk.errors import SyncFenced, ZendeskError
from assets.zendesk.flow import Flow
from assets.zendesk.latest import Latest
from assets.zendesk.records import CORRECTION_SCHEMA
from assets.zendesk.streams import STREAMS, Gone
from assets.zendesk.tables import SCRUBBED, TABLES, BadRow

logger = logging.getLogger(__name__)

GROUP = "switchdesk-loader"
_BATCH = 4000
_UNKNOWN_AS_OF = datetime(1970, 1, 1, tzinfo=UTC)
_TICKET_TABLES = ("ticket_events", "ticket_comments", "ticket_metric_events")


@dataclass(slots=True)
class _Change:
    """What a transaction did to one table."""

    rows: int = 0
    months: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Growth of the row count of each month that changed."""
    growth: int = 0

    def add(self, month: str | None, rows: int, growth: int) -> None:
        self.rows += rows
        self.growth += growth
        if month is not None:
            self.months[month] += growth


@dataclass(frozen=True, slots=True)
class _Bad:
    """A record that cannot be loaded, as far as it could be read."""

    message: Message
    entity_id: int | None
    ticket_id: int | None
    reason: str


@dataclass(slots=True)
class _Batch:
    """A batch, sorted by stream, with only the newest copy of each row."""

    rows: dict[str, dict[Any, tuple[int, bytes, Message]]] = field(default_factory=lambda: defaultdict(dict))
    gone: dict[str, list[tuple[int, int | None, int]]] = field(default_factory=lambda: defaultdict(list))
    corrections: list[tuple[int, int, dict[str, Any], int | None]] = field(default_factory=list)
    scrubbed: list[int] = field(default_factory=list)
    bad: list[_Bad] = field(default_factory=list)
    positions: dict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    last: dict[tuple[str, int], Message] = field(default_factory=dict)
    """The last record of each (stream, partition)."""


class Loader:
    """Applies the raw topics to the tables; one at a time, a second one fences the first."""

    def __init__(self, postgres_url: str, bootstrap: str, partitions: Mapping[str, int], flow: Flow) -> None:
        self._flow = flow
        self._partitions = partitions
        self._connection = postgres.connect(postgres_url, application="switchdesk-loader")
        self._consumer = kafka.consumer(bootstrap, group=GROUP, client="switchdesk-loader")
        self._producer = kafka.producer(bootstrap, client="switchdesk-dead-letters")
        self._latest = Latest(self._producer)
        self._epochs: dict[tuple[str, int], int] = {}
        self._next: dict[str, dict[int, int]] = {}
        self._staged: set[str] = set()
        self._has_dead_letters = False
        """Whether any are open: nearly never, and then no load looks for them."""
        self.changed: dict[str, int] = defaultdict(int)
        """Rows changed by this loader, by stream."""
        self.dead: dict[str, int] = defaultdict(int)
        """Dead letters of this loader, by stream."""

    def open(self, begun: Set[str]) -> set[str]:
        """Take all partitions over at the database's offsets; return streams whose records Kafka has lost.

        A partition that this database never loaded begins at its end where the stream is not among those `begun`: its
        export begins anew too, and what lies in the topic is of another copy.
        """
        lost: set[str] = set()
        assignment: list[TopicPartition] = []
        for stream, count in self._partitions.items():
            topic = topics.raw(stream)
            loaded: dict[int, int] = {}
            ends: dict[int, int] = {}
            for part in range(count):
                row = self._connection.execute(
                    """
                    insert into ops.kafka_offsets as o (topic, part, next_offset, epoch) values (%s, %s, 0, 1)
                    on conflict (topic, part) do update set epoch = o.epoch + 1
                    returning next_offset, epoch
                    """,
                    (topic, part),
                ).fetchone()
                assert row is not None
                position, epoch = int(row[0]), int(row[1])
                low, high = kafka.extent(self._consumer, topic, part)
                start = position
                if epoch == 1:
                    start = low if stream in begun else high
                elif position < low or position > high:
                    # Expired before they were loaded, or the topic was made anew: only reading again brings them back.
                    lost.add(stream)
                    logger.warning(
                        "kafka lost records before they were loaded",
                        extra={"topic": topic, "part": part, "position": position, "low": low, "high": high},
                    )
                    start = low
                if start != position:
                    position = start
                    self._connection.execute(
                        "update ops.kafka_offsets set next_offset = %s where topic = %s and part = %s",
                        (position, topic, part),
                    )
                self._epochs[topic, part] = epoch
                loaded[part], ends[part] = position, high
                assignment.append(TopicPartition(topic, part, position))
            self._next[stream] = loaded
            self._flow.start(stream, loaded, ends)
        self._fill_latest()
        self._has_dead_letters = self._is_any("ops.dead_letters where settled is null")
        self._connection.commit()
        self._consumer.assign(assignment)
        return lost

    def _fill_latest(self) -> None:
        """Write whole tables where their state topic was never written: it is new, or it was made anew."""
        for stream, count in self._partitions.items():
            is_written = any(kafka.extent(self._consumer, topics.state(stream), part)[1] for part in range(count))
            if not is_written and self._is_any(f"zendesk.{stream}"):
                logger.info("state topic filled from its table", extra={"stream": stream})
                self._latest.fill(self._connection, stream)

    def _is_any(self, rows: str) -> bool:
        return self._connection.execute(f"select 1 from {rows} limit 1".encode()).fetchone() is not None

    def run(self, finished: threading.Event, keep: Callable[[], None]) -> None:
        """Load until `finished` is set and nothing is outstanding; `keep` raises where the lease is lost."""
        silent_since = time.monotonic()
        try:
            while True:
                keep()
                # Asked before the poll: what is acked after it was set cannot exist.
                is_last = finished.is_set()
                messages = self._poll()
                if messages:
                    self._apply(messages)
                    silent_since = time.monotonic()
                    continue
                self._publish_marks()
                outstanding = self._flow.outstanding()
                if is_last and not outstanding:
                    return
                if outstanding and time.monotonic() - silent_since > 60:
                    raise kafka.KafkaStoreError(
                        f"Kafka delivers nothing: {outstanding} records are outstanding for a minute; "
                        "check SWITCHDESK_KAFKA_BOOTSTRAP or run `switchdesk doctor`"
                    )
                if not outstanding:
                    silent_since = time.monotonic()
        except BaseException as error:
            self._flow.fail(error)
            raise

    def close(self) -> None:
        """Close everything; what was not committed is undone."""
        self._consumer.close()
        self._connection.close()

    def _poll(self) -> list[Message]:
        try:
            messages = self._consumer.consume(_BATCH, timeout=0.15)
        except KafkaException as error:
            raise kafka.KafkaStoreError(f"Kafka does not deliver: {error.args[0].name()}") from None
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET or error.fatal():  # pyright: ignore
                raise kafka.KafkaStoreError(f"Kafka lost our position: {message.topic()}: {error.name()}")
        return good

    def _apply(self, messages: list[Message]) -> None:
        batch = self._sort(messages)
        changes: dict[str, _Change] = defaultdict(_Change)
        moments: dict[str, datetime] = {}
        try:
            with self._connection.transaction():
                self._fence(batch)
                row = self._connection.execute("select nextval('zendesk.load_seq')").fetchone()
                assert row is not None
                load_seq = int(row[0])
                # Tickets first: what hangs on a ticket asks whether it was scrubbed.
                known = self._known(batch.scrubbed)
                for stream in STREAMS:
                    if stream in batch.rows:
                        self._upsert(stream, batch, load_seq, changes[stream])
                    if stream in batch.gone:
                        self._remove(stream, batch.gone[stream], load_seq, changes[stream])
                    if stream == "tickets" and batch.scrubbed:
                        self._purge(batch.scrubbed, known, load_seq, changes)
                for correction in batch.corrections:
                    self._correct(*correction, load_seq, changes)
                if self._has_dead_letters:
                    self._settle(batch)
                self._bury(batch.bad)
                for stream, positions in self._next.items():
                    reached = self._flow.reached(stream, {**positions, **batch.positions.get(stream, {})})
                    if reached is not None:
                        moments[stream] = reached
                for stream in sorted({*moments, *(name for name, change in changes.items() if change.rows)}):
                    self._publish(stream, moments.get(stream), changes[stream], load_seq)
                self._latest.flush()
        except psycopg.OperationalError as error:
            raise postgres.PostgresError(
                f"PostgreSQL broke off: a batch of {len(messages)} records was undone ({type(error).__name__}); "
                "run the sync again, it goes on where the database stands"
            ) from None
        for stream, positions in batch.positions.items():
            self._next[stream].update(positions)
            self._flow.loaded(stream, positions)
        for stream in moments:
            self._flow.published(stream)
        for stream, change in changes.items():
            self.changed[stream] += change.rows
        for bad in batch.bad:
            self.dead[topics.stream_of(str(bad.message.topic()))] += 1
            self._has_dead_letters = True
        # Only for lag tools: the database's offsets are the truth.
        self._consumer.commit(
            offsets=[
                TopicPartition(topics.raw(stream), part, position)
                for stream, positions in batch.positions.items()
                for part, position in positions.items()
            ],
            asynchronous=True,
        )

    def _sort(self, messages: list[Message]) -> _Batch:
        batch = _Batch()
        for message in messages:
            stream = topics.stream_of(str(message.topic()))
            part, offset = int(message.partition() or 0), int(message.offset() or 0)
            positions = batch.positions[stream]
            expected = positions.get(part, self._next[stream][part])
            if offset != expected:
                raise ZendeskError(
                    f"records skipped: {message.topic()}/{part} went from offset {expected} to {offset}; "
                    "run the sync again, it goes on where the database stands"
                )
            positions[part] = offset + 1
            batch.last[stream, part] = message
            self._take(batch, stream, message)
        return batch

    def _take(self, batch: _Batch, stream: str, message: Message) -> None:
        entity_id: int | None = None
        record: Any = None
        try:
            record = orjson.loads(message.value() or b"")
            if not isinstance(record, dict):
                raise BadRow("envelope: expected an object")
            entity, version, payload = record.get("id"), record.get("version"), record.get("payload")
            parent_id = record.get("parent_id")
            if not isinstance(entity, int) or isinstance(entity, bool) or abs(entity) >= 2**63:
                raise BadRow(f"id: expected an integer, got {type(entity).__name__}")
            entity_id = entity
            if not isinstance(version, int) or not 0 <= version < 2**63:
                raise BadRow(f"version: expected an integer, got {type(version).__name__}")
            if payload is None:
                batch.gone[stream].append((entity, parent_id, version))
                return
            if not isinstance(payload, dict):
                left_out = isinstance(payload, str) and payload.startswith("left out: ")
                raise BadRow(f"payload: {payload if left_out else f'expected an object, got {type(payload).__name__}'}")
            if record.get("schema") == CORRECTION_SCHEMA:
                batch.corrections.append((entity, version, payload, _ticket_of(stream, record)))
                return
            line = TABLES[stream].line(entity, version, payload, parent_id)
        except (orjson.JSONDecodeError, BadRow) as error:
            reason = str(error) if isinstance(error, BadRow) else "value: not JSON"
            batch.bad.append(_Bad(message, entity_id, _ticket_of(stream, record), reason))
            return
        key = (parent_id, entity) if stream == "holidays" else entity
        held = batch.rows[stream].get(key)
        if held is None or held[0] <= version:
            batch.rows[stream][key] = (version, line, message)
        if stream == "tickets" and payload.get("status") == "deleted" and payload.get("subject") == "SCRUBBED":
            batch.scrubbed.append(entity)

    def _fence(self, batch: _Batch) -> None:
        """Move our offsets; a partition that carries another epoch belongs to another loader by now."""
        moves = [
            (
                topics.raw(stream),
                part,
                position,
                self._epochs[topics.raw(stream), part],
                batch.last[stream, part].timestamp()[1],
            )
            for stream, ends in batch.positions.items()
            for part, position in ends.items()
        ]
        moved = self._connection.execute(
            """
            update ops.kafka_offsets o set next_offset = m.position, applied_at = clock_timestamp(),
                record_at = to_timestamp(m.written_ms / 1000.0)
            from unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[])
                as m (topic, part, position, epoch, written_ms)
            where o.topic = m.topic and o.part = m.part and o.epoch = m.epoch
            """,
            tuple(list(column) for column in zip(*moves, strict=True)),
        ).rowcount
        if moved != len(moves):
            raise SyncFenced(
                f"loader fenced: another sync took {len(moves) - moved} partition(s) over; it goes on from here"
            )

    def _upsert(self, stream: str, batch: _Batch, load_seq: int, change: _Change) -> None:
        table = TABLES[stream]
        if stream not in self._staged:
            self._connection.execute(table.stage.encode())
            self._staged.add(stream)
        rows = batch.rows[stream]
        try:
            self._copy(table.copy, [line for _, line, _ in rows.values()])
        except psycopg.DataError:
            # One row in a thousand may break the whole COPY: find it by itself.
            for key, (_, line, message) in list(rows.items()):
                try:
                    self._copy(table.copy, [line])
                except psycopg.DataError as error:
                    # The class of the error alone: its message may quote the row.
                    reason = f"PostgreSQL refuses the row: {type(error).__name__} ({error.sqlstate})"
                    record = orjson.loads(message.value() or b"")
                    batch.bad.append(_Bad(message, int(record["id"]), _ticket_of(stream, record), reason))
                    del rows[key]
        changed = self._connection.execute(table.upsert.encode(), {"load_seq": load_seq})
        for month, count, new, ids, parents in changed.fetchall():
            change.add(month, count, new)
            for key in zip(parents, ids, strict=True) if stream == "holidays" else ids:
                message = rows[key][2]
                self._latest.put(stream, message.key(), message.value())

    def _copy(self, statement: str, lines: list[bytes]) -> None:
        with (
            self._connection.transaction(),
            self._connection.cursor() as cursor,
            cursor.copy(statement.encode()) as copy,
        ):
            copy.write(b"".join(lines))

    def _remove(self, stream: str, gone: list[tuple[int, int | None, int]], load_seq: int, change: _Change) -> None:
        ids, parents, versions = (list(column) for column in zip(*gone, strict=True))
        parameters = {"ids": ids, "parents": parents, "versions": versions, "load_seq": load_seq}
        named = "unnest(%(ids)s::bigint[], %(parents)s::bigint[], %(versions)s::bigint[]) as g (id, parent_id, version)"
        match = "t.id = g.id and t.version <= g.version"
        if stream == "holidays":
            match += " and t.schedule_id = g.parent_id"
        rule = STREAMS[stream].gone
        if rule is Gone.REMOVED:
            parent = "t.schedule_id" if stream == "holidays" else "null"
            statement = f"delete from zendesk.{stream} t using {named} where {match} returning t.id, {parent}"
        elif rule in (Gone.DELETED_FLAG, Gone.INACTIVE_FLAG):
            flag = "is_deleted = true" if rule is Gone.DELETED_FLAG else "is_active = false"
            name, _, value = flag.split(" ")
            statement = (
                f"update zendesk.{stream} t set {flag}, loaded_at = now(), load_seq = %(load_seq)s from {named}"
                f" where {match} and t.{name} is distinct from {value} returning t.id, t.version, t.payload"
            )
        else:
            return
        rows = self._connection.execute(statement.encode(), parameters).fetchall()
        for row in rows:
            if rule is Gone.REMOVED:
                self._latest.bury(stream, row[0], row[1])
            else:
                self._latest.write(stream, *row, is_gone=True)
        change.add(None, len(rows), -len(rows) if rule is Gone.REMOVED else 0)

    def _known(self, tickets: list[int]) -> list[int]:
        """Those of these tickets that the table holds already."""
        if not tickets:
            return []
        rows = self._connection.execute("select id from zendesk.tickets where id = any(%s)", (tickets,)).fetchall()
        return [row[0] for row in rows]

    def _purge(self, tickets: list[int], known: list[int], load_seq: int, changes: dict[str, _Change]) -> None:
        """Delete what hangs on tickets that were scrubbed, and leave word for the stores behind."""
        confirmed = self._connection.execute(
            f"select id from zendesk.tickets where id = any(%s) and {SCRUBBED}".encode(),
            (tickets,),
        ).fetchall()
        ids = [row[0] for row in confirmed]
        touched = set(known)
        for stream in _TICKET_TABLES:
            month = STREAMS[stream].month_of
            rows = self._connection.execute(
                f"""
                with removed as (delete from zendesk.{stream} where ticket_id = any(%s)
                                 returning id, ticket_id, to_char({month} at time zone 'UTC', 'YYYY-MM') as month)
                select ticket_id, month, array_agg(id) from removed group by ticket_id, month
                """.encode(),
                (ids,),
            ).fetchall()
            for ticket_id, name, removed in rows:
                touched.add(ticket_id)
                changes[stream].add(name, len(removed), -len(removed))
                for entity_id in removed:
                    self._latest.bury(stream, entity_id, None)
        self._connection.execute(
            """
            insert into ops.erasures (ticket_id, reason)
            select id, 'scrubbed' from zendesk.tickets where id = any(%s) and id = any(%s) and load_seq = %s
            """,
            # A ticket that arrives scrubbed and never had a row here has left no words anywhere.
            (ids, list(touched), load_seq),
        )

        self._forget_letters(tickets, settled="scrubbed")

    def _correct(
        self,
        comment_id: int,
        version: int,
        comment: dict[str, Any],
        ticket_id: int | None,
        load_seq: int,
        changes: dict[str, _Change],
    ) -> None:
        """Bring a redaction or privacy change into the comment and into the audit that first held its text."""
        patch = {name: comment[name] for name in _CORRECTED if name in comment}
        if "public" in patch:
            # An audit's child says it twice.
            patch["comment_public"] = patch["public"]
        parameters = {
            "id": comment_id,
            "version": version,
            "patch": orjson.dumps(patch).decode(),
            "load_seq": load_seq,
        }
        row = self._connection.execute(
            f"""
            with was as (select id, is_public, body from zendesk.ticket_comments where id = %(id)s for update),
            changed as (
                update zendesk.ticket_comments t
                set payload = t.payload || {_PATCH.format("t.payload")},
                    body = coalesce(%(patch)s::jsonb ->> 'body', t.body),
                    is_public = coalesce((%(patch)s::jsonb ->> 'public')::boolean, t.is_public),
                    version = %(version)s, load_seq = %(load_seq)s, loaded_at = now()
                from was
                where t.id = was.id and t.version <= %(version)s
                  and t.payload || {_PATCH.format("t.payload")} is distinct from t.payload
                returning t.ticket_id, to_char(t.created_at at time zone 'UTC', 'YYYY-MM') as month,
                          was.body is distinct from t.body as is_redacted, t.payload
            )
            select ticket_id, month, is_redacted, payload from changed
            """.encode(),
            parameters,
        ).fetchone()
        if ticket_id is not None:
            # Whether or not the row is held: a dead letter may hold the only copy of what was redacted.
            self._forget_letters([ticket_id], comment_id=comment_id)
        if row is None:
            return
        ticket_id, month, is_redacted, payload = row
        changes["ticket_comments"].add(month, 1, 0)
        self._latest.write("ticket_comments", comment_id, version, payload, parent_id=ticket_id)
        reason = "redacted" if is_redacted else "privacy changed"
        self._connection.execute(
            "insert into ops.erasures (ticket_id, comment_id, reason) values (%s, %s, %s)",
            (ticket_id, comment_id, reason),
        )
        event_months = self._connection.execute(
            f"""
            update zendesk.ticket_events e
            set payload = jsonb_set(e.payload, '{{child_events}}', (
                    select jsonb_agg(
                        case when c.child ->> 'id' = %(id)s::text and c.child ->> 'event_type' = 'Comment'
                             then c.child || {_PATCH.format("c.child")} else c.child end order by c.position)
                    from jsonb_array_elements(e.payload -> 'child_events') with ordinality as c (child, position))),
                version = greatest(e.version, %(version)s), load_seq = %(load_seq)s, loaded_at = now()
            where e.ticket_id = %(ticket_id)s
              and e.payload @> jsonb_build_object('child_events', jsonb_build_array(
                    jsonb_build_object('id', %(id)s::bigint, 'event_type', 'Comment')))
            returning to_char(e.created_at at time zone 'UTC', 'YYYY-MM'), e.id, e.version, e.payload
            """.encode(),
            {**parameters, "ticket_id": ticket_id},
        ).fetchall()
        for event_month, *event in event_months:
            changes["ticket_events"].add(event_month, 1, 0)
            self._latest.write("ticket_events", *event)

    def _settle(self, batch: _Batch) -> None:
        """A later copy of a row that loads does away with the dead letter of an earlier one."""
        for stream, rows in batch.rows.items():
            ids = [int(line.split(b"\t", 1)[0]) for _, line, _ in rows.values()]
            self._connection.execute(
                """
                update ops.dead_letters set settled = 'newer copy'
                where stream = %s and entity_id = any(%s) and settled is null
                """,
                (stream, ids),
            )

    def _forget_letters(self, tickets: list[int], *, comment_id: int | None = None, settled: str | None = None) -> None:
        """Take the text of these tickets out of dead letters; `comment_id` narrows it to that comment and the audits.

        Where a letter's ticket could not be read, its digits anywhere in the body count: better one text too few.
        """
        self._connection.execute(
            """
            update ops.dead_letters d set body = null, erased_at = now(), settled = coalesce(d.settled, %(settled)s)
            where d.body is not null and exists (
                select from unnest(%(tickets)s::bigint[]) as t (id)
                where d.ticket_id = t.id
                   or d.ticket_id is null and position(convert_to(t.id::text, 'UTF8') in d.body) > 0
            ) and (%(comment)s::bigint is null or d.stream <> 'ticket_comments' or d.entity_id is null
                   or d.entity_id = %(comment)s)
              and d.stream = any(%(streams)s)
            """,
            {
                "tickets": tickets,
                "comment": comment_id,
                "settled": settled,
                "streams": ["tickets", *_TICKET_TABLES] if comment_id is None else ["ticket_comments", "ticket_events"],
            },
        )

    def _bury(self, bad: list[_Bad]) -> None:
        """Set records aside that no table can hold: a row in this transaction, a copy in the dead-letter topic."""
        if not bad:
            return
        for each in bad:
            message, reason = each.message, each.reason
            topic, stream = str(message.topic()), topics.stream_of(str(message.topic()))
            logger.warning(
                "record set aside",
                extra={"topic": topic, "part": message.partition(), "offset": message.offset(), "reason": reason},
            )
            self._connection.execute(
                """
                insert into ops.dead_letters
                    (topic, part, record_offset, stream, entity_id, ticket_id, reason, body)
                values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (topic, part, record_offset) do nothing
                """,
                (
                    topic,
                    message.partition(),
                    message.offset(),
                    stream,
                    each.entity_id,
                    each.ticket_id,
                    reason,
                    message.value(),
                ),
            )
            self._producer.produce(
                topics.dead_letters(stream),
                key=message.key(),
                value=message.value(),
                headers={
                    "topic": topic,
                    "part": str(message.partition()),
                    "offset": str(message.offset()),
                    "reason": reason,
                },
            )
        tickets = [each.ticket_id for each in bad if each.ticket_id is not None]
        scrubbed = self._connection.execute(
            f"select id from zendesk.tickets where id = any(%s) and {SCRUBBED}".encode(), (tickets,)
        ).fetchall()
        self._forget_letters([row[0] for row in scrubbed], settled="scrubbed")
        if self._producer.flush(30):
            raise kafka.KafkaStoreError("Kafka does not take dead letters: the batch was undone; run the sync again")

    def _publish_marks(self) -> None:
        """Freshness moves even where nothing changed."""
        moments = {
            stream: reached
            for stream, positions in self._next.items()
            if (reached := self._flow.reached(stream, positions)) is not None
        }
        if moments:
            with self._connection.transaction():
                for stream, moment in sorted(moments.items()):
                    self._publish(stream, moment, _Change(), None)
            for stream in moments:
                self._flow.published(stream)

    def _publish(self, stream: str, as_of: datetime | None, change: _Change, load_seq: int | None) -> None:
        dataset = f"zendesk.{stream}"
        if as_of is not None:
            self._connection.execute(
                "update ops.sync_state set as_of = greatest(as_of, %s) where stream = %s", (as_of, stream)
            )
        held = self._connection.execute(
            "select rows, facts from catalog.datasets where dataset = %s", (dataset,)
        ).fetchone()
        rows = (int(held[0]) if held else 0) + change.growth
        months = {
            name: int(count)
            for name, count in self._connection.execute(
                "select partition, rows from catalog.partitions where dataset = %s and partition = any(%s)",
                (dataset, list(change.months)),
            ).fetchall()
        }
        facts = dict(held[1]) if held else {}
        if load_seq is not None:
            facts["load_seq"] = load_seq
        catalog.publish(
            self._connection,
            dataset,
            as_of=as_of or _UNKNOWN_AS_OF,
            rows=rows,
            facts=facts,
            # Only changed rows are touched, so the load's number stands for a month's content.
            partitions={
                month: (str(load_seq), months.get(month, 0) + growth) for month, growth in change.months.items()
            },
            changed=change.rows > 0 or held is None,
        )


# What a redaction or privacy change alters in a comment, wherever it is stored.
_CORRECTED = ("body", "html_body", "plain_body", "public", "attachments")
# The patch, cut to the keys that the stored object has.
_PATCH = (
    "(select coalesce(jsonb_object_agg(p.key, p.value), '{{}}'::jsonb)"
    " from jsonb_each(%(patch)s::jsonb) as p where {0} ? p.key)"
)


def _ticket_of(stream: str, record: Any) -> int | None:
    """The ticket that a record speaks of, as far as it says so itself."""
    if not isinstance(record, dict):
        return None
    payload = record.get("payload")
    named = payload.get("ticket_id") if isinstance(payload, dict) else None
    hangs_on = record.get("parent_id") if stream in _TICKET_TABLES else None
    for value in (record.get("id") if stream == "tickets" else None, named, hangs_on):
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return value
    return None
