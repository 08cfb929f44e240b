"""Kafka to PostgreSQL, one record at a time."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from assets.settings import Settings
from assets.stores import kafka
from assets.zendesk import topics
from assets.zendesk.errors import SyncFenced
from assets.zendesk.exporter import Outbox
from assets.zendesk.flow import Flow
from assets.zendesk.loader import Loader
from assets.zendesk.records import CORRECTION_SCHEMA, Record, envelope
from tests.assets.zendesk.copies import Copy

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Bench:
    """A loader, and a hand that puts records before it."""

    def __init__(self, settings: Settings) -> None:
        bootstrap = settings.require("kafka_bootstrap")
        self.flow = Flow(threading.Event())
        self.loader = Loader(settings.require("postgres_url"), bootstrap, topics.ensure(bootstrap), self.flow)
        self.loader.open(set())
        self._outbox = Outbox(bootstrap, "tests")

    def put(self, stream: str, *records: Record) -> None:
        for record in records:
            self._outbox.put(stream, record)
        for name, ends in self._outbox.flush().items():
            self.flow.acked(name, ends)

    def load(self) -> None:
        finished = threading.Event()
        finished.set()
        self.loader.run(finished, lambda: None)


@pytest.fixture
def bench(database: Settings) -> Iterator[Bench]:
    opened = Bench(database)
    yield opened
    opened.loader.close()


@pytest.fixture
def copy(database: Settings) -> Iterator[Copy]:
    with Copy.open(database) as opened:
        yield opened


def ticket(id: int, version: int, **fields: Any) -> Record:
    payload = {"id": id, "generated_timestamp": version, "created_at": "2026-11-02T08:00:00Z", **fields}
    return envelope("tickets", id, version, NOW, payload)


def comment(id: int, version: int, body: str, **fields: Any) -> Record:
    payload = {"id": id, "event_type": "Comment", "body": body, "html_body": f"<p>{body}</p>", "public": True,
               "created_at": "2026-11-02T08:00:00Z", **fields}  # fmt: skip
    return envelope("ticket_comments", id, version, NOW, payload, parent_id=7)


def test_a_late_page_does_not_overwrite_a_newer_ticket(bench: Bench, copy: Copy) -> None:
    bench.put("tickets", ticket(1, 20, subject="newer"))
    bench.load()
    bench.put("tickets", ticket(1, 10, subject="older"))
    bench.load()

    assert copy.one("select subject, version from zendesk.tickets") == ("newer", 20)


def test_the_newest_of_a_batch_wins_wherever_it_stands(bench: Bench, copy: Copy) -> None:
    bench.put("tickets", ticket(1, 30, subject="newest"), ticket(1, 10, subject="old"), ticket(2, 5, subject="other"))
    bench.load()

    assert copy.all("select id, subject from zendesk.tickets order by id") == [(1, "newest"), (2, "other")]


def test_json_types_unknown_keys_and_hostile_text_arrive_as_they_were(bench: Bench, copy: Copy) -> None:
    odd = {
        "subject": "tab\there\nline\\N \\. \r end 👩‍👩‍👧 مرحبا",
        "select": {"from": [1, 1.5, None, True, "x\\u0041"]},
        "custom_fields": [{"id": 1, "value": False}, {"id": 2, "value": "12"}, {"id": 3, "value": ["a"]}],
    }
    bench.put("tickets", ticket(1, 1, **odd))
    bench.load()

    subject, payload = copy.one("select subject, payload from zendesk.tickets")
    assert subject == odd["subject"]
    assert {name: payload[name] for name in odd} == odd


def test_a_comment_of_ten_megabytes_is_a_comment(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", comment(1, 1, "x\\\n" * 3_500_000))
    bench.load()

    assert copy.one("select length(body) from zendesk.ticket_comments") == (10_500_000,)


def test_a_record_beyond_what_kafka_takes_is_set_aside_by_name(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", comment(1, 1, "x" * (25 << 20)), comment(2, 1, "short"))
    bench.load()

    assert copy.all("select id from zendesk.ticket_comments") == [(2,)]
    entity, reason = copy.one("select entity_id, reason from ops.dead_letters")
    assert entity == 1
    assert "bytes are more than Kafka takes" in reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{not json", "value: not JSON"),
        (b"[]", "envelope: expected an object"),
        (orjson.dumps({"id": "abc", "version": 1, "payload": {}}), "id: expected an integer, got str"),
        (orjson.dumps({"id": 1, "version": 1, "payload": {}}), "generated_timestamp: required and missing"),
        (
            orjson.dumps({"id": 1, "version": 1, "payload": {"generated_timestamp": 1, "created_at": "yesterday"}}),
            "created_at: expected a moment, got str",
        ),
        (
            orjson.dumps({"id": 1, "version": 1, "payload": {"generated_timestamp": 1, "subject": "nul \x00"}}),
            "PostgreSQL refuses the row: CharacterNotInRepertoire (22021)",
        ),
    ],
)
def test_a_record_that_no_table_holds_is_set_aside_and_the_rest_flows_on(
    bench: Bench, copy: Copy, database: Settings, value: bytes, reason: str
) -> None:
    before = kafka.extents(database.require("kafka_bootstrap"), topics.dead_letters("tickets"), [0])[0][1]
    bench.put("tickets", Record(b"1", value), ticket(2, 1), ticket(3, 1))
    bench.load()

    assert copy.all("select id from zendesk.tickets order by id") == [(2,), (3,)]
    stream, found, body = copy.one("select stream, reason, body from ops.dead_letters")
    assert (stream, bytes(body)) == ("tickets", value)
    assert found == reason
    after = kafka.extents(database.require("kafka_bootstrap"), topics.dead_letters("tickets"), [0])[0][1]
    assert after == before + 1


def test_a_second_loader_fences_the_first(bench: Bench, copy: Copy, database: Settings) -> None:
    second = Bench(database)
    bench.put("tickets", ticket(1, 1))
    try:
        with pytest.raises(SyncFenced, match="another sync took 1 partition"):
            bench.load()
        assert copy.all("select id from zendesk.tickets") == []

        second.put("tickets", ticket(2, 1))
        second.load()
    finally:
        second.loader.close()

    assert copy.all("select id from zendesk.tickets order by id") == [(1,), (2,)]


def test_what_hangs_on_a_scrubbed_ticket_never_comes_back(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", comment(1, 1, "a secret"))
    bench.load()
    bench.put("tickets", ticket(7, 2, status="deleted", subject="SCRUBBED", description="X"))
    bench.put("ticket_comments", comment(2, 9, "a late page"))
    bench.load()

    assert copy.all("select id from zendesk.ticket_comments") == []
    assert copy.all("select ticket_id, reason from ops.erasures") == [(7, "scrubbed")]


def test_a_ticket_that_only_calls_itself_scrubbed_keeps_its_comments(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", comment(1, 1, "a story"))
    bench.put("tickets", ticket(7, 2, status="deleted", subject="SCRUBBED", description="please clean my hub"))
    bench.load()

    assert copy.all("select id from zendesk.ticket_comments") == [(1,)]
    assert copy.all("select ticket_id from ops.erasures") == []


def test_a_correction_never_inserts_and_never_goes_back(bench: Bench, copy: Copy) -> None:
    def correction(id: int, version: int, body: str) -> Record:
        text = {"body": body, "html_body": body, "public": False, "metadata": {"only": "in lists"}}
        return envelope("ticket_comments", id, version, NOW, text, parent_id=7, schema=CORRECTION_SCHEMA)

    bench.put("ticket_comments", comment(1, 5, "a secret"))
    bench.load()
    bench.put("ticket_comments", correction(1, 6, "▇"), correction(2, 6, "▇"))
    bench.load()
    bench.put("ticket_comments", comment(1, 5, "a secret"), correction(1, 4, "an older state"))
    bench.load()

    ((id, body, is_public, payload),) = copy.all("select id, body, is_public, payload from zendesk.ticket_comments")
    assert (id, body, is_public) == (1, "▇", False)
    assert payload["html_body"] == "▇"
    assert "metadata" not in payload


def test_a_row_that_a_listing_lost_goes_the_way_of_its_stream(bench: Bench, copy: Copy) -> None:
    def row(stream: str, id: int, **fields: Any) -> Record:
        return envelope(stream, id, 1, NOW, {"id": id, "name": "one", **fields})

    bench.put("groups", row("groups", 1, deleted=False), row("groups", 2, deleted=False))
    bench.put("group_memberships", row("group_memberships", 1), row("group_memberships", 2))
    bench.load()
    bench.put("groups", envelope("groups", 1, 9, NOW, None))
    bench.put("group_memberships", envelope("group_memberships", 1, 9, NOW, None))
    bench.load()

    assert copy.all("select id, is_deleted from zendesk.groups order by id") == [(1, True), (2, False)]
    assert copy.all("select id from zendesk.group_memberships") == [(2,)]
    assert copy.one("select rows from catalog.datasets where dataset = 'zendesk.group_memberships'") == (1,)


def test_a_month_gets_a_new_version_only_where_a_row_of_it_changed(bench: Bench, copy: Copy) -> None:
    def months() -> dict[str, tuple[int, int]]:
        rows = copy.all("select partition, version, rows from catalog.partitions where dataset = 'zendesk.tickets'")
        return {row[0]: row[1:] for row in rows}

    october = {"created_at": "2026-10-31T23:59:59Z"}
    bench.put("tickets", ticket(1, 1, **october), ticket(2, 1), ticket(3, 1))
    bench.load()
    assert months() == {"2026-10": (1, 1), "2026-11": (1, 2)}

    bench.put("tickets", ticket(1, 1, **october), ticket(2, 2, subject="changed"))
    bench.load()
    assert months() == {"2026-10": (1, 1), "2026-11": (2, 2)}


def test_a_moment_counts_only_once_all_before_it_is_loaded(bench: Bench, copy: Copy) -> None:
    bench.put("tickets", ticket(1, 1))
    bench.flow.mark("tickets", NOW)
    assert copy.all("select as_of from catalog.datasets where dataset = 'zendesk.tickets'") == []

    bench.load()

    assert copy.one("select as_of from catalog.datasets where dataset = 'zendesk.tickets'") == (NOW,)
