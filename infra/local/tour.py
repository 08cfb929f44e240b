"""The five questions of the demo, and what their answers must equal in the world behind the demo help desk."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from assets.settings import Settings, SwitchdeskError
from infra.local.desk.calendar import DAY
from infra.local.desk.journal import Journal
from infra.local.desk.truth import Truth
from infra.local.desk.world import World
from infra.local.directory import Directory
from infra.local.runs import run_job

_SEED = 7
_TRIES = 3
_ANSWER_SECONDS = 120.0
# The toy model of the local stack rarely writes anything usable: it is given a chance, not the usual half minute.
_DEADLINE_MS = 15_000
_TICKETS_SETTING = "SWITCHDESK_DEMO_TICKETS"

Json = Mapping[str, Any]


class TourError(SwitchdeskError):
    """The tour cannot go on."""


class NotAnswered(TourError):
    """A question got no answer."""


class Unequal(TourError):
    """An answer says something else than the help desk itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One question, the tier that is to answer it, and the comparison with the world."""

    question: str
    tier: str
    compare: Callable[[Json, World], str]
    """Says what was found equal; raises Unequal where it is not."""
    budget_usd: float = 0.01
    cache: str = "refresh"
    """`refresh` shows the tier at work also the second time."""


def steps(now: datetime, world: World) -> tuple[Step, ...]:
    """Five questions for this moment: a breakdown, the same again, what people say, what hangs together, and why."""
    problem, _ = max(Truth(world).problems().items(), key=lambda each: each[1])
    crash = next(surge for surge in world.story.surges if surge.name == "app_crash")
    week = datetime.fromtimestamp(crash.start - crash.start % DAY, UTC)
    return (
        Step("How many tickets were created last month, by channel?", "planner", _created_by_channel(now)),
        Step("Number of tickets created last month per channel", "cache", _created_by_channel(now), cache="use"),
        Step("What do customers say about late deliveries?", "semantic", _quotes_are_verbatim, 0.05),
        Step(f"Which incidents belong to problem {problem}?", "graph", _incidents_of(problem)),
        Step(f"Why were so many tickets created in the week of {week:%Y-%m-%d}?", "complex", _figures_are_right, 0.5),
    )


def ask(settings: Settings, step: Step) -> tuple[dict[str, Any], str]:
    """Ask the API, and compare with the world as of the answer's data; return the answer and what was found equal."""
    with httpx.Client(
        base_url=settings.require("api_url"),
        headers={"Authorization": f"Bearer {settings.require('api_key')}"},
        timeout=_ANSWER_SECONDS,
        # The API is on this machine: a proxy of the environment is for the outside.
        trust_env=False,
    ) as client:
        attempt = 1
        while True:
            answer = _answer(client, step)
            try:
                return answer, step.compare(answer, world_at(settings, as_of(answer)))
            except Unequal:
                if attempt == _TRIES:
                    raise
            # The desk is live and streams are read one after the other: a ticket may have changed between two of them.
            attempt += 1
            run_job(settings, "initial_load")


def world_at(settings: Settings, moment: datetime) -> World:
    """The demo world as it was at a moment, written anew from its seed and journal, apart from everything exported."""
    directory = Directory(settings.dir)
    tickets = int(directory.read_env()[_TICKETS_SETTING])
    journal = Journal.open(directory.path / "desk.json", tickets, _SEED, None, int(moment.timestamp()))
    at = int(moment.timestamp())
    world = World.build(tickets, _SEED, datetime.fromtimestamp(journal.epoch, UTC))
    for first, last, per_hour in journal.live:
        for minute in range(first, min(last, at // 60) + 1):
            world.live(minute, per_hour)
    if at > journal.epoch:
        world.advance(at)
    return world


def _answer(client: httpx.Client, step: Step) -> dict[str, Any]:
    try:
        response = client.post(
            "/v1/ask",
            json={
                "question": step.question,
                "budget_usd": step.budget_usd,
                "cache": step.cache,
                "deadline_ms": _DEADLINE_MS,
            },
        )
    except httpx.HTTPError as error:
        raise NotAnswered(
            f"API does not answer: {client.base_url}: {type(error).__name__}; see `switchdesk doctor`"
        ) from None
    body = response.json() if response.headers.get("content-type", "").partition(";")[0].endswith("json") else {}
    if response.status_code != 200:
        raise NotAnswered(
            f"question not answered: {step.question} ({response.status_code}: {body.get('detail', 'no reason')})"
        )
    if body["status"] not in ("answered", "partial"):
        raise NotAnswered(f"question not answered: {step.question} ({body['status']}: {body['text']})")
    return body


def as_of(answer: Json) -> datetime:
    """The moment up to which everything an answer rests on is complete."""
    return min(datetime.fromisoformat(dataset["as_of"]) for dataset in answer["data"])


def last_month(now: datetime) -> tuple[datetime, datetime]:
    """The previous calendar month in UTC; the end is exclusive."""
    end = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (end - timedelta(days=1)).replace(day=1), end


def _created_by_channel(now: datetime) -> Callable[[Json, World], str]:
    def compare(answer: Json, world: World) -> str:
        start, end = (int(moment.timestamp()) for moment in last_month(now))
        expected = Truth(world).by("channel", start, end)
        _equal(_breakdown(answer), expected)
        return f"{sum(expected.values()):,} tickets in {len(expected)} channels"

    return compare


def _incidents_of(problem: int) -> Callable[[Json, World], str]:
    def compare(answer: Json, world: World) -> str:
        expected = set(Truth(world).incidents(problem))
        found = set(answer["ticket_ids"]) - {problem}
        if not answer["truncated"]:
            _equal(sorted(found), sorted(expected))
            return _count(len(found), "incident")
        if not found or not found <= expected:
            raise Unequal(f"answer unlike the help desk: {sorted(found - expected)} do not belong to problem {problem}")
        return f"these {len(found):,} are among its {_count(len(expected), 'incident')}"

    return compare


def _figures_are_right(answer: Json, world: World) -> str:
    truth = Truth(world)
    names = [column["name"] for column in answer["columns"]]
    checked = 0
    for row in (dict(zip(names, cells, strict=True)) for cells in answer["rows"]):
        start, end = (int(datetime.fromisoformat(row[name]).timestamp()) for name in ("from", "to"))
        match row["dimension"]:
            case None:
                expected = truth.created(start, end)
            case "time":
                day = int(datetime.fromisoformat(row["member"]).replace(tzinfo=UTC).timestamp())
                expected = truth.created(day, day + DAY)
            case dimension:
                known = truth.by(dimension, start, end)
                # A member that the world does not know is the marts' name for tickets without one.
                expected = known.get(row["member"], truth.created(start, end) - sum(known.values()))
        _equal((row["dimension"], row["member"], row["value"]), (row["dimension"], row["member"], expected))
        checked += 1
    if not checked:
        raise Unequal("answer without evidence: it gives no figure")
    quotes = f", and {_quotes_are_verbatim(answer, world)}" if answer["citations"] else ""
    return f"{checked} figures{quotes}"


def _quotes_are_verbatim(answer: Json, world: World) -> str:
    citations = answer["citations"]
    if not citations:
        raise Unequal("answer without evidence: it quotes no comment")
    # Deleted tickets keep their comments, and a search may find them; scrubbed ones lose them.
    comments = {
        comment.id: comment for ticket in world.tickets.values() if not ticket.scrubbed for comment in ticket.comments
    }
    for citation in citations:
        comment = comments.get(citation["comment_id"])
        if comment is None:
            raise Unequal(f"answer unlike the help desk: comment {citation['comment_id']} is not there")
        if not _is_within(citation["quote"], comment.body):
            raise Unequal(f"answer unlike the help desk: the quote of comment {citation['comment_id']} is not in it")
    tickets = Counter(citation["ticket_id"] for citation in citations)
    return f"{_count(len(citations), 'quote')} from {_count(len(tickets), 'ticket')}, word for word"


def _is_within(quote: str, body: str) -> bool:
    return " ".join(quote.split()) in " ".join(body.split())


def _breakdown(answer: Json) -> dict[str, int]:
    roles = [column["role"] for column in answer["columns"]]
    name, value = roles.index("dimension"), roles.index("metric")
    return {str(row[name]): int(row[value]) for row in answer["rows"] if row[value]}


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _equal(found: object, expected: object) -> None:
    if found != expected:
        raise Unequal(f"answer unlike the help desk: it says {found}, the help desk {expected}")
