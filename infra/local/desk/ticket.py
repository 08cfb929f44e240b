"""What the world remembers of a ticket: its fields, comments, audits, and how they came about."""

from dataclasses import dataclass, field
from typing import Any

from infra.local.desk.account import Row


@dataclass(slots=True)
class Comment:
    """One comment; `body` is what a reader sees today."""

    id: int
    author: int
    at: int
    body: str
    public: bool
    audit: int
    via: Row
    by_agent: bool
    """Whether the author was an agent when writing."""

    topic: str
    kind: str
    """What the fragment is: opening, answer, nudge, thanks, reopen, reply, fix, note, system."""


@dataclass(slots=True)
class Event:
    """A child event; `data` holds the keys of its own, as ticket_events shows them."""

    id: int
    type: str
    data: Row


@dataclass(slots=True)
class Audit:
    """What one actor changed at once."""

    id: int
    ticket: int
    at: int
    actor: int
    via: str
    events: list[Event]
    comment: Comment | None = None
    encoded: dict[bool, bytes] = field(default_factory=dict[bool, bytes])


@dataclass(slots=True)
class Target:
    """A running SLA metric of a ticket."""

    instance: int
    minutes: int | None = None
    business: bool = False
    since: int | None = None
    """Running since; None while paused or over."""

    before: int = 0
    """Seconds that had run before `since`, counted the target's way."""

    breached: bool = False


@dataclass(slots=True)
class Rating:
    """A satisfaction rating, from offered to its latest score."""

    id: int
    ticket: int
    at: int
    updated: int
    score: str
    comment: str | None
    reason: str | None
    assignee: int | None
    group: int | None
    requester: int
    history: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])


@dataclass(slots=True)
class Ticket:
    """The state of today and the trail that led there."""

    id: int
    created: int
    updated: int
    generated: int
    subject: str
    description: str
    requester: int
    submitter: int
    channel: str
    via: Row
    topic: str
    brand: int
    form: int
    schedule: int
    status: str = "new"
    custom_status: int = 0
    priority: str | None = None
    type: str | None = None
    assignee: int | None = None
    group: int | None = None
    organization: int | None = None
    problem: int | None = None
    tags: list[str] = field(default_factory=list[str])
    custom: dict[int, Any] = field(default_factory=dict[int, Any])
    followups: list[int] = field(default_factory=list[int])
    followers: list[int] = field(default_factory=list[int])
    merged_into: int | None = None
    follows: int | None = None
    rating: Rating | None = None
    comments: list[Comment] = field(default_factory=list[Comment])
    audits: list[Audit] = field(default_factory=list[Audit])
    statuses: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    groups: list[tuple[int, int | None]] = field(default_factory=list[tuple[int, int | None]])
    assignees: list[tuple[int, int | None]] = field(default_factory=list[tuple[int, int | None]])
    targets: dict[str, Target] = field(default_factory=dict[str, Target])
    promised: dict[str, tuple[int, bool]] = field(default_factory=dict[str, tuple[int, bool]])
    """The latest target set per SLA field: minutes, and whether they are business ones."""

    scrubbed: bool = False
    surge: str | None = None
    steps: int = 0
    checks: int = 0
    encoded: dict[bool, bytes] = field(default_factory=dict[bool, bytes])

    @property
    def is_public(self) -> bool:
        """Whether the requester ever sees anything of it."""
        return any(comment.public for comment in self.comments)

    def first_reply_at(self) -> int | None:
        """The first public agent comment after the opening one."""
        return next((c.at for c in self.comments[1:] if c.public and c.by_agent), None)

    def solves(self) -> list[int]:
        """Moments at which it became solved; its closes where it never was."""
        solved = [at for at, status in self.statuses if status == "solved"]
        return solved or [at for at, status in self.statuses if status == "closed"]
