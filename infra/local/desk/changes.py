"""How tickets change: each step becomes an audit with its events, and the ticket follows."""

from typing import TYPE_CHECKING, Any

from infra.local.desk import account
from infra.local.desk.account import Row
from infra.local.desk.arrivals import FOLLOW_UP, Arrival
from infra.local.desk.lifecycle import Step, Verb
from infra.local.desk.people import User
from infra.local.desk.ticket import Audit, Comment, Event, Rating, Ticket

if TYPE_CHECKING:
    from infra.local.desk.world import World


class Changes:
    """Keeps the record of a world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def create(self, ticket: Ticket, author: int, body: str, public: bool, via: str) -> None:
        """Put a new ticket on record with its opening comment."""
        at = ticket.created
        self._world.tickets[ticket.id] = ticket
        ticket.custom_status = account.STATUS_IDS[ticket.status]
        ticket.statuses.append((at, ticket.status))
        ticket.groups.append((at, ticket.group))
        ticket.assignees.append((at, ticket.assignee))
        audit = Audit(self._world.next_id(), ticket.id, at, author, via, [])
        comment = self._comment(ticket, audit, author, body, public, ticket.via, "opening")
        audit.comment = comment
        audit.events.append(Event(comment.id, "Comment", {}))
        values: Row = {
            "subject": ticket.subject,
            "requester_id": ticket.requester,
            "organization_id": ticket.organization,
            "brand_id": ticket.brand,
            "ticket_form_id": ticket.form,
            "status": ticket.status,
            "custom_status_id": ticket.custom_status,
            "priority": ticket.priority,
            "type": ticket.type,
            "group_id": ticket.group,
            "assignee_id": ticket.assignee,
        }
        ticket.tags = sorted({*ticket.tags, *_tagged(ticket.custom)})
        for name, value in values.items():
            if value is not None:
                audit.events.append(Event(self._world.next_id(), "Create", {name: value}))
        audit.events.append(Event(self._world.next_id(), "Create", {"tags": list(ticket.tags)}))
        for id, value in ticket.custom.items():
            audit.events.append(Event(self._world.next_id(), "Create", {"custom_ticket_fields": {str(id): value}}))
        assigned: Row = {"previous_schedule_id": None, "new_schedule_id": ticket.schedule}
        audit.events.append(Event(self._world.next_id(), "ScheduleAssignment", assigned))
        self._world.promises.opened(ticket, at)
        self._world.promises.promise(ticket, audit, at)
        self._file(ticket, audit)

    def _comment(
        self, ticket: Ticket, audit: Audit, author: int, body: str, public: bool, via: Row, kind: str
    ) -> Comment:
        comment = Comment(
            self._world.next_id(),
            author,
            audit.at,
            body,
            public,
            audit.id,
            via,
            author in self._world.people.agents,
            ticket.topic,
            kind,
        )
        ticket.comments.append(comment)
        return comment

    def _file(self, ticket: Ticket, audit: Audit) -> None:
        ticket.audits.append(audit)
        self._world.audits.append(audit)
        ticket.updated = audit.at
        self.moved(ticket, audit.at)

    def moved(self, ticket: Ticket, at: int) -> None:
        """A change shows up in the export a moment after it was made."""
        ticket.generated = max(ticket.generated, at + (ticket.id + len(ticket.audits)) % 3)
        ticket.encoded.clear()
        self._world.changed("tickets", ticket.id)

    def apply(self, ticket: Ticket, step: Step) -> None:
        """Do a step, where the ticket still allows it."""
        if ticket.scrubbed:
            return
        if step.verb is Verb.TOUCH:
            self.moved(ticket, step.at)
        elif step.verb is Verb.CHANGE_REQUESTER:
            self._change_user(self._world.people.users[ticket.requester], step.at, step.detail)
        elif step.verb is Verb.REDACT:
            self._redact(ticket, step)
        elif ticket.status == "deleted":
            if step.verb is Verb.RESTORE:
                before = next(status for _, status in reversed(ticket.statuses) if status != "deleted")
                self._set_status(ticket, step, before)
            elif step.verb is Verb.SCRUB:
                self._scrub(ticket, step.at)
        else:
            self._act(ticket, step)

    def _act(self, ticket: Ticket, step: Step) -> None:
        closed = ticket.status == "closed"
        match step.verb:
            case Verb.UPDATE if not closed:
                self._update(ticket, step)
            case Verb.CLOSE if ticket.status == "solved":
                self._update(ticket, Step(step.at, Verb.UPDATE, -1, {"status": "closed"}, via="Rule"))
            case Verb.FOLLOW_UP if closed and ticket.merged_into is None:
                self._world.arrive(Arrival(step.at, FOLLOW_UP, ticket.id, parent=ticket.id))
            case Verb.MERGE if not closed:
                self._merge(ticket, step)
            case Verb.HIDE:
                self._hide(ticket, step)
            case Verb.DELETE:
                self._set_status(ticket, step, "deleted")
                if step.detail:
                    self._change_user(self._world.people.users[ticket.requester], step.at, "suspend")
            case Verb.OFFER if ticket.status in ("solved", "closed") and ticket.rating is None:
                self._rate(ticket, step, "offered", None, None)
            case Verb.RATE if ticket.rating is not None:
                self._rate(ticket, step, *step.detail)
            case _:
                pass

    def _set_status(self, ticket: Ticket, step: Step, status: str) -> None:
        self._update(ticket, Step(step.at, Verb.UPDATE, step.actor, {"status": status}, via=step.via))

    def _update(self, ticket: Ticket, step: Step) -> None:
        audit = Audit(self._world.next_id(), ticket.id, step.at, step.actor, step.via, [])
        comment = None
        if step.body is not None:
            source: Row = {"from": {}, "to": {}, "rel": None}
            by_customer = step.actor == ticket.requester and ticket.channel != "voice"
            via: Row = ticket.via if by_customer and ticket.follows is None else {"channel": "web", "source": source}
            comment = self._comment(ticket, audit, step.actor, step.body, step.public, via, step.kind)
            audit.comment = comment
            audit.events.append(Event(comment.id, "Comment", {}))
        fields = dict(step.fields)
        if step.link is not None and step.link in self._world.problems:
            fields |= {"type": "incident", "problem_id": self._world.problems[step.link]}
        if "status" in fields and "custom_status_id" not in fields:
            fields["custom_status_id"] = account.STATUS_IDS[fields["status"]]
        before = ticket.status
        for name, value in fields.items():
            attribute = _ATTRIBUTES[name]
            previous = getattr(ticket, attribute)
            if previous != value:
                setattr(ticket, attribute, value)
                audit.events.append(Event(self._world.next_id(), "Change", {name: value, "previous_value": previous}))
                if name in ("status", "group_id", "assignee_id"):
                    getattr(ticket, _TRAILS[name]).append((step.at, value))
        for id, value in step.custom.items():
            previous = ticket.custom.get(id)
            if previous != value:
                ticket.custom[id] = value
                data: Row = {"custom_ticket_fields": {str(id): value}, "previous_value": previous}
                audit.events.append(Event(self._world.next_id(), "Change", data))
        self._retag(ticket, audit, step)
        self._world.promises.changed(ticket, audit, comment, before)
        if audit.events:
            self._file(ticket, audit)

    def _retag(self, ticket: Ticket, audit: Audit, step: Step) -> None:
        old = ticket.tags
        new = sorted(({*old, *step.tag} - {*step.untag}) | _tagged(ticket.custom))
        if new != old:
            ticket.tags = new
            data: Row = {
                "tags": list(new),
                "previous_value": list(old),
                "added_tags": [tag for tag in new if tag not in old],
                "removed_tags": [tag for tag in old if tag not in new],
            }
            audit.events.append(Event(self._world.next_id(), "Change", data))

    def _merge(self, ticket: Ticket, step: Step) -> None:
        target_id, plan = step.detail
        target = self._world.tickets[target_id]
        if target.status in ("closed", "deleted") or target.merged_into is not None:
            plan.now = step.at
            self._world.schedule(ticket, plan.draw(ticket.group or account.TIER_1))
            return
        agent = step.actor
        into = f'This request was closed and merged into request #{target.id} "{target.subject}".'
        last = ticket.comments[-1].body
        taken = (
            f'Request #{ticket.id} "{ticket.subject}" was closed and merged into this request. '
            f"Last comment in request #{ticket.id}:\n\n{last}"
        )
        fields: Row = {"status": "closed", "assignee_id": ticket.assignee or target.assignee or agent}
        merged = Step(
            step.at, Verb.UPDATE, agent, fields, tag=("closed_by_merge",), body=into, public=False, kind="system",
            via="Ticket merging",
        )  # fmt: skip
        self._update(ticket, merged)
        ticket.merged_into = target.id
        link: Row = {"ticket_id": ticket.id, "subject": ticket.subject}
        note = Step(step.at, Verb.UPDATE, agent, body=taken, public=False, kind="system", via="Ticket merging")
        self._update(target, note)
        target.comments[-1].via = {"channel": "web", "source": {"from": link, "to": {}, "rel": "merge"}}

    def _redact(self, ticket: Ticket, step: Step) -> None:
        comment = ticket.comments[0]
        if step.detail not in comment.body:
            return
        comment.body = comment.body.replace(step.detail, "▇" * len(step.detail))
        ticket.description = ticket.description.replace(step.detail, "▇" * len(step.detail))
        self._about_comment(ticket, step, comment, "CommentRedactEvent", {})

    def _hide(self, ticket: Ticket, step: Step) -> None:
        shown = [c for c in ticket.comments[1:] if c.public and c.by_agent]
        if shown:
            shown[-1].public = False
            self._about_comment(ticket, step, shown[-1], "CommentPrivacyChange", {"public": False})

    def _about_comment(self, ticket: Ticket, step: Step, comment: Comment, kind: str, data: Row) -> None:
        """An event naming an older comment, whose text or privacy is different in every later read."""
        for older in ticket.audits:
            if older.id == comment.audit:
                older.encoded.clear()
        audit = Audit(self._world.next_id(), ticket.id, step.at, step.actor, "Web form", [])
        audit.events.append(Event(self._world.next_id(), kind, {"comment_id": comment.id, **data}))
        self._file(ticket, audit)

    def _scrub(self, ticket: Ticket, at: int) -> None:
        ticket.scrubbed = True
        ticket.subject, ticket.description = "SCRUBBED", "X"
        ticket.tags, ticket.custom = [], {}
        for comment in ticket.comments:
            comment.body = "X"
        self.moved(ticket, at)

    def _rate(self, ticket: Ticket, step: Step, score: str, comment: str | None, reason: str | None) -> None:
        rating = ticket.rating
        before = rating.score if rating else "unoffered"
        if before == score:
            return
        if rating is None:
            rating = Rating(
                self._world.next_id(),
                ticket.id,
                step.at,
                step.at,
                score,
                None,
                None,
                ticket.assignee,
                ticket.group,
                ticket.requester,
            )
            ticket.rating = rating
            self._world.ratings.append(rating)
        said = rating.comment
        rating.score, rating.comment, rating.reason, rating.updated = score, comment, reason, step.at
        rating.history.append((step.at, score))
        via = "Rule" if score == "offered" else "Web form"
        audit = Audit(self._world.next_id(), ticket.id, step.at, step.actor, via, [])
        audit.events.append(
            Event(self._world.next_id(), "Change", {"satisfaction_score": score, "previous_value": before})
        )
        if comment != said:
            data: Row = {"satisfaction_comment": comment, "previous_value": said}
            audit.events.append(Event(self._world.next_id(), "Change", data))
        self._file(ticket, audit)

    def _change_user(self, user: User, at: int, change: str) -> None:
        if user.deleted or user.role != "end-user":
            return
        if change == "suspend":
            user.suspended = True
        elif change == "erase":
            user.deleted, user.active, user.email, user.name = True, False, None, "Permanently deleted user"
        else:
            user.name = f"{user.name.split()[0]} {user.name.split()[-1][:1]}."
            user.last_login = at
        user.updated = at
        self._world.changed("users", user.id)

    def turn(self, id: int, at: int) -> None:
        """An organization signs the Pro contract, or an agent leaves and looks like a customer from then on."""
        organization = self._world.people.organizations.get(id)
        if organization:
            organization.pro, organization.updated = True, at
            self._world.changed("organizations", id)
            return
        user = self._world.people.users[id]
        user.role, user.group, user.updated = "end-user", None, at
        if user.id % 2:
            user.active, user.suspended = False, True
        self._world.changed("users", user.id)


_ATTRIBUTES = {
    "status": "status",
    "custom_status_id": "custom_status",
    "priority": "priority",
    "type": "type",
    "group_id": "group",
    "assignee_id": "assignee",
    "problem_id": "problem",
}
_TRAILS = {"status": "statuses", "group_id": "groups", "assignee_id": "assignees"}


def _tagged(custom: dict[int, Any]) -> set[str]:
    """Values of drop-down and multi-select fields appear among the tags, as Zendesk keeps them."""
    tags: set[str] = set()
    for id, value in custom.items():
        if account.CUSTOM_FIELDS[id][0] == "tagger":
            tags.add(value)
        elif account.CUSTOM_FIELDS[id][0] == "multiselect":
            tags.update(value)
    return tags
