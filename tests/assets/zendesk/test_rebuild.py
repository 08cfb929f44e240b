"""The state topics hold the newest copy of every row, and the copy can be had from them alone."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import confluent_kafka.admin
import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaException
from typer.testing import CliRunner

from assets.settings import Settings
from assets.stores import kafka
from assets.zendesk import sync, topics
from assets.zendesk.errors import ZendeskError
from assets.zendesk.rebuild import rebuild
from assets.zendesk.records import envelope
from assets.zendesk.streams import STREAMS
from infra.local.cli import build_app
from infra.local.desk.lifecycle import Step, Verb
from tests.assets.zendesk.copies import Copy
from tests.assets.zendesk.test_loader import NOW, Bench, comment, ticket
from tests.assets.zendesk.test_sync import settle
from tests.fakes.desk import RunningDesk

SECRET = "4111 1111 1111 1111"


@pytest.fixture(autouse=True)
def fresh_topics(database: Settings) -> None:
    """State topics without the rows of other tests' databases."""
    bootstrap = database.require("kafka_bootstrap")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = {topics.state(name) for name in STREAMS} & set(admin.list_topics(timeout=15).topics)
    if names:
        for future in admin.delete_topics(list(names)).values():
            future.result(30)
        while names & set(admin.list_topics(timeout=15).topics):
            time.sleep(0.1)
    topics.ensure(bootstrap)


@pytest.fixture
def bench(database: Settings) -> Iterator[Bench]:
    opened = Bench(database)
    yield opened
    opened.loader.close()


@pytest.fixture
def plain(database: Settings) -> Iterator[Copy]:
    with Copy.open(database) as opened:
        yield opened


def tables(copy: Copy) -> dict[str, list[Any]]:
    """Every table row by row, without what tells when and by which load a row came."""
    return {
        stream: copy.all(f"select to_jsonb(t) - 'loaded_at' - 'load_seq' from zendesk.{stream} t order by id, payload")
        for stream in STREAMS
    }


def empty(copy: Copy) -> None:
    """As after the loss of the database: migrated, and nothing more."""
    names = [row[0] for row in copy.all("select format('%I.%I', schemaname, tablename) from pg_tables"
                                        " where schemaname in ('zendesk', 'ops', 'catalog')"
                                        " and tablename <> 'epoch'")]  # fmt: skip
    copy.connection.execute(f"truncate {', '.join(names)} cascade".encode())


def held(settings: Settings, stream: str, group: str) -> dict[bytes, list[bytes | None]]:
    """What a consumer group of its own reads from a state topic: all values of each key, in order."""
    consumer = kafka.consumer(settings.require("kafka_bootstrap"), group=group, client="tests", tells_ends=True)
    consumer.assign(
        [TopicPartition(topics.state(stream), part, OFFSET_BEGINNING) for part in range(STREAMS[stream].partitions)]
    )
    found: dict[bytes, list[bytes | None]] = {}
    left = STREAMS[stream].partitions
    while left:
        for message in consumer.consume(500, timeout=0.2):
            if message.error() is not None:
                left -= 1
            else:
                found.setdefault(bytes(message.key() or b""), []).append(message.value())  # pyright: ignore
    consumer.close()
    return found


def test_the_copy_is_rebuilt_row_by_row_without_the_help_desk(
    settings: Settings, desk: RunningDesk, copy: Copy
) -> None:
    redacted, scrubbed = [t for t in desk.world.tickets.values() if t.status == "closed"][:2]
    redacted.comments[0].body += f" {SECRET}"
    sync.run(settings)
    admin = desk.world.people.admin

    def change() -> None:
        desk.world.act(redacted.id, Step(desk.world.now, Verb.REDACT, admin, detail=SECRET))
        desk.world.act(scrubbed.id, Step(desk.world.now, Verb.DELETE, admin, detail=False))
        desk.world.act(scrubbed.id, Step(desk.world.now, Verb.SCRUB))

    desk.call(change)
    desk.advance(86400, per_hour=0.7)
    settle(desk)
    sync.run(settings)
    sync.run(settings)
    before = tables(copy)
    months = copy.all("select dataset, partition, rows from catalog.partitions where rows > 0 order by 1, 2")
    empty(copy)

    calls = desk.stats()["calls"]
    rows = rebuild(settings)

    assert tables(copy) == before
    assert rows == {stream: len(found) for stream, found in before.items()}
    assert copy.all("select dataset, partition, rows from catalog.partitions order by 1, 2") == months
    assert desk.stats()["calls"] == calls
    newest = [values[-1] for stream in STREAMS for values in held(settings, stream, "another-group").values()]
    assert not [value for value in newest if value is not None and SECRET.encode() in value]

    report = sync.run(settings)
    assert {done.rows_changed for done in report.streams.values()} == {0}


def test_only_what_changed_is_written_and_what_is_gone_is_a_tombstone(
    bench: Bench, plain: Copy, database: Settings
) -> None:
    bench.put("tickets", ticket(1, 20, subject="newer"))
    bench.put("ticket_comments", comment(5, 1, "words"))
    bench.load()
    bench.put("tickets", ticket(1, 10, subject="older"), ticket(1, 20, subject="newer"))
    bench.put("group_memberships", envelope("group_memberships", 2, 1, NOW, {"id": 2}))
    bench.load()
    bench.put("tickets", ticket(7, 2, status="deleted", subject="SCRUBBED", description="X"))
    bench.put("group_memberships", envelope("group_memberships", 2, 9, NOW, None))
    bench.load()

    tickets = held(database, "tickets", "first")
    assert [orjson.loads(value or b"")["payload"]["subject"] for value in tickets[b"1"]] == ["newer"]
    assert held(database, "ticket_comments", "first")[b"5"][1:] == [None]
    assert held(database, "group_memberships", "second")[b"2"][1:] == [None]
    assert plain.all("select id from zendesk.group_memberships") == []


def test_a_row_flagged_as_gone_is_flagged_after_a_rebuild(bench: Bench, plain: Copy, database: Settings) -> None:
    bench.put("groups", *(envelope("groups", id, 1, NOW, {"id": id, "deleted": False}) for id in (1, 2)))
    bench.load()
    bench.put("groups", envelope("groups", 1, 9, NOW, None))
    bench.load()
    before = tables(plain)
    empty(plain)
    rebuild(database)

    assert tables(plain) == before
    assert plain.all("select id, is_deleted from zendesk.groups order by id") == [(1, True), (2, False)]


def test_a_topic_made_anew_is_filled_from_its_table(plain: Copy, database: Settings) -> None:
    plain.connection.execute(
        "insert into zendesk.holidays (id, schedule_id, version, payload, load_seq) values (1, 9, 5, '{\"id\": 1}', 1)"
    )
    plain.connection.execute(
        "insert into zendesk.groups (id, version, payload, load_seq, is_deleted) values (4, 5, '{\"id\": 4}', 1, true)"
    )
    opened = Bench(database)
    opened.loader.close()
    before = tables(plain)
    empty(plain)
    rebuild(database)

    assert tables(plain) == before


def test_a_copy_with_rows_is_not_rebuilt_over(bench: Bench, plain: Copy, database: Settings) -> None:
    bench.put("tickets", ticket(1, 1))
    bench.load()

    with pytest.raises(ZendeskError, match=r"copy not empty: zendesk\.tickets"):
        rebuild(database)

    assert plain.all("select id from zendesk.tickets") == [(1,)]


def _config(admin: AdminClient, topic: str) -> dict[str, str]:
    for _ in range(50):
        (asked,) = admin.describe_configs([confluent_kafka.admin.ConfigResource("topic", topic)]).values()  # pyright: ignore
        try:
            return {key: entry.value for key, entry in asked.result(15).items()}
        except KafkaException:
            # A topic that was just made is not known everywhere at once.
            time.sleep(0.1)
    raise AssertionError(f"{topic} does not appear")


def test_what_was_replaced_leaves_kafka_within_days(database: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": database.require("kafka_bootstrap")})
    names = (topics.raw("ticket_comments"), topics.state("ticket_comments"))
    raw, state = (_config(admin, name) for name in names)

    assert raw["cleanup.policy"] == "delete"
    assert int(raw["retention.ms"]) == topics.RETENTION_HOURS * 3_600_000
    assert state["cleanup.policy"] == "compact"
    assert int(state["min.compaction.lag.ms"]) == 3_600_000
    assert int(state["max.compaction.lag.ms"]) + int(state["segment.ms"]) < topics.RETENTION_HOURS * 3_600_000
    assert int(state["delete.retention.ms"]) == 7 * 86_400_000


def test_the_command_rebuilds_and_refuses_a_second_time(bench: Bench, plain: Copy) -> None:
    bench.put("tickets", ticket(1, 1), ticket(2, 1))
    bench.load()
    empty(plain)

    run = partial(CliRunner().invoke, build_app(["sync"]), ["sync", "--from-kafka"])
    done = run()
    assert "2 rows rebuilt from Kafka" in done.output
    assert plain.all("select id from zendesk.tickets order by id") == [(1,), (2,)]
    assert "copy not empty" in str(run().exception)
