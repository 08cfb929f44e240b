"""Erased words leave every store behind PostgreSQL: each on its own, at once or with the next cycle."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import redis
from pydantic import SecretStr
from redis.asyncio import Redis

from assets import catalog, erasures
from assets.comment_index import DATASET
from assets.settings import Settings
from assets.stores.milvus import CommentVector, Milvus, Where
from assets.stores.neo4j import Neo4j
from assets.stores.postgres import BuildLock
from assets.zendesk import sync
from infra.local.desk.lifecycle import Step, Verb
from serving.policy import CachePolicy
from serving.schemas import Answer, Citation, Intent, RangeOut, Status
from serving.tiers.cache import AnswerCache
from tests.assets.zendesk.conftest import reaching
from tests.fakes.copied import NOON, Copied, emptied_milvus, emptied_neo4j, opened
from tests.fakes.desk import demo_desk

COLLECTION = "comment_embeddings_tests"
SECRET = "4111 1111 1111 1111"


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store that can hold a ticket's words."""

    settings: Settings
    copied: Copied
    milvus: Milvus
    neo4j: Neo4j

    def drain(self, **other: Any) -> dict[str, int]:
        return dict(erasures.drain(self.copied.connection, self.settings.model_copy(update=other)))

    def fill(self, ticket_id: int, *comment_ids: int) -> None:
        """What builds and questions would leave of a ticket."""
        self.embed(ticket_id, *comment_ids)
        self.neo4j.run("merge (t:Ticket {id: $id}) set t.subject = $subject", id=ticket_id, subject=SECRET)
        assert self.keep(f"of {ticket_id}", ticket_id)
        self.copied.connection.execute(
            """
            insert into serving.decisions (id, key_id, question_digest, policy_version, epoch, record, answer)
            values (%s, 'key', '', '', 0, '{}', %s)
            """,
            (f"decision {ticket_id}", answer(ticket_id).model_dump_json(by_alias=True)),
        )

    def embed(self, ticket_id: int, *comment_ids: int) -> None:
        rows = [
            CommentVector(id * 256, ticket_id, id, None, int(NOON.timestamp()), True, "end_user", "0" * 64, 0, 0, 9)
            for id in comment_ids
        ]
        self.milvus.ensure(COLLECTION, 384)
        self.milvus.upsert(COLLECTION, rows, np.eye(384, dtype=np.float32)[: len(rows)])

    def publish(self) -> None:
        """As the last build of the embeddings left the catalogue."""
        with self.copied.connection.transaction():
            count = self.milvus.count(COLLECTION)
            facts = {"collection": COLLECTION, "model_id": "tests"}
            months = {"2026-11": ("built", count)}
            catalog.publish(self.copied.connection, DATASET, as_of=NOON, rows=count, facts=facts, partitions=months)

    def keep(self, key: str, *ticket_ids: int) -> bool:
        """Keep an answer as serving does; whether it was kept."""
        name = f"{self.database} {key}"

        async def put() -> bool:
            client = Redis.from_url(self.settings.require("redis_url"))
            cache = AnswerCache(client, CachePolicy(ttl_seconds=600, max_bytes=1_000_000))
            await cache.put(name, answer(*ticket_ids), datetime.now(UTC), database=self.database)
            kept = await cache.get(name)
            await client.aclose()
            return kept is not None

        return asyncio.run(put())

    @property
    def database(self) -> str:
        return catalog.identity(self.copied.connection)

    def kept(self) -> set[str]:
        """Names of the answers that Redis holds."""
        client = redis.Redis.from_url(self.settings.require("redis_url"))
        prefix = f"switchdesk:answer:{self.database} "
        found = {key.decode().removeprefix(prefix) for key in client.scan_iter(f"{prefix}*")}
        client.close()
        return found

    def vectors(self) -> set[int]:
        rows = self.milvus.rows(COLLECTION, Where(created_from=0))
        return {row.comment_id for row in rows}

    def subject(self, ticket_id: int) -> Any:
        (row,) = self.neo4j.read("match (t:Ticket {id: $id}) return t.subject as subject", {"id": ticket_id})
        return row["subject"]

    def decision(self, ticket_id: int) -> Any:
        row = self.copied.connection.execute(
            "select answer from serving.decisions where id = %s", (f"decision {ticket_id}",)
        ).fetchone()
        assert row is not None
        return row[0]

    def marks(self) -> list[tuple[bool, bool, bool]]:
        """Of each erasure: whether Milvus, Neo4j and Redis are rid of it."""
        return self.copied.connection.execute(
            "select milvus_at is not null, neo4j_at is not null, redis_at is not null from ops.erasures order by id"
        ).fetchall()


def answer(*ticket_ids: int) -> Answer:
    return Answer(
        status=Status.ANSWERED,
        intent=Intent.SEMANTIC,
        tier="semantic",
        text=f"They wrote: {SECRET}",
        ticket_ids=list(ticket_ids),
        citations=[Citation(ticket_id=id, comment_id=1, quote=SECRET, score=1) for id in ticket_ids[:1]],
        range=RangeOut(time_zone="UTC", **{"from": None}),
    )


@pytest.fixture
def stores(database: Settings) -> Iterator[Stores]:
    with opened(database) as copied, emptied_milvus(database) as milvus, emptied_neo4j(database) as neo4j:
        yield Stores(database, copied, milvus, neo4j)


def test_a_redaction_has_left_every_store_when_the_sync_ends(stores: Stores, database: Settings) -> None:
    with demo_desk(tickets=20) as desk:
        settings = reaching(database, desk)
        ticket = next(t for t in desk.world.tickets.values() if t.status != "deleted")
        comment = ticket.comments[0]
        comment.body += f" {SECRET}"
        sync.run(settings)
        stores.fill(ticket.id, comment.id, comment.id + 1_000_000)
        stores.publish()
        step = Step(desk.world.now, Verb.REDACT, desk.world.people.admin, detail=SECRET)
        desk.call(lambda: desk.world.act(ticket.id, step))
        desk.call(lambda: desk.server.clock.move(120))

        away = settings.model_copy(update={"milvus_url": "http://127.0.0.1:9"})
        report = sync.run(away)

        assert {done.status for done in report.streams.values()} == {"ok"}
        assert dict(report.waiting) == {"milvus": 1}
        assert stores.marks() == [(False, True, True)]
        assert stores.kept() == set()
        assert stores.decision(ticket.id) is None
        assert comment.id in stores.vectors()

        report = sync.run(settings)

        assert dict(report.waiting) == {}
        assert stores.marks() == [(True, True, True)]
        assert stores.vectors() == {comment.id + 1_000_000}


def test_a_scrubbed_ticket_leaves_and_others_stay(stores: Stores) -> None:
    for id in (1, 2):
        stores.copied.ticket(id)
        stores.fill(id, id * 10, id * 10 + 1)
    stores.publish()
    before = catalog.current(stores.copied.connection).datasets[DATASET].version
    stores.copied.scrub(1)

    assert stores.drain() == {}

    assert stores.vectors() == {20, 21}
    assert stores.kept() == {"of 2"}
    assert (stores.decision(1), stores.decision(2) is not None) == (None, True)
    assert (stores.subject(1), stores.subject(2)) == (None, SECRET)
    snapshot = catalog.current(stores.copied.connection)
    assert (snapshot.datasets[DATASET].version, snapshot.datasets[DATASET].rows) == (before + 1, 2)
    assert stores.marks() == [(True, True, True)]


def test_an_answer_read_before_the_erasure_is_not_kept_after_it(stores: Stores) -> None:
    stores.copied.scrub(1)
    stores.drain()

    assert not stores.keep("late", 1)
    assert stores.keep("another", 2)


def test_an_answer_that_names_hundreds_of_tickets_goes_with_any_erasure(stores: Stores) -> None:
    assert stores.keep("wide", *range(1000, 1400))
    assert stores.keep("narrow", 5)
    stores.copied.scrub(1)
    stores.drain()

    assert stores.kept() == {"narrow"}


def test_a_store_with_a_build_under_way_is_emptied_now_and_again_later(stores: Stores, database: Settings) -> None:
    stores.fill(1, 10)
    stores.copied.scrub(1)
    with opened(database) as builder:
        builder.connection.execute("select pg_advisory_lock(%s)", (BuildLock.COMMENT_INDEX,))
        assert stores.drain() == {"milvus": 1}
        assert stores.vectors() == set()
        stores.embed(1, 10)

    assert stores.drain() == {}
    assert stores.vectors() == set()


def test_stores_that_are_away_delay_only_their_own_part(stores: Stores) -> None:
    stores.fill(1, 10)
    stores.copied.scrub(1)

    waiting = stores.drain(redis_url=SecretStr("redis://127.0.0.1:9/0"), neo4j_url="bolt://127.0.0.1:9")

    assert waiting == {"neo4j": 1, "redis": 1}
    assert stores.marks() == [(True, False, False)]
    assert stores.drain() == {}
    assert stores.subject(1) is None
    assert stores.kept() == set()
