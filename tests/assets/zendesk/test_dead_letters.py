"""Dead letters: listed, shown, put back, settled by newer copies, and emptied where their ticket's text is erased."""

import threading
import unicodedata
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from assets.settings import Settings
from assets.zendesk import dead_letters
from assets.zendesk.errors import ZendeskError
from assets.zendesk.lease import LEASE, Lease
from assets.zendesk.records import CORRECTION_SCHEMA, Record, envelope
from infra.local.cli import build_app
from tests.assets.zendesk.copies import Copy
from tests.assets.zendesk.test_loader import NOW, Bench, ticket

SECRET = "4111 1111 1111 1111"


@pytest.fixture
def bench(database: Settings) -> Iterator[Bench]:
    opened = Bench(database)
    yield opened
    opened.loader.close()


@pytest.fixture
def copy(database: Settings) -> Iterator[Copy]:
    with Copy.open(database) as opened:
        yield opened


@pytest.fixture
def settings(database: Settings) -> Settings:
    return database.model_copy(update={"zendesk_url": "http://127.0.0.1:9"})


def broken(id: int, body: str = SECRET, *, ticket_id: int = 7) -> Record:
    """A comment without its moment, which no table holds."""
    payload = {"id": id, "event_type": "Comment", "body": body, "public": True}
    return envelope("ticket_comments", id, 1, NOW, payload, parent_id=ticket_id)


def whole(id: int, version: int, body: str = "whole", *, ticket_id: int = 7) -> Record:
    payload = {"id": id, "body": body, "public": True, "created_at": "2026-11-02T08:00:00Z"}
    return envelope("ticket_comments", id, version, NOW, payload, parent_id=ticket_id)


def mend(copy: Copy, letter: int) -> None:
    """As where a newer version of ours knows what to do with the record."""
    body = bytes(copy.one("select body from ops.dead_letters where id = %s", letter)[0])
    record = orjson.loads(body)
    record["payload"]["created_at"] = "2026-11-02T08:00:00Z"
    copy.connection.execute("update ops.dead_letters set body = %s where id = %s", (orjson.dumps(record), letter))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(build_app(["dlq"]), ["dlq", *arguments])


def test_a_dead_letter_is_listed_with_where_it_came_from(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", broken(3))
    bench.load()

    (letter,) = dead_letters.listed(copy.connection)
    assert (letter.stream, letter.entity_id, letter.ticket_id, letter.state) == ("ticket_comments", 3, 7, "open")
    assert letter.reason == "created_at: required and missing"
    assert letter.origin.startswith("zendesk.ticket_comments.raw/")
    assert letter.body is None
    assert dead_letters.listed(copy.connection, stream="tickets") == []


def test_a_hostile_body_is_shown_without_reaching_the_terminal(bench: Bench, copy: Copy) -> None:
    bench.put("tickets", Record(b"1", b"\x1b[2Jnot \xff json\x07\xe2\x80\xae"), Record(b"2", b'{"id": "\\u001b[31m"}'))
    bench.load()

    texts = [dead_letters.one(copy.connection, each.id).text() for each in dead_letters.listed(copy.connection)]
    assert any("not \\xff json" in text for text in texts)
    for text in texts:
        assert all(unicodedata.category(character)[0] != "C" for character in text.replace("\n", ""))


def test_a_huge_body_is_cut(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", broken(3, "x" * 100_000))
    bench.load()

    text = dead_letters.one(copy.connection, dead_letters.listed(copy.connection)[0].id).text()
    assert len(text) < 17_000
    assert "more characters" in text


def test_a_replayed_record_is_loaded_once_however_often_it_is_asked_for(
    bench: Bench, copy: Copy, settings: Settings
) -> None:
    bench.put("ticket_comments", broken(3), broken(4))
    bench.load()
    first, second = (each.id for each in dead_letters.listed(copy.connection))
    mend(copy, first)
    bench.loader.close()

    done = dead_letters.replay(settings, [first])

    assert (list(done.replayed), dict(done.again)) == ([first], {})
    assert copy.all("select id, body from zendesk.ticket_comments") == [(3, SECRET)]
    assert copy.one("select settled, replayed_at is not null from ops.dead_letters where id = %s", first) == (
        "replayed",
        True,
    )
    assert [each.id for each in dead_letters.listed(copy.connection)] == [second]
    traces = copy.traces("ticket_comments")
    assert list(dead_letters.replay(settings, [first]).replayed) == []
    assert copy.traces("ticket_comments") == traces


def test_a_record_refused_again_is_a_dead_letter_again(bench: Bench, copy: Copy, settings: Settings) -> None:
    bench.put("ticket_comments", broken(3))
    bench.load()
    (old,) = dead_letters.listed(copy.connection)
    bench.loader.close()

    done = dead_letters.replay(settings)

    assert dict(done.again) == {old.id: "created_at: required and missing"}
    (new,) = dead_letters.listed(copy.connection)
    assert new.id != old.id
    assert (new.part, new.record_offset) != (old.part, old.record_offset)


def test_a_running_sync_loads_what_is_replayed(bench: Bench, copy: Copy, settings: Settings) -> None:
    bench.put("ticket_comments", broken(3))
    bench.load()
    (letter,) = dead_letters.listed(copy.connection)
    mend(copy, letter.id)
    lease = Lease(settings.require("postgres_url"), LEASE)
    lease.acquire(wait=False, stop=threading.Event())
    finished = threading.Event()
    loading = threading.Thread(target=bench.loader.run, args=(finished, lease.keep))
    loading.start()
    told: list[str] = []
    try:
        done = dead_letters.replay(settings, notice=told.append)
    finally:
        finished.set()
        loading.join()
        lease.release()

    assert list(done.replayed) == [letter.id]
    assert dict(done.again) == {}
    assert copy.all("select id from zendesk.ticket_comments") == [(3,)]


def test_a_newer_copy_that_loads_settles_the_dead_letter(bench: Bench, copy: Copy, database: Settings) -> None:
    bench.put("ticket_comments", broken(3), broken(4))
    bench.load()
    later = Bench(database)
    later.put("ticket_comments", whole(3, 2))
    later.load()
    later.loader.close()

    assert copy.all("select entity_id, settled from ops.dead_letters order by 1") == [(3, "newer copy"), (4, None)]


def test_a_redaction_reaches_the_dead_letter_that_held_the_text(bench: Bench, copy: Copy, settings: Settings) -> None:
    audit = {"id": 9, "ticket_id": 7, "child_events": [{"id": 3, "event_type": "Comment", "body": SECRET}]}
    bench.put("ticket_comments", broken(3), broken(4, "another comment"), broken(5, "another ticket", ticket_id=8))
    bench.put("ticket_events", envelope("ticket_events", 9, 1, NOW, audit))
    bench.load()
    told = {"body": "▇", "html_body": "▇", "public": True}
    bench.put("ticket_comments", envelope("ticket_comments", 3, 2, NOW, told, parent_id=7, schema=CORRECTION_SCHEMA))
    bench.load()

    held = dict(copy.all("select entity_id, body from ops.dead_letters"))
    assert {id for id, body in held.items() if body is None} == {3, 9}
    erased = next(each for each in dead_letters.listed(copy.connection) if each.entity_id == 3)
    assert erased.state == "erased"
    bench.loader.close()
    done = dead_letters.replay(settings, [erased.id])
    assert (list(done.replayed), list(done.erased)) == ([], [erased.id])
    assert copy.all("select id from zendesk.ticket_comments") == []


def test_a_scrubbed_ticket_empties_its_dead_letters_before_and_after(bench: Bench, copy: Copy) -> None:
    bench.put("ticket_comments", broken(3), broken(4, "another ticket", ticket_id=8))
    bench.put("ticket_events", Record(b"9", b'{"id": 9, "payload": {"ticket_id": 7, "body": "' + SECRET.encode()))
    bench.load()
    bench.put("tickets", ticket(7, 2, status="deleted", subject="SCRUBBED", description="X"))
    bench.load()
    bench.put("ticket_comments", broken(5))
    bench.load()

    held = copy.all("select entity_id, body is null, settled from ops.dead_letters order by id")
    assert sorted(held, key=str) == sorted(
        [(3, True, "scrubbed"), (4, False, None), (None, True, "scrubbed"), (5, True, "scrubbed")], key=str
    )


def test_an_unknown_number_is_named(copy: Copy) -> None:
    with pytest.raises(ZendeskError, match="dead letter unknown: 99"):
        dead_letters.one(copy.connection, 99)


def test_the_command_lists_shows_and_replays(
    bench: Bench, copy: Copy, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHDESK_ZENDESK_URL", settings.require("zendesk_url"))
    assert "every record was loaded" in run("list").output
    bench.put("ticket_comments", broken(3))
    bench.load()
    bench.loader.close()
    (letter,) = dead_letters.listed(copy.connection)

    assert "created_at: required and missing" in run("list").output
    shown = run("show", str(letter.id)).output
    assert "ticket   7" in shown
    assert SECRET in shown
    assert run("replay").exit_code == 2
    mend(copy, letter.id)
    assert run("replay", "--all").output == "1 replayed: 1 loaded, 0 refused\n"
    assert "replayed" in run("list", "--all").output
