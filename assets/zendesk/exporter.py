"""Zendesk to Kafka: one stream page by page, its cursor stored once Kafka holds the page."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from assets.stores import kafka
from assets.zendesk import topics
from assets.zendesk.client import Answer, ZendeskClient, require_list
from assets.zendesk.errors import AccessRefused, HostUnreachable, NotFound, PageMalformed, PageTooSlow, RequestRefused
from assets.zendesk.flow import Flow
from assets.zendesk.limiter import Stopped
from assets.zendesk.records import (
    CORRECTION_SCHEMA,
    Correction,
    Record,
    comments_of,
    corrections_of,
    envelope,
    micros,
    oversized,
    parse_moment,
    version_of,
    without_nul,
)
from assets.zendesk.state import State
from assets.zendesk.streams import STREAMS, Gone, Paging, Stream

logger = logging.getLogger(__name__)

WITHHELD = timedelta(seconds=60)
"""Exports leave out rows younger than this."""
_SMALLEST_PAGE = 100
_STUCK_PAGES = 6
_BEGINNING = 1
"""The earliest `start_time` that Zendesk takes."""
_WALK_AGAIN = timedelta(hours=24)
_RATING_WINDOW = timedelta(days=35)
"""Ratings are filtered by creation and scored later: this much is read again each time, everything once a day."""


@dataclass(slots=True)
class Progress:
    """How far one stream has come in this run."""

    stream: str
    rows: int = 0
    pages: int = 0
    calls: int = 0
    fraction: float | None = None
    """Share (0-1) of the stream's time that is read; None where it cannot be told."""
    used_share: float | None = None
    """Share (0-1) of the limit's window that is spent."""
    waiting_seconds: float = 0.0
    """Wait for the quota that has just begun; 0 while it works."""
    is_done: bool = False


class Outbox:
    """Puts a page's records into Kafka and knows when Kafka holds them."""

    def __init__(self, bootstrap: str, client: str) -> None:
        self._producer: Producer = kafka.producer(bootstrap, client=client)
        self._ends: dict[str, dict[int, int]] = defaultdict(dict)
        self._error: KafkaError | None = None

    def put(self, stream: str, record: Record) -> None:
        """Queue one record."""
        while True:
            try:
                self._producer.produce(topics.raw(stream), record.value, record.key, on_delivery=self._delivered)
                return
            except BufferError:
                self._producer.poll(0.5)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise kafka.KafkaStoreError(
                        f"Kafka refuses a record: {topics.raw(stream)}: {error.args[0].name()}"
                    ) from None
                # The loader sets it aside, so that it is known to be missing and everything else flows on.
                record = oversized(stream, record)

    def flush(self) -> dict[str, dict[int, int]]:
        """Wait until Kafka holds all of it; return the next offset of each stream's partitions."""
        left = self._producer.flush(65)
        if left or self._error is not None:
            reason = self._error.name() if self._error is not None else f"{left} records unconfirmed"
            raise kafka.KafkaStoreError(
                f"Kafka does not take the records: {reason}; check SWITCHDESK_KAFKA_BOOTSTRAP or run "
                "`switchdesk up`, then run the sync again"
            )
        ends, self._ends = self._ends, defaultdict(dict)
        return ends

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._error = error
            return
        ends, part = self._ends[topics.stream_of(str(message.topic()))], int(message.partition() or 0)
        ends[part] = max(ends.get(part, 0), int(message.offset() or 0) + 1)


class Exporter:
    """Reads one stream of one account into its topic."""

    def __init__(
        self,
        stream: Stream,
        client: ZendeskClient,
        state: State,
        flow: Flow,
        outbox: Outbox,
        *,
        stop: threading.Event,
        keep: Callable[[], None],
        progress: Callable[[Progress], None],
    ) -> None:
        self._stream = stream
        self._client = client
        self._state = state
        self._flow = flow
        self._stop = stop
        self._keep = keep
        self._report = progress
        self._outbox = outbox
        self._page_size = stream.page_size
        self._good_pages = 0
        self.progress = Progress(stream.name)

    def run(self, since: datetime | None = None) -> None:
        """Read from the stored cursor to the end of the stream; a fresh copy begins at `since` if given."""
        if self._stream.name == "satisfaction_ratings":
            self._ratings()
        elif self._stream.name == "holidays":
            self._holidays()
        elif self._stream.paging is Paging.LISTING:
            self._listing()
        else:
            self._export(since)
        self.progress.is_done, self.progress.fraction = True, 1.0
        self._report(self.progress)

    def read_again(self, begin: datetime, end: datetime) -> None:
        """Read the rows that Zendesk dates from `begin` to `end` once more; the stored cursor does not move."""
        if self._stream.paging is Paging.LISTING:
            window: dict[str, str | int] = {"start_time": int(begin.timestamp()), "end_time": int(end.timestamp())}
            self._list(self._stream.path, window)
        else:
            self._walk_again(begin, end)
        self.progress.is_done, self.progress.fraction = True, 1.0
        self._report(self.progress)

    # -- exports ---------------------------------------------------------------------------------------------------

    def _export(self, since: datetime | None) -> None:
        cursor = self._state.read(self._stream.name).cursor
        if "began_at" not in cursor:
            begin = int(since.timestamp()) if since is not None else _BEGINNING
            cursor = {"start_time": begin, "began_at": datetime.now(UTC).isoformat()}
        began_at = parse_moment(cursor["began_at"]) or datetime.now(UTC)
        stuck = 0
        while True:
            answer = self._page(cursor)
            if answer is None:
                # Newer than the withheld minute: nothing can have happened that we may see.
                return
            rows = require_list(answer.body, self._stream.rows_key, self._stream.path)
            following, is_end = self._following(answer.body, cursor, len(rows))
            corrections = self._produce(rows, answer)
            # Until the first walk ends, what it read came after the redactions that it meets, unless they are younger
            # than itself; the hour allows for clocks that differ.
            is_first_walk = not cursor.get("caught_up")
            self._correct(
                [each for each in corrections if not is_first_walk or each.changed_at >= began_at - timedelta(hours=1)]
            )
            stuck = stuck + 1 if not is_end and _place(following) == _place(cursor) else 0
            if stuck:
                self._wait_for_advance(stuck)
            newest = _moment_of(rows[-1]) if rows else None
            if newest is not None:
                following.setdefault("first_at", newest.isoformat())
            if is_end:
                following["caught_up"] = True
            cursor = following
            self._state.advance(self._stream.name, cursor, end_of_stream=is_end, rows=len(rows))
            as_of = answer.asked_at - WITHHELD if is_end else newest
            for name in self._tables():
                if name != self._stream.name:
                    self._state.advance(name, {}, end_of_stream=is_end, rows=0)
                if as_of is not None:
                    self._flow.mark(name, as_of)
            self._tell(len(rows), _fraction(cursor, newest, answer.asked_at))
            if is_end:
                return

    def _walk_again(self, begin: datetime, end: datetime) -> None:
        cursor: dict[str, Any] = {"start_time": max(_BEGINNING, int(begin.timestamp()))}
        stuck = 0
        while True:
            answer = self._page(cursor)
            if answer is None:
                return
            rows = require_list(answer.body, self._stream.rows_key, self._stream.path)
            following, is_end = self._following(answer.body, cursor, len(rows))
            moments = [_moment_of(row) for row in rows]
            inside = [row for row, moment in zip(rows, moments, strict=True) if moment is None or begin <= moment < end]
            self._correct(self._produce(inside, answer))
            self._tell(len(inside), None)
            last = moments[-1] if moments else None
            if is_end or (last is not None and last >= end):
                return
            stuck = stuck + 1 if _place(following) == _place(cursor) else 0
            if stuck:
                self._wait_for_advance(stuck)
            cursor = following

    def _wait_for_advance(self, times: int) -> None:
        """An empty page without an end happens; one that never moves on must not be read for ever."""
        if times == _STUCK_PAGES:
            raise PageMalformed(
                f"export does not advance: {self._stream.path} gave the same place {times} times without an end"
            )
        if self._stop.wait(0.2 * times):
            raise Stopped("sync stopped: an export did not advance")

    def _page(self, cursor: dict[str, Any]) -> Answer | None:
        """One page of an export; None where the place is newer than what Zendesk shows yet."""
        while True:
            params: dict[str, str | int] = {**self._stream.params, "per_page": self._page_size}
            if self._stream.paging is Paging.CURSOR_EXPORT and cursor.get("after_cursor"):
                params["cursor"] = cursor["after_cursor"]
            else:
                params["start_time"] = cursor["start_time"]
            try:
                answer = self._get(self._stream.path, params)
            except PageTooSlow:
                if self._page_size <= _SMALLEST_PAGE:
                    self._good_pages -= 1
                    if self._good_pages < -3:
                        raise HostUnreachable(
                            f"Zendesk is too slow: {self._stream.path} does not answer within a minute even for "
                            f"{_SMALLEST_PAGE} rows; try again later"
                        ) from None
                else:
                    self._page_size = 250 if self._page_size == 500 else max(_SMALLEST_PAGE, self._page_size // 2)
                    self._good_pages = 0
                logger.info("zendesk page made smaller", extra={"stream": self._stream.name, "rows": self._page_size})
                continue
            except RequestRefused as error:
                if error.status == 422 and "too recent" in str(error).lower():
                    return None
                raise
            self._good_pages = max(0, self._good_pages) + 1
            if self._good_pages >= 10 and self._page_size < self._stream.page_size:
                self._page_size, self._good_pages = min(self._stream.page_size, self._page_size * 2), 0
            return answer

    def _following(self, body: dict[str, Any], cursor: dict[str, Any], rows: int) -> tuple[dict[str, Any], bool]:
        following = dict(cursor)
        is_end = body.get("end_of_stream")
        if self._stream.paging is Paging.CURSOR_EXPORT:
            after = body.get("after_cursor")
            if isinstance(after, str) and after:
                following["after_cursor"] = after
        else:
            end_time = body.get("end_time")
            if isinstance(end_time, int) and not isinstance(end_time, bool):
                following["start_time"] = end_time
            if is_end is None:
                is_end = rows < self._page_size
        return following, is_end is True

    # -- listings --------------------------------------------------------------------------------------------------

    def _listing(self) -> None:
        asked_at, seen = self._list(self._stream.path, {})
        self._drop_missing(seen, asked_at)
        self._finish_listing({}, asked_at)

    def _holidays(self) -> None:
        schedules = self._get(STREAMS["schedules"].path, {})
        seen: set[tuple[int, int | None]] = set()
        for schedule in require_list(schedules.body, "schedules", STREAMS["schedules"].path):
            path = self._stream.path.format(id=int(schedule["id"]))
            seen |= self._list(path, {}, parent_id=int(schedule["id"]))[1]
        self._drop_missing(seen, schedules.asked_at)
        self._finish_listing({}, schedules.asked_at)

    def _ratings(self) -> None:
        cursor = self._state.read(self._stream.name).cursor
        now = datetime.now(UTC)
        whole_at = parse_moment(cursor.get("whole_at"))
        if whole_at is not None and now - whole_at < _WALK_AGAIN:
            asked_at, _ = self._list(self._stream.path, {"start_time": int((now - _RATING_WINDOW).timestamp())})
        else:
            asked_at, _ = self._list(self._stream.path, {})
            cursor = {"whole_at": now.isoformat()}
        self._finish_listing(cursor, asked_at)

    def _finish_listing(self, cursor: dict[str, Any], asked_at: datetime) -> None:
        self._state.advance(self._stream.name, cursor, end_of_stream=True, rows=self.progress.rows)
        self._flow.mark(self._stream.name, asked_at)

    def _list(
        self, path: str, params: dict[str, str | int], *, parent_id: int | None = None
    ) -> tuple[datetime, set[tuple[int, int | None]]]:
        """Read a whole listing; return when it began and which rows (and schedules) it holds."""
        first = dict(params)
        if self._stream.page_size:
            first["page[size]"] = self._stream.page_size
        seen: set[tuple[int, int | None]] = set()
        began_at: datetime | None = None
        query: dict[str, str | int] | None = first
        asked: set[tuple[tuple[str, str | int], ...]] = set()
        while query is not None:
            asked.add(tuple(sorted(query.items())))
            answer = self._get(path, query)
            began_at = began_at or answer.asked_at
            rows = require_list(answer.body, self._stream.rows_key, path)
            self._produce(rows, answer, parent_id=parent_id)
            seen.update((row["id"], parent_id) for row in rows if isinstance(row.get("id"), int))
            self._tell(len(rows), None)
            query = self._next_query(answer.body, first)
            if query is not None and tuple(sorted(query.items())) in asked:
                raise PageMalformed(f"listing does not advance: {path} names a page that was read already")
        assert began_at is not None
        return began_at, seen

    def _next_query(self, body: dict[str, Any], first: dict[str, str | int]) -> dict[str, str | int] | None:
        meta = body.get("meta")
        if isinstance(meta, dict):
            # `links.next` is filled on the last page too: only has_more ends a listing.
            after = meta.get("after_cursor")
            return {**first, "page[after]": after} if meta.get("has_more") is True and isinstance(after, str) else None
        link = body.get("next_page")
        return {**self._client.link_params(link)} if isinstance(link, str) and link else None

    def _drop_missing(self, seen: set[tuple[int, int | None]], asked_at: datetime) -> None:
        """Send word of the rows that a whole listing no longer has."""
        rule = self._stream.gone
        if rule is Gone.KEPT:
            return
        flag = {Gone.DELETED_FLAG: "is_deleted", Gone.INACTIVE_FLAG: "is_active"}.get(rule)
        for entity_id, parent_id in self._state.held_ids(self._stream.name, flag=flag):
            if (entity_id, parent_id) not in seen:
                gone = envelope(self._stream.name, entity_id, micros(asked_at), asked_at, None, parent_id=parent_id)
                self._outbox.put(self._stream.name, gone)
        self._acknowledge()

    # -- records ---------------------------------------------------------------------------------------------------

    def _produce(self, rows: list[dict[str, Any]], answer: Answer, *, parent_id: int | None = None) -> list[Correction]:
        """Put rows into Kafka and wait until it holds them; return the corrections among them."""
        self._keep()
        self._flow.wait_for_room()
        stream, name, asked_at = self._stream, self._stream.name, answer.asked_at
        if answer.has_nul:
            # Walking a row in Python costs fifty times its encoding, and few rows need it.
            rows = [without_nul(row) if b"\\u0000" in orjson.dumps(row) else row for row in rows]
        corrections: list[Correction] = []
        put = self._outbox.put
        read_version = micros(asked_at)
        has_comments = name == "ticket_events"
        for row in rows:
            version = version_of(stream, row, asked_at) if stream.dated_by else read_version
            put(name, envelope(name, row.get("id"), version, asked_at, row, parent_id=parent_id))
            if has_comments:
                for comment in comments_of(row):
                    comment_id, ticket_id = comment.get("id"), row.get("ticket_id")
                    put(
                        "ticket_comments",
                        envelope("ticket_comments", comment_id, version, asked_at, comment, parent_id=ticket_id),
                    )
                corrections.extend(corrections_of(row))
        self._acknowledge()
        return corrections

    def _acknowledge(self) -> None:
        for name, ends in self._outbox.flush().items():
            self._flow.acked(name, ends)

    def _correct(self, corrections: list[Correction]) -> None:
        """Read the comments again that a redaction or privacy change names."""
        if not corrections:
            return
        # A correction changes stored rows only, so what it corrects has to be stored first.
        self._flow.wait_until_loaded("ticket_events", "ticket_comments")
        by_ticket: dict[int, list[Correction]] = defaultdict(list)
        for correction in corrections:
            by_ticket[correction.ticket_id].append(correction)
        for ticket_id, wanted in by_ticket.items():
            asked_at = datetime.now(UTC)
            try:
                comments, asked_at = self._comments(ticket_id)
            except (NotFound, AccessRefused):
                # Deleted tickets have no comments to list: what the event itself says is all there is.
                comments = {each.comment_id: each.told for each in wanted if each.comment_id is not None}
            named = {each.comment_id for each in wanted}
            for comment_id, comment in comments.items():
                if comment_id in named or None in named:
                    record = envelope(
                        "ticket_comments",
                        comment_id,
                        micros(asked_at),
                        asked_at,
                        comment,
                        parent_id=ticket_id,
                        schema=CORRECTION_SCHEMA,
                    )
                    self._outbox.put("ticket_comments", record)
        self._acknowledge()

    def _comments(self, ticket_id: int) -> tuple[dict[int | None, dict[str, Any]], datetime]:
        comments: dict[int | None, dict[str, Any]] = {}
        path = f"tickets/{ticket_id}/comments.json"
        first: dict[str, str | int] = {"page[size]": 100}
        query: dict[str, str | int] | None = first
        asked_at: datetime | None = None
        while query is not None:
            answer = self._get(path, query, is_account=True)
            asked_at = asked_at or answer.asked_at
            rows = require_list(answer.body, "comments", path)
            for row in without_nul(rows) if answer.has_nul else rows:
                comments[row.get("id")] = row
            query = self._next_query(answer.body, first) if rows else None
        assert asked_at is not None
        return comments, asked_at

    # -- calls and progress ----------------------------------------------------------------------------------------

    def _get(self, path: str, params: dict[str, str | int], *, is_account: bool = False) -> Answer:
        limit = STREAMS["groups"].limit if is_account else self._stream.limit
        self.progress.calls += 1
        slow = 0
        while True:
            try:
                return self._client.get(
                    path, params, limit=limit, stop=self._stop, waiting=self._waiting, stream=self._stream.name
                )
            except PageTooSlow as error:
                if "per_page" in params:
                    raise
                slow += 1
                if slow == 3:
                    raise HostUnreachable(f"{error}; it was tried three times, try again later") from None

    def _waiting(self, seconds: float) -> None:
        self.progress.waiting_seconds = seconds
        self._report(self.progress)
        self._keep()

    def _tell(self, rows: int, fraction: float | None) -> None:
        progress = self.progress
        progress.rows += rows
        progress.pages += 1
        progress.fraction = fraction
        progress.waiting_seconds = 0.0
        progress.used_share = self._client.limiter.used_share(self._stream.limit)
        self._report(progress)

    def _tables(self) -> tuple[str, ...]:
        return ("ticket_events", "ticket_comments") if self._stream.name == "ticket_events" else (self._stream.name,)


def _place(cursor: dict[str, Any]) -> tuple[Any, Any]:
    return cursor.get("after_cursor"), cursor.get("start_time")


_DATED = ("generated_timestamp", "timestamp", "time", "updated_at", "created_at")


def _moment_of(row: dict[str, Any]) -> datetime | None:
    """When an export dates a row: the field that the export is ordered by."""
    for name in _DATED:
        moment = parse_moment(row.get(name))
        if moment is not None:
            return moment
    return None


def _fraction(cursor: dict[str, Any], newest: datetime | None, now: datetime) -> float | None:
    first = parse_moment(cursor.get("first_at"))
    if first is None or newest is None or now <= first:
        return None
    return min(1.0, max(0.0, (newest - first) / (now - first)))
