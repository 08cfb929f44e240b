"""SLA targets and metric events: what was promised on a ticket, what ran, paused, was kept or missed."""

from typing import TYPE_CHECKING, Any

from infra.local.desk.account import POLICIES, POLICY_BUSINESS, POLICY_STANDARD, Row
from infra.local.desk.calendar import MINUTE, iso
from infra.local.desk.ticket import Audit, Comment, Event, Target, Ticket

if TYPE_CHECKING:
    from infra.local.desk.world import World

RUNS_WHILE = {
    "agent_work_time": frozenset(("new", "open")),
    "requester_wait_time": frozenset(("new", "open", "hold")),
}
_OVER = frozenset(("solved", "closed", "deleted"))


class Promises:
    """Keeps the running metrics of all tickets and writes their events."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def opened(self, ticket: Ticket, at: int) -> None:
        """Start the metrics of a new ticket."""
        for metric in ("reply_time", "agent_work_time", "requester_wait_time", "pausable_update_time"):
            self._event(ticket, metric, 1, "measure", at)
        for metric in ("reply_time", *RUNS_WHILE):
            ticket.targets[metric] = Target(1, since=at)
            self._event(ticket, metric, 1, "activate", at)

    def promise(self, ticket: Ticket, audit: Audit, at: int) -> None:
        """Put the policy's targets for the ticket's priority on it; without a priority nothing is promised."""
        if ticket.priority is None:
            return
        self._apply(ticket, audit, at, "requester_wait_time", "requester_wait_time")
        self._apply(ticket, audit, at, "agent_work_time", "agent_work_time")
        reply = ticket.targets["reply_time"]
        if reply.since is not None:
            self._apply(
                ticket, audit, at, "first_reply_time" if reply.instance == 1 else "next_reply_time", "reply_time"
            )

    def changed(self, ticket: Ticket, audit: Audit, comment: Comment | None, before: str) -> None:
        """Follow a comment, a status change and a change of priority."""
        at = audit.at
        if comment is not None and comment.public:
            self._commented(ticket, audit, comment, before)
        if ticket.status != before:
            self._status_changed(ticket, before, at)
        if any("priority" in event.data for event in audit.events):
            self.promise(ticket, audit, at)

    def check(self, ticket: Ticket, at: int, payload: tuple[str, int, int]) -> None:
        """The moment at which a target would be missed has come."""
        metric, instance, minutes = payload
        target = ticket.targets[metric]
        if target.instance != instance or target.minutes != minutes or target.breached or target.since is None:
            return
        if self._elapsed(ticket, target, at) >= minutes * MINUTE:
            target.breached = True
            self._event(ticket, metric, instance, "breach", at, {"deleted": False})

    def _commented(self, ticket: Ticket, audit: Audit, comment: Comment, before: str) -> None:
        reply = ticket.targets["reply_time"]
        if comment.by_agent and reply.since is not None and len(ticket.comments) > 1:
            self._fulfill(ticket, "reply_time", audit.at)
        elif not comment.by_agent and reply.since is None and len(ticket.comments) > 1:
            ticket.targets["reply_time"] = Target(reply.instance + 1, since=audit.at)
            self._event(ticket, "reply_time", reply.instance + 1, "activate", audit.at)
            if ticket.priority is not None:
                self._apply(ticket, audit, audit.at, "next_reply_time", "reply_time")

    def _status_changed(self, ticket: Ticket, before: str, at: int) -> None:
        for metric, statuses in RUNS_WHILE.items():
            target = ticket.targets[metric]
            ran, runs = before in statuses, ticket.status in statuses
            if ran and not runs:
                target.before, target.since = self._elapsed(ticket, target, at), None
                self._event(ticket, metric, target.instance, "fulfill" if ticket.status in _OVER else "pause", at)
                self._measured(ticket, metric, target, at)
            elif runs and not ran:
                target.since = at
                if before in _OVER:
                    target.instance += 1
                self._event(ticket, metric, target.instance, "activate", at)
                self._watch(ticket, metric, target, at)
        if ticket.status in _OVER and ticket.targets["reply_time"].since is not None:
            self._fulfill(ticket, "reply_time", at)

    def _fulfill(self, ticket: Ticket, metric: str, at: int) -> None:
        target = ticket.targets[metric]
        self._event(ticket, metric, target.instance, "fulfill", at)
        self._measured(ticket, metric, target, at)
        target.before, target.since = self._elapsed(ticket, target, at), None

    def _apply(self, ticket: Ticket, audit: Audit, at: int, field: str, metric: str) -> None:
        world = self._world
        organization = world.people.organizations.get(ticket.organization) if ticket.organization else None
        policy = POLICY_BUSINESS if organization and organization.pro else POLICY_STANDARD
        title, metrics = POLICIES[policy]
        business, targets = metrics[field]
        minutes = targets[ticket.priority or "normal"]
        previous = ticket.promised.get(field) if field != "next_reply_time" else None
        if previous == (minutes, business):
            return
        ticket.promised[field] = (minutes, business)
        data: Row = {field: _promise(minutes, business), "previous_value": _promise(*previous) if previous else None}
        audit.events.append(Event(world.next_id(), "Change", data))
        target = ticket.targets[metric]
        # The first reply counts from creation whenever its target is set; the others from the moment applied.
        if target.since is not None and metric != "reply_time":
            target.since = at
        target.before, target.minutes, target.business, target.breached = 0, minutes, business, False
        sla: Row = {
            "target": minutes,
            "target_in_seconds": minutes * 60,
            "business_hours": business,
            "policy": {"id": policy, "title": title, "description": None},
        }
        self._event(ticket, metric, target.instance, "apply_sla", at, {"sla": sla})
        self._watch(ticket, metric, target, at)

    def _watch(self, ticket: Ticket, metric: str, target: Target, at: int) -> None:
        if target.minutes is None or target.since is None or target.breached:
            return
        left = target.minutes * MINUTE - self._elapsed(ticket, target, at)
        hours = self._world.hours[ticket.schedule]
        due = at + 1 if left <= 0 else hours.add(at, left) if target.business else at + left
        self._world.schedule_check(ticket, due, (metric, target.instance, target.minutes))

    def _elapsed(self, ticket: Ticket, target: Target, at: int) -> int:
        if target.since is None:
            return target.before
        hours = self._world.hours[ticket.schedule]
        return target.before + (hours.between(target.since, at) if target.business else at - target.since)

    def _measured(self, ticket: Ticket, metric: str, target: Target, at: int) -> None:
        start = ticket.created if target.since is None else target.since
        status: Row = {
            "calendar": (at - start) // MINUTE,
            "business": self._world.hours[ticket.schedule].between(start, at) // MINUTE,
        }
        self._event(ticket, metric, target.instance, "update_status", at, {"status": status})

    def _event(self, ticket: Ticket, metric: str, instance: int, kind: str, at: int, extra: Row | None = None) -> None:
        row: dict[str, Any] = {
            "id": self._world.next_id(),
            "ticket_id": ticket.id,
            "metric": metric,
            "instance_id": instance,
            "type": kind,
            "time": iso(at),
            **(extra or {}),
        }
        self._world.metric_events.append((at, row))


def _promise(minutes: int, business: bool) -> Row:
    return {"minutes": minutes, "in_business_hours": business}
