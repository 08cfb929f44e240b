"""The incremental exports: which rows a reader gets from a moment or a cursor on, and where the next page begins."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import orjson

from infra.local.desk import records
from infra.local.desk.calendar import MINUTE
from infra.local.desk.world import World

WITHHELD = MINUTE
"""Rows of the newest minute are not given out yet."""


Item = TypeVar("Item")


class Ordered:
    """Ids by the moment of their newest change, in the order in which exports give them."""

    def __init__(self) -> None:
        self.keys: list[tuple[int, int]] = []
        self._moments: dict[int, int] = {}

    def put(self, id: int, at: int) -> None:
        """Move an id to a moment."""
        old = self._moments.get(id)
        if old == at:
            return
        if old is not None:
            del self.keys[bisect_left(self.keys, (old, id))]
        self._moments[id] = at
        insort(self.keys, (at, id))


@dataclass(frozen=True, slots=True)
class Page:
    """Encoded rows in order, the key of the last one, and whether nothing more is to be had now."""

    rows: list[bytes]
    last: tuple[int, int] | None
    end_of_stream: bool
    end_time: int = 0


class Exports:
    """Rows of a world in the orders of the export endpoints; follows the world's changes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.tickets = Ordered()
        self.users = Ordered()
        self.organizations = Ordered()
        for ticket in world.tickets.values():
            self.tickets.put(ticket.id, ticket.generated)
        for user in world.people.users.values():
            self._changed("users", user.id)
        for organization in world.people.organizations.values():
            self._changed("organizations", organization.id)
        world.changed = self._changed

    def _changed(self, stream: str, id: int) -> None:
        if stream == "tickets":
            self.tickets.put(id, self._world.tickets[id].generated)
        elif stream == "users":
            user = self._world.people.users[id]
            if user.listed:
                self.users.put(id, user.updated)
        elif stream == "organizations":
            self.organizations.put(id, self._world.people.organizations[id].updated)

    def ticket_page(self, after: tuple[int, int], size: int, now: int, metrics: bool, deleted: bool) -> Page:
        """Tickets changed after a key, which is exclusive."""
        world = self._world

        def row(id: int) -> bytes | None:
            ticket = world.tickets[id]
            return None if ticket.status == "deleted" and not deleted else records.ticket_bytes(world, ticket, metrics)

        return _cursor_page(self.tickets.keys, after, size, now, row)

    def ticket_time_page(self, start: int, size: int, now: int, metrics: bool) -> Page:
        """Tickets changed at a moment or later, of the older time-based export."""
        world, keys = self._world, self.tickets.keys

        def row(i: int) -> bytes:
            return records.ticket_bytes(world, world.tickets[keys[i][1]], metrics)

        return _time_page([at for at, _ in keys], start, size, now, row)

    def user_page(self, after: tuple[int, int], size: int, now: int) -> Page:
        """Users changed after a key."""
        users = self._world.people.users
        return _cursor_page(self.users.keys, after, size, now, lambda id: orjson.dumps(users[id].row()))

    def organization_page(self, start: int, size: int, now: int) -> Page:
        """Organizations changed at a moment or later."""
        organizations = self._world.people.organizations
        keys = self.organizations.keys
        return _time_page(
            [at for at, _ in keys], start, size, now, lambda i: orjson.dumps(organizations[keys[i][1]].row())
        )

    def event_page(self, start: int, size: int, now: int, comments: bool) -> Page:
        """Audits written at a moment or later; those of scrubbed tickets are gone."""
        tickets = self._world.tickets
        audits = self._world.audits
        first = bisect_left(audits, start, key=lambda audit: audit.at)
        limit = bisect_right(audits, now - WITHHELD, key=lambda audit: audit.at)
        kept = _reach(audits, first, limit, size, lambda a: a.at, lambda a: not tickets[a.ticket].scrubbed)
        return _time_page([a.at for a in kept], start, size, now, lambda i: records.audit_bytes(kept[i], comments))

    def metric_event_page(self, start: int, size: int, now: int) -> Page:
        """Metric events at a moment or later."""
        tickets = self._world.tickets
        events = self._world.metric_events
        first = bisect_left(events, start, key=lambda event: event[0])
        limit = bisect_right(events, now - WITHHELD, key=lambda event: event[0])
        kept = _reach(events, first, limit, size, lambda e: e[0], lambda e: not tickets[e[1]["ticket_id"]].scrubbed)
        return _time_page([at for at, _ in kept], start, size, now, lambda i: orjson.dumps(kept[i][1]))


def _reach(
    rows: list[Item], first: int, limit: int, size: int, moment: Callable[[Item], int], keep: Callable[[Item], bool]
) -> list[Item]:
    """The rows that decide a page: as many as it holds, and the rest of its last second and one more."""
    kept: list[Item] = []
    for i in range(first, limit):
        row = rows[i]
        if keep(row):
            kept.append(row)
            if len(kept) > size and moment(row) != moment(kept[size - 1]):
                break
    return kept


def _cursor_page(
    keys: list[tuple[int, int]], after: tuple[int, int], size: int, now: int, row: Callable[[int], bytes | None]
) -> Page:
    limit = bisect_left(keys, (now - WITHHELD + 1, 0))
    i = bisect_right(keys, after)
    rows: list[bytes] = []
    last = None
    while i < limit and len(rows) < size:
        last = keys[i]
        encoded = row(last[1])
        if encoded is not None:
            rows.append(encoded)
        i += 1
    return Page(rows, last, i >= limit)


def _time_page(moments: list[int], start: int, size: int, now: int, row: Callable[[int], bytes]) -> Page:
    """A page of a time-based export.

    Its end_time is the second of its last row, so that the next page repeats that second; only a page that lies within
    one second is longer than asked and moves on by one.
    """
    first = bisect_left(moments, start)
    limit = bisect_right(moments, now - WITHHELD)
    end = min(first + size, limit)
    if first >= end:
        return Page([], None, True, start)
    last = moments[end - 1]
    end_time = last
    if moments[first] == last:
        end = min(bisect_right(moments, last), limit)
        end_time = last + 1
    return Page([row(i) for i in range(first, end)], (last, 0), end >= limit, end_time)


def encode_cursor(key: tuple[int, int]) -> str:
    """The cursor that continues after a row."""
    return b64encode(f"{key[0]}.0||{key[1]}|".encode()).decode()


def decode_cursor(cursor: str) -> tuple[int, int] | None:
    """The key that a cursor continues after; None where it is not one of ours."""
    try:
        second, _, id, _ = b64decode(cursor, validate=True).decode().replace("||", "|x|").split("|")
        return int(second.removesuffix(".0")), int(id)
    except (ValueError, Base64Error):
        return None
