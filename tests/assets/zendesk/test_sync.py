"""The whole way: a help desk through Kafka into PostgreSQL."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime
from functools import partial

import pytest
from pydantic import SecretStr

from assets.settings import Settings, SettingsError
from assets.zendesk import sync
from assets.zendesk.client import open_client
from assets.zendesk.errors import (
    AccountMismatch,
    CredentialsRefused,
    HostUnreachable,
    NotAnAdmin,
    SyncBusy,
    ZendeskError,
)
from assets.zendesk.lease import Lease
from assets.zendesk.streams import DAILY, STREAMS
from infra.local.desk.lifecycle import Step, Verb
from tests.assets.zendesk.conftest import reaching
from tests.assets.zendesk.copies import Copy, differences
from tests.fakes.desk import RunningDesk, demo_desk


def settle(desk: RunningDesk) -> None:
    """Let the withheld minute pass without anything happening in it."""
    desk.call(lambda: desk.server.clock.move(120))


def test_every_table_is_what_the_help_desk_shows(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    report = sync.run(settings)

    assert {name: done.status for name, done in report.streams.items()} == dict.fromkeys(STREAMS, "ok")
    assert differences(copy, desk) == {}
    assert {name: done.rows for name, done in report.streams.items()} == {
        name: len(copy.rows(name)) for name in STREAMS
    }


def test_faults_of_every_kind_leave_no_trace_in_the_copy(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    desk.script(
        [
            {"kind": "status", "status": 503, "probability": 0.15},
            {"kind": "reset", "probability": 0.1},
            {"kind": "truncated", "probability": 0.1},
            {"kind": "broken_json", "probability": 0.1},
            {"kind": "html", "probability": 0.05},
            {"kind": "empty_page", "path": "incremental/*", "probability": 0.2},
            {"kind": "foreign_link", "probability": 0.1},
        ]
    )

    report = sync.run(settings)

    assert {done.status for done in report.streams.values()} == {"ok"}
    assert differences(copy, desk) == {}
    assert len(desk.stats()["faults"]) >= 4


def test_reading_everything_again_changes_no_row(settings: Settings, copy: Copy) -> None:
    sync.run(settings)
    before = {name: copy.traces(name) for name in STREAMS}
    epoch = copy.one("select sum(version) from catalog.partitions")

    again = sync.run(settings)
    since = sync.run(settings, since=datetime(2020, 1, 1, tzinfo=UTC))

    assert sum(done.rows_changed for done in (*again.streams.values(), *since.streams.values())) == 0
    assert since.streams["tickets"].rows_read >= len(before["tickets"])
    assert {name: copy.traces(name) for name in STREAMS} == before
    assert copy.one("select sum(version) from catalog.partitions") == epoch


def test_the_copy_follows_twelve_days_of_changes(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    sync.run(settings)
    for _ in range(4):
        desk.advance(3 * 86400, per_hour=0.7)
        settle(desk)
        sync.run(settings)

    assert differences(copy, desk) == {}
    assert copy.one("select count(*) from ops.dead_letters") == (0,)


def test_a_redacted_comment_is_blackened_in_its_audit_too(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    ticket = next(t for t in desk.world.tickets.values() if t.status != "deleted")
    comment = ticket.comments[0]
    secret = "4111 1111 1111 1111"
    comment.body += f" {secret}"
    sync.run(settings)
    assert secret in copy.one("select body from zendesk.ticket_comments where id = %s", comment.id)[0]

    step = Step(desk.world.now, Verb.REDACT, desk.world.people.admin, detail=secret)
    desk.call(lambda: desk.world.act(ticket.id, step))
    settle(desk)
    sync.run(settings)

    for stream in ("tickets", "ticket_comments", "ticket_events"):
        assert copy.one(f"select count(*) from zendesk.{stream} where payload::text like %s", f"%{secret}%") == (0,)
    assert differences(copy, desk) == {}
    assert copy.all("select ticket_id, comment_id, reason from ops.erasures") == [(ticket.id, comment.id, "redacted")]


def test_a_note_made_private_is_private_in_its_audit_too(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    ticket = next(
        t
        for t in desk.world.tickets.values()
        if t.status != "deleted" and any(c.public and c.by_agent for c in t.comments[1:])
    )
    sync.run(settings)

    step = Step(desk.world.now, Verb.HIDE, desk.world.people.admin)
    desk.call(lambda: desk.world.act(ticket.id, step))
    settle(desk)
    sync.run(settings)

    (row,) = copy.all("select comment_id, reason from ops.erasures where ticket_id = %s", ticket.id)
    assert row[1] == "privacy changed"
    assert copy.one("select is_public from zendesk.ticket_comments where id = %s", row[0]) == (False,)
    assert differences(copy, desk) == {}


def test_a_redaction_in_a_deleted_ticket_blackens_the_whole_comment(
    settings: Settings, desk: RunningDesk, copy: Copy
) -> None:
    sync.run(settings)
    ticket = next(t for t in desk.world.tickets.values() if t.status == "deleted" and not t.scrubbed)
    comment = ticket.comments[0]
    secret = comment.body[:20]

    step = Step(desk.world.now, Verb.REDACT, desk.world.people.admin, detail=secret)
    desk.call(lambda: desk.world.act(ticket.id, step))
    settle(desk)
    sync.run(settings)

    assert copy.one("select body from zendesk.ticket_comments where id = %s", comment.id) == ("▇",)
    event = copy.one("select payload::text from zendesk.ticket_events where id = %s", comment.audit)[0]
    assert secret not in event


def test_a_scrubbed_ticket_loses_its_words_and_a_deleted_one_keeps_them(
    settings: Settings, desk: RunningDesk, copy: Copy
) -> None:
    sync.run(settings)
    kept = next(t for t in desk.world.tickets.values() if t.status == "deleted" and not t.scrubbed)
    scrubbed = next(t for t in desk.world.tickets.values() if t.status == "closed")

    def scrub() -> None:
        desk.world.act(scrubbed.id, Step(desk.world.now, Verb.DELETE, desk.world.people.admin, detail=False))
        desk.world.act(scrubbed.id, Step(desk.world.now, Verb.SCRUB))

    desk.call(scrub)
    settle(desk)
    sync.run(settings)

    for stream in ("ticket_comments", "ticket_events", "ticket_metric_events"):
        count = f"select count(*) from zendesk.{stream} where ticket_id = %s"
        assert copy.one(count, scrubbed.id) == (0,)
        assert copy.one(count, kept.id)[0] > 0
    assert copy.one("select subject, status from zendesk.tickets where id = %s", scrubbed.id) == ("SCRUBBED", "deleted")
    assert copy.all("select ticket_id, reason from ops.erasures") == [(scrubbed.id, "scrubbed")]
    assert differences(copy, desk) == {}
    assert copy.one("select rows from catalog.datasets where dataset = 'zendesk.ticket_comments'") == (
        len(copy.rows("ticket_comments")),
    )


def test_days_read_again_change_nothing_and_leave_the_cursor(settings: Settings, copy: Copy) -> None:
    sync.run(settings)
    before = {name: copy.traces(name) for name in STREAMS}
    cursors = copy.all("select stream, cursor from ops.sync_state order by stream")

    report = sync.backfill_day(settings, date(2026, 11, 1), date(2026, 11, 20))

    assert set(report.streams) == set(DAILY)
    assert report.streams["tickets"].rows_read > 0
    assert report.streams["ticket_events"].rows_read > 0
    assert {name: copy.traces(name) for name in STREAMS} == before
    assert copy.all("select stream, cursor from ops.sync_state order by stream") == cursors


def test_a_day_read_again_restores_what_was_lost(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    sync.run(settings)
    begin, end = datetime(2026, 11, 10, tzinfo=UTC), datetime(2026, 11, 17, tzinfo=UTC)
    copy.connection.execute(
        "delete from zendesk.ticket_comments where created_at >= %s and created_at < %s", (begin, end)
    )

    report = sync.backfill_day(settings, begin.date(), date(2026, 11, 16), streams=["ticket_comments"])

    assert report.streams["ticket_comments"].rows_changed > 0
    assert differences(copy, desk) == {}


def test_a_stream_without_days_cannot_be_read_by_day(settings: Settings) -> None:
    with pytest.raises(ZendeskError, match="stream without days: groups"):
        sync.backfill_day(settings, date(2026, 11, 1), streams=["groups"])


def test_kills_at_any_moment_repeat_at_most_a_page_each(database: Settings) -> None:
    kills = 4
    with demo_desk(tickets=200) as desk, Copy.open(database) as copy:
        settings = reaching(database, desk)
        desk.script([{"kind": "slow", "seconds": 0.05}])
        chance = random.Random(5)
        for _ in range(kills):
            child = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM], env=_environment(settings), start_new_session=True
            )
            pages, deadline = chance.randrange(1, 14), time.monotonic() + 60
            while child.poll() is None and time.monotonic() < deadline:
                if copy.one("select coalesce(sum(pages), 0) from ops.sync_state")[0] >= pages:
                    break
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
            child.wait()

        sync.run(settings)

        assert differences(copy, desk) == {}
        calls = desk.stats()["by_path"]
        stored = dict(copy.all("select stream, pages from ops.sync_state"))
        for stream in ("tickets", "ticket_events", "ticket_metric_events", "users", "organizations"):
            path = STREAMS[stream].path.removesuffix(".json")
            assert 0 <= calls[path] - stored[stream] <= kills


_PROGRAM = "from assets.settings import load_settings; from assets.zendesk import sync; sync.run(load_settings())"


def _environment(settings: Settings) -> dict[str, str]:
    names = (
        "zendesk_url",
        "zendesk_client_id",
        "zendesk_client_secret",
        "postgres_url",
        "kafka_bootstrap",
        "redis_url",
    )
    return {**os.environ, **{f"SWITCHDESK_{name.upper()}": settings.require(name) for name in names}}


def test_an_empty_help_desk_is_copied_as_such(database: Settings) -> None:
    with demo_desk(tickets=0) as desk, Copy.open(database) as copy:
        report = sync.run(reaching(database, desk))

        assert {done.status for done in report.streams.values()} == {"ok"}
        assert report.streams["tickets"].rows == 0
        assert report.streams["tickets"].as_of is not None
        assert differences(copy, desk) == {}


def test_a_stream_that_the_plan_lacks_is_absent_and_fails_nothing(
    settings: Settings, desk: RunningDesk, copy: Copy
) -> None:
    desk.script(
        [
            {"kind": "forbidden", "path": "slas/*"},
            {"kind": "status", "status": 404, "path": "business_hours/*"},
        ]
    )

    report = sync.run(settings)

    absent = {name for name, done in report.streams.items() if done.status == "absent"}
    assert absent == {"sla_policies", "schedules", "holidays"}
    states = {entry["name"]: entry for entry in sync.stream_status(copy.connection)}
    assert states["sla_policies"]["state"] == "absent"
    assert "403" in states["sla_policies"]["reason"]
    assert states["tickets"]["state"] == "ok"
    assert states["tickets"]["rows"] == len(copy.rows("tickets"))


def test_every_export_refused_names_the_credentials(settings: Settings, desk: RunningDesk) -> None:
    desk.script([{"kind": "forbidden", "path": "incremental/*"}])

    with pytest.raises(NotAnAdmin, match="SWITCHDESK_ZENDESK_CLIENT_ID"):
        sync.run(settings)


def test_credentials_of_an_agent_are_told_apart(settings: Settings, desk: RunningDesk) -> None:
    desk.script([{"kind": "non_admin"}])

    with pytest.raises(NotAnAdmin, match="role 'agent'"):
        sync.run(settings)


def test_a_wrong_secret_is_named_and_not_shown(settings: Settings) -> None:
    wrong = settings.model_copy(update={"zendesk_client_secret": SecretStr("not-the-secret")})

    with pytest.raises(CredentialsRefused, match="SWITCHDESK_ZENDESK_CLIENT_SECRET") as caught:
        sync.run(wrong)

    assert "not-the-secret" not in str(caught.value)


def test_missing_credentials_are_named(settings: Settings) -> None:
    bare = settings.model_copy(update={"zendesk_client_id": None, "zendesk_client_secret": None})

    with pytest.raises(SettingsError, match="SWITCHDESK_ZENDESK_CLIENT_ID and SWITCHDESK_ZENDESK_CLIENT_SECRET"):
        sync.run(bare)


def test_a_help_desk_of_another_address_is_refused(settings: Settings, desk: RunningDesk, copy: Copy) -> None:
    sync.run(settings, ["groups"])

    with demo_desk(tickets=0) as other, pytest.raises(AccountMismatch, match="SWITCHDESK_ZENDESK_URL names"):
        sync.run(reaching(settings, other), ["groups"])

    assert len(copy.rows("groups")) > 0


def test_a_second_run_ends_quietly_or_waits_for_the_first(settings: Settings) -> None:
    holder = Lease(settings.require("postgres_url"), sync.LEASE)
    holder.acquire(wait=False, stop=threading.Event())
    told: list[str] = []
    try:
        with pytest.raises(SyncBusy, match="sync running already"):
            sync.run(settings, ["groups"], wait=False)
        threading.Timer(1.0, holder.release).start()
        report = sync.run(settings, ["groups"], notice=told.append)
    finally:
        holder.release()

    assert report.streams["groups"].status == "ok"
    assert len(told) == 1
    assert "waiting for it to end" in told[0]


def test_the_limits_are_kept_without_a_single_refusal(database: Settings) -> None:
    with demo_desk(tickets=60, limit=(5, 1.0)) as desk, Copy.open(database) as copy:
        sync.run(reaching(database, desk))

        assert differences(copy, desk) == {}
        assert desk.stats()["limited"] == 0


def test_a_host_that_is_not_there_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "open_client", partial(open_client, give_up_seconds=1.0))
    nowhere = settings.model_copy(update={"zendesk_url": "http://127.0.0.1:9"})

    with pytest.raises(HostUnreachable, match=r"127\.0\.0\.1:9 gave no connection .* SWITCHDESK_ZENDESK_URL"):
        sync.run(nowhere)
