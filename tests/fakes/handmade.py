"""A tiny help desk written by hand: a ticket is a list of audits, loaded into the copy as a sync would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

from assets import catalog

AS_OF = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
TIER_1, BILLING = 101, 102
ADA, FELIX, FORMER, GONE = 1, 2, 3, 999
"""Ada is an admin, Felix an agent; Former left and is an end user now, Gone is a number nobody knows."""
CUSTOMER, OTHER, UNKNOWN = 10, 11, 998
"""Unknown asked for a ticket and is in no list of users."""
AGENTS = frozenset({ADA, FELIX, FORMER, GONE})
ACME, BOREAL = 501, 502
PRODUCT_FIELD = 7001


def at(text: str) -> datetime:
    """A moment of March 2026 in UTC such as `02 09:00` or `02 09:00:30`; a longer text is read as it is."""
    return datetime.fromisoformat(f"2026-03-{text}" if len(text) < 16 else text).replace(tzinfo=UTC)


@dataclass
class Change:
    """One field set by an audit."""

    field: str
    value: Any
    previous: Any
    is_creation: bool


@dataclass
class Comment:
    """A comment as it stands today."""

    id: int
    at: datetime
    author: int
    is_public: bool


@dataclass
class Audit:
    """What one actor changed at once."""

    id: int
    at: datetime
    by: int
    changes: list[Change]
    comment: Comment | None = None


@dataclass
class Ticket:
    """A ticket that keeps its own trail."""

    desk: Desk
    id: int
    created: datetime
    fields: dict[str, Any]
    tags: list[str]
    channel: str
    product: str | None
    audits: list[Audit] = field(default_factory=list)
    score: str = "unoffered"
    is_scrubbed: bool = False

    def change(
        self, moment: str, by: int, *, comment: bool | None = None, author: int | None = None, **fields: Any
    ) -> None:
        """Set fields, and write a comment where `comment` says whether it is public."""
        when = at(moment)
        changes = [Change(name, value, self.fields.get(name), False) for name, value in fields.items()]
        self.fields |= fields
        written = None if comment is None else Comment(self.desk.next_id(), when, author or by, comment)
        self.audits.append(Audit(self.desk.next_id(), when, by, changes, written))

    def rate(self, moment: str, score: str) -> None:
        """The customer's score, or the offer to give one."""
        self.audits.append(
            Audit(self.desk.next_id(), at(moment), -1, [Change("satisfaction_score", score, self.score, False)])
        )
        self.score = score

    def forget_creation(self) -> None:
        """As if the audit of the creation had never been copied."""
        del self.audits[0]

    @property
    def changed(self) -> datetime:
        """Newest change."""
        return max([audit.at for audit in self.audits], default=self.created)

    @property
    def comments(self) -> list[Comment]:
        """Comments in order."""
        found = [audit.comment for audit in self.audits if audit.comment is not None]
        return sorted(found, key=lambda comment: (comment.at, comment.id))


class Desk:
    """Tickets with the people and places around them."""

    def __init__(self) -> None:
        self.tickets: list[Ticket] = []
        self._last_id = 10_000

    def next_id(self) -> int:
        """Grows with every object, as Zendesk's numbers do."""
        self._last_id += 1
        return self._last_id

    def ticket(
        self, moment: str, *, by: int = CUSTOMER, requester: int | None = None, public: bool = True,
        tags: tuple[str, ...] = (), channel: str = "email", product: str | None = None, **fields: Any,
    ) -> Ticket:  # fmt: skip
        """Open a ticket with its first comment."""
        values: dict[str, Any] = {"status": "new", "group_id": TIER_1} | fields
        values["requester_id"] = requester if requester is not None else by
        ticket = Ticket(self, len(self.tickets) + 1, at(moment), values, sorted(tags), channel, product)
        tracked = ("status", "group_id", "assignee_id", "priority", "type")
        changes = [Change(name, values[name], None, True) for name in tracked if values.get(name) is not None]
        comment = Comment(self.next_id(), ticket.created, by, public)
        ticket.audits.append(Audit(self.next_id(), ticket.created, by, changes, comment))
        self.tickets.append(ticket)
        return ticket

    def load(self, connection: psycopg.Connection[Any]) -> None:
        """Write everything into schema `zendesk` and publish the streams, in the caller's transaction."""
        for stream, rows in self._rows().items():
            for row in rows:
                row = {"version": 1, "load_seq": 1, "payload": "{}"} | row
                names = ", ".join(row)
                values = ", ".join(f"%({name})s" for name in row)
                connection.execute(f"insert into zendesk.{stream} ({names}) values ({values})".encode(), row)
            catalog.publish(connection, f"zendesk.{stream}", as_of=AS_OF, rows=len(rows))

    def _rows(self) -> dict[str, list[dict[str, Any]]]:
        kept = [ticket for ticket in self.tickets if not ticket.is_scrubbed]
        people = [(ADA, "Ada Admin", "admin"), (FELIX, "Felix Agent", "agent"), (FORMER, "Former Agent", "end-user")]
        people += [(CUSTOMER, "Cora Customer", "end-user"), (OTHER, "Otto 'Other'", "end-user")]
        options = [{"name": "Hearth Hub", "value": "hearth_hub"}, {"name": "Online Shop", "value": "online_shop"}]
        return {
            "tickets": [_ticket_row(ticket) for ticket in self.tickets],
            "ticket_events": [_event_row(ticket, audit) for ticket in kept for audit in ticket.audits],
            "ticket_comments": [
                {
                    "id": comment.id,
                    "ticket_id": ticket.id,
                    "author_id": comment.author,
                    "created_at": comment.at,
                    "is_public": comment.is_public,
                    "body": "text",
                }
                for ticket in kept
                for comment in ticket.comments
            ],
            "users": [
                {"id": id, "name": name, "role": role, "is_active": True, "created_at": at("01 00:00")}
                for id, name, role in people
            ],
            "organizations": [
                {"id": id, "name": name, "created_at": at("01 00:00")}
                for id, name in ((ACME, "Acme"), (BOREAL, "Boréal"))
            ],
            "groups": [
                {"id": id, "name": name, "created_at": at("01 00:00")}
                for id, name in ((TIER_1, "Tier 1"), (BILLING, "Billing"))
            ],
            "brands": [{"id": 601, "name": "Main", "created_at": at("01 00:00")}],
            "ticket_forms": [{"id": 701, "name": "Default", "created_at": at("01 00:00")}],
            "ticket_fields": [
                {
                    "id": PRODUCT_FIELD,
                    "title": "Product",
                    "type": "tagger",
                    "payload": orjson.dumps({"custom_field_options": options}).decode(),
                }
            ],
            "satisfaction_ratings": [],
        }


def _ticket_row(ticket: Ticket) -> dict[str, Any]:
    payload = {
        "via": {"channel": ticket.channel},
        "tags": ticket.tags,
        "satisfaction_rating": {"score": ticket.score},
        "custom_fields": [{"id": PRODUCT_FIELD, "value": ticket.product}],
    }
    fields = ticket.fields
    return {
        "id": ticket.id,
        "generated_timestamp": int(ticket.changed.timestamp()),
        "created_at": ticket.created,
        "updated_at": ticket.changed,
        "subject": fields.get("subject", f"Ticket {ticket.id}"),
        "brand_id": 601,
        "ticket_form_id": 701,
        "payload": orjson.dumps(payload).decode(),
        **{
            name: fields.get(name)
            for name in (
                "status", "type", "priority", "requester_id", "submitter_id", "assignee_id", "organization_id",
                "group_id", "problem_id",
            )
        },
    }  # fmt: skip


def _event_row(ticket: Ticket, audit: Audit) -> dict[str, Any]:
    children: list[Mapping[str, Any]] = []
    if audit.comment is not None:
        children.append({"id": audit.comment.id, "event_type": "Comment", "public": audit.comment.is_public})
    for change in audit.changes:
        child = {"id": audit.id, change.field: change.value, "event_type": "Create" if change.is_creation else "Change"}
        if not change.is_creation:
            child["previous_value"] = change.previous
        children.append(child)
    return {
        "id": audit.id,
        "ticket_id": ticket.id,
        "updater_id": audit.by,
        "created_at": audit.at,
        "payload": orjson.dumps({"event_type": "Audit", "child_events": children}).decode(),
    }


def hard_cases() -> Desk:
    """Tickets that peers count wrong, one a case."""
    desk = Desk()

    plain = desk.ticket("02 09:00", organization_id=ACME, priority="high", type="incident", tags=("refund", "vip"))
    plain.change("02 09:30:20", ADA, comment=True, status="open", assignee_id=ADA)
    plain.change("02 11:00", ADA, status="solved")
    plain.rate("03 11:00", "offered")
    plain.rate("03 12:00", "good")
    plain.change("06 11:00", -1, status="closed")

    reopened = desk.ticket("02 10:00", product="hearth_hub", priority="normal", tags=("refund",), channel="web")
    reopened.change("02 10:10", FELIX, comment=True, status="pending", assignee_id=FELIX)
    reopened.change("02 12:00", CUSTOMER, comment=True, status="open")
    reopened.change("02 12:30", FELIX, comment=True, status="solved")
    reopened.change("03 08:00", CUSTOMER, comment=True, status="open")
    reopened.change("03 09:00", ADA, comment=True, status="solved", assignee_id=ADA)
    reopened.rate("04 09:00", "offered")
    reopened.rate("04 10:00", "good")
    reopened.rate("05 10:00", "bad")
    reopened.rate("06 10:00", "good")
    reopened.rate("07 10:00", "bad")

    opened_by_agent = desk.ticket(
        "03 09:00", by=ADA, requester=CUSTOMER, status="open", assignee_id=ADA, channel="voice"
    )
    opened_by_agent.change("03 09:20", CUSTOMER, comment=True)
    opened_by_agent.change("03 10:00", ADA, comment=True, status="solved")

    opened_in_private = desk.ticket("03 10:00", by=FELIX, requester=OTHER, public=False, organization_id=BOREAL)
    opened_in_private.change("03 10:30", FELIX, comment=False)
    opened_in_private.change("03 11:15", FELIX, comment=True, status="open", assignee_id=FELIX)

    merged = desk.ticket("04 09:00", requester=CUSTOMER)
    merged.change("04 09:45", ADA, comment=False, status="closed")

    deleted = desk.ticket("04 10:00", tags=("spam",))
    deleted.change("04 12:00", ADA, status="deleted")

    restored = desk.ticket("04 11:00", priority="low")
    restored.change("05 11:00", ADA, status="deleted")
    restored.change("07 11:00", ADA, status="open")
    restored.change("07 12:00", ADA, comment=True, status="hold")

    stranger = desk.ticket("05 09:00", by=UNKNOWN)
    stranger.change("05 09:05", FORMER, comment=False, assignee_id=FORMER, status="open")
    stranger.change("05 09:40", FORMER, comment=True, assignee_id=GONE)
    stranger.change("05 10:00", GONE, comment=True, status="solved")

    one_second = desk.ticket("06 09:00", organization_id=ACME)
    one_second.change("06 10:00", FELIX, status="open")
    one_second.change("06 10:00", FELIX, status="solved")
    one_second.change("06 10:00", CUSTOMER, comment=True, status="open")
    one_second.change("06 10:00", FELIX, comment=True, status="solved")
    one_second.audits.reverse()

    travelled = desk.ticket("08 09:00", group_id=None, product="online_shop", tags=("refund", "ping"))
    travelled.change("08 09:10", ADA, group_id=TIER_1)
    travelled.change("08 09:20", ADA, group_id=BILLING, assignee_id=ADA)
    travelled.change("08 09:30", ADA, group_id=None, assignee_id=None)
    travelled.change("08 09:40", ADA, group_id=BILLING, assignee_id=FELIX)
    travelled.change("08 09:50", ADA, group_id=TIER_1, status="open")

    desk.ticket("09 09:00", subject="'; drop table analytics.fct_tickets; --", priority="urgent", channel="api")

    ancient = desk.ticket("2024-01-10 09:00:00", organization_id=ACME)
    ancient.change("2024-01-10 10:00:00", ADA, status="hold", assignee_id=ADA)
    ancient.change("10 10:00", ADA, comment=True, status="solved")

    unopened = desk.ticket("10 09:00", status="open")
    unopened.change("10 13:00", FELIX, comment=True, status="pending")
    unopened.forget_creation()

    scrubbed = desk.ticket("10 10:00", subject="SCRUBBED", status="deleted")
    scrubbed.is_scrubbed = True

    # Midnight in Berlin is 23:00 UTC of the day before.
    late = desk.ticket("11 23:30", organization_id=BOREAL, priority="urgent")
    late.change("12 23:10", FELIX, comment=True, status="solved", assignee_id=FELIX)
    return desk
