"""The copy held against the help desk: which rows that Zendesk shows are missing or older here."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from assets.zendesk.client import ZendeskClient, require_list
from assets.zendesk.records import micros, parse_moment
from assets.zendesk.streams import STREAMS, Paging, Stream

COMPARED = (
    "tickets", "users", "organizations", "groups", "group_memberships", "brands", "ticket_forms", "ticket_fields",
    "sla_policies", "schedules", "custom_statuses",
)  # fmt: skip
"""Streams whose rows stand alone; comments, events and metric events belong to tickets."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one stream shows beside its copy."""

    shown: int
    """Rows the help desk shows, up to the moment the copy is complete."""
    missing: tuple[int, ...]
    """Ids of rows that the copy lacks."""
    older: tuple[int, ...]
    """Ids of rows of which the copy holds an older state."""

    @property
    def holds(self) -> bool:
        """Whether the copy is the help desk, as far as was looked."""
        return not self.missing and not self.older


def compare(
    client: ZendeskClient,
    connection: psycopg.Connection[Any],
    stream: str,
    *,
    since: datetime,
    as_of: datetime,
    stop: threading.Event,
) -> Comparison:
    """Read what changed from `since` on (a listing: all of it) and look each row up in the copy.

    Rows changed after `as_of`, up to which the copy is complete, are left to the next sync.
    """
    shown = 0
    missing: list[int] = []
    older: list[int] = []
    query = sql.SQL("select id, version from zendesk.{} where id = any(%s)").format(sql.Identifier(stream))
    for rows in _pages(client, STREAMS[stream], since, stop):
        dated = {int(row["id"]): _changed_at(STREAMS[stream], row) for row in rows}
        due = {id: moment for id, moment in dated.items() if moment is None or moment <= as_of}
        held = {int(id): int(version) for id, version in connection.execute(query, [list(due)])}
        shown += len(due)
        missing += [id for id in due if id not in held]
        older += [id for id, moment in due.items() if id in held and moment is not None and held[id] < micros(moment)]
    return Comparison(shown, tuple(missing), tuple(older))


def _changed_at(stream: Stream, row: dict[str, Any]) -> datetime | None:
    return parse_moment(row.get(stream.dated_by)) if stream.dated_by else None


def _pages(
    client: ZendeskClient, stream: Stream, since: datetime, stop: threading.Event
) -> Iterator[list[dict[str, Any]]]:
    params: dict[str, str | int] = dict(stream.params)
    if stream.paging is Paging.LISTING:
        params["page[size]"] = stream.page_size
    else:
        params |= {"per_page": stream.page_size, "start_time": int(since.timestamp())}
    while True:
        body = client.get(stream.path, params, limit=stream.limit, stop=stop).body
        yield require_list(body, stream.rows_key, stream.path)
        following = _next(client, stream, body, params)
        if following is None or following == params:
            return
        params = following


def _next(
    client: ZendeskClient, stream: Stream, body: dict[str, Any], params: dict[str, str | int]
) -> dict[str, str | int] | None:
    if stream.paging is Paging.LISTING:
        meta = body.get("meta")
        if isinstance(meta, dict):
            return {**params, "page[after]": meta["after_cursor"]} if meta.get("has_more") is True else None
        link = body.get("next_page")
        return {**client.link_params(link)} if isinstance(link, str) and link else None
    if body.get("end_of_stream") is not False:
        return None
    if stream.paging is Paging.CURSOR_EXPORT:
        rest = {name: value for name, value in params.items() if name != "start_time"}
        return {**rest, "cursor": str(body["after_cursor"])}
    return {**params, "start_time": int(body["end_time"])}
