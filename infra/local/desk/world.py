"""The whole help desk: a seeded simulation whose history is the same for the same seed, size and starting moment."""

import gc
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from random import Random
from typing import Any

from infra.local.desk import account
from infra.local.desk.account import FIELD_ORDER, FIELD_PRODUCT, FIELD_PURCHASED, FIELD_UNITS, Row
from infra.local.desk.calendar import DAY, HOUR, MINUTE, OpeningHours, iso, seconds
from infra.local.desk.lifecycle import Case, Plan, Step, Verb
from infra.local.desk.oddities import card_number, foreign_opening, odd_ending
from infra.local.desk.people import CITIES, People, User, companies, new_customer, staff
from infra.local.desk.promises import Promises
from infra.local.desk.prose import Desk, Mood, Voice, slots
from infra.local.desk.story import Story, Surge, poisson, second_of_day
from infra.local.desk.ticket import Audit, Comment, Event, Rating, Ticket
from infra.local.desk.topics.catalogue import BY_NAME, TOPICS
from infra.local.desk.topics.topic import Topic

CHANNELS = {
    "email": ("Mail", 44),
    "web": ("Web form", 25),
    "chat": ("Chat", 10),
    "mobile_sdk": ("Mobile SDK", 8),
    "voice": ("Phone call (inbound)", 7),
    "native_messaging": ("Messaging", 5),
    "api": ("Web service", 1),
}
_MOOD_WEIGHTS = {Mood.CALM: 36, Mood.POLITE: 24, Mood.TERSE: 10, Mood.ANNOYED: 22, Mood.FURIOUS: 8}

_ARRIVAL, _STEP, _CHECK, _TURN, _DAY, _MINUTE = range(6)
HISTORY, EVERYDAY, LIVE, FOLLOW_UP, PROBLEM = range(5)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ticket about to be written; `origin` and `number` seed all of its chances."""

    at: int
    origin: int
    number: int
    surge: Surge | None = None
    parent: int | None = None


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
        self.changed: Callable[[str, int], None] = lambda stream, id: None
        """Told of each row that changes; the exports keep their order with it."""

        self._queue: list[tuple[int, int, int, int, Any]] = []
        self._ids = 1_900_000_000_000
        self._recent: deque[int] = deque(maxlen=60)
        self._live_minutes: set[int] = set()
        self._surplus = 0
        """Follow-ups of the history so far; each takes the place of an everyday ticket, so that the size is kept."""

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

    # Time

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
                self._arrive(Arrival(at, HISTORY, number, None if i < 0 else self.story.surges[i]))
            for i, surge in enumerate(problems):
                self._arrive(Arrival(surge.start + 5 * HOUR + i * 60, PROBLEM, i, surge))
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
                self._arrive(Arrival(at, EVERYDAY, day * 100_000 + i))

    def _arrive(self, arrival: Arrival) -> None:
        heappush(self._queue, (arrival.at, _ARRIVAL, arrival.origin, arrival.number, arrival))

    def _run(self, until: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= until:
            at, what, a, _, payload = heappop(queue)
            if what == _STEP:
                self._apply(self.tickets[a], payload)
            elif what == _ARRIVAL:
                self._open(payload)
            elif what == _CHECK:
                self.promises.check(self.tickets[a], at, payload)
            elif what == _TURN:
                self._turn(a, at)
            elif what == _DAY:
                self._everyday(a, after=at - 1)
                heappush(queue, (at + DAY, _DAY, a + 1, 0, None))
            else:
                rng = Random(f"{self.seed}:live:{a}")
                for i in range(poisson(rng, payload / 60)):
                    self._arrive(Arrival(at + rng.randrange(MINUTE), LIVE, a * 100 + i))

    def schedule_check(self, ticket: Ticket, at: int, payload: object) -> None:
        """Have the promises of a ticket looked at again later."""
        ticket.checks += 1
        heappush(self._queue, (at, _CHECK, ticket.id, ticket.checks, payload))

    def next_id(self) -> int:
        """A new id for an audit, event, comment or rating."""
        self._ids += 3
        return self._ids

    # Arrivals

    def _open(self, arrival: Arrival) -> None:
        rng = Random(f"{self.seed}:{arrival.origin}:{arrival.number}")
        if arrival.origin == PROBLEM and arrival.surge:
            self._open_problem(arrival, arrival.surge, rng)
            return
        parent = self.tickets.get(arrival.parent) if arrival.parent is not None else None
        if parent is not None and (parent.scrubbed or parent.status != "closed"):
            return
        if arrival.at <= self.epoch:
            if parent is not None:
                self._surplus += 1
            elif self._surplus and arrival.origin == HISTORY and arrival.surge is None:
                self._surplus -= 1
                return
        twin = self._twin(arrival, rng) if parent is None and arrival.surge is None else None
        earlier = parent or twin
        topic = BY_NAME[earlier.topic] if earlier else self._topic(arrival, rng)
        user = self.people.users[earlier.requester] if earlier else self._customer(arrival.at, rng)
        if user.deleted or user.suspended:
            user = self._newcomer(arrival.at, rng)
        self._write(arrival, rng, topic, user, parent, twin)

    def _topic(self, arrival: Arrival, rng: Random) -> Topic:
        if arrival.surge:
            return BY_NAME[rng.choice(arrival.surge.topics)]
        progress = (arrival.at - self.story.opened) / (self.story.now - self.story.opened)
        known = [topic for topic in TOPICS if topic.since <= progress]
        return rng.choices(known, [topic.weight for topic in known])[0]

    def _customer(self, at: int, rng: Random) -> User:
        customers = self.people.customers
        if not customers or rng.random() < 0.55:
            return self._newcomer(at, rng)
        # Recent customers write again more often than those of long ago.
        back = int(len(customers) * rng.random() ** 1.7)
        return self.people.users[customers[-1 - min(back, len(customers) - 1)]]

    def _newcomer(self, at: int, rng: Random) -> User:
        user = new_customer(rng, self.people, at)
        self.changed("users", user.id)
        return user

    def _twin(self, arrival: Arrival, rng: Random) -> Ticket | None:
        if rng.random() > 0.035:
            return None
        known = [self.tickets[id] for id in self._recent if arrival.at - self.tickets[id].created < 3 * DAY]
        known = [t for t in known if t.status in ("new", "open", "pending", "hold") and t.channel != "voice"]
        return rng.choice(known) if known else None

    def _write(
        self, arrival: Arrival, rng: Random, topic: Topic, user: User, parent: Ticket | None, twin: Ticket | None
    ) -> None:
        at = arrival.at
        weights = dict(_MOOD_WEIGHTS)
        weights[Mood.ANNOYED] += int(60 * topic.anger)
        weights[Mood.FURIOUS] += int(45 * topic.anger) + (10 if arrival.surge else 0)
        mood = rng.choices(list(weights), list(weights.values()))[0]
        channel = rng.choices(list(CHANNELS), [weight for _, weight in CHANNELS.values()])[0]
        if parent or twin:
            channel = rng.choice(("email", "web"))
        organization = self.people.organizations.get(user.organization) if user.organization else None
        pro = organization is not None and organization.pro
        hours_id = organization.schedule if organization else CITIES[user.city][2]
        priority = self._priority(mood, pro, topic, rng)
        facts = slots(rng, at, *self.story.versions(at), user.first_name)
        voice = Voice(rng, mood, channel, user.typos, user.name, facts)
        group = account.BUSINESS if pro and rng.random() < 0.6 else topic.group
        subject = voice.subject(topic)
        extra = card_number(rng) if rng.random() < 0.008 else ""
        body = foreign_opening(rng, topic) or voice.opening(topic)
        body = odd_ending(rng, body) + (f"\n\nYou can charge my card {extra} for it." if extra else "")
        if parent:
            body = f'This is a follow-up to your previous request #{parent.id} "{parent.subject}"\n\n{body}'
        agent = self._answering_agent(group, at, rng) if channel == "voice" else None
        author = agent if agent is not None else user.id
        ticket = Ticket(
            id=len(self.tickets) + 1,
            created=at,
            updated=at,
            generated=at,
            subject=subject,
            description=body,
            requester=user.id,
            submitter=author,
            channel=channel,
            via=self._via(channel, user, parent),
            topic=topic.name,
            brand=account.BRAND_PRO
            if pro
            else account.BRAND_SHOP
            if topic.product == "online_shop"
            else account.BRAND_HOME,
            form=self._form(topic),
            schedule=hours_id,
            priority=priority,
            type=topic.kind,
            group=group,
            organization=user.organization,
            tags=sorted(
                {topic.product, *(("pro",) if pro else ()), *user.tags, *(("vip_handling",) if user.tags else ())}
            ),
            custom=self._fields(topic, facts, rng),
            follows=parent.id if parent else None,
            surge=arrival.surge.name if arrival.surge else None,
        )
        if rng.random() < 0.05:
            ticket.followers = [rng.choice(self.people.customers)] if self.people.customers else []
        public = channel != "voice" or rng.random() < 0.4
        via = CHANNELS[channel][0] if parent is None else "Closed Ticket"
        self._create(ticket, author, body, public, via, topic)
        if parent:
            parent.followups.append(ticket.id)
            self._moved(parent, at)
        case = Case(
            at, ticket.id, user.id, user.name, topic, mood, channel, priority, arrival.surge, self.hours[hours_id],
            arrival.origin == LIVE, CHANNELS[channel][0] if channel != "voice" else "Mail", extra,
        )  # fmt: skip
        plan = Plan(case, self.people, self.story, rng, voice, Desk(rng, mood, channel, facts))
        if twin:
            plan.now = at + rng.randrange(10 * MINUTE, 4 * HOUR) // (10 if case.live else 1)
            merging = self._answering_agent(group, plan.now, rng)
            steps = [Step(plan.now, Verb.MERGE, merging, detail=(twin.id, plan))]
        else:
            steps = plan.draw(group)
        self._schedule(ticket, steps)
        self._recent.append(ticket.id)

    def _schedule(self, ticket: Ticket, steps: list[Step]) -> None:
        for step in steps:
            ticket.steps += 1
            heappush(self._queue, (step.at, _STEP, ticket.id, ticket.steps, step))

    def _priority(self, mood: Mood, pro: bool, topic: Topic, rng: Random) -> str | None:
        if rng.random() < 0.12:
            return None
        weights = [18, 62, 16, 4]
        if topic.kind == "question":
            weights = [40, 54, 5, 1]
        if mood is Mood.FURIOUS:
            weights[2] += 14
        if pro:
            weights[2] += 18
            weights[3] += 6
        return rng.choices(("low", "normal", "high", "urgent"), weights)[0]

    def _form(self, topic: Topic) -> int:
        if topic.product == "online_shop":
            return account.FORM_ORDER
        return account.FORM_BILLING if topic.group == account.BILLING else account.FORM_HELP

    def _fields(self, topic: Topic, facts: dict[str, str], rng: Random) -> dict[int, Any]:
        fields: dict[int, Any] = {FIELD_PRODUCT: topic.product}
        if topic.product == "online_shop" or rng.random() < 0.2:
            fields[FIELD_ORDER] = facts["order"]
        if rng.random() < 0.15:
            fields[FIELD_UNITS] = rng.choice((1, 1, 1, 2, 3, 5, 12))
        if rng.random() < 0.2:
            fields[FIELD_PURCHASED] = facts["bought_on"]
        return fields

    def _answering_agent(self, group: int, at: int, rng: Random) -> int:
        return rng.choice(self.people.members(group, at)).agent

    def _via(self, channel: str, user: User, parent: Ticket | None) -> Row:
        source: Row = {"from": {}, "to": {}, "rel": None}
        if channel == "email":
            source["from"] = {"address": user.email, "name": user.name}
            source["to"] = {"name": account.COMPANY, "address": "support@fernhollow.example"}
        if channel == "voice":
            source["rel"] = "inbound"
        if parent:
            source["from"] = {"ticket_id": parent.id, "subject": parent.subject, "channel": parent.channel}
            source["rel"] = "follow_up"
        return {"channel": channel, "source": source}

    def _open_problem(self, arrival: Arrival, surge: Surge, rng: Random) -> None:
        engineer = rng.choice(self.people.members(account.ENGINEERING, arrival.at))
        topic = BY_NAME[surge.topics[0]]
        ticket = Ticket(
            id=len(self.tickets) + 1,
            created=arrival.at,
            updated=arrival.at,
            generated=arrival.at,
            subject=surge.subject,
            description=surge.description,
            requester=engineer.agent,
            submitter=engineer.agent,
            channel="web",
            via={"channel": "web", "source": {"from": {}, "to": {}, "rel": None}},
            topic=topic.name,
            brand=account.BRAND_HOME,
            form=account.FORM_HELP,
            schedule=account.SCHEDULE_EUROPE,
            priority="urgent",
            type="problem",
            group=account.ENGINEERING,
            assignee=engineer.agent,
            status="open",
            tags=sorted({topic.product, "known_problem"}),
            custom={FIELD_PRODUCT: topic.product},
            surge=surge.name,
        )
        self._create(ticket, engineer.agent, surge.description, False, "Web form", topic)
        self.problems[surge.name] = ticket.id
        fixed = surge.fixed or arrival.at + DAY
        hold: dict[str, Any] = {"status": "hold", "custom_status_id": account.WITH_ENGINEERING}
        note = "Cause found, a corrected release is in test. Please keep linking tickets to this one."
        middle = arrival.at + (fixed - arrival.at) // 3
        steps = [
            Step(middle, Verb.UPDATE, engineer.agent, hold, body=note, public=False, kind="note"),
            Step(
                fixed,
                Verb.UPDATE,
                engineer.agent,
                {"status": "solved"},
                body=surge.conclusion,
                public=False,
                kind="note",
            ),
            Step(fixed + 4 * DAY, Verb.CLOSE),
        ]
        self._schedule(ticket, steps)

    def _create(self, ticket: Ticket, author: int, body: str, public: bool, via: str, topic: Topic) -> None:
        at = ticket.created
        self.tickets[ticket.id] = ticket
        ticket.custom_status = account.STATUS_IDS[ticket.status]
        ticket.statuses.append((at, ticket.status))
        ticket.groups.append((at, ticket.group))
        ticket.assignees.append((at, ticket.assignee))
        audit = Audit(self.next_id(), ticket.id, at, author, via, [])
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
                audit.events.append(Event(self.next_id(), "Create", {name: value}))
        audit.events.append(Event(self.next_id(), "Create", {"tags": list(ticket.tags)}))
        for id, value in ticket.custom.items():
            audit.events.append(Event(self.next_id(), "Create", {"custom_ticket_fields": {str(id): value}}))
        assigned: Row = {"previous_schedule_id": None, "new_schedule_id": ticket.schedule}
        audit.events.append(Event(self.next_id(), "ScheduleAssignment", assigned))
        self.promises.opened(ticket, at)
        self.promises.promise(ticket, audit, at)
        self._file(ticket, audit)

    def _comment(
        self, ticket: Ticket, audit: Audit, author: int, body: str, public: bool, via: Row, kind: str
    ) -> Comment:
        comment = Comment(
            self.next_id(),
            author,
            audit.at,
            body,
            public,
            audit.id,
            via,
            author in self.people.agents,
            ticket.topic,
            kind,
        )
        ticket.comments.append(comment)
        return comment

    def _file(self, ticket: Ticket, audit: Audit) -> None:
        ticket.audits.append(audit)
        self.audits.append(audit)
        ticket.updated = audit.at
        self._moved(ticket, audit.at)

    def _moved(self, ticket: Ticket, at: int) -> None:
        """A change shows up in the export a moment after it was made."""
        ticket.generated = max(ticket.generated, at + (ticket.id + len(ticket.audits)) % 3)
        ticket.encoded.clear()
        self.changed("tickets", ticket.id)

    # Steps

    def act(self, id: int, step: Step) -> None:
        """Do something to a ticket that the plot does not hold; it is forgotten when the desk starts again."""
        self._apply(self.tickets[id], step)

    def _apply(self, ticket: Ticket, step: Step) -> None:
        if ticket.scrubbed:
            return
        if step.verb is Verb.TOUCH:
            self._moved(ticket, step.at)
        elif step.verb is Verb.CHANGE_REQUESTER:
            self._change_user(self.people.users[ticket.requester], step.at, step.detail)
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
                self._arrive(Arrival(step.at, FOLLOW_UP, ticket.id, parent=ticket.id))
            case Verb.MERGE if not closed:
                self._merge(ticket, step)
            case Verb.REDACT:
                self._redact(ticket, step)
            case Verb.HIDE:
                self._hide(ticket, step)
            case Verb.DELETE:
                self._set_status(ticket, step, "deleted")
                if step.detail:
                    self._change_user(self.people.users[ticket.requester], step.at, "suspend")
            case Verb.OFFER if ticket.status in ("solved", "closed") and ticket.rating is None:
                self._rate(ticket, step, "offered", None, None)
            case Verb.RATE if ticket.rating is not None:
                self._rate(ticket, step, *step.detail)
            case _:
                pass

    def _set_status(self, ticket: Ticket, step: Step, status: str) -> None:
        self._update(ticket, Step(step.at, Verb.UPDATE, step.actor, {"status": status}, via=step.via))

    def _update(self, ticket: Ticket, step: Step) -> None:
        audit = Audit(self.next_id(), ticket.id, step.at, step.actor, step.via, [])
        comment = None
        if step.body is not None:
            source: Row = {"from": {}, "to": {}, "rel": None}
            by_customer = step.actor == ticket.requester and ticket.channel != "voice"
            via: Row = ticket.via if by_customer and ticket.follows is None else {"channel": "web", "source": source}
            comment = self._comment(ticket, audit, step.actor, step.body, step.public, via, step.kind)
            audit.comment = comment
            audit.events.append(Event(comment.id, "Comment", {}))
        fields = dict(step.fields)
        if step.link is not None and step.link in self.problems:
            fields |= {"type": "incident", "problem_id": self.problems[step.link]}
        if "status" in fields and "custom_status_id" not in fields:
            fields["custom_status_id"] = account.STATUS_IDS[fields["status"]]
        before = ticket.status
        for name, value in fields.items():
            attribute = _ATTRIBUTES[name]
            previous = getattr(ticket, attribute)
            if previous != value:
                setattr(ticket, attribute, value)
                audit.events.append(Event(self.next_id(), "Change", {name: value, "previous_value": previous}))
                if name in ("status", "group_id", "assignee_id"):
                    getattr(ticket, _TRAILS[name]).append((step.at, value))
        for id, value in step.custom.items():
            previous = ticket.custom.get(id)
            if previous != value:
                ticket.custom[id] = value
                data: Row = {"custom_ticket_fields": {str(id): value}, "previous_value": previous}
                audit.events.append(Event(self.next_id(), "Change", data))
        self._retag(ticket, audit, step)
        self.promises.changed(ticket, audit, comment, before)
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
            audit.events.append(Event(self.next_id(), "Change", data))

    def _merge(self, ticket: Ticket, step: Step) -> None:
        target_id, plan = step.detail
        target = self.tickets[target_id]
        if target.status in ("closed", "deleted") or target.merged_into is not None:
            plan.now = step.at
            self._schedule(ticket, plan.draw(ticket.group or account.TIER_1))
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
        audit = Audit(self.next_id(), ticket.id, step.at, step.actor, "Web form", [])
        audit.events.append(Event(self.next_id(), kind, {"comment_id": comment.id, **data}))
        self._file(ticket, audit)

    def _scrub(self, ticket: Ticket, at: int) -> None:
        ticket.scrubbed = True
        ticket.subject, ticket.description = "SCRUBBED", "X"
        ticket.tags, ticket.custom = [], {}
        for comment in ticket.comments:
            comment.body = "X"
        self._moved(ticket, at)

    def _rate(self, ticket: Ticket, step: Step, score: str, comment: str | None, reason: str | None) -> None:
        rating = ticket.rating
        before = rating.score if rating else "unoffered"
        if before == score:
            return
        if rating is None:
            rating = Rating(
                self.next_id(),
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
            self.ratings.append(rating)
        rating.score, rating.comment, rating.reason, rating.updated = score, comment, reason, step.at
        rating.history.append((step.at, score))
        via = "Rule" if score == "offered" else "Web form"
        audit = Audit(self.next_id(), ticket.id, step.at, step.actor, via, [])
        audit.events.append(Event(self.next_id(), "Change", {"satisfaction_score": score, "previous_value": before}))
        if comment:
            data: Row = {"satisfaction_comment": comment, "previous_value": None}
            audit.events.append(Event(self.next_id(), "Change", data))
        self._file(ticket, audit)

    # People who change

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
        self.changed("users", user.id)

    def _turn(self, id: int, at: int) -> None:
        """An organization signs the Pro contract, or an agent leaves and looks like a customer from then on."""
        organization = self.people.organizations.get(id)
        if organization:
            organization.pro, organization.updated = True, at
            self.changed("organizations", id)
            return
        user = self.people.users[id]
        user.role, user.group, user.updated = "end-user", None, at
        if user.id % 2:
            user.active, user.suspended = False, True
        self.changed("users", user.id)


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
