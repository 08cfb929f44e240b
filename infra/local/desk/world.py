"""The whole help desk: a seeded simulation whose history is the same for the same seed, size and starting moment."""

import gc
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush
from random import Random
from typing import Any

from infra.local.desk import account
from infra.local.desk.account import Row
from infra.local.desk.arrivals import EVERYDAY, HISTORY, LIVE, PROBLEM, Arrival, Arrivals
from infra.local.desk.calendar import DAY, HOUR, MINUTE, OpeningHours, iso, seconds
from infra.local.desk.changes import Changes
from infra.local.desk.lifecycle import Step
from infra.local.desk.people import People, companies, staff
from infra.local.desk.promises import Promises
from infra.local.desk.story import Story, poisson, second_of_day
from infra.local.desk.ticket import Audit, Rating, Ticket

_ARRIVAL, _STEP, _CHECK, _TURN, _DAY, _MINUTE = range(6)


class World:
    """People, tickets and their history up to `now`, and the machinery that lets time go on."""

    def __init__(self, tickets: int, seed: int, epoch: int) -> None:
        self.size = tickets
        self.seed = seed
        self.epoch = epoch
        self.now = epoch
        self.story = Story(epoch)
        self.opened = self.story.opened - 30 * DAY
        year = datetime.fromtimestamp(epoch, UTC).year
        self.hours: dict[int, OpeningHours] = account.opening_hours(year)
        self.static = account.static_rows(self.opened, range(year - 2, year + 2))
        rng = Random(f"{seed}:people")
        self.people: People = staff(rng, self.opened, epoch)
        if tickets:
            companies(rng, self.people, max(8, min(400, tickets // 30)), self.opened, epoch)
        self.tickets: dict[int, Ticket] = {}
        self.audits: list[Audit] = []
        self.metric_events: list[tuple[int, Row]] = []
        self.ratings: list[Rating] = []
        self.problems: dict[str, int] = {}
        self.promises = Promises(self)
        self.changes = Changes(self)
        self._arrivals = Arrivals(self)
        self.changed: Callable[[str, int], None] = lambda stream, id: None
        """Told of each row that changes; the exports keep their order with it."""

        self._queue: list[tuple[int, int, int, int, Any]] = []
        self._ids = 1_900_000_000_000
        self._live_minutes: set[int] = set()

    @classmethod
    def build(cls, tickets: int = 2000, seed: int = 7, now: datetime | None = None) -> "World":
        """The world up to `now`, rounded down to the minute."""
        moment = seconds(now or datetime.now(UTC)) // MINUTE * MINUTE
        world = cls(tickets, seed, moment)
        # Nothing of a world is ever garbage: collecting while it grows takes half of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            world._write_history()
            world._run(moment)
        finally:
            if collecting:
                gc.enable()
        return world

    def advance(self, until: int) -> None:
        """Let the world live on to a moment; going there in many steps gives the same world as in one."""
        if until > self.now:
            self._run(until)
            self.now = until

    def live(self, minute: int, per_hour: float) -> None:
        """Let additional customers write within one minute to come, who are answered quickly.

        `minute` counts from 1970; only whole ones, so that a rerun of the same minutes gives the same world.
        """
        if minute * MINUTE < self.now:
            raise ValueError(f"cannot change the past: minute {minute} began before {iso(self.now)}")
        if minute not in self._live_minutes:
            self._live_minutes.add(minute)
            heappush(self._queue, (minute * MINUTE, _MINUTE, minute, 0, per_hour))

    def _write_history(self) -> None:
        rng = Random(f"{self.seed}:history")
        if self.size:
            counts = [round(self.size * surge.share) for surge in self.story.surges]
            problems = [surge for surge in self.story.surges if surge.fixed and self.size >= 100]
            base = max(0, self.size - sum(counts) - len(problems))
            moments: list[tuple[int, int]] = [(at, -1) for at in self.story.base_times(rng, base)]
            for i, surge in enumerate(self.story.surges):
                moments += [(at, i) for at in self.story.surge_times(rng, surge, counts[i])]
            moments.sort()
            for number, (at, i) in enumerate(moments):
                self.arrive(Arrival(at, HISTORY, number, None if i < 0 else self.story.surges[i]))
            for i, surge in enumerate(problems):
                self.arrive(Arrival(surge.start + 5 * HOUR + i * 60, PROBLEM, i, surge))
            heappush(self._queue, ((self.epoch // DAY) * DAY + DAY, _DAY, self.epoch // DAY + 1, 0, None))
            self._rest_of_today()
        for tenure in self.people.tenures:
            if tenure.until is not None:
                heappush(self._queue, (tenure.until, _TURN, tenure.agent, 0, None))
        for organization in self.people.organizations.values():
            if not organization.pro and rng.random() < 0.15:
                at = organization.created + rng.randrange(30 * DAY, 500 * DAY)
                heappush(self._queue, (at, _TURN, organization.id, 0, None))

    def _rest_of_today(self) -> None:
        day = self.epoch // DAY
        self._everyday(day, after=self.epoch)

    def _everyday(self, day: int, after: int) -> None:
        """The tickets of a day after the history, as many as its last days brought."""
        rng = Random(f"{self.seed}:day:{day}")
        count = poisson(rng, self.story.daily_rate(self.size) * self.story.demand(day * DAY))
        for i in range(count):
            at = day * DAY + second_of_day(rng)
            if at > after:
                self.arrive(Arrival(at, EVERYDAY, day * 100_000 + i))

    def arrive(self, arrival: Arrival) -> None:
        """Have a ticket written when its moment comes."""
        heappush(self._queue, (arrival.at, _ARRIVAL, arrival.origin, arrival.number, arrival))

    def _run(self, until: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= until:
            at, what, a, _, payload = heappop(queue)
            if what == _STEP:
                self.changes.apply(self.tickets[a], payload)
            elif what == _ARRIVAL:
                self._arrivals.open(payload)
            elif what == _CHECK:
                self.promises.check(self.tickets[a], at, payload)
            elif what == _TURN:
                self.changes.turn(a, at)
            elif what == _DAY:
                self._everyday(a, after=at - 1)
                heappush(queue, (at + DAY, _DAY, a + 1, 0, None))
            else:
                rng = Random(f"{self.seed}:live:{a}")
                for i in range(poisson(rng, payload / 60)):
                    self.arrive(Arrival(at + rng.randrange(MINUTE), LIVE, a * 100 + i))

    def schedule_check(self, ticket: Ticket, at: int, payload: object) -> None:
        """Have the promises of a ticket looked at again later."""
        ticket.checks += 1
        heappush(self._queue, (at, _CHECK, ticket.id, ticket.checks, payload))

    def next_id(self) -> int:
        """A new id for an audit, event, comment or rating."""
        self._ids += 3
        return self._ids

    def schedule(self, ticket: Ticket, steps: list[Step]) -> None:
        """Have steps done to a ticket when their moments come."""
        for step in steps:
            ticket.steps += 1
            heappush(self._queue, (step.at, _STEP, ticket.id, ticket.steps, step))

    def act(self, id: int, step: Step) -> None:
        """Do something to a ticket that the plot does not hold; it is forgotten when the desk starts again."""
        self.changes.apply(self.tickets[id], step)
