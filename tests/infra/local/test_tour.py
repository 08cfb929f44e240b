"""What the demo takes for equal, and what it does not let pass."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.local.desk.truth import Truth
from infra.local.desk.world import World
from infra.local.tour import Step, Unequal, as_of, last_month, steps

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(300, 7, NOW)


@pytest.fixture(scope="module")
def asked(world: World) -> dict[str, Step]:
    return {step.tier: step for step in steps(NOW, world)}


def answer(**fields: Any) -> Mapping[str, Any]:
    return {"columns": [], "rows": [], "citations": [], "ticket_ids": [], "truncated": False, **fields}


def by_channel(rows: list[list[Any]]) -> Mapping[str, Any]:
    columns = [{"name": "channel", "role": "dimension"}, {"name": "tickets_created", "role": "metric"}]
    return answer(columns=columns, rows=rows)


def right_channels(world: World) -> list[list[Any]]:
    start, end = (int(moment.timestamp()) for moment in last_month(NOW))
    return [[name, count] for name, count in Truth(world).by("channel", start, end).items()]


def test_five_questions_of_five_tiers_are_asked(asked: dict[str, Step]) -> None:
    assert asked.keys() == {"planner", "cache", "semantic", "graph", "complex"}


def test_last_month_is_the_calendar_month_before(world: World) -> None:
    assert last_month(NOW) == (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    assert last_month(datetime(2026, 1, 31, 23, tzinfo=UTC))[0] == datetime(2025, 12, 1, tzinfo=UTC)


def test_a_right_breakdown_is_equal(asked: dict[str, Step], world: World) -> None:
    assert "channels" in asked["planner"].compare(by_channel(right_channels(world)), world)


@pytest.mark.parametrize("wrong", ["one more", "one row less", "another name"])
def test_a_wrong_breakdown_is_not(asked: dict[str, Step], world: World, wrong: str) -> None:
    rows = right_channels(world)
    match wrong:
        case "one more":
            rows[0][1] += 1
        case "one row less":
            rows.pop()
        case _:
            rows[0][0] = "pigeon"
    with pytest.raises(Unequal, match="unlike the help desk"):
        asked["planner"].compare(by_channel(rows), world)


def test_incidents_must_be_all_and_only_those_of_the_problem(asked: dict[str, Step], world: World) -> None:
    problem, _ = max(Truth(world).problems().items(), key=lambda each: each[1])
    incidents = Truth(world).incidents(problem)
    compare = asked["graph"].compare
    assert compare(answer(ticket_ids=[problem, *incidents]), world)
    with pytest.raises(Unequal):
        compare(answer(ticket_ids=incidents[1:]), world)
    with pytest.raises(Unequal):
        compare(answer(ticket_ids=[*incidents, 1]), world)
    assert "among" in compare(answer(ticket_ids=incidents[:3], truncated=True), world)
    with pytest.raises(Unequal):
        compare(answer(ticket_ids=[*incidents[:3], 1], truncated=True), world)


def test_quotes_must_stand_in_their_comment(asked: dict[str, Step], world: World) -> None:
    ticket = next(ticket for ticket in world.tickets.values() if ticket.comments)
    comment = ticket.comments[0]
    quote = {"ticket_id": ticket.id, "comment_id": comment.id, "quote": comment.body[:40]}
    compare = asked["semantic"].compare
    assert "1 quote from 1 ticket" in compare(answer(citations=[quote]), world)
    with pytest.raises(Unequal, match="not in it"):
        compare(answer(citations=[quote | {"quote": "We never sell your data."}]), world)
    with pytest.raises(Unequal, match="not there"):
        compare(answer(citations=[quote | {"comment_id": 1}]), world)
    with pytest.raises(Unequal, match="no comment"):
        compare(answer(), world)


def test_every_figure_of_a_why_is_held_against_the_world(asked: dict[str, Step], world: World) -> None:
    start, end = last_month(NOW)
    truth = Truth(world)
    span = (int(start.timestamp()), int(end.timestamp()))
    product, count = next(iter(truth.by("product", *span).items()))
    without = truth.created(*span) - sum(truth.by("product", *span).values())
    columns = [{"name": name} for name in ("metric", "from", "to", "dimension", "member", "value")]
    head = ["tickets_created", start.isoformat(), end.isoformat()]
    rows = [
        [*head, None, None, truth.created(*span)],
        [*head, "time", "2026-10-13", truth.created(1791849600, 1791936000)],
        [*head, "product", product, count],
        [*head, "product", "no product", without],
    ]
    compare = asked["complex"].compare
    assert "4 figures" in compare(answer(columns=columns, rows=rows), world)
    for at in range(len(rows)):
        wrong = [[*row[:-1], row[-1] + (at == place)] for place, row in enumerate(rows)]
        with pytest.raises(Unequal):
            compare(answer(columns=columns, rows=wrong), world)
    with pytest.raises(Unequal, match="no figure"):
        compare(answer(columns=columns), world)


def test_an_answer_is_as_old_as_its_oldest_dataset() -> None:
    data = [{"as_of": "2026-11-25T11:59:00Z"}, {"as_of": "2026-11-25T11:58:00Z"}]
    assert as_of({"data": data}) == datetime(2026, 11, 25, 11, 58, tzinfo=UTC)
