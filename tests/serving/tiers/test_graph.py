"""Graph questions are answered by fixed statements within what the asker may see."""

from datetime import timedelta

import pytest
from psycopg_pool import ConnectionPool

from assets.stores.neo4j import Neo4j, Neo4jError, Neo4jTimeoutError
from serving.errors import Invalid, NotFound, StoreUnavailable
from serving.planning.plan import Filter, GraphPlan, Operator, TimeRange
from serving.tiers.graph import Graph, GraphResult
from tests.fakes.copied import NOON

pytestmark = pytest.mark.stack


def rows(result: GraphResult) -> list[dict[str, object]]:
    return [dict(zip([column.name for column in result.columns], row, strict=True)) for row in result.rows]


def test_related_tickets_say_what_they_are_to_the_one_asked_about(graph: Graph) -> None:
    assert [(each.ticket_id, each.relation) for each in graph.related(5)] == [(6, "incident"), (2, "incident")]
    assert [(each.ticket_id, each.relation) for each in graph.related(2)] == [(5, "problem"), (6, "same_requester")]
    assert [(each.ticket_id, each.relation) for each in graph.related(1)] == [(7, "merged_from")]
    assert [(each.ticket_id, each.relation) for each in graph.related(7)] == [(1, "merged_into")]
    assert [(each.ticket_id, each.relation) for each in graph.related(8)] == [(3, "follows_up")]
    assert graph.related(4) == ()
    assert graph.related(5)[0].subject == "Crash too"


def test_problems_are_counted_by_their_incidents(graph: Graph) -> None:
    result = graph.run(GraphPlan(relation="problems"))
    (problem,) = rows(result)
    assert (problem["ticket_id"], problem["incidents"], problem["subject"]) == (5, 2, "Crash of 5.2.0")
    assert (problem["first_at"], problem["last_at"]) == (NOON, NOON + timedelta(days=5))
    assert result.ticket_ids == (5,)
    assert "INCIDENT_OF" in result.cypher


def test_incidents_of_one_problem_or_of_all(graph: Graph) -> None:
    assert [row["ticket_id"] for row in rows(graph.run(GraphPlan(relation="incidents", ticket_id=5)))] == [6, 2]
    assert [row["ticket_id"] for row in rows(graph.run(GraphPlan(relation="incidents")))] == [6, 2]
    assert rows(graph.run(GraphPlan(relation="incidents", ticket_id=1))) == []


def test_merges_and_follow_ups_are_listed(graph: Graph) -> None:
    assert [(r["ticket_id"], r["merged_into"]) for r in rows(graph.run(GraphPlan(relation="merged")))] == [(7, 1)]
    assert [(r["ticket_id"], r["follows_up"]) for r in rows(graph.run(GraphPlan(relation="follow_ups")))] == [(8, 3)]


def test_repeat_contacts_name_the_person_and_the_tickets(graph: Graph) -> None:
    (row,) = rows(graph.run(GraphPlan(relation="repeat_contacts")))
    assert (row["requester_id"], row["requester"], row["repeats"]) == (502, "Customer 502", 1)
    assert (row["shortest_days"], sorted(row["ticket_ids"])) == (5.0, [2, 6])  # pyright: ignore


def test_escalations_are_counted_by_group_and_followed_for_a_ticket(graph: Graph) -> None:
    counted = rows(graph.run(GraphPlan(relation="escalations")))
    assert [(r["from_group"], r["to_group"], r["moves"]) for r in counted] == [
        ("Tier 1", "Billing", 2),
        ("Billing", "Tier 1", 1),
    ]
    path = rows(graph.run(GraphPlan(relation="escalations", ticket_id=3)))
    assert [(r["from_group"], r["to_group"]) for r in path] == [("Tier 1", "Billing"), ("Billing", "Tier 1")]


def test_filters_and_time_narrow_a_listing(graph: Graph) -> None:
    closed = Filter(dimension="status", values=("closed",))
    assert [r["ticket_id"] for r in rows(graph.run(GraphPlan(relation="merged", filters=(closed,))))] == [7]
    other = Filter(dimension="status", op=Operator.NE, values=("closed",))
    assert rows(graph.run(GraphPlan(relation="merged", filters=(other,)))) == []
    late = TimeRange(**{"from": NOON + timedelta(days=1)})
    assert [r["ticket_id"] for r in rows(graph.run(GraphPlan(relation="incidents", time=late)))] == [6]


def test_an_asker_sees_neither_rows_nor_neighbours_of_others(graph: Graph) -> None:
    mine = (Filter(dimension="group", values=("Billing",)),)
    assert [each.ticket_id for each in graph.related(8, rows=(Filter(dimension="ticket_id", values=(8,)),))] == []
    assert rows(graph.run(GraphPlan(relation="problems"), rows=mine)) == []
    with pytest.raises(NotFound):
        graph.related(5, rows=mine)


def test_an_unknown_ticket_is_not_found(graph: Graph) -> None:
    with pytest.raises(NotFound, match="ticket unknown: 999"):
        graph.related(999)


def test_related_without_a_ticket_is_refused(graph: Graph) -> None:
    with pytest.raises(Invalid, match="name a ticket number"):
        graph.run(GraphPlan(relation="related"))


def test_a_limit_cuts_and_says_so(graph: Graph) -> None:
    result = graph.run(GraphPlan(relation="incidents", limit=1))
    assert (len(result.rows), result.truncated, result.total) == (1, True, 2)
    assert graph.run(GraphPlan(relation="incidents", limit=2)).truncated is False


def test_statements_hold_no_value_of_the_plan(graph: Graph) -> None:
    hostile = Filter(dimension="subject", values=("x'}) detach delete n //",))
    result = graph.run(GraphPlan(relation="merged", filters=(hostile,)))
    assert result.rows == ()
    assert "detach" not in result.cypher
    assert graph.related(5)


def test_a_graph_that_was_never_built_says_what_to_do(questions: ConnectionPool, neo4j: Neo4j) -> None:
    with pytest.raises(StoreUnavailable, match="run `switchdesk build graph`"):
        Graph(questions, neo4j).run(GraphPlan(relation="problems"))


def test_reads_cannot_write(neo4j: Neo4j) -> None:
    with pytest.raises(Neo4jError, match="AccessMode"):
        neo4j.read("create (n:Ticket {id: 1}) return n.id as id", {})


def test_a_read_that_takes_too_long_is_stopped(neo4j: Neo4j) -> None:
    with pytest.raises(Neo4jTimeoutError, match="took too long"):
        neo4j.read(
            "unwind range(1, 100000) as a unwind range(1, 100000) as b with a, b where a * b = -1 return count(*) as n",
            {},
            timeout=1,
        )
