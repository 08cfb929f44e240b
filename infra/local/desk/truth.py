"""Right answers, counted on the world's own objects and on nothing that was exported."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from infra.local.desk import account
from infra.local.desk.calendar import DAY, MINUTE
from infra.local.desk.people import People
from infra.local.desk.ticket import Comment, Ticket
from infra.local.desk.world import World

OPEN = ("new", "open", "pending", "hold")
DONE = ("solved", "closed")


@dataclass(frozen=True, slots=True)
class Spread:
    """A length over several tickets, in minutes."""

    count: int
    average: float | None
    median: float | None

    @classmethod
    def of(cls, lengths: list[int]) -> "Spread":
        """From seconds."""
        minutes = [seconds / MINUTE for seconds in lengths]
        return cls(len(minutes), fmean(minutes) if minutes else None, median(minutes) if minutes else None)


@dataclass(frozen=True, slots=True)
class Satisfaction:
    """Latest scores of rated tickets; `share` is good / (good + bad)."""

    good: int
    bad: int
    offered: int
    """Ratings that were ever offered, rated or not."""

    share: float | None


@dataclass(frozen=True, slots=True)
class Promise:
    """How first reply targets went."""

    kept: int
    missed: int
    running: int


class Truth:
    """Questions to a world. Periods are seconds since 1970, from inclusive and to exclusive.

    Deleted tickets count nowhere. `where` narrows by dimension: status, priority, channel, group, organization, tag,
    brand, product, reason, type, topic, assignee, each by the name that people use.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def tickets(self, **where: str) -> list[Ticket]:
        """The tickets that are not deleted and fit."""
        return [t for t in self._world.tickets.values() if t.status != "deleted" and self._fits(t, where)]

    def created(self, start: int, end: int, **where: str) -> int:
        """Tickets created in a period."""
        return sum(1 for t in self.tickets(**where) if start <= t.created < end)

    def solved(self, start: int, end: int, **where: str) -> int:
        """Tickets now solved or closed whose last solve lies in a period."""
        return len(self._solved(start, end, where))

    def open_now(self, **where: str) -> int:
        """Tickets that are new, open, pending or on hold."""
        return sum(1 for t in self.tickets(**where) if t.status in OPEN)

    def backlog(self, moment: int) -> int:
        """Tickets that were open at a moment, deleted ones of that moment left out."""
        count = 0
        for ticket in self._world.tickets.values():
            status = None
            for at, value in ticket.statuses:
                if at <= moment:
                    status = value
            count += status in OPEN
        return count

    def by(self, dimension: str, start: int, end: int, **where: str) -> dict[str, int]:
        """Tickets created in a period by the values of a dimension; a ticket counts once for each of its tags."""
        counts: Counter[str] = Counter()
        for ticket in self.tickets(**where):
            if start <= ticket.created < end:
                counts.update(value for value in self._values(ticket, dimension))
        return dict(counts.most_common())

    def per_day(self, start: int, end: int, **where: str) -> dict[int, int]:
        """Tickets created by UTC day, given as its first second; days without any are there with 0."""
        counts = dict.fromkeys(range(start // DAY * DAY, end, DAY), 0)
        for ticket in self.tickets(**where):
            if start <= ticket.created < end:
                counts[ticket.created // DAY * DAY] += 1
        return counts

    def first_reply(self, start: int, end: int, **where: str) -> Spread:
        """Creation to the first public agent comment after the opening one, of tickets created in a period."""
        found = [(t.created, t.first_reply_at()) for t in self.tickets(**where) if start <= t.created < end]
        return Spread.of([reply - created for created, reply in found if reply is not None])

    def full_resolution(self, start: int, end: int, **where: str) -> Spread:
        """Creation to last solve, of tickets solved in a period."""
        return Spread.of([t.solves()[-1] - t.created for t in self._solved(start, end, where)])

    def first_resolution(self, start: int, end: int, **where: str) -> Spread:
        """Creation to first solve, of tickets solved in a period."""
        return Spread.of([t.solves()[0] - t.created for t in self._solved(start, end, where)])

    def satisfaction(self, start: int, end: int, **where: str) -> Satisfaction:
        """Scores by the moment of the latest rating; offers by the moment of the offer."""
        good = bad = offered = 0
        for ticket in self.tickets(**where):
            rating = ticket.rating
            if rating is None:
                continue
            offered += start <= rating.at < end
            if start <= rating.updated < end:
                good += rating.score == "good"
                bad += rating.score == "bad"
        return Satisfaction(good, bad, offered, good / (good + bad) if good + bad else None)

    def reopened(self, start: int, end: int, **where: str) -> int:
        """Tickets solved in a period that had been solved more than once."""
        return sum(1 for t in self._solved(start, end, where) if len(t.solves()) > 1)

    def one_touch(self, start: int, end: int, **where: str) -> int:
        """Tickets solved in a period with exactly one public agent comment."""
        return sum(1 for t in self._solved(start, end, where) if self.touches(t) == 1)

    def touches(self, ticket: Ticket) -> int:
        """Public agent comments, the opening one counted."""
        return sum(1 for c in ticket.comments if c.public and c.by_agent)

    def first_reply_promise(self, start: int, end: int, **where: str) -> Promise:
        """First reply targets of tickets created in a period: from creation, with the last target set."""
        kept = missed = running = 0
        for ticket in self.tickets(**where):
            if not start <= ticket.created < end or "first_reply_time" not in ticket.promised:
                continue
            minutes, business = ticket.promised["first_reply_time"]
            over = [at for at in (ticket.first_reply_at(), *ticket.solves()[:1]) if at is not None]
            until = min(over) if over else self._world.now
            hours = self._world.hours[ticket.schedule]
            elapsed = hours.between(ticket.created, until) if business else until - ticket.created
            if elapsed > minutes * MINUTE:
                missed += 1
            elif over:
                kept += 1
            else:
                running += 1
        return Promise(kept, missed, running)

    def incidents(self, problem: int) -> list[int]:
        """Ids of the tickets linked to a problem ticket."""
        return [t.id for t in self.tickets() if t.problem == problem]

    def problems(self) -> dict[int, int]:
        """Problem tickets and how many incidents each has."""
        return {id: len(self.incidents(id)) for id in self._world.problems.values()}

    def merged(self) -> dict[int, int]:
        """Tickets that were merged away, and into which."""
        return {t.id: t.merged_into for t in self.tickets() if t.merged_into is not None}

    def follow_ups(self) -> dict[int, int]:
        """Follow-up tickets and the ones they follow."""
        return {t.id: t.follows for t in self.tickets() if t.follows is not None}

    def escalated(self, start: int, end: int) -> int:
        """Tickets created in a period that moved from one group to another."""
        return sum(1 for t in self.tickets() if start <= t.created < end and len(t.groups) > 1)

    def comments(self, topic: str | None = None) -> Iterator[tuple[Ticket, Comment]]:
        """Comments that can be read, by subject of their ticket."""
        for ticket in self.tickets(**({"topic": topic} if topic else {})):
            for comment in ticket.comments:
                yield ticket, comment

    def _solved(self, start: int, end: int, where: dict[str, str]) -> list[Ticket]:
        return [t for t in self.tickets(**where) if t.status in DONE and start <= t.solves()[-1] < end]

    def _fits(self, ticket: Ticket, where: dict[str, str]) -> bool:
        return all(value in self._values(ticket, dimension) for dimension, value in where.items())

    def _values(self, ticket: Ticket, dimension: str) -> list[str]:
        return DIMENSIONS[dimension](ticket, self._world.people)


def _option(field: int, options: dict[str, str]) -> Callable[[Ticket, People], list[str]]:
    def values(ticket: Ticket, people: People) -> list[str]:
        value: Any = ticket.custom.get(field)
        return [options[value]] if value else []

    return values


DIMENSIONS: dict[str, Callable[[Ticket, People], list[str]]] = {
    "status": lambda t, _: [t.status],
    "priority": lambda t, _: [t.priority] if t.priority else [],
    "channel": lambda t, _: [t.channel],
    "type": lambda t, _: [t.type] if t.type else [],
    "topic": lambda t, _: [t.topic],
    "tag": lambda t, _: t.tags,
    "group": lambda t, _: [account.GROUPS[t.group][0]] if t.group else [],
    "brand": lambda t, _: [account.BRANDS[t.brand][0]],
    "organization": lambda t, people: [people.organizations[t.organization].name] if t.organization else [],
    "assignee": lambda t, people: [people.users[t.assignee].name] if t.assignee else [],
    "product": _option(account.FIELD_PRODUCT, account.PRODUCTS),
    "reason": _option(account.FIELD_REASON, account.REASONS),
}
