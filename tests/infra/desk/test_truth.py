"""The truth, counted a second time from what the API shows and from nothing else."""

from datetime import UTC, datetime
from statistics import median
from typing import Any

import pytest

from infra.local.desk import records
from infra.local.desk.account import GROUPS
from infra.local.desk.calendar import DAY, iso
from infra.local.desk.truth import Truth
from infra.local.desk.world import World


@pytest.fixture(scope="module")
def tickets(world: World) -> list[dict[str, Any]]:
    rows = [records.ticket(world, t) for t in world.tickets.values()]
    return [row for row in rows if row["status"] != "deleted"]


@pytest.fixture(scope="module")
def events(world: World) -> dict[int, list[dict[str, Any]]]:
    by_ticket: dict[int, list[dict[str, Any]]] = {}
    for audit in world.audits:
        by_ticket.setdefault(audit.ticket, []).append(records.ticket_event(audit, True))
    return by_ticket


def between(text: str, start: int, end: int) -> bool:
    return iso(start) <= text < iso(end)


@pytest.fixture(scope="module")
def quarter(world: World) -> tuple[int, int]:
    return world.epoch - 95 * DAY, world.epoch - 4 * DAY


def test_created_and_breakdowns(world: World, tickets: list[dict[str, Any]], quarter: tuple[int, int]) -> None:
    truth = Truth(world)
    made = [t for t in tickets if between(t["created_at"], *quarter)]
    assert truth.created(*quarter) == len(made) > 50
    urgent = [t for t in made if t["priority"] == "urgent"]
    assert truth.created(*quarter, priority="urgent") == len(urgent)
    by_group = truth.by("group", *quarter)
    for id, (name, _) in GROUPS.items():
        assert by_group.get(name, 0) == sum(1 for t in made if t["group_id"] == id)
    by_tag = truth.by("tag", *quarter)
    assert by_tag["crash"] == sum(1 for t in made if "crash" in t["tags"])
    assert sum(truth.per_day(*quarter).values()) == len(made)
    assert sum(truth.by("channel", *quarter).values()) == len(made)


def test_open_now_and_a_past_backlog(
    world: World, tickets: list[dict[str, Any]], events: dict[int, list[dict[str, Any]]]
) -> None:
    truth = Truth(world)
    assert truth.open_now() == sum(1 for t in tickets if t["status"] in ("new", "open", "pending", "hold"))
    moment = world.epoch - 40 * DAY
    expected = 0
    for audits in events.values():
        status = None
        for audit in audits:
            if audit["timestamp"] <= moment:
                for child in audit["child_events"]:
                    status = child.get("status", status)
        expected += status in ("new", "open", "pending", "hold")
    assert truth.backlog(moment) == expected > 0


def test_solved_and_resolution_times(
    world: World, tickets: list[dict[str, Any]], events: dict[int, list[dict[str, Any]]], quarter: tuple[int, int]
) -> None:
    lengths: list[float] = []
    more_than_once = 0
    for ticket in tickets:
        at = {"solved": list[int](), "closed": list[int]()}
        for audit in events[ticket["id"]]:
            for child in audit["child_events"]:
                if child.get("status") in at:
                    at[child["status"]].append(audit["timestamp"])
        solves = at["solved"] or at["closed"]
        if ticket["status"] in ("solved", "closed") and quarter[0] <= solves[-1] < quarter[1]:
            created = datetime.fromisoformat(ticket["created_at"]).astimezone(UTC).timestamp()
            lengths.append((solves[-1] - created) / 60)
            more_than_once += len(solves) > 1
    truth = Truth(world)
    assert truth.solved(*quarter) == len(lengths)
    assert truth.full_resolution(*quarter).median == pytest.approx(median(lengths))
    assert truth.reopened(*quarter) == more_than_once > 0


def test_first_reply(
    world: World, tickets: list[dict[str, Any]], events: dict[int, list[dict[str, Any]]], quarter: tuple[int, int]
) -> None:
    lengths: list[float] = []
    for ticket in tickets:
        if not between(ticket["created_at"], *quarter):
            continue
        comments = [
            child
            for audit in events[ticket["id"]]
            for child in audit["child_events"]
            if child["event_type"] == "Comment"
        ]
        for comment in comments[1:]:
            if comment["public"] and comment["author_id"] in world.people.agents:
                began, ended = (datetime.fromisoformat(row["created_at"]) for row in (ticket, comment))
                lengths.append((ended - began).total_seconds() / 60)
                break
    spread = Truth(world).first_reply(*quarter)
    assert spread.count == len(lengths)
    assert spread.median == pytest.approx(median(lengths))
    assert spread.average == pytest.approx(sum(lengths) / len(lengths))


def test_satisfaction(world: World, tickets: list[dict[str, Any]], quarter: tuple[int, int]) -> None:
    alive = {t["id"] for t in tickets}
    rated = [records.rating(r) for r in world.ratings if r.ticket in alive]
    good = sum(1 for r in rated if r["score"] == "good" and between(r["updated_at"], *quarter))
    bad = sum(1 for r in rated if r["score"] == "bad" and between(r["updated_at"], *quarter))
    found = Truth(world).satisfaction(*quarter)
    assert (found.good, found.bad) == (good, bad)
    assert found.share == pytest.approx(good / (good + bad))


def test_links(world: World, tickets: list[dict[str, Any]]) -> None:
    truth = Truth(world)
    problems = truth.problems()
    assert len(problems) == 3
    for id, count in problems.items():
        assert world.tickets[id].type == "problem"
        assert count == sum(1 for t in tickets if t["problem_id"] == id) > 0
    assert set(truth.merged()) == {t["id"] for t in tickets if "closed_by_merge" in t["tags"]}
    sources = {t["id"]: t["via"]["source"] for t in tickets}
    assert truth.follow_ups() == {
        id: source["from"]["ticket_id"] for id, source in sources.items() if source["rel"] == "follow_up"
    }
    for child, parent in truth.merged().items():
        assert f"#{child} " in world.tickets[parent].comments[-1].body or any(
            f"#{child} " in c.body for c in world.tickets[parent].comments
        )


def test_first_reply_promises_agree_with_the_breaches_on_record(world: World) -> None:
    truth = Truth(world)
    promise = truth.first_reply_promise(0, world.now)
    assert promise.kept > promise.missed > 0
    promised = sum(1 for t in truth.tickets() if "first_reply_time" in t.promised)
    assert promise.kept + promise.missed + promise.running == promised
