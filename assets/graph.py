"""The ticket graph as plain values: what a ticket's rows say about how it hangs together with people and tickets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

REQUESTER_DAYS = 30
"""A requester's next ticket within these days of the last one is a repeat contact."""


class Label(StrEnum):
    """Kinds of nodes; each is unique by `id` (a tag by its name)."""

    TICKET = "Ticket"
    USER = "User"
    ORGANIZATION = "Organization"
    GROUP = "Group"
    BRAND = "Brand"
    TAG = "Tag"


class Relation(StrEnum):
    """Kinds of edges, each from its first to its second."""

    REQUESTED = "REQUESTED"
    """User -> ticket."""
    ASSIGNED = "ASSIGNED"
    """Ticket -> user."""
    COMMENTED = "COMMENTED"
    """User -> ticket, with how often."""
    IN_GROUP = "IN_GROUP"
    """Ticket -> group it is in now."""
    FOR_ORGANIZATION = "FOR_ORGANIZATION"
    """Ticket -> organization."""
    OF_BRAND = "OF_BRAND"
    """Ticket -> brand."""
    TAGGED = "TAGGED"
    """Ticket -> tag."""
    INCIDENT_OF = "INCIDENT_OF"
    """Incident -> problem ticket."""
    FOLLOWUP_OF = "FOLLOWUP_OF"
    """Follow-up -> the closed ticket it goes on from."""
    MERGED_INTO = "MERGED_INTO"
    """Closed ticket -> the one that goes on."""
    ESCALATED = "ESCALATED"
    """Group -> group, one edge a move of a ticket, with `ticket_id`, `at` and `step`."""
    SAME_REQUESTER_WITHIN = "SAME_REQUESTER_WITHIN"
    """Ticket -> the same requester's ticket before it, with the `days` between them."""
    SIMILAR = "SIMILAR"
    """Ticket - ticket (from the lower number), with `score` and `model_id`."""
    MEMBER_OF = "MEMBER_OF"
    """User -> organization or group."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node with all its properties; writing it replaces what was there."""

    label: Label
    id: int | str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge that belongs to the ticket `owner`: rewriting that ticket removes those it no longer has."""

    relation: Relation
    start: tuple[Label, int | str]
    end: tuple[Label, int | str]
    owner: int
    source: str
    """Table or store that says so."""
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Participation:
    """How one person took part in a ticket's comments."""

    author_id: int
    comments: int
    public: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A ticket's group as an audit set it."""

    group_id: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """Everything about one ticket that becomes nodes and edges."""

    id: int
    subject: str | None
    status: str | None
    priority: str | None
    type: str | None
    channel: str | None
    created_at: datetime | None
    updated_at: datetime | None
    requester_id: int | None
    assignee_id: int | None
    organization_id: int | None
    group_id: int | None
    brand_id: int | None
    problem_id: int | None
    tags: Sequence[str] = ()
    follows_up: int | None = None
    """Ticket that this one was opened as a follow-up of."""
    followup_ids: Sequence[int] = ()
    is_scrubbed: bool = False
    participations: Sequence[Participation] = ()
    group_changes: Sequence[GroupChange] = ()
    """In the order in which they happened, the one at creation first."""
    merged_from: Sequence[int] = ()
    """Tickets that merge comments here name as their source."""
    closing_texts: Sequence[str] = ()
    """Beginnings of internal notes of a ticket tagged `closed_by_merge`."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One ticket of a requester."""

    ticket_id: int
    requester_id: int
    created_at: datetime


# Zendesk has no field for it: this is the note that a merge leaves in the closed ticket.
_MERGED_INTO = re.compile(r"This request was closed and merged into request #(\d{1,18})(?!\d)")


def ticket_node(ticket: Ticket) -> Node:
    """The ticket's node; a scrubbed one keeps no text."""
    properties = {
        "subject": None if ticket.is_scrubbed else ticket.subject,
        "status": ticket.status,
        "priority": ticket.priority,
        "type": ticket.type,
        "channel": ticket.channel,
        "created_at": ticket.created_at,
        "updated_at": ticket.updated_at,
    }
    return Node(Label.TICKET, ticket.id, {name: value for name, value in properties.items() if value is not None})


def ticket_edges(ticket: Ticket) -> list[Edge]:
    """All edges that the ticket's own rows give."""
    here = (Label.TICKET, ticket.id)
    edges: list[Edge] = []

    def add(
        relation: Relation,
        start: tuple[Label, int | str],
        end: tuple[Label, int | str],
        source: str = "zendesk.tickets",
        **properties: Any,
    ) -> None:
        edges.append(Edge(relation, start, end, ticket.id, source, properties))

    if ticket.requester_id is not None:
        add(Relation.REQUESTED, (Label.USER, ticket.requester_id), here)
    if ticket.assignee_id is not None:
        add(Relation.ASSIGNED, here, (Label.USER, ticket.assignee_id))
    if ticket.organization_id is not None:
        add(Relation.FOR_ORGANIZATION, here, (Label.ORGANIZATION, ticket.organization_id))
    if ticket.group_id is not None:
        add(Relation.IN_GROUP, here, (Label.GROUP, ticket.group_id))
    if ticket.brand_id is not None:
        add(Relation.OF_BRAND, here, (Label.BRAND, ticket.brand_id))
    for tag in dict.fromkeys(ticket.tags):
        add(Relation.TAGGED, here, (Label.TAG, tag))
    for part in ticket.participations:
        add(
            Relation.COMMENTED,
            (Label.USER, part.author_id),
            here,
            "zendesk.ticket_comments",
            n=part.comments,
            public=part.public,
            first_at=part.first_at,
            last_at=part.last_at,
        )
    if ticket.problem_id is not None and ticket.problem_id != ticket.id:
        add(Relation.INCIDENT_OF, here, (Label.TICKET, ticket.problem_id))
    if ticket.follows_up is not None and ticket.follows_up != ticket.id:
        add(Relation.FOLLOWUP_OF, here, (Label.TICKET, ticket.follows_up))
    for other in ticket.followup_ids:
        if other != ticket.id:
            add(Relation.FOLLOWUP_OF, (Label.TICKET, other), here)
    for other in dict.fromkeys(ticket.merged_from):
        if other != ticket.id:
            add(Relation.MERGED_INTO, (Label.TICKET, other), here, "zendesk.ticket_comments")
    for target in merge_targets(ticket.closing_texts):
        if target != ticket.id:
            add(Relation.MERGED_INTO, here, (Label.TICKET, target), "zendesk.ticket_comments")
    edges.extend(escalations(ticket.id, ticket.group_changes))
    return edges


def merge_targets(texts: Iterable[str]) -> list[int]:
    """Tickets that a merged one was merged into, as its closing notes say."""
    found = (_MERGED_INTO.match(text.strip()) for text in texts)
    return list(dict.fromkeys(int(match[1]) for match in found if match))


def escalations(ticket_id: int, changes: Sequence[GroupChange]) -> list[Edge]:
    """Moves of a ticket from one group to another; the first assignment is none."""
    edges: list[Edge] = []
    held: int | None = None
    for change in changes:
        if change.group_id is None or change.group_id == held:
            continue
        if held is not None:
            edges.append(
                Edge(
                    Relation.ESCALATED,
                    (Label.GROUP, held),
                    (Label.GROUP, change.group_id),
                    ticket_id,
                    "zendesk.ticket_events",
                    {"ticket_id": ticket_id, "at": change.at, "step": len(edges) + 1},
                )
            )
        held = change.group_id
    return edges


def repeat_contacts(contacts: Iterable[Contact], days: int = REQUESTER_DAYS) -> list[Edge]:
    """Edges from each ticket to its requester's ticket before it, where that is at most `days` older."""
    chains: dict[int, list[Contact]] = {}
    for contact in contacts:
        chains.setdefault(contact.requester_id, []).append(contact)
    edges: list[Edge] = []
    for chain in chains.values():
        chain.sort(key=lambda contact: (contact.created_at, contact.ticket_id))
        for before, after in pairwise(chain):
            gap = (after.created_at - before.created_at).total_seconds() / 86_400
            if gap <= days:
                edges.append(
                    Edge(
                        Relation.SAME_REQUESTER_WITHIN,
                        (Label.TICKET, after.ticket_id),
                        (Label.TICKET, before.ticket_id),
                        after.ticket_id,
                        "zendesk.tickets",
                        {"days": round(gap, 3)},
                    )
                )
    return edges


def mutual(neighbours: Mapping[int, Sequence[tuple[int, float]]], of: Iterable[int]) -> list[tuple[int, int, float]]:
    """Pairs (lower, higher, score) of tickets that are each among the other's neighbours, with a ticket of `of`."""
    listed = {ticket: dict(others) for ticket, others in neighbours.items()}
    pairs: dict[tuple[int, int], float] = {}
    for ticket in of:
        for other, score in listed.get(ticket, {}).items():
            back = listed.get(other, {}).get(ticket)
            if other != ticket and back is not None:
                pairs[min(ticket, other), max(ticket, other)] = max(score, back)
    return [(low, high, score) for (low, high), score in sorted(pairs.items())]
