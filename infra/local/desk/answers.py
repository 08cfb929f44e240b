"""What the API answers to each GET: a path and its parameters in, encoded JSON out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from infra.local.desk import records
from infra.local.desk.account import Row
from infra.local.desk.calendar import DAY, MINUTE, iso
from infra.local.desk.exports import Exports, Page, decode_cursor, encode_cursor
from infra.local.desk.ticket import Ticket
from infra.local.desk.world import World

ARCHIVED_AFTER = 120 * DAY
MOST_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """One GET: the path after `/api/v2/` without `.json`, and the host as the caller knows it."""

    path: str
    query: dict[str, str]
    origin: str
    now: int

    def link(self, **changes: str) -> str:
        """This call again with other parameters."""
        query = {
            k: v for k, v in self.query.items() if k not in ("start_time", "cursor", "page[after]", "page")
        } | changes
        return f"{self.origin}/api/v2/{self.path}.json?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON body."""

    status: int
    body: bytes
    parts: dict[str, Any] = field(default_factory=dict[str, Any])
    """For exports: the list's name and the rest of the envelope, from which faults make other pages."""


def refuse(status: int, error: str, description: str) -> Answer:
    """An error of the most common of Zendesk's shapes."""
    return Answer(status, orjson.dumps({"error": error, "description": description}))


INVALID_ENDPOINT = refuse(404, "InvalidEndpoint", "Not found")
RECORD_NOT_FOUND = refuse(404, "RecordNotFound", "Not found")


def listing(name: str, rows: Iterable[bytes], rest: Row) -> Answer:
    """An envelope around rows that are encoded already."""
    body = b'{"%s":[%s],%s' % (name.encode(), b",".join(rows), orjson.dumps(rest)[1:])
    return Answer(200, body, {"name": name, "rest": rest})


class Answers:
    """Everything that can be read."""

    def __init__(self, world: World, exports: Exports) -> None:
        self._world = world
        self._exports = exports
        self._paths: dict[str, Callable[[Call], Answer]] = {
            "incremental/tickets/cursor": self._tickets_by_cursor,
            "incremental/tickets": self._tickets_by_time,
            "incremental/ticket_events": self._ticket_events,
            "incremental/users/cursor": self._users_by_cursor,
            "incremental/organizations": self._organizations,
            "incremental/ticket_metric_events": self._metric_events,
            "tickets": self._tickets,
            "tickets/count": self._count,
            "tickets/show_many": self._show_many,
            "satisfaction_ratings": self._ratings,
            "ticket_metrics": self._metrics,
            "users/show_many": self._users_by_id,
            "users": lambda call: self._paged(call, "users", self._users()),
            "organizations": lambda call: self._paged(call, "organizations", self._all_organizations()),
            "group_memberships": lambda call: self._paged(call, "group_memberships", self.memberships()),
            "business_hours/schedules": lambda call: _whole("schedules", world.static["schedules"]),
            "slas/policies": lambda call: self._paged(call, "sla_policies", world.static["sla_policies"]),
        }
        for name in ("groups", "brands", "ticket_forms", "ticket_fields", "macros"):
            self._paths[name] = lambda call, name=name: self._paged(call, name, world.static[name])
        self._paths["custom_statuses"] = lambda call: _whole("custom_statuses", world.static["custom_statuses"])
        for name in (
            "skips",
            "tags",
            "user_fields",
            "organization_fields",
            "suspended_tickets",
            "automations",
            "triggers",
        ):
            self._paths[name] = lambda call, name=name: self._paged(call, name, [])
        self._paths["guide/survey_responses"] = lambda call: self._paged(call, "survey_responses", [])

    def get(self, call: Call) -> Answer:
        """Answer a GET."""
        found = self._paths.get(call.path)
        if found:
            return found(call)
        match call.path.split("/"):
            case ["tickets", id]:
                return self._ticket(id, lambda t: _one("ticket", records.ticket(self._world, t)))
            case ["tickets", id, "comments"]:
                return self._ticket(
                    id, lambda t: self._paged(call, "comments", [records.comment(c) for c in t.comments])
                )
            case ["tickets", id, "audits"]:
                return self._ticket(id, lambda t: self._paged(call, "audits", [records.audit(a) for a in t.audits]))
            case ["tickets", id, "metrics"]:
                return self._ticket(id, lambda t: _one("ticket_metric", records.metric_set(self._world, t)))
            case ["tickets", id, ("side_conversations" | "skips") as name]:
                return self._ticket(id, lambda t: self._paged(call, name, []))
            case ["users", id] if id.isdecimal():
                user = self._world.people.users.get(int(id))
                return _one("user", user.row()) if user and user.listed else RECORD_NOT_FOUND
            case ["organizations", id] if id.isdecimal():
                organization = self._world.people.organizations.get(int(id))
                return _one("organization", organization.row()) if organization else RECORD_NOT_FOUND
            case ["business_hours", "schedules", id, "holidays"] if id.isdecimal():
                if int(id) not in {row["id"] for row in self._world.static["schedules"]}:
                    return RECORD_NOT_FOUND
                return self._paged(call, "holidays", holiday_rows(self._world, int(id)))
            case [name, id] if (
                name in ("groups", "brands", "ticket_forms", "ticket_fields", "macros") and id.isdecimal()
            ):
                row = next((row for row in self._world.static[name] if row["id"] == int(id)), None)
                return _one(name[:-1], row) if row else RECORD_NOT_FOUND
            case _:
                return INVALID_ENDPOINT

    # Incremental exports

    def _start(self, call: Call) -> int | Answer:
        text = call.query.get("start_time", "")
        if not text.isdecimal():
            return refuse(400, "InvalidStartTime", "start_time is missing or is not a Unix time in seconds")
        if int(text) > call.now - MINUTE:
            return refuse(422, "StartTimeTooRecent", "Too recent start_time. Use a start_time older than 60 seconds")
        return int(text)

    def _cursor(self, call: Call) -> tuple[int, int] | Answer:
        if "cursor" in call.query:
            key = decode_cursor(call.query["cursor"])
            return key or refuse(400, "InvalidCursor", "The cursor parameter is not valid")
        start = self._start(call)
        # Ids begin with 1, so this stands before the first row of that second.
        return (start, 0) if isinstance(start, int) else start

    def _size(self, call: Call, default: int = MOST_ROWS) -> int:
        text = call.query.get("per_page", "")
        return max(1, min(MOST_ROWS, int(text))) if text.isdecimal() else default

    def _includes(self, call: Call) -> set[str]:
        return {name for name in call.query.get("include", "").split(",") if name}

    def _tickets_by_cursor(self, call: Call) -> Answer:
        after = self._cursor(call)
        includes = self._includes(call)
        if isinstance(after, Answer):
            return after
        if "last_audits" in includes:
            return refuse(400, "InvalidInclude", "last_audits cannot be sideloaded here")
        deleted = call.query.get("exclude_deleted") != "true"
        page = self._exports.ticket_page(after, self._size(call), call.now, "metric_sets" in includes, deleted)
        return self._cursor_listing(call, "tickets", page, after, self._sideloads(page, includes))

    def _sideloads(self, page: Page, includes: set[str]) -> Row:
        rest: Row = {}
        if not includes & {"users", "groups", "organizations"}:
            return rest
        tickets = [orjson.loads(row) for row in page.rows]
        people = self._world.people
        if "users" in includes:
            ids = {t[key] for t in tickets for key in ("requester_id", "submitter_id", "assignee_id")}
            rest["users"] = [people.users[id].row() for id in sorted(ids - {None}) if people.users[id].listed]
        if "groups" in includes:
            ids = {t["group_id"] for t in tickets}
            rest["groups"] = [row for row in self._world.static["groups"] if row["id"] in ids]
        if "organizations" in includes:
            ids = {t["organization_id"] for t in tickets}
            rest["organizations"] = [people.organizations[id].row() for id in sorted(ids - {None})]
        return rest

    def _users_by_cursor(self, call: Call) -> Answer:
        after = self._cursor(call)
        if isinstance(after, Answer):
            return after
        page = self._exports.user_page(after, self._size(call), call.now)
        return self._cursor_listing(call, "users", page, after, {})

    def _cursor_listing(self, call: Call, name: str, page: Page, after: tuple[int, int], more: Row) -> Answer:
        if page.last is not None:
            cursor = encode_cursor(page.last)
        else:
            cursor = call.query.get("cursor")
        rest: Row = {
            "after_url": call.link(cursor=cursor) if cursor else None,
            "after_cursor": cursor,
            "before_url": None,
            "before_cursor": None,
            "end_of_stream": page.end_of_stream,
        }
        return listing(name, page.rows, more | rest)

    def _time_listing(self, call: Call, name: str, page: Page) -> Answer:
        rest: Row = {
            "count": len(page.rows),
            "next_page": call.link(start_time=str(page.end_time)),
            "end_of_stream": page.end_of_stream,
            "end_time": page.end_time,
        }
        return listing(name, page.rows, rest)

    def _tickets_by_time(self, call: Call) -> Answer:
        start = self._start(call)
        if isinstance(start, Answer):
            return start
        page = self._exports.ticket_time_page(start, self._size(call), call.now, "metric_sets" in self._includes(call))
        return self._time_listing(call, "tickets", page)

    def _ticket_events(self, call: Call) -> Answer:
        start = self._start(call)
        if isinstance(start, Answer):
            return start
        page = self._exports.event_page(start, self._size(call), call.now, "comment_events" in self._includes(call))
        return self._time_listing(call, "ticket_events", page)

    def _organizations(self, call: Call) -> Answer:
        start = self._start(call)
        if isinstance(start, Answer):
            return start
        return self._time_listing(
            call, "organizations", self._exports.organization_page(start, self._size(call), call.now)
        )

    def _metric_events(self, call: Call) -> Answer:
        start = self._start(call)
        if isinstance(start, Answer):
            return start
        page = self._exports.metric_event_page(start, self._size(call), call.now)
        return self._time_listing(call, "ticket_metric_events", page)

    # Lists and single rows

    def _ticket(self, id: str, show: Callable[[Ticket], Answer]) -> Answer:
        ticket = self._world.tickets.get(int(id)) if id.isdecimal() else None
        return show(ticket) if ticket and ticket.status != "deleted" else RECORD_NOT_FOUND

    def _unarchived(self, call: Call) -> list[Ticket]:
        tickets = self._world.tickets.values()
        return [
            t
            for t in tickets
            if t.status != "deleted" and not (t.status == "closed" and t.updated < call.now - ARCHIVED_AFTER)
        ]

    def _tickets(self, call: Call) -> Answer:
        rows = [records.ticket(self._world, t) for t in self._unarchived(call)]
        return self._paged(call, "tickets", rows)

    def _metrics(self, call: Call) -> Answer:
        rows = [records.metric_set(self._world, t) for t in self._unarchived(call)]
        return self._paged(call, "ticket_metrics", rows)

    def _users_by_id(self, call: Call) -> Answer:
        users = self._world.people.users
        found = [users[id] for id in _ids(call) if id in users]
        return _whole("users", [user.row() for user in found if user.listed])

    def _count(self, call: Call) -> Answer:
        value = sum(1 for t in self._world.tickets.values() if t.status != "deleted")
        return _one("count", {"value": value, "refreshed_at": iso(call.now)})

    def _show_many(self, call: Call) -> Answer:
        tickets = [self._world.tickets[id] for id in _ids(call) if id in self._world.tickets]
        rows = [records.ticket(self._world, t) for t in tickets if t.status != "deleted"]
        return _whole("tickets", rows)

    def _ratings(self, call: Call) -> Answer:
        start = call.query.get("start_time", "0")
        score = call.query.get("score")
        rows = [
            records.rating(r)
            for r in self._world.ratings
            if r.at >= int(start if start.isdecimal() else 0) and (score is None or r.score == score)
        ]
        if call.query.get("sort_order") == "desc":
            rows.reverse()
        return self._paged(call, "satisfaction_ratings", rows)

    def _users(self) -> list[Row]:
        return [user.row() for user in self._world.people.users.values() if user.listed]

    def _all_organizations(self) -> list[Row]:
        return [organization.row() for organization in self._world.people.organizations.values()]

    def memberships(self) -> list[Row]:
        """Who belongs to which group today."""
        rows: list[Row] = []
        for i, tenure in enumerate(self._world.people.tenures):
            if tenure.until is None or tenure.until > self._world.now:
                rows.append(
                    {
                        "url": f"{records.API}/group_memberships/{390000000001 + i}.json",
                        "id": 390000000001 + i,
                        "user_id": tenure.agent,
                        "group_id": tenure.group,
                        "default": True,
                        "created_at": iso(tenure.since),
                        "updated_at": iso(tenure.since),
                    }
                )
        return rows

    def _paged(self, call: Call, name: str, rows: list[Row]) -> Answer:
        if "page[size]" in call.query or "page[after]" in call.query:
            return self._by_position(call, name, rows)
        size = min(100, self._size(call, 100))
        text = call.query.get("page", "1")
        number = int(text) if text.isdecimal() and int(text) else 1
        if number > 100:
            return refuse(400, "InvalidPaginationDepth", "Number of pages exceeds limit; use cursor pagination")
        shown = rows[(number - 1) * size : number * size]
        rest: Row = {
            "next_page": call.link(page=str(number + 1)) if number * size < len(rows) else None,
            "previous_page": call.link(page=str(number - 1)) if number > 1 else None,
            "count": len(rows),
        }
        return listing(name, map(orjson.dumps, shown), rest)

    def _by_position(self, call: Call, name: str, rows: list[Row]) -> Answer:
        size_text = call.query.get("page[size]", "100")
        size = min(100, max(1, int(size_text))) if size_text.isdecimal() else 100
        after = call.query.get("page[after]")
        key = decode_cursor(after) if after else (0, 0)
        if key is None:
            return refuse(400, "InvalidCursor", "The page[after] parameter is not valid")
        shown = rows[key[1] : key[1] + size]
        cursor = encode_cursor((0, key[1] + len(shown)))
        rest: Row = {
            "meta": {"has_more": key[1] + size < len(rows), "after_cursor": cursor, "before_cursor": None},
            # The link to the next page is there on the last one too; only has_more ends a list.
            "links": {"prev": None, "next": call.link(**{"page[after]": cursor})},
        }
        return listing(name, map(orjson.dumps, shown), rest)


def _ids(call: Call) -> list[int]:
    return [int(id) for id in call.query.get("ids", "").split(",") if id.isdecimal()][:100]


def holiday_rows(world: World, schedule: int) -> list[Row]:
    """A schedule's holidays as the API shows them, which is without the schedule."""
    return [
        {key: value for key, value in row.items() if key != "schedule_id"}
        for row in world.static["holidays"]
        if row["schedule_id"] == schedule
    ]


def _whole(name: str, rows: list[Row]) -> Answer:
    return listing(name, map(orjson.dumps, rows), {"count": len(rows)})


def _one(name: str, row: Any) -> Answer:
    return Answer(200, orjson.dumps({name: row}))
