"""The definitions of the numbers once more, in plain Python over the audits, sharing nothing with the SQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.fakes.handmade import AGENTS, AS_OF, Ticket

OPEN = {"new", "open", "pending", "hold"}


def trail(ticket: Ticket, name: str) -> list[tuple[datetime, Any]]:
    """Values of a field with the moment each began, in true order; a repeated value begins nothing."""
    steps = [
        (audit.at, audit.id, place, change)
        for audit in ticket.audits
        for place, change in enumerate(audit.changes)
        if change.field == name
    ]
    steps.sort(key=lambda step: step[:3])
    values: list[tuple[datetime, Any]] = []
    if steps and not steps[0][3].is_creation and steps[0][3].previous is not None:
        values.append((ticket.created, steps[0][3].previous))
    values += [(when, change.value) for when, _, _, change in steps]
    return [step for i, step in enumerate(values) if i == 0 or step[1] != values[i - 1][1]]


def minutes(start: datetime, end: datetime | None) -> float | None:
    """Minutes from one moment to another."""
    return None if end is None else (end - start).total_seconds() / 60


def spent(statuses: list[tuple[datetime, Any]], wanted: set[str]) -> float:
    """Minutes over the finished stretches in some statuses."""
    pairs = pairwise(statuses)
    return sum((end - start).total_seconds() for (start, status), (end, _) in pairs if status in wanted) / 60


def expected_ticket(ticket: Ticket) -> dict[str, Any]:
    """Columns of the row that the ticket must have."""
    is_scrubbed = ticket.is_scrubbed
    statuses = [] if is_scrubbed else trail(ticket, "status")
    groups = [] if is_scrubbed else [step for step in trail(ticket, "group_id") if step[1] is not None]
    assignees = [] if is_scrubbed else [step for step in trail(ticket, "assignee_id") if step[1] is not None]
    scores = [step for step in trail(ticket, "satisfaction_score") if step[1] in {"good", "bad"}]
    comments = [] if is_scrubbed else ticket.comments
    solves = [when for when, status in statuses if status == "solved"]
    solves = solves or [when for when, status in statuses if status == "closed"]
    replies = [comment for comment in comments[1:] if comment.is_public and comment.author in AGENTS]
    by_agents = [comment for comment in comments if comment.author in AGENTS]
    status = ticket.fields["status"]
    is_solved = status in {"solved", "closed"}
    flips = list(pairwise(scores))
    moves = [pair for pair in pairwise(groups) if pair[0][1] != pair[1][1]]
    return {
        "status": status,
        "is_deleted": status == "deleted",
        "is_open": status in OPEN,
        "is_solved": is_solved,
        "tags": ticket.tags,
        "tag_count": len(ticket.tags),
        "channel": ticket.channel,
        "product": {"hearth_hub": "Hearth Hub", "online_shop": "Online Shop", None: None}[ticket.product],
        "first_reply_at": replies[0].at if replies else None,
        "first_reply_minutes": minutes(ticket.created, replies[0].at if replies else None),
        "first_solved_at": solves[0] if solves else None,
        "solved_at": solves[-1] if solves else None,
        "first_resolution_minutes": minutes(ticket.created, solves[0] if solves else None),
        "full_resolution_minutes": minutes(ticket.created, solves[-1] if solves else None),
        "resolutions": len(solves),
        "reopens": max(0, len(solves) - 1),
        "is_reopened": len(solves) > 1,
        "requester_wait_minutes": spent(statuses, {"new", "open", "hold"}) if statuses else None,
        "agent_wait_minutes": spent(statuses, {"pending"}) if statuses else None,
        "agent_work_minutes": spent(statuses, {"new", "open"}) if statuses else None,
        "on_hold_minutes": spent(statuses, {"hold"}) if statuses else None,
        "status_since": statuses[-1][0] if statuses else ticket.created,
        "comments": len(comments),
        "public_comments": sum(comment.is_public for comment in comments),
        "internal_notes": sum(not comment.is_public for comment in comments),
        "agent_replies": len(replies),
        "agent_public_comments": sum(comment.is_public for comment in by_agents),
        "is_one_touch": is_solved and sum(comment.is_public for comment in by_agents) == 1,
        "handoffs": len({comment.author for comment in by_agents}),
        "assignee_stations": len(assignees),
        "first_assigned_at": assignees[0][0] if assignees else None,
        "first_assignee_id": assignees[0][1] if assignees else None,
        "group_stations": len(groups),
        "first_group_id": groups[0][1] if groups else None,
        "transfers": len(moves),
        "is_escalated": bool(moves),
        "satisfaction": scores[-1][1] if scores else None,
        "first_satisfaction": scores[0][1] if scores else None,
        "rated_at": scores[-1][0] if scores else None,
        "good_to_bad": sum(a[1] == "good" and b[1] == "bad" for a, b in flips),
        "bad_to_good": sum(a[1] == "bad" and b[1] == "good" for a, b in flips),
        "is_rating_offered": ticket.score != "unoffered",
        "created_at": ticket.created,
    }


def expected_backlog(tickets: list[Ticket]) -> set[tuple[date, int, str]]:
    """Open tickets at the end of each UTC day, looked up day by day."""
    rows: set[tuple[date, int, str]] = set()
    for ticket in tickets:
        if ticket.is_scrubbed:
            continue
        day = ticket.created.date()
        while day <= AS_OF.date():
            end = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
            before = [status for when, status in trail(ticket, "status") if when < end]
            if before and before[-1] in OPEN:
                rows.add((day, ticket.id, before[-1]))
            day += timedelta(days=1)
    return rows
