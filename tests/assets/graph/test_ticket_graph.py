"""Neo4j is kept equal to the copy, against the real ones."""

from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from assets import catalog
from assets.comment_index import CommentIndex
from assets.embedder import Embedder
from assets.stores.milvus import Milvus
from assets.stores.neo4j import Neo4j, Neo4jError, Neo4jUnreachableError
from assets.ticket_graph import DATASET, Report, TicketGraph
from tests.fakes.copied import NOON, Copied

pytestmark = pytest.mark.stack


class Pipeline:
    """The copy and the graph of one test."""

    def __init__(self, copied: Copied, neo4j: Neo4j, milvus: Milvus) -> None:
        self.copied, self.neo4j, self.milvus = copied, neo4j, milvus

    def graph(self) -> TicketGraph:
        return TicketGraph(self.copied.connection, self.neo4j, self.milvus)

    def update(self) -> Report:
        return self.graph().update("test")

    def edges(self, relation: str) -> list[tuple[Any, Any]]:
        rows = self.neo4j.read(
            f"match (a)-[r:{relation}]->(b) return a.id as a, b.id as b order by a, b",  # pyright: ignore
            {},
        )
        return [(row["a"], row["b"]) for row in rows]

    def node(self, label: str, id: int) -> dict[str, Any]:
        rows = self.neo4j.read(f"match (n:{label} {{id: $id}}) return properties(n) as p", {"id": id})  # pyright: ignore
        return rows[0]["p"]

    def everything(self) -> list[dict[str, Any]]:
        return self.neo4j.read(
            "match (a)-[r]->(b) return a.id as a, type(r) as type, b.id as b, r.n as n, r.days as days"
            " order by toString(a), type, toString(b), r.step",
            {},
        )


@pytest.fixture
def pipeline(copied: Copied, neo4j: Neo4j, milvus: Milvus) -> Pipeline:
    copied.group(10, "Tier 1")
    copied.group(20, "Tier 2")
    copied.organization(77, "Acme")
    copied.user(501, "Ada Customer", organization_id=77)
    copied.user(601, "Grace Agent", role="agent")
    copied.member(1, 601, 10)
    copied.ticket(1, subject="Camera broken", group_id=20, assignee_id=601, organization_id=77, tags=["vip"])
    copied.ticket(2, subject="Problem: cameras offline", type="problem", requester_id=601)
    copied.ticket(3, subject="Camera offline", problem_id=2, created_at=NOON + timedelta(days=2))
    copied.ticket(
        4,
        subject="Camera again",
        requester_id=502,
        payload={"via": {"channel": "email", "source": {"rel": "follow_up", "from": {"ticket_id": 1}}}},
    )
    copied.ticket(5, subject="Duplicate", status="closed", requester_id=503, tags=["closed_by_merge"])
    copied.comment(11, 1, "My camera is broken.")
    copied.comment(12, 1, "Still broken.")
    copied.comment(13, 1, "Try a restart.", author_id=601)
    copied.comment(51, 5, 'This request was closed and merged into request #1 "Camera broken".', is_public=False)
    copied.moves(901, 1, [10, "20"])
    copied.publish()
    return Pipeline(copied, neo4j, milvus)


def test_tickets_people_and_relations_are_in_the_graph(pipeline: Pipeline) -> None:
    report = pipeline.update()
    assert report.nodes == {"Ticket": 5, "User": 4, "Organization": 1, "Group": 2, "Brand": 0, "Tag": 2}
    assert pipeline.edges("REQUESTED") == [(501, 1), (501, 3), (502, 4), (503, 5), (601, 2)]
    assert pipeline.edges("ASSIGNED") == [(1, 601)]
    assert pipeline.edges("COMMENTED") == [(501, 1), (501, 5), (601, 1)]
    assert pipeline.edges("MEMBER_OF") == [(501, 77), (601, 10)]
    assert pipeline.edges("TAGGED") == [(1, "vip"), (5, "closed_by_merge")]
    assert pipeline.edges("INCIDENT_OF") == [(3, 2)]
    assert pipeline.edges("FOLLOWUP_OF") == [(4, 1)]
    assert pipeline.edges("MERGED_INTO") == [(5, 1)]
    assert pipeline.edges("ESCALATED") == [(10, 20)]
    assert pipeline.edges("SAME_REQUESTER_WITHIN") == [(3, 1)]
    assert pipeline.node("Ticket", 1)["subject"] == "Camera broken"
    assert pipeline.node("Ticket", 1)["created_at"] == NOON
    assert (report.missing_tickets, report.unknown_tickets) == (0, 0)


def test_the_catalogue_shows_what_the_graph_holds(pipeline: Pipeline) -> None:
    report = pipeline.update()
    published = catalog.current(pipeline.copied.connection).datasets[DATASET]
    assert published.rows == 14
    assert published.facts["nodes"]["Ticket"] == 5
    assert published.facts["graph_relationships"] == len(pipeline.everything())
    assert (published.as_of, published.coverage, published.version) == (NOON, 1.0, report.version)


def test_a_second_build_writes_nothing(pipeline: Pipeline) -> None:
    first = pipeline.update()
    before = pipeline.everything()
    second = pipeline.update()
    assert (second.tickets, second.version) == (0, first.version)
    assert pipeline.everything() == before


def test_writing_everything_again_changes_nothing(pipeline: Pipeline) -> None:
    pipeline.update()
    before = pipeline.everything()
    pipeline.copied.connection.execute("delete from ops.watermarks")
    assert pipeline.update().tickets == 5
    assert pipeline.everything() == before


def test_a_changed_ticket_loses_the_edges_it_no_longer_has(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.ticket(1, group_id=10, assignee_id=None, requester_id=502, tags=["later"])
    pipeline.copied.ticket(3, problem_id=None, created_at=NOON + timedelta(days=2))
    report = pipeline.update()
    # Tickets 4 and 5 point at the changed one, so they are looked at again.
    assert report.tickets == 4
    assert (1, 601) not in pipeline.edges("ASSIGNED")
    assert [edge for edge in pipeline.edges("REQUESTED") if edge[1] == 1] == [(502, 1)]
    assert [edge for edge in pipeline.edges("TAGGED") if edge[0] == 1] == [(1, "later")]
    assert pipeline.edges("INCIDENT_OF") == []
    assert pipeline.edges("MERGED_INTO") == [(5, 1)]
    assert pipeline.edges("FOLLOWUP_OF") == [(4, 1)]
    # The old requester has one ticket left, the new one two.
    assert pipeline.edges("SAME_REQUESTER_WITHIN") == [(4, 1)]


def test_a_new_comment_is_counted(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.comment(14, 1, "Hello?")
    report = pipeline.update()
    rows = pipeline.neo4j.read(
        "match (:User {id: 501})-[r:COMMENTED]->(:Ticket {id: 1}) return r.n as n, r.public as public", {}
    )
    assert rows == [{"n": 3, "public": 3}]
    assert report.tickets >= 1


def test_a_further_move_adds_an_edge_and_keeps_the_first(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.moves(902, 1, [20, 10], at=NOON + timedelta(hours=1))
    pipeline.update()
    assert pipeline.edges("ESCALATED") == [(10, 20), (20, 10)]


def test_a_ticket_referred_to_before_it_is_copied_gets_its_text_later(pipeline: Pipeline) -> None:
    pipeline.copied.ticket(6, problem_id=99, requester_id=504)
    assert pipeline.update().unknown_tickets == 1
    assert pipeline.edges("INCIDENT_OF") == [(3, 2), (6, 99)]
    pipeline.copied.ticket(99, subject="The problem itself", requester_id=505)
    assert pipeline.update().unknown_tickets == 0
    assert pipeline.node("Ticket", 99)["subject"] == "The problem itself"


def test_a_scrubbed_ticket_loses_text_comments_and_moves(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.scrub(1)
    pipeline.update()
    assert "subject" not in pipeline.node("Ticket", 1)
    assert pipeline.edges("ESCALATED") == []
    assert [edge for edge in pipeline.edges("COMMENTED") if edge[1] == 1] == []
    assert pipeline.graph().scrubbed_with_text() == 0
    row = pipeline.copied.connection.execute("select count(*) from ops.erasures where neo4j_at is null").fetchone()
    assert row == (0,)


def test_a_membership_that_ended_is_gone(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.connection.execute("delete from zendesk.group_memberships")
    pipeline.copied.user(501, "Ada Customer", organization_id=None)
    pipeline.update()
    assert pipeline.edges("MEMBER_OF") == []


def test_a_build_that_dies_half_way_is_repeated(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = pipeline.graph()
    with monkeypatch.context() as patch:
        patch.setattr(graph, "_sweep", _die)
        with pytest.raises(KeyboardInterrupt):
            graph.update()
    assert pipeline.update().tickets == 5
    assert len(pipeline.edges("COMMENTED")) == 3
    assert pipeline.edges("ESCALATED") == [(10, 20)]


def test_a_lost_graph_is_written_again(pipeline: Pipeline) -> None:
    pipeline.update()
    before = pipeline.everything()
    pipeline.neo4j.run("match (n) detach delete n")
    assert pipeline.update().tickets == 5
    assert pipeline.everything() == before


def test_a_day_writes_its_tickets_anew(pipeline: Pipeline) -> None:
    pipeline.update()
    before = pipeline.everything()
    pipeline.neo4j.run("match (t:Ticket {id: 3})-[r:INCIDENT_OF]->() delete r")
    day = (NOON + timedelta(days=2)).date()
    assert pipeline.graph().rebuild_days(day, day).tickets == 1
    assert pipeline.everything() == before


def test_similar_tickets_come_from_their_opening_comments(pipeline: Pipeline, embedder: Embedder) -> None:
    copied = pipeline.copied
    for ticket, text in (
        (101, "My camera shows a black picture."),
        (102, "The camera picture is black."),
        (103, "Refund?"),
    ):
        copied.ticket(ticket, requester_id=ticket + 1_000)
        copied.comment(ticket * 10, ticket, text, author_id=ticket + 1_000)
    assert pipeline.update().similar == 0
    CommentIndex(copied.connection, pipeline.milvus, embedder).update()
    assert pipeline.update().similar > 0
    assert (101, 102) in pipeline.edges("SIMILAR")
    assert not [edge for edge in pipeline.edges("SIMILAR") if 103 in edge]
    rows = pipeline.neo4j.read(
        "match (:Ticket {id: 101})-[r:SIMILAR]-() return r.score as score, r.model_id as model, r.source as source", {}
    )
    assert rows[0]["score"] >= 0.7
    assert (rows[0]["model"], rows[0]["source"]) == (embedder.model_id, "milvus.comment_embeddings")
    copied.scrub(102)
    CommentIndex(copied.connection, pipeline.milvus, embedder).update()
    pipeline.update()
    assert (101, 102) not in pipeline.edges("SIMILAR")


def test_text_that_looks_like_cypher_is_only_text(pipeline: Pipeline) -> None:
    hostile = "'}) detach delete n //\u202e 🎉 `)-[:X]->("
    pipeline.copied.ticket(7, subject=hostile, tags=[hostile, "a`b"], requester_id=506)
    pipeline.update()
    assert pipeline.node("Ticket", 7)["subject"] == hostile
    assert (7, hostile) in pipeline.edges("TAGGED")
    assert pipeline.node("Ticket", 1)["subject"] == "Camera broken"


def test_malformed_references_are_left_out(pipeline: Pipeline) -> None:
    pipeline.copied.ticket(
        8,
        requester_id=None,
        payload={
            "tags": "not a list",
            "followup_ids": {"a": 1},
            "via": {"source": {"rel": "follow_up", "from": {"ticket_id": "many"}}},
        },
    )
    pipeline.copied.moves(903, 8, [None, "x", 10, "9" * 40])
    pipeline.update()
    assert [row for row in pipeline.everything() if 8 in (row["a"], row["b"])] == []


def test_an_empty_help_desk_gives_an_empty_graph(copied: Copied, neo4j: Neo4j, milvus: Milvus) -> None:
    report = TicketGraph(copied.connection, neo4j, milvus).update()
    assert sum(report.nodes.values()) == 0
    assert catalog.current(copied.connection).datasets[DATASET].coverage == 1.0


def test_a_neo4j_that_is_away_or_refuses_is_said_in_a_sentence(neo4j: Neo4j, database: Any) -> None:
    del neo4j
    with closing(Neo4j("bolt://127.0.0.1:1", "neo4j", "x")) as away:
        with pytest.raises(Neo4jUnreachableError, match=r"Neo4j does not answer: 127\.0\.0\.1:1 "):
            away.version()
    with closing(Neo4j(database.neo4j_url, "neo4j", "wrong-password-1")) as locked:
        with pytest.raises(Neo4jError, match="Neo4j refuses the login") as caught:
            locked.version()
    assert "wrong-password-1" not in str(caught.value)


def _die(*_: object) -> None:
    raise KeyboardInterrupt
