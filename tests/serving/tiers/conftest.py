"""A small help desk, embedded and in the graph, and the two tiers that read it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from psycopg_pool import ConnectionPool

from assets.comment_index import CommentIndex
from assets.embedder import Embedder
from assets.settings import Settings
from assets.stores import postgres
from assets.stores.milvus import Milvus
from assets.stores.neo4j import Neo4j
from assets.ticket_graph import TicketGraph
from serving.tiers.graph import Graph
from serving.tiers.search import Search
from tests.fakes.copied import NOON, Copied

BODIES = {
    11: (1, 501, True, "Hello,\n\nmy parcel is two weeks late. Nobody answers the phone! Please send it again."),
    12: (1, 601, True, "We are sorry. The carrier is on strike and all deliveries are delayed."),
    13: (1, 601, False, "Carrier strike until Friday, do not promise dates."),
    21: (2, 502, True, "The app crashes as soon as I open it. Error code LV-31 is on the screen."),
    31: (3, 503, True, "I was charged twice for my subscription. Please refund one payment."),
    32: (3, 601, True, "Thank you for writing to us. We answer within one day."),
    41: (4, 504, True, "The package never arrived, and the courier does not pick up the phone."),
    42: (4, 601, True, "Thank you for writing to us. We answer within one day."),
}


@pytest.fixture
def questions(database: Settings) -> Iterator[ConnectionPool]:
    """The login that runs questions: it may read, and not even all of it."""
    with postgres.pool(database.require("postgres_questions_url"), application="tests", size=3) as pool:
        yield pool


@pytest.fixture
def desk(copied: Copied) -> Copied:
    """Four tickets in two groups: a late parcel, a crash, a double charge and a lost package."""
    copied.group(10, "Tier 1")
    copied.group(20, "Billing")
    for user in (501, 502, 503, 504):
        copied.user(user, f"Customer {user}")
    copied.user(601, "Grace Agent", role="agent")
    copied.ticket(1, subject="Parcel late", group_id=10, status="open", tags=["delivery", "vip"])
    copied.ticket(2, subject="App crashes", group_id=10, status="solved", requester_id=502)
    copied.ticket(3, subject="Charged twice", group_id=20, status="open", requester_id=503)
    copied.ticket(4, subject="Package lost", group_id=10, status="pending", requester_id=504, tags=["delivery"])
    for id, (ticket, author, is_public, body) in BODIES.items():
        at = NOON + timedelta(days=ticket, minutes=id)
        copied.comment(id, ticket, body, author_id=author, is_public=is_public, created_at=at)
    copied.publish()
    copied.marts()
    return copied


@pytest.fixture
def embed(desk: Copied, milvus: Milvus, embedder: Embedder) -> CommentIndex:
    """Everything that was copied so far is embedded; call `update` for more."""
    index = CommentIndex(desk.connection, milvus, embedder)
    index.update()
    return index


@pytest.fixture
def search(embed: CommentIndex, questions: ConnectionPool, milvus: Milvus) -> Search:
    del embed
    return Search(questions, milvus)


@pytest.fixture
def graph(desk: Copied, questions: ConnectionPool, milvus: Milvus, neo4j: Neo4j) -> Graph:
    desk.ticket(5, subject="Crash of 5.2.0", type="problem", requester_id=601, group_id=10)
    desk.ticket(2, subject="App crashes", problem_id=5, requester_id=502)
    desk.ticket(6, subject="Crash too", problem_id=5, requester_id=502, created_at=NOON + timedelta(days=5))
    desk.ticket(7, subject="Duplicate", requester_id=507, status="closed", tags=["closed_by_merge"])
    desk.comment(71, 7, 'This request was closed and merged into request #1 "Parcel late".', is_public=False)
    desk.ticket(8, subject="Again", requester_id=508, payload={"via": _follows(3)})
    desk.moves(901, 3, [10, 20, 10])
    desk.moves(902, 1, [10, 20])
    desk.publish()
    desk.marts()
    TicketGraph(desk.connection, neo4j, milvus).update()
    return Graph(questions, neo4j)


def _follows(ticket: int) -> dict[str, object]:
    return {"channel": "email", "source": {"rel": "follow_up", "from": {"ticket_id": ticket}}}
