"""Rows on their way through Kafka: the envelope, the version that decides between copies, comments out of events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from assets.zendesk.streams import Stream

SOURCE = "zendesk"
CORRECTION_SCHEMA = "zendesk.ticket_comments.correction/1"
"""A comment as the comment list shows it after a redaction or privacy change: it corrects, and never inserts."""
_MICROS = 1_000_000
_CORRECTING_EVENTS = frozenset({"CommentRedactEvent", "CommentPrivacyChange", "AttachmentRedactionEvent"})

_BLACKENED = {"body": "▇", "html_body": "▇", "plain_body": "▇", "attachments": []}


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a raw topic."""

    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Correction:
    """A comment whose text or privacy was changed after the fact."""

    ticket_id: int
    comment_id: int | None
    """None: the event does not name the comment, so every comment of the ticket is read again."""
    changed_at: datetime
    told: dict[str, Any]
    """What can be said without reading the comment again, for tickets that Zendesk no longer shows."""


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return int(moment.timestamp()) * _MICROS + moment.microsecond


def parse_moment(value: object) -> datetime | None:
    """An aware UTC moment from Zendesk's ISO text or epoch seconds; None where it is neither."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            return None
    return None


def version_of(stream: Stream, row: dict[str, Any], asked_at: datetime) -> int:
    """Micros of the moment Zendesk dates the row's newest change, else of the request that read it."""
    if stream.dated_by is not None:
        moment = parse_moment(row.get(stream.dated_by))
        if moment is not None:
            return micros(moment)
    return micros(asked_at)


def envelope(
    stream: str,
    entity_id: object,
    version: int,
    asked_at: datetime,
    payload: dict[str, Any] | None,
    *,
    parent_id: int | None = None,
    schema: str | None = None,
    is_gone: bool = False,
) -> Record:
    """Wrap a row; `payload` None says that the row is gone, `parent_id` is the ticket or schedule it hangs on.

    `is_gone` marks the last copy of a row that stays in its table, flagged, where the listing no longer has it.
    """
    body: dict[str, Any] = {
        "source": SOURCE,
        "stream": stream,
        "id": entity_id,
        "version": version,
        "fetched_at": asked_at,
        "schema": schema or f"zendesk.{stream}/1",
        "payload": payload,
    }
    if parent_id is not None:
        body["parent_id"] = parent_id
    if is_gone:
        body["is_gone"] = True
    return Record(key_of(stream, entity_id, parent_id), orjson.dumps(body))


def key_of(stream: str, entity_id: object, parent_id: object) -> bytes:
    """Key of a row in its topics: copies of one row lie in one partition, in the order in which they were read."""
    return (f"{parent_id}:{entity_id}" if stream == "holidays" else str(entity_id)).encode()


def oversized(stream: str, record: Record) -> Record:
    """What stands in for a record that no topic takes: its id and size, without the row."""
    whole = orjson.loads(record.value)
    note = f"left out: {len(record.value)} bytes are more than Kafka takes"
    return Record(record.key, orjson.dumps({**whole, "stream": stream, "payload": note}))


def comments_of(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The comments among an audit's children."""
    children = event.get("child_events")
    if isinstance(children, list):
        for child in children:
            # Without the sideload a child only says that there is a comment (`comment_present`).
            if isinstance(child, dict) and child.get("event_type") == "Comment" and "body" in child:
                yield child


def corrections_of(event: dict[str, Any]) -> Iterator[Correction]:
    """The redactions and privacy changes among an audit's children."""
    children = event.get("child_events")
    ticket_id = event.get("ticket_id")
    if not isinstance(children, list) or not isinstance(ticket_id, int):
        return
    for child in children:
        kind = child.get("event_type") or child.get("type") if isinstance(child, dict) else None
        if isinstance(kind, str) and (kind in _CORRECTING_EVENTS or "Redact" in kind):
            comment_id = child.get("comment_id")
            changed_at = parse_moment(event.get("created_at")) or datetime.now(UTC)
            told = {"public": child["public"]} if kind == "CommentPrivacyChange" and "public" in child else _BLACKENED
            yield Correction(ticket_id, comment_id if isinstance(comment_id, int) else None, changed_at, told)


def without_nul(value: Any) -> Any:
    """The same JSON without U+0000, which PostgreSQL cannot hold."""
    if isinstance(value, str):
        return value.replace("\x00", "") if "\x00" in value else value
    if isinstance(value, list):
        return [without_nul(entry) for entry in value]
    if isinstance(value, dict):
        return {without_nul(key): without_nul(entry) for key, entry in value.items()}
    return value
