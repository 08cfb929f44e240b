"""What a ticket's rows say about how it hangs together with others."""

from datetime import timedelta

from assets.graph import (
    Contact,
    GroupChange,
    Label,
    Relation,
    Ticket,
    escalations,
    merge_targets,
    mutual,
    repeat_contacts,
    ticket_edges,
    ticket_node,
)
from tests.fakes.copied import NOON


def ticket(**fields: object) -> Ticket:
    values: dict[str, object] = {
        "id": 1,
        "subject": "It does not work",
        "status": "open",
        "priority": None,
        "type": None,
        "channel": "email",
        "created_at": NOON,
        "updated_at": NOON,
        "requester_id": None,
        "assignee_id": None,
        "organization_id": None,
        "group_id": None,
        "brand_id": None,
        "problem_id": None,
    }
    return Ticket(**(values | fields))  # pyright: ignore[reportArgumentType]


def ends(edges: object, relation: Relation) -> list[tuple[object, object]]:
    return [(edge.start[1], edge.end[1]) for edge in edges if edge.relation is relation]  # pyright: ignore


def test_a_ticket_points_at_everything_it_names() -> None:
    edges = ticket_edges(
        ticket(
            requester_id=5, assignee_id=6, organization_id=7, group_id=8, brand_id=9, problem_id=2, tags=["a", "b", "a"]
        )
    )
    assert ends(edges, Relation.REQUESTED) == [(5, 1)]
    assert ends(edges, Relation.ASSIGNED) == [(1, 6)]
    assert ends(edges, Relation.FOR_ORGANIZATION) == [(1, 7)]
    assert ends(edges, Relation.IN_GROUP) == [(1, 8)]
    assert ends(edges, Relation.OF_BRAND) == [(1, 9)]
    assert ends(edges, Relation.INCIDENT_OF) == [(1, 2)]
    assert ends(edges, Relation.TAGGED) == [(1, "a"), (1, "b")]
    assert {edge.owner for edge in edges} == {1}


def test_a_bare_ticket_has_no_edge() -> None:
    assert ticket_edges(ticket()) == []


def test_a_ticket_never_points_at_itself() -> None:
    own = ticket(
        problem_id=1,
        follows_up=1,
        followup_ids=[1],
        merged_from=[1],
        closing_texts=["This request was closed and merged into request #1"],
    )
    assert ticket_edges(own) == []


def test_a_merge_is_told_by_either_side() -> None:
    source = ticket(closing_texts=['This request was closed and merged into request #3 "Chat".'])
    target = ticket(id=3, merged_from=[1, 2, 1])
    assert ends(ticket_edges(source), Relation.MERGED_INTO) == [(1, 3)]
    assert ends(ticket_edges(target), Relation.MERGED_INTO) == [(1, 3), (2, 3)]


def test_only_a_note_that_is_zendesks_own_names_a_merge_target() -> None:
    assert merge_targets(["He wrote: This request was closed and merged into request #3"]) == []
    assert merge_targets(["This request was closed and merged into request #" + "9" * 40]) == []
    assert merge_targets(["", "merged into #4"]) == []


def test_a_follow_up_is_told_by_either_side() -> None:
    assert ends(ticket_edges(ticket(follows_up=9)), Relation.FOLLOWUP_OF) == [(1, 9)]
    assert ends(ticket_edges(ticket(followup_ids=[4])), Relation.FOLLOWUP_OF) == [(4, 1)]


def test_the_first_group_is_no_escalation_and_ping_pong_is_two() -> None:
    changes = [
        GroupChange(group, NOON + timedelta(hours=hour)) for hour, group in enumerate([10, 10, 20, None, 20, 10])
    ]
    edges = escalations(1, changes)
    assert [(edge.start, edge.end) for edge in edges] == [
        ((Label.GROUP, 10), (Label.GROUP, 20)),
        ((Label.GROUP, 20), (Label.GROUP, 10)),
    ]
    assert [edge.properties["step"] for edge in edges] == [1, 2]
    assert edges[1].properties["at"] == NOON + timedelta(hours=5)


def test_repeat_contacts_link_each_ticket_to_the_one_before_it() -> None:
    contacts = [
        Contact(3, 5, NOON + timedelta(days=40)),
        Contact(1, 5, NOON),
        Contact(2, 5, NOON + timedelta(days=30)),
        Contact(9, 6, NOON),
        Contact(4, 5, NOON + timedelta(days=71)),
    ]
    edges = repeat_contacts(contacts)
    assert [(edge.start[1], edge.end[1], edge.properties["days"]) for edge in edges] == [(2, 1, 30.0), (3, 2, 10.0)]
    assert [edge.owner for edge in edges] == [2, 3]


def test_similar_tickets_are_those_near_each_other_both_ways() -> None:
    neighbours = {1: [(2, 0.9), (3, 0.8)], 2: [(1, 0.91)], 3: [(4, 0.95)], 4: [(3, 0.95)]}
    assert mutual(neighbours, [1]) == [(1, 2, 0.91)]
    assert mutual(neighbours, [1, 4]) == [(1, 2, 0.91), (3, 4, 0.95)]
    assert mutual({}, [1]) == []


def test_a_scrubbed_ticket_keeps_its_node_and_no_text() -> None:
    assert "subject" in ticket_node(ticket()).properties
    node = ticket_node(ticket(subject="SCRUBBED", status="deleted", is_scrubbed=True))
    assert "subject" not in node.properties
    assert node.properties["status"] == "deleted"
