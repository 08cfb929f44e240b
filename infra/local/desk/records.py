"""The JSON that the API shows of tickets, comments, audits, metric sets and ratings."""

from typing import TYPE_CHECKING, Any

import orjson

from infra.local.desk.account import CUSTOM_FIELDS, HOST, Row
from infra.local.desk.calendar import MINUTE, OpeningHours, iso
from infra.local.desk.ticket import Audit, Comment, Event, Rating, Ticket

if TYPE_CHECKING:
    from infra.local.desk.world import World

API = f"{HOST}/api/v2"


def ticket(world: "World", t: Ticket) -> Row:
    """A ticket as `tickets/{id}` and the export show it."""
    rating: Row = {"score": "unoffered"}
    if t.rating:
        rating = {"score": t.rating.score, "id": t.rating.id, "comment": t.rating.comment, "reason": t.rating.reason}
    fields = [
        {"id": id, "value": t.custom.get(id, False if kind == "checkbox" else None)}
        for id, (kind, _, _) in CUSTOM_FIELDS.items()
    ]
    return {
        "url": f"{API}/tickets/{t.id}.json",
        "id": t.id,
        "external_id": None,
        "via": t.via,
        "created_at": iso(t.created),
        "updated_at": iso(t.updated),
        "generated_timestamp": t.generated,
        "type": t.type,
        "subject": t.subject,
        "raw_subject": t.subject,
        "description": t.description,
        "priority": t.priority,
        "status": t.status,
        "recipient": "support@fernhollow.example" if t.channel == "email" else None,
        "requester_id": t.requester,
        "submitter_id": t.submitter,
        "assignee_id": t.assignee,
        "organization_id": t.organization,
        "group_id": t.group,
        "collaborator_ids": t.followers,
        "follower_ids": t.followers,
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": t.problem,
        "has_incidents": t.type == "problem" and t.id in world.problems.values(),
        "is_public": t.is_public,
        "due_at": None,
        "tags": t.tags,
        "custom_fields": fields,
        "satisfaction_rating": rating,
        "sharing_agreement_ids": [],
        "custom_status_id": t.custom_status,
        "encoded_id": f"FH{t.id:05}-X",
        "fields": fields,
        "followup_ids": t.followups,
        "ticket_form_id": t.form,
        "brand_id": t.brand,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": t.channel == "native_messaging",
    }


def ticket_bytes(world: "World", t: Ticket, metrics: bool) -> bytes:
    """A ticket as an encoded row, kept until it changes."""
    found = t.encoded.get(metrics)
    if found is None:
        row = ticket(world, t)
        if metrics:
            row["metric_set"] = metric_set(world, t)
        found = t.encoded[metrics] = orjson.dumps(row)
    return found


def metric_set(world: "World", t: Ticket) -> Row:
    """Zendesk's own figures of a ticket, worked out from its trail as of its latest change."""
    hours = world.hours[t.schedule]
    created = t.created
    reply = t.first_reply_at()
    solved = [at for at, status in t.statuses if status == "solved"]
    replies = sum(1 for c in t.comments if c.public and c.by_agent)
    assigned = [at for at, who in t.assignees if who is not None]
    return {
        "url": f"{API}/ticket_metrics/{t.id + 350_000_000_000}.json",
        "id": t.id + 350_000_000_000,
        "ticket_id": t.id,
        "created_at": iso(created),
        "updated_at": iso(t.updated),
        "group_stations": sum(1 for _, group in t.groups if group is not None),
        "assignee_stations": len(assigned),
        "reopens": max(0, len(solved) - 1),
        "replies": replies,
        "assignee_updated_at": iso(t.assignees[-1][0]) if len(t.assignees) > 1 else None,
        "requester_updated_at": iso(max((c.at for c in t.comments if not c.by_agent), default=created)),
        "status_updated_at": iso(t.statuses[-1][0]),
        "initially_assigned_at": iso(assigned[0]) if assigned else None,
        "assigned_at": iso(assigned[-1]) if assigned else None,
        "solved_at": iso(solved[-1]) if solved and t.status in ("solved", "closed") else None,
        "latest_comment_added_at": iso(t.comments[-1].at),
        "custom_status_updated_at": iso(t.statuses[-1][0]),
        "reply_time_in_minutes": _minutes(hours, created, reply),
        "reply_time_in_seconds": {"calendar": None if reply is None else reply - created},
        "first_resolution_time_in_minutes": _minutes(hours, created, solved[0] if solved else None),
        "full_resolution_time_in_minutes": _minutes(hours, created, solved[-1] if solved else None),
        "agent_wait_time_in_minutes": _spent(t, hours, ("pending",)),
        "requester_wait_time_in_minutes": _spent(t, hours, ("new", "open", "hold")),
        "on_hold_time_in_minutes": _spent(t, hours, ("hold",)),
    }


def _minutes(hours: OpeningHours, start: int, end: int | None) -> Row:
    if end is None:
        return {"calendar": None, "business": None}
    return {"calendar": (end - start) // MINUTE, "business": hours.between(start, end) // MINUTE}


def _spent(t: Ticket, hours: OpeningHours, statuses: tuple[str, ...]) -> Row:
    calendar = business = 0
    for (start, status), (end, _) in zip(t.statuses, t.statuses[1:], strict=False):
        if status in statuses:
            calendar += end - start
            business += hours.between(start, end)
    return {"calendar": calendar // MINUTE, "business": business // MINUTE}


def comment(c: Comment) -> Row:
    """A comment as `tickets/{id}/comments` shows it."""
    plain = c.body.replace("\u0000", "")
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    html = escaped.replace("\n\n", "</p><p>").replace("\n", "<br>")
    return {
        "id": c.id,
        "type": "Comment",
        "author_id": c.author,
        "body": c.body,
        "html_body": f'<div class="zd-comment" dir="auto"><p>{html}</p></div>',
        "plain_body": c.body,
        "public": c.public,
        "attachments": [],
        "audit_id": c.audit,
        "via": c.via,
        "created_at": iso(c.at),
        "metadata": {"system": {}, "custom": {}},
    }


def audit_bytes(a: Audit, comments: bool) -> bytes:
    """A row of the ticket_events export, kept until a redaction."""
    found = a.encoded.get(comments)
    if found is None:
        found = a.encoded[comments] = orjson.dumps(ticket_event(a, comments))
    return found


def ticket_event(a: Audit, comments: bool) -> Row:
    """One audit with its child events, comments in full where asked for."""
    return {
        "id": a.id,
        "ticket_id": a.ticket,
        "timestamp": a.at,
        "created_at": iso(a.at),
        "updater_id": a.actor,
        "via": a.via,
        "system": {"client": "Fernhollow demo", "location": "Eldermouth", "latitude": 0.0, "longitude": 0.0},
        "metadata": {},
        "event_type": "Audit",
        "child_events": [_child(a, event, comments) for event in a.events],
    }


def _child(a: Audit, event: Event, comments: bool) -> Row:
    row: Row = {"id": event.id, "via": a.via, "via_reference_id": None}
    if event.type == "Comment" and a.comment:
        if comments:
            full = comment(a.comment)
            del full["metadata"], full["type"]
            row |= full
        row |= {"comment_present": True, "comment_public": a.comment.public}
    else:
        row |= event.data
    row["event_type"] = event.type
    return row


def audit(a: Audit) -> Row:
    """An audit as `tickets/{id}/audits` shows it, with field names as values and ids as strings."""
    events: list[Row] = []
    for event in a.events:
        if event.type == "Comment" and a.comment:
            events.append(comment(a.comment))
        elif event.type in ("Create", "Change"):
            events.append(_audit_change(event))
        else:
            events.append({"id": event.id, "type": event.type, **event.data})
    return {
        "id": a.id,
        "ticket_id": a.ticket,
        "created_at": iso(a.at),
        "author_id": a.actor,
        "metadata": {"system": {}, "custom": {}},
        "events": events,
        "via": {"channel": "rule" if a.via == "Rule" else "web", "source": {"from": {}, "to": {}, "rel": None}},
    }


def _audit_change(event: Event) -> Row:
    data = dict(event.data)
    previous = data.pop("previous_value", None)
    data.pop("added_tags", None)
    data.pop("removed_tags", None)
    name, value = next(iter(data.items()))
    if name == "custom_ticket_fields":
        name, value = next(iter(value.items()))
    row: Row = {"id": event.id, "type": event.type, "field_name": name, "value": _as_text(value)}
    if event.type == "Change":
        row["previous_value"] = _as_text(previous)
    return row


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def rating(r: Rating) -> Row:
    """A satisfaction rating."""
    return {
        "url": f"{API}/satisfaction_ratings/{r.id}.json",
        "id": r.id,
        "assignee_id": r.assignee,
        "group_id": r.group,
        "requester_id": r.requester,
        "ticket_id": r.ticket,
        "score": r.score,
        "created_at": iso(r.at),
        "updated_at": iso(r.updated),
        "comment": r.comment,
        "reason": r.reason,
        "reason_id": None if r.reason is None else len(r.reason),
        "reason_code": None if r.reason is None else 100,
    }
