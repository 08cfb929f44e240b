from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.local.desk import records
from infra.local.desk.account import STATUS_IDS
from infra.local.desk.calendar import DAY, iso
from infra.local.desk.ticket import Ticket
from infra.local.desk.topics.catalogue import TOPICS
from infra.local.desk.topics.quick import QUICK
from infra.local.desk.world import World
from tests.fakes.desk import NOON

IGNORED = {"id", "via", "via_reference_id", "event_type", "previous_value", "added_tags", "removed_tags"}


def replayed(ticket: Ticket) -> dict[str, Any]:
    """The state that the ticket's audits lead to, read as a client reads them."""
    state: dict[str, Any] = {"custom": {}}
    for audit in ticket.audits:
        for child in records.ticket_event(audit, True)["child_events"]:
            if child["event_type"] == "Create" or child["event_type"] == "Change":
                for name, value in child.items():
                    if name == "custom_ticket_fields":
                        state["custom"] |= value
                    elif name not in IGNORED:
                        if child["event_type"] == "Change" and name in state:
                            assert child["previous_value"] == state[name] or name.endswith("_time")
                        state[name] = value
    return state


def fingerprint(world: World) -> list[Any]:
    tickets = [records.ticket(world, t) for t in world.tickets.values()]
    audits = [records.ticket_event(a, True) for a in world.audits]
    users = [u.row() for u in world.people.users.values()]
    return [tickets, audits, users, world.metric_events, [records.rating(r) for r in world.ratings]]


def test_audits_replay_to_the_tickets_of_today(world: World) -> None:
    for ticket in world.tickets.values():
        if ticket.scrubbed:
            continue
        state, row = replayed(ticket), records.ticket(world, ticket)
        for name in ("subject", "status", "priority", "type", "group_id", "assignee_id", "requester_id", "problem_id"):
            assert state.get(name) == row[name], (ticket.id, name)
        assert state["custom_status_id"] == row["custom_status_id"]
        assert state["tags"] == row["tags"]
        shown = {str(field["id"]): field["value"] for field in row["custom_fields"]}
        assert {id: shown[id] for id in state["custom"]} == state["custom"]
        score = row["satisfaction_rating"]["score"]
        assert state.get("satisfaction_score", "unoffered") == score


def test_each_audit_moves_time_forward_and_ids_up(world: World) -> None:
    assert [a.at for a in world.audits] == sorted(a.at for a in world.audits)
    assert [a.id for a in world.audits] == sorted(a.id for a in world.audits)
    for ticket in world.tickets.values():
        assert ticket.updated == ticket.audits[-1].at
        assert ticket.generated >= ticket.updated
        assert ticket.audits[0].at == ticket.created


def test_metric_sets_agree_with_the_audits(world: World) -> None:
    for ticket in world.tickets.values():
        if ticket.scrubbed:
            continue
        metrics = records.metric_set(world, ticket)
        solves = first_reply = None
        for audit in ticket.audits:
            for child in records.ticket_event(audit, True)["child_events"]:
                if child.get("status") == "solved":
                    solves = audit.at
                later = child["id"] != ticket.comments[0].id
                by_agent = child.get("author_id") in world.people.agents
                if child["event_type"] == "Comment" and child["public"] and later and by_agent:
                    first_reply = first_reply or audit.at
        expected = None if first_reply is None else (first_reply - ticket.created) // 60
        assert metrics["reply_time_in_minutes"]["calendar"] == expected
        expected = None if solves is None else (solves - ticket.created) // 60
        assert metrics["full_resolution_time_in_minutes"]["calendar"] == expected
        business = metrics["full_resolution_time_in_minutes"]["business"]
        assert business is None or business <= expected


def test_metric_events_come_in_pairs_that_make_sense(world: World) -> None:
    running: dict[tuple[int, str], bool] = {}
    for at, event in world.metric_events:
        key = (event["ticket_id"], event["metric"])
        assert event["time"] == iso(at)
        if event["type"] == "activate":
            assert not running.get(key), event
            running[key] = True
        elif event["type"] in ("fulfill", "pause"):
            assert running[key], event
            running[key] = False
        elif event["type"] == "breach":
            assert running[key], event
    kinds = Counter(event["type"] for _, event in world.metric_events)
    assert all(
        kinds[kind] for kind in ("activate", "fulfill", "pause", "apply_sla", "breach", "measure", "update_status")
    )


def test_the_same_seed_gives_the_same_world_and_another_seed_another_one() -> None:
    assert fingerprint(World.build(80, 3, NOON)) == fingerprint(World.build(80, 3, NOON + timedelta(seconds=59)))
    assert fingerprint(World.build(80, 3, NOON)) != fingerprint(World.build(80, 4, NOON))


def test_many_small_steps_lead_where_one_large_step_leads() -> None:
    one, many = World.build(120, 7, NOON), World.build(120, 7, NOON)
    first = NOON.timestamp() // 60
    for world in (one, many):
        for minute in range(int(first) + 1, int(first) + 90):
            world.live(minute, 120)
    one.advance(one.epoch + 5 * DAY)
    for second in range(many.epoch, many.epoch + 5 * DAY + 1, 3571):
        many.advance(second)
    many.advance(many.epoch + 5 * DAY)
    assert len(one.tickets) > 200
    assert fingerprint(one) == fingerprint(many)


def test_the_past_cannot_be_made_live() -> None:
    world = World.build(10, 7, NOON)
    with pytest.raises(ValueError, match="cannot change the past"):
        world.live(world.now // 60 - 1, 10)


def test_size_is_kept_and_an_empty_desk_is_possible() -> None:
    assert abs(len(World.build(300, 7, NOON).tickets) - 300) <= 1
    empty = World.build(0, 7, NOON)
    empty.advance(empty.epoch + 30 * DAY)
    assert not empty.tickets
    assert empty.people.users[empty.people.admin].role == "admin"


@pytest.mark.parametrize("size", [1, 2, 7, 50, 99, 100])
def test_worlds_of_any_size_begin_at_any_moment(size: int) -> None:
    for moment in (datetime(2024, 2, 29, 23, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
        world = World.build(size, size, moment)
        assert abs(len(world.tickets) - size) <= 1
        assert max(a.at for a in world.audits) <= world.now
        world.advance(world.now + 40 * DAY)


def test_the_world_holds_all_that_makes_a_help_desk_difficult(world: World) -> None:
    tickets = list(world.tickets.values())
    events = Counter(event.type for audit in world.audits for event in audit.events)
    assert events["CommentRedactEvent"]
    assert events["CommentPrivacyChange"]
    assert events["ScheduleAssignment"]
    assert any(t.merged_into for t in tickets)
    assert any(t.follows and t.id in world.tickets[t.follows].followups for t in tickets)
    assert any(t.problem for t in tickets)
    assert any(t.scrubbed for t in tickets)
    assert any(t.status == "deleted" and not t.scrubbed for t in tickets)
    assert any("deleted" in [s for _, s in t.statuses] and t.status != "deleted" for t in tickets)
    assert {s for t in tickets for _, s in t.statuses} == {
        "new",
        "open",
        "pending",
        "hold",
        "solved",
        "closed",
        "deleted",
    }
    assert any(len({group for _, group in t.groups}) > 2 for t in tickets)
    assert any(len(t.solves()) > 1 for t in tickets)
    assert any(t.custom_status != STATUS_IDS[s] for t in tickets for _, s in t.statuses[-1:] if s == "hold") or any(
        event.data.get("custom_status_id") not in (None, *STATUS_IDS.values())
        for audit in world.audits
        for event in audit.events
    )
    assert any(len(r.history) > 2 for r in world.ratings)
    assert {"good", "bad", "offered"} == {r.score for r in world.ratings}
    users = world.people.users.values()
    assert any(not u.listed for u in users)
    assert any(u.deleted for u in users)
    assert any(u.suspended for u in users)
    assert any(u.id in world.people.agents and u.role == "end-user" for u in users)
    seconds = Counter(a.at for a in world.audits)
    assert max(seconds.values()) > 1
    assert len({t.channel for t in tickets}) >= 6
    assert any(field["title"] == "Select" for field in world.static["ticket_fields"])


def test_texts_are_many_and_odd_ones_are_among_them() -> None:
    world = World.build(3000, 7, NOON)
    comments = [c for t in world.tickets.values() for c in t.comments]
    openings = [t.comments[0].body for t in world.tickets.values() if not t.scrubbed]
    assert len(set(openings)) > 0.97 * len(openings)
    everything = "\n".join(c.body for c in comments)
    for sign in ("\u0000", "▇", "🏳️‍🌈", "مرحبا", "שלום", "DROP TABLE"):
        assert sign in everything
    assert "{" not in everything
    assert "None" not in everything
    assert 3.5 < len(comments) / len(world.tickets) < 5


def test_every_topic_can_be_told_to_its_end() -> None:
    assert len(TOPICS) >= 40
    assert len({t.name for t in TOPICS}) == len(TOPICS)
    assert QUICK.keys() == {t.name for t in TOPICS}
    for topic in TOPICS:
        assert len(topic.replies) == len(topic.answers) == len(topic.fixes) >= 3, topic.name
        assert min(len(topic.openings), len(topic.details), len(topic.wishes)) >= 3, topic.name


def test_incidents_stand_out_of_the_weeks_around_them(world: World) -> None:
    for surge in world.story.surges:
        inside = sum(
            1 for t in world.tickets.values() if t.topic in surge.topics and surge.start <= t.created < surge.end
        )
        length = surge.end - surge.start
        before = sum(
            1
            for t in world.tickets.values()
            if t.topic in surge.topics and surge.start - length <= t.created < surge.start
        )
        assert inside >= 2 * max(1, before), surge.name


def test_agents_answer_mostly_in_business_hours(world: World) -> None:
    inside = outside = 0
    for ticket in world.tickets.values():
        hours = world.hours[ticket.schedule]
        for comment in ticket.comments[1:]:
            if comment.by_agent:
                open_then = hours.between(comment.at, comment.at + 1)
                inside += open_then
                outside += 1 - open_then
    assert inside > 3 * outside
