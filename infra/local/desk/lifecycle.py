"""How a ticket goes from its first message to its end: a plan of steps, drawn once when it arrives."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import exp, log
from random import Random
from typing import Any

from infra.local.desk.account import (
    AWAITING_CARRIER,
    DELIVERIES,
    ENGINEERING,
    FEATURES,
    FIELD_FEATURES,
    FIELD_GOODWILL,
    FIELD_REASON,
    FIELD_REFUND,
    FIELD_SELECT,
    PRIORITIES,
    TIER_2,
    WITH_ENGINEERING,
)
from infra.local.desk.calendar import DAY, HOUR, MINUTE, OpeningHours
from infra.local.desk.people import People, Tenure
from infra.local.desk.prose import Desk, Mood, Voice
from infra.local.desk.story import Story, Surge
from infra.local.desk.topics.topic import Topic


class Verb(StrEnum):
    """What a step does."""

    UPDATE = "update"
    MERGE = "merge"
    REDACT = "redact"
    HIDE = "hide"
    DELETE = "delete"
    RESTORE = "restore"
    SCRUB = "scrub"
    TOUCH = "touch"
    OFFER = "offer"
    RATE = "rate"
    CLOSE = "close"
    FOLLOW_UP = "follow_up"
    CHANGE_REQUESTER = "change_requester"


@dataclass(slots=True)
class Step:
    """One thing that somebody does to a ticket at a moment."""

    at: int
    verb: Verb
    actor: int = -1
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    custom: dict[int, Any] = field(default_factory=dict[int, Any])
    tag: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()
    body: str | None = None
    public: bool = True
    kind: str = "reply"
    via: str = "Web form"
    link: str | None = None
    """The surge whose problem ticket this one is linked to."""

    detail: Any = None


@dataclass(slots=True)
class Case:
    """What is known when a ticket arrives."""

    at: int
    number: int
    """The ticket's id."""

    requester: int
    requester_name: str
    topic: Topic
    mood: Mood
    channel: str
    priority: str | None
    surge: Surge | None
    hours: OpeningHours
    live: bool
    customer_via: str
    extra: str
    """Words in the opening that must not stay there, such as a card number; mostly empty."""


class Plan:
    """Draws the steps of one ticket."""

    def __init__(self, case: Case, people: People, story: Story, rng: Random, voice: Voice, desk: Desk) -> None:
        self.case = case
        self.people = people
        self.story = story
        self.rng = rng
        self.voice = voice
        self.desk = desk
        self.steps: list[Step] = []
        self.now = case.at
        self.group = case.topic.group
        self.agent: Tenure | None = None
        self.annoyance = 0.0
        self.thread = rng.randrange(12)
        self.threads_left = len(case.topic.replies) - 1
        self.answered = True
        """Whether the customer has answered the current thread, or there is none yet."""

        self.fixed = False
        """Whether a closing answer was given before."""

    def draw(self, group: int) -> list[Step]:
        """The whole life, of which the future part happens later."""
        self.group = group
        rng = self.rng
        chance = rng.random()
        if chance < 0.014:
            self._deleted(spam=chance < 0.005)
        elif chance < 0.014 + self._negligence() and not self.case.live:
            self._forgotten()
        else:
            self._conversation()
        if rng.random() < 0.012:
            self.steps.append(Step(self.case.at + rng.randrange(DAY, 90 * DAY), Verb.TOUCH))
        if rng.random() < 0.015:
            change = "erase" if rng.random() < 0.25 else "rename"
            self.steps.append(
                Step(self.case.at + rng.randrange(20 * DAY, 200 * DAY), Verb.CHANGE_REQUESTER, detail=change)
            )
        return self.steps

    def _negligence(self) -> float:
        """The share of tickets that nobody takes up; it has grown in the last weeks."""
        return 0.1 if self.story.now - 21 * DAY < self.now else 0.03

    # Time passes in opening hours for agents and in waking hours for customers; a live desk hurries, so that somebody
    # who watches sees a conversation within minutes.

    def _after_open(self, median_minutes: float, spread: float = 0.9) -> int:
        wait = int(MINUTE * median_minutes * exp(self.rng.gauss(0, spread)))
        if self.case.live:
            return self.now + max(15, wait // 40)
        if self.rng.random() < 0.1:
            return self.now + max(90, wait)
        return self.case.hours.add(self.now, max(90, wait))

    def _after_customer(self, median_minutes: float) -> int:
        wait = int(MINUTE * median_minutes * exp(self.rng.gauss(0, 1.2)))
        if self.case.live:
            return self.now + max(20, wait // 60)
        moment = self.now + max(60, min(wait, 6 * DAY))
        return moment + 7 * HOUR if moment // HOUR % 24 < 5 else moment

    def _pick_agent(self, group: int) -> Tenure:
        members = self.people.members(group, self.now)
        return self.rng.choices(members, [1 / member.pace for member in members])[0]

    def _name(self, tenure: Tenure) -> str:
        return self.people.users[tenure.agent].first_name

    def _colleague(self) -> Tenure:
        """The assignee, or whoever took over where they have left the company."""
        if self.agent is None or (self.agent.until is not None and self.now >= self.agent.until):
            self.agent = self._pick_agent(self.group)
        return self.agent

    def _add(self, verb: Verb, **values: Any) -> Step:
        step = Step(self.now, verb, **values)
        self.steps.append(step)
        return step

    def _reply_wait(self, base: float) -> float:
        urgency = {"urgent": 0.22, "high": 0.5, "normal": 1.0, "low": 1.6}[self.case.priority or "normal"]
        return base * urgency * self.story.slowdown(self.now, self.group)

    def _conversation(self) -> None:
        rng, case, topic = self.rng, self.case, self.case.topic
        if rng.random() < 0.12:
            self.now = self._after_open(self._reply_wait(25))
            triage = self._pick_agent(self.group)
            fields: dict[str, Any] = {"priority": case.priority or "normal"}
            self._add(
                Verb.UPDATE, actor=triage.agent, fields=fields, body=self.desk.triage_note(), public=False, kind="note"
            )
        waits_for_fix = case.surge is not None and case.surge.fixed is not None and case.surge.fixed > self.now
        parked = case.surge is not None and case.surge.parks
        self._first_reply(quick=not waits_for_fix and not parked and rng.random() < 0.3)
        if self._solved:
            self._after_solve()
            return
        if parked or (not case.live and rng.random() < 0.025):
            self._wait_for_goods()
        escalated = rng.random() < topic.escalates + (0.25 if waits_for_fix else 0.0)
        rounds = 0
        while rng.random() < (0.62 if rounds == 0 else 0.4) and rounds < 6:
            rounds += 1
            if self._pending and rng.random() < 0.13:
                self._gone_quiet()
                return
            self._customer_turn(nudge=not self._pending)
            if escalated and rounds == 1:
                self._escalate(waits_for_fix)
            elif rng.random() < 0.12:
                self._hold()
            if rng.random() < 0.72:
                self._agent_turn()
        if waits_for_fix and case.surge is not None and case.surge.fixed is not None and self.now < case.surge.fixed:
            self._wait_for(case.surge.fixed)
        self._solve()
        self._after_solve()

    _pending = False
    _solved = False

    def _first_reply(self, quick: bool) -> None:
        rng, case, topic = self.rng, self.case, self.case.topic
        chatty = case.channel in ("chat", "native_messaging")
        self.agent = self._pick_agent(self.group)
        wait = self._reply_wait(6 if chatty else 95) * self.agent.pace
        asked = self.now
        self.now = self._after_open(wait)
        self.annoyance += min(1.0, (self.now - asked) / (2 * DAY)) * 0.5
        self._solved = quick
        self._pending = not quick and rng.random() < 0.72
        status = "solved" if quick else "pending" if self._pending else "open"
        fields: dict[str, Any] = {"assignee_id": self.agent.agent, "status": status}
        if case.priority is None:
            fields["priority"] = rng.choices(PRIORITIES, (15, 60, 20, 5))[0]
        name = self._name(self.agent)
        text = self.desk.quick(topic, name) if quick else self.desk.reply(topic, self.thread, name)
        self.answered = quick
        self.fixed = quick
        self._add(
            Verb.UPDATE,
            actor=self.agent.agent,
            fields=fields,
            custom={FIELD_REASON: topic.reason} | self._agent_fields(),
            tag=topic.tags,
            body=text,
            kind="fix" if quick else "reply",
            link=case.surge.name if case.surge else None,
        )
        if rng.random() < 0.007:
            self.now += rng.randrange(120, 1800)
            self._add(Verb.HIDE, actor=self.agent.agent)
        if case.extra:
            self.now += rng.randrange(60, 900)
            self._add(Verb.REDACT, actor=self.people.admin, detail=case.extra)

    def _agent_fields(self) -> dict[int, Any]:
        rng = self.rng
        values: dict[int, Any] = {}
        if self.case.topic.reason == "reason_return":
            values[FIELD_REFUND] = rng.choice(("49.90", "79.00", "129.00", "149.00", "12.5"))
        if rng.random() < 0.06:
            values[FIELD_GOODWILL] = True
        if rng.random() < 0.12:
            values[FIELD_FEATURES] = rng.sample(list(FEATURES), rng.randrange(1, 3))
        if rng.random() < 0.02:
            values[FIELD_SELECT] = rng.choice(("a", "b", "from", "group by"))
        return values

    def _customer_turn(self, nudge: bool) -> None:
        self.now = self._after_customer(2900 if nudge else 800)
        if nudge:
            self.annoyance += 0.25
        if nudge:
            text = self.voice.nudge()
        elif self.answered:
            text = self.voice.addition(self.case.topic)
        else:
            text = self.voice.answer(self.case.topic, self.thread)
            self.answered = True
        self._add(
            Verb.UPDATE,
            actor=self.case.requester,
            fields={"status": "open"},
            body=text,
            kind="nudge" if nudge else "answer",
            via=self.case.customer_via,
        )
        self._pending = False

    def _agent_turn(self) -> None:
        rng = self.rng
        if rng.random() < 0.18:
            self.now = self._after_open(self._reply_wait(40))
            agent = self._colleague()
            self._add(Verb.UPDATE, actor=agent.agent, body=self.desk.note(self.case.topic), public=False, kind="note")
        self.now = self._after_open(self._reply_wait(170))
        if rng.random() < 0.08:
            self.agent = self._pick_agent(self.group)
        agent = self._colleague()
        self._pending = rng.random() < 0.8
        if self.answered and self.threads_left and rng.random() < 0.6:
            self.thread += 1
            self.threads_left -= 1
            self.answered = False
            text = self.desk.reply(self.case.topic, self.thread, self._name(agent))
        else:
            text = self.desk.holding(self._name(agent))
        status = "pending" if self._pending else "open"
        fields: dict[str, Any] = {"status": status, "assignee_id": agent.agent}
        if rng.random() < 0.05:
            fields["priority"] = rng.choices(PRIORITIES, (20, 40, 35, 5))[0]
        self._add(Verb.UPDATE, actor=agent.agent, fields=fields, body=text)

    def _escalate(self, waits_for_fix: bool) -> None:
        rng, topic = self.rng, self.case.topic
        self.annoyance += 0.2
        self.now = self._after_open(self._reply_wait(60))
        first = self._colleague()
        raised: dict[str, Any] = {"group_id": TIER_2, "assignee_id": None}
        if rng.random() < 0.5:
            raised["priority"] = "high" if rng.random() < 0.7 else "urgent"
        self._add(
            Verb.UPDATE,
            actor=first.agent,
            fields=raised,
            tag=("escalated",),
            body=self.desk.escalation_note(),
            public=False,
            kind="note",
        )
        # A trigger answers within the same second: two audits that only their ids put in order.
        self._add(Verb.UPDATE, tag=("tier_2_queue",), via="Rule")
        self.group = TIER_2
        self.now = self._after_open(self._reply_wait(120))
        self.agent = self._pick_agent(TIER_2)
        self._add(Verb.UPDATE, actor=self.agent.agent, fields={"assignee_id": self.agent.agent})
        self.now += rng.randrange(120, 3 * HOUR)
        self._add(
            Verb.UPDATE,
            actor=self.agent.agent,
            fields={"status": "open"},
            body=self.desk.holding(self._name(self.agent)),
        )
        if rng.random() < topic.engineering and not waits_for_fix:
            self._engineering()

    def _engineering(self) -> None:
        rng = self.rng
        self.now = self._after_open(self._reply_wait(150))
        second = self._colleague()
        fields: dict[str, Any] = {
            "group_id": ENGINEERING,
            "assignee_id": None,
            "status": "hold",
            "custom_status_id": WITH_ENGINEERING,
        }
        self._add(
            Verb.UPDATE,
            actor=second.agent,
            fields=fields,
            tag=("engineering",),
            body=self.desk.engineering_note(),
            public=False,
            kind="note",
        )
        self.group = ENGINEERING
        self.now = self._after_open(600)
        self.agent = self._pick_agent(ENGINEERING)
        self._add(
            Verb.UPDATE,
            actor=self.agent.agent,
            fields={"assignee_id": self.agent.agent},
            body=self.desk.note(self.case.topic),
            public=False,
            kind="note",
        )
        self.now = self._after_open(2600)
        self._add(
            Verb.UPDATE, actor=self.agent.agent, fields={"status": "open", "group_id": TIER_2, "assignee_id": None}
        )
        self.group = TIER_2
        self.now = self._after_open(90)
        self.agent = self._pick_agent(TIER_2)
        self._add(Verb.UPDATE, actor=self.agent.agent, fields={"assignee_id": self.agent.agent})
        if rng.random() < 0.3:
            self.annoyance += 0.2

    def _hold(self) -> None:
        self.now = self._after_open(self._reply_wait(70))
        agent = self._colleague()
        fields: dict[str, Any] = {"status": "hold"}
        if self.group == DELIVERIES:
            fields["custom_status_id"] = AWAITING_CARRIER
        self._add(
            Verb.UPDATE,
            actor=agent.agent,
            fields=fields,
            body=self.desk.note(self.case.topic),
            public=False,
            kind="note",
        )
        self.now = self._after_open(*((1500, 0.7) if self.rng.random() < 0.75 else (8000, 0.3)))
        agent = self._colleague()
        self._add(Verb.UPDATE, actor=agent.agent, fields={"status": "open"})

    def _wait_for_goods(self) -> None:
        """Weeks on hold: a spare part or a device is out of stock."""
        rng = self.rng
        self.now = self._after_open(self._reply_wait(200))
        agent = self._colleague()
        self._add(
            Verb.UPDATE,
            actor=agent.agent,
            fields={"status": "hold"},
            tag=("out_of_stock",),
            body=self.desk.out_of_stock(self._name(agent)),
        )
        self.now = self.case.hours.add(self.now + rng.randrange(8 * DAY, 32 * DAY), rng.randrange(60, HOUR))
        self.annoyance += 0.15

    def _wait_for(self, moment: int) -> None:
        self.now = self._after_open(30)
        if self.now < moment:
            agent = self._colleague()
            fields: dict[str, Any] = {"status": "hold", "custom_status_id": WITH_ENGINEERING}
            self._add(Verb.UPDATE, actor=agent.agent, fields=fields, body=self.desk.holding(self._name(agent)))
            self.now = moment + self.rng.randrange(5 * MINUTE, 9 * HOUR)
            self.annoyance += 0.3

    def _solve(self) -> None:
        self.now = self._after_open(self._reply_wait(190))
        agent = self._colleague()
        name = self._name(agent)
        if self.fixed:
            text = self.desk.second_fix(name)
        elif self.answered:
            text = self.desk.fix(self.case.topic, self.thread, name)
        else:
            text = self.desk.quick(self.case.topic, name)
        self.fixed = True
        fields: dict[str, Any] = {"status": "solved", "assignee_id": agent.agent}
        self._add(Verb.UPDATE, actor=agent.agent, fields=fields, body=text, kind="fix")

    def _gone_quiet(self) -> None:
        """The customer never answers, and an automation solves the ticket a week later."""
        self.now += 7 * DAY if not self.case.live else 1800
        self._add(Verb.UPDATE, actor=self.people.system, fields={"status": "solved"}, tag=("no_answer",), via="Rule")
        self._after_solve()

    def _after_solve(self) -> None:
        rng, case = self.rng, self.case
        for _ in range(2):
            chance = rng.random()
            if chance < 0.08:
                self.now = self._after_customer(300)
                body, kind = self.voice.thanks(self._name(self._colleague())), "thanks"
                self._add(
                    Verb.UPDATE,
                    actor=case.requester,
                    fields={"status": "open"},
                    body=body,
                    kind=kind,
                    via=case.customer_via,
                )
                self.now = self._after_open(45)
                agent = self._colleague()
                self._add(Verb.UPDATE, actor=agent.agent, fields={"status": "solved"})
                break
            if chance < 0.14 + 0.04 * case.topic.anger:
                self.annoyance += 0.35
                self.now = self._after_customer(900)
                body = self.voice.complaint_after_solve(case.topic)
                self._add(
                    Verb.UPDATE,
                    actor=case.requester,
                    fields={"status": "open"},
                    body=body,
                    kind="reopen",
                    via=case.customer_via,
                )
                if rng.random() < 0.4:
                    self._agent_turn()
                    if self._pending and rng.random() < 0.7:
                        self._customer_turn(nudge=False)
                self._solve()
                continue
            break
        solved = self.now
        self._rating(solved)
        if case.surge is None or rng.random() < 0.7:
            self.steps.append(Step(solved + 4 * DAY + rng.randrange(HOUR), Verb.CLOSE))
            if rng.random() < 0.03:
                self.steps.append(Step(solved + 4 * DAY + rng.randrange(2 * HOUR, 25 * DAY), Verb.FOLLOW_UP))
        else:
            self.steps.append(Step(solved + 12 * DAY + rng.randrange(HOUR), Verb.CLOSE))

    def _rating(self, solved: int) -> None:
        rng, case = self.rng, self.case
        if case.channel == "voice" or rng.random() > 0.72:
            return
        offered = solved + (DAY if not case.live else 120)
        self.steps.append(Step(offered, Verb.OFFER))
        if rng.random() > 0.48:
            return
        wait = int(exp(rng.gauss(log(8 * HOUR), 1.4)))
        rated = offered + (min(wait, 24 * DAY) if not case.live else 30 + wait // 200)
        kindness = self.agent.kindness if self.agent else 0.8
        mood = {Mood.POLITE: 0.12, Mood.CALM: 0.05, Mood.TERSE: 0.0, Mood.ANNOYED: -0.14, Mood.FURIOUS: -0.3}[case.mood]
        good = rng.random() < 0.98 * kindness + mood - self.annoyance * 0.4 - case.topic.anger * 0.12 + 0.12
        self.steps.append(Step(rated, Verb.RATE, actor=case.requester, detail=_verdict(rng, good)))
        if rng.random() < 0.06:
            again = rated + rng.randrange(600, 3 * DAY) // (1 if not case.live else 100)
            self.steps.append(Step(again, Verb.RATE, actor=case.requester, detail=_verdict(rng, not good)))

    def _forgotten(self) -> None:
        """Falls through the cracks: weeks without an answer, then a tidy-up or nothing at all."""
        rng = self.rng
        if rng.random() < 0.6:
            self.now = self._after_customer(4000)
            self._add(
                Verb.UPDATE,
                actor=self.case.requester,
                body=self.voice.nudge(),
                kind="nudge",
                via=self.case.customer_via,
            )
        if rng.random() < 0.85:
            self.now += rng.randrange(4 * DAY, 25 * DAY)
            self.agent = self._pick_agent(self.group)
            self.annoyance = 1.0
            self._solve()
            self._after_solve()

    def _deleted(self, spam: bool) -> None:
        rng = self.rng
        self.now = self._after_open(200)
        agent = self._pick_agent(self.group)
        if spam or rng.random() < 0.8:
            self._add(Verb.DELETE, actor=agent.agent, detail=spam)
            if not spam and rng.random() < 0.4:
                self.now += rng.randrange(HOUR, 2 * DAY)
                self._add(Verb.RESTORE, actor=self.people.admin)
                self._conversation()
            elif rng.random() < 0.65:
                # Thirty days and a bit: what recordings of real accounts show.
                self.steps.append(Step(self.now + 2_595_510, Verb.SCRUB))
            return
        self._conversation()
        self.steps.append(
            Step(self.now + rng.randrange(HOUR, 5 * DAY), Verb.DELETE, actor=self.people.admin, detail=False)
        )


def _verdict(rng: Random, good: bool) -> tuple[str, str | None, str | None]:
    texts = _PRAISE if good else _BLAME
    comment = rng.choice(texts) if rng.random() < 0.3 else None
    reason = None if good or rng.random() < 0.3 else rng.choice(BAD_REASONS)
    return ("good" if good else "bad", comment, reason)


BAD_REASONS = (
    "The issue took too long to resolve",
    "The issue was not resolved",
    "The agent's knowledge is unsatisfactory",
    "The agent's attitude is unsatisfactory",
)
_PRAISE = (
    "Quick and friendly, thank you.",
    "Solved within the hour. Impressive!",
    "Very patient with an old man like me.",
    "Clear explanation, no waffling.",
    "Best support I have had in a long while.",
)
_BLAME = (
    "Took far too long.",
    "I had to explain everything three times.",
    "The problem is still there.",
    "Copy-and-paste answers, nobody read what I wrote.",
    "Friendly, but no real help.",
    "I was passed from one person to the next.",
)
