"""How tickets come in: who writes, about what, in which mood, and what is planned for them."""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from infra.local.desk import account
from infra.local.desk.account import FIELD_ORDER, FIELD_PRODUCT, FIELD_PURCHASED, FIELD_UNITS, Row
from infra.local.desk.calendar import DAY, HOUR, MINUTE
from infra.local.desk.lifecycle import Case, Plan, Step, Verb
from infra.local.desk.oddities import card_number, foreign_opening, odd_ending
from infra.local.desk.people import CITIES, User, new_customer
from infra.local.desk.prose import Desk, Mood, Voice, slots
from infra.local.desk.story import Surge
from infra.local.desk.ticket import Ticket
from infra.local.desk.topics.catalogue import BY_NAME, TOPICS
from infra.local.desk.topics.topic import Topic

if TYPE_CHECKING:
    from infra.local.desk.world import World

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

HISTORY, EVERYDAY, LIVE, FOLLOW_UP, PROBLEM = range(5)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ticket about to be written; `origin` and `number` seed all of its chances."""

    at: int
    origin: int
    number: int
    surge: Surge | None = None
    parent: int | None = None


class Arrivals:
    """Writes the tickets of a world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._recent: deque[int] = deque(maxlen=60)
        self._surplus = 0
        """Follow-ups of the history so far; each takes the place of an everyday ticket, so that the size is kept."""

    def open(self, arrival: Arrival) -> None:
        """Write the ticket, unless its place is taken, and plan its life."""
        rng = Random(f"{self._world.seed}:{arrival.origin}:{arrival.number}")
        if arrival.origin == PROBLEM and arrival.surge:
            self._open_problem(arrival, arrival.surge, rng)
            return
        parent = self._world.tickets.get(arrival.parent) if arrival.parent is not None else None
        if parent is not None and (parent.scrubbed or parent.status != "closed"):
            return
        if arrival.at <= self._world.epoch:
            if parent is not None:
                self._surplus += 1
            elif self._surplus and arrival.origin == HISTORY and arrival.surge is None:
                self._surplus -= 1
                return
        twin = self._twin(arrival, rng) if parent is None and arrival.surge is None else None
        earlier = parent or twin
        topic = BY_NAME[earlier.topic] if earlier else self._topic(arrival, rng)
        user = self._world.people.users[earlier.requester] if earlier else self._customer(arrival.at, rng)
        if user.deleted or user.suspended:
            user = self._newcomer(arrival.at, rng)
        self._write(arrival, rng, topic, user, parent, twin)

    def _topic(self, arrival: Arrival, rng: Random) -> Topic:
        if arrival.surge:
            return BY_NAME[rng.choice(arrival.surge.topics)]
        progress = (arrival.at - self._world.story.opened) / (self._world.story.now - self._world.story.opened)
        known = [topic for topic in TOPICS if topic.since <= progress]
        return rng.choices(known, [topic.weight for topic in known])[0]

    def _customer(self, at: int, rng: Random) -> User:
        customers = self._world.people.customers
        if not customers or rng.random() < 0.55:
            return self._newcomer(at, rng)
        # Recent customers write again more often than those of long ago.
        back = int(len(customers) * rng.random() ** 1.7)
        return self._world.people.users[customers[-1 - min(back, len(customers) - 1)]]

    def _newcomer(self, at: int, rng: Random) -> User:
        user = new_customer(rng, self._world.people, at)
        self._world.changed("users", user.id)
        return user

    def _twin(self, arrival: Arrival, rng: Random) -> Ticket | None:
        if rng.random() > 0.035:
            return None
        known = [
            self._world.tickets[id] for id in self._recent if arrival.at - self._world.tickets[id].created < 3 * DAY
        ]
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
        organization = self._world.people.organizations.get(user.organization) if user.organization else None
        pro = organization is not None and organization.pro
        hours_id = organization.schedule if organization else CITIES[user.city][2]
        priority = self._priority(mood, pro, topic, rng)
        facts = slots(rng, at, *self._world.story.versions(at), user.first_name)
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
            id=len(self._world.tickets) + 1,
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
            ticket.followers = [rng.choice(self._world.people.customers)] if self._world.people.customers else []
        public = channel != "voice" or rng.random() < 0.4
        via = CHANNELS[channel][0] if parent is None else "Closed Ticket"
        self._world.changes.create(ticket, author, body, public, via)
        if parent:
            parent.followups.append(ticket.id)
            self._world.changes.moved(parent, at)
        hours = self._world.hours[hours_id]
        answers_by = CHANNELS[channel][0] if channel != "voice" else "Mail"
        live = arrival.origin == LIVE
        case = Case(
            at,
            ticket.id,
            user.id,
            user.name,
            topic,
            mood,
            channel,
            priority,
            arrival.surge,
            hours,
            live,
            answers_by,
            extra,
        )
        plan = Plan(case, self._world.people, self._world.story, rng, voice, Desk(rng, mood, channel, facts))
        if twin:
            plan.now = at + rng.randrange(10 * MINUTE, 4 * HOUR) // (10 if case.live else 1)
            merging = self._answering_agent(group, plan.now, rng)
            steps = [Step(plan.now, Verb.MERGE, merging, detail=(twin.id, plan))]
        else:
            steps = plan.draw(group)
        self._world.schedule(ticket, steps)
        self._recent.append(ticket.id)

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
        return rng.choice(self._world.people.members(group, at)).agent

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
        engineer = rng.choice(self._world.people.members(account.ENGINEERING, arrival.at))
        topic = BY_NAME[surge.topics[0]]
        ticket = Ticket(
            id=len(self._world.tickets) + 1,
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
        self._world.changes.create(ticket, engineer.agent, surge.description, False, "Web form")
        self._world.problems[surge.name] = ticket.id
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
        self._world.schedule(ticket, steps)
