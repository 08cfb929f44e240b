"""Tables of the copy: which columns a row has, how it is written as COPY text, and how the newest version wins."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from assets.zendesk.records import parse_moment
from assets.zendesk.streams import STREAMS


class BadRow(ValueError):
    """A row that its table cannot hold; the text names column and type, never the value."""


_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def _integer(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and _INT_MIN <= value <= _INT_MAX:
        return str(value)
    raise BadRow(f"expected an integer, got {type(value).__name__}")


def _text(value: object) -> str:
    if isinstance(value, str):
        return _escape(value)
    raise BadRow(f"expected text, got {type(value).__name__}")


def _boolean(value: object) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    raise BadRow(f"expected true or false, got {type(value).__name__}")


# What Zendesk sends and PostgreSQL reads alike goes through as it is.
_PLAIN_MOMENT = re.compile(
    r"[12]\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ\Z"
).match


def _moment(value: object) -> str:
    if isinstance(value, str) and _PLAIN_MOMENT(value):
        return value
    moment = parse_moment(value) if isinstance(value, str) else None
    if moment is None:
        raise BadRow(f"expected a moment, got {type(value).__name__}")
    return moment.isoformat()


def _date(value: object) -> str:
    try:
        return date.fromisoformat(value).isoformat() if isinstance(value, str) else _moment(value)
    except ValueError:
        raise BadRow("expected a date, got text") from None


def _escape(value: str) -> str:
    """COPY text format; a NUL that got this far would end the whole batch."""
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\n" in value:
        value = value.replace("\n", "\\n")
    if "\t" in value:
        value = value.replace("\t", "\\t")
    if "\r" in value:
        value = value.replace("\r", "\\r")
    return value


_WRITERS: dict[str, Callable[[object], str]] = {
    "bigint": _integer,
    "text": _text,
    "boolean": _boolean,
    "timestamptz": _moment,
    "date": _date,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A typed key column beside the payload."""

    name: str
    type: str
    field: str
    """Payload field it is read from; empty: the envelope's `parent_id`."""
    is_required: bool = False


def _columns(text: str) -> tuple[Column, ...]:
    """`name type [field]`, with `!` behind the type where the column is not null."""
    columns = []
    for entry in text.split(","):
        name, kind, *field = entry.split()
        columns.append(
            Column(name, kind.rstrip("!"), ("" if field == ["-"] else field[0]) if field else name, kind.endswith("!"))
        )
    return tuple(columns)


_DATES = "created_at timestamptz, updated_at timestamptz"
COLUMNS: dict[str, tuple[Column, ...]] = {
    "tickets": _columns(
        f"generated_timestamp bigint!, {_DATES}, status text, type text, priority text, subject text,"
        "requester_id bigint, submitter_id bigint, assignee_id bigint, organization_id bigint, group_id bigint,"
        "brand_id bigint, ticket_form_id bigint, problem_id bigint"
    ),
    "ticket_events": _columns("ticket_id bigint!, updater_id bigint, created_at timestamptz!"),
    "ticket_comments": _columns(
        "ticket_id bigint! -, author_id bigint, created_at timestamptz!, is_public boolean! public, body text!"
    ),
    "ticket_metric_events": _columns("ticket_id bigint!, metric text, type text, instance_id bigint, time timestamptz"),
    "users": _columns(
        "name text, email text, role text, organization_id bigint, is_active boolean active,"
        f"is_suspended boolean suspended, {_DATES}"
    ),
    "organizations": _columns(f"name text, {_DATES}"),
    "groups": _columns(f"name text, is_deleted boolean deleted, {_DATES}"),
    "group_memberships": _columns(f"user_id bigint, group_id bigint, {_DATES}"),
    "brands": _columns(f"name text, {_DATES}"),
    "ticket_forms": _columns(f"name text, is_active boolean active, {_DATES}"),
    "ticket_fields": _columns(f"title text, type text, is_active boolean active, {_DATES}"),
    "sla_policies": _columns(f"title text, {_DATES}"),
    "schedules": _columns(f"name text, time_zone text, {_DATES}"),
    "holidays": _columns("schedule_id bigint! -, name text, start_date date, end_date date"),
    "satisfaction_ratings": _columns(f"ticket_id bigint, score text, {_DATES}"),
    "custom_statuses": _columns(f"status_category text, agent_label text, {_DATES}"),
}

SCRUBBED = "status = 'deleted' and subject = 'SCRUBBED' and payload ->> 'description' = 'X'"
"""What Zendesk leaves of a ticket that was deleted for good."""


@dataclass(frozen=True, slots=True)
class Table:
    """Statements that bring a batch into one table."""

    stream: str
    columns: tuple[Column, ...]
    stage: str
    copy: str
    upsert: str
    """Takes `load_seq`; returns (month or null, rows, new rows, ids, parents) of what it changed."""

    def line(self, entity_id: int, version: int, payload: dict[str, Any], parent_id: object) -> bytes:
        """One line of COPY text; raises BadRow where a value does not fit its column."""
        fields = [str(entity_id)]
        for column in self.columns:
            value = payload.get(column.field) if column.field else parent_id
            if value is None:
                if column.is_required:
                    raise BadRow(f"{column.name}: required and missing")
                fields.append("\\N")
                continue
            try:
                fields.append(_WRITERS[column.type](value))
            except BadRow as error:
                raise BadRow(f"{column.name}: {error}") from None
        fields.append(str(version))
        # orjson writes no raw tab or newline, so the backslash is all that COPY could misread.
        fields.append(orjson.dumps(payload).decode().replace("\\", "\\\\"))
        return ("\t".join(fields) + "\n").encode()


def _table(stream: str) -> Table:
    columns = COLUMNS[stream]
    names = ["id", *(column.name for column in columns), "version", "payload"]
    listed = ", ".join(names)
    key = "schedule_id, id" if stream == "holidays" else "id"
    updates = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key.split(", "))
    month = STREAMS[stream].month_of
    parent = "schedule_id" if stream == "holidays" else "null::bigint"
    month_sql = f"to_char({month} at time zone 'UTC', 'YYYY-MM')" if month else "null::text"
    hangs_on_ticket = stream in ("ticket_events", "ticket_comments", "ticket_metric_events")
    # What hangs on a scrubbed ticket is gone for good, whatever a late page says.
    scrubbed = SCRUBBED.replace("payload", "k.payload")
    condition = (
        f"where not exists (select from zendesk.tickets k where k.id = s.ticket_id and {scrubbed})"
        if hangs_on_ticket
        else ""
    )
    return Table(
        stream=stream,
        columns=columns,
        stage=(
            f"create temporary table stage_{stream} on commit delete rows as"
            f" select {listed} from zendesk.{stream} with no data"
        ),
        copy=f"copy stage_{stream} ({listed}) from stdin",
        upsert=f"""
            with changed as (
                insert into zendesk.{stream} as t ({listed}, load_seq)
                select {listed}, %(load_seq)s from stage_{stream} s {condition}
                on conflict ({key}) do update set {updates}, loaded_at = now(), load_seq = excluded.load_seq
                where t.version <= excluded.version and t.payload is distinct from excluded.payload
                returning {month_sql} as month, (xmax = 0) as is_new, id, {parent} as parent
            )
            select month, count(*), count(*) filter (where is_new), array_agg(id), array_agg(parent)
            from changed group by month
        """,
    )


TABLES: dict[str, Table] = {stream: _table(stream) for stream in STREAMS}
