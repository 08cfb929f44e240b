"""The command as a process of its own: what it prints, and that a restart brings back the same desk."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any

import httpx
import pytest

from infra.local.desk.journal import Journal
from infra.local.desk.running import parse_limit
from infra.local.errors import BrokenDirectory, StackError


@contextmanager
def command(directory: Path, *arguments: str) -> Iterator[tuple[dict[str, str], subprocess.Popen[str]]]:
    """Run `demo-desk` with settings of its own until the block ends."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SWITCHDESK_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local.cli", "demo-desk", *arguments],
        env=environment | {"SWITCHDESK_DIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        lines = [process.stdout.readline() for _ in range(3)]
        yield dict(line.removeprefix("export ").strip().split("=", 1) for line in lines if line), process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()


def rows(printed: dict[str, str], stream: str) -> dict[int, Any]:
    door = {"Authorization": f"Bearer {printed['SWITCHDESK_ZENDESK_CLIENT_SECRET']}"}
    url = f"{printed['SWITCHDESK_ZENDESK_URL']}/_desk/rows/{stream}"
    answer = httpx.get(url, headers=door, timeout=30, trust_env=False).json()
    return {row["id"]: row for row in answer}


def test_it_prints_how_to_reach_it_and_ends_on_sigterm(tmp_path: Path) -> None:
    with command(tmp_path, "--tickets", "30") as (printed, process):
        assert set(printed) == {
            "SWITCHDESK_ZENDESK_URL",
            "SWITCHDESK_ZENDESK_CLIENT_ID",
            "SWITCHDESK_ZENDESK_CLIENT_SECRET",
        }
        grant = {
            "grant_type": "client_credentials",
            "client_id": printed["SWITCHDESK_ZENDESK_CLIENT_ID"],
            "client_secret": printed["SWITCHDESK_ZENDESK_CLIENT_SECRET"],
        }
        url = printed["SWITCHDESK_ZENDESK_URL"]
        assert httpx.post(f"{url}/oauth/tokens", json=grant, trust_env=False).status_code == 200
        process.terminate()
        assert process.wait(20) == 0


def test_a_killed_live_desk_comes_back_with_all_it_showed(tmp_path: Path) -> None:
    # As if it had been live for the ten minutes before this one.
    this_minute = int(time()) // 60
    world = {"epoch": (this_minute - 11) * 60, "live": [[this_minute - 10, this_minute - 1, 600.0]]}
    (tmp_path / "desk.json").write_text(json.dumps({"60 tickets, seed 7": world}))
    arguments = ("--tickets", "60", "--live", "--rate", "600")
    with command(tmp_path, *arguments) as (printed, process):
        shown = {stream: rows(printed, stream) for stream in ("tickets", "ticket_comments", "users")}
        process.kill()
        process.wait(20)
    assert len(shown["tickets"]) > 100
    with command(tmp_path, *arguments) as (printed, _):
        for stream, known in shown.items():
            again = rows(printed, stream)
            assert known.keys() <= again.keys()
            times = {id: (row["created_at"], row.get("body")) for id, row in known.items()}
            assert times == {id: (again[id]["created_at"], again[id].get("body")) for id in known}


def test_a_live_minute_is_written_down_before_it_begins(tmp_path: Path) -> None:
    with command(tmp_path, "--tickets", "5", "--live", "--rate", "90") as (printed, _):
        rows(printed, "tickets")
        ((first, last, rate),) = json.loads((tmp_path / "desk.json").read_text())["5 tickets, seed 7"]["live"]
        assert last >= first > (time() - 5) // 60
        assert rate == 90.0


def test_a_restart_without_live_changes_nothing(tmp_path: Path) -> None:
    with command(tmp_path, "--tickets", "60") as (printed, process):
        before = rows(printed, "tickets")
        process.kill()
        process.wait(20)
    with command(tmp_path, "--tickets", "60") as (printed, _):
        assert rows(printed, "tickets") == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--limit", "ten"), "limit malformed: ten is not CALLS/SECONDS, for example 10/60"),
        (("--faults", "[{}]"), "faults malformed: 0.kind"),
        (("--faults", "nonsense"), "faults malformed"),
    ],
)
def test_bad_usage_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with command(tmp_path, *arguments) as (printed, process):
        assert process.wait(30) == 1
        assert process.stderr is not None
        error = process.stderr.read()
    assert printed == {}
    assert error.startswith(sentence)
    assert error.count("\n") == 1


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with command(tmp_path, "--tickets", "0") as (printed, _):
        port = printed["SWITCHDESK_ZENDESK_URL"].rsplit(":", 1)[1]
        with command(tmp_path, "--tickets", "0", "--port", port) as (_, second):
            assert second.wait(30) == 1
            assert second.stderr is not None
            assert f"127.0.0.1:{port}" in second.stderr.read()


def test_the_journal_keeps_worlds_apart_and_minutes_together(tmp_path: Path) -> None:
    path = tmp_path / "desk.json"
    journal = Journal.open(path, 100, 7, None, 1_000_000_000)
    other = Journal.open(path, 200, 7, None, 1_000_005_000)
    for minute in (10, 11, 12, 20):
        journal.go_live(minute, 30.0)
    again = Journal.open(path, 100, 7, None, 2_000_000_000)
    assert (again.epoch, again.live) == (journal.epoch, [(10, 12, 30.0), (20, 20, 30.0)])
    assert Journal.open(path, 200, 7, None, 2_000_000_000).epoch == other.epoch != journal.epoch
    assert Journal.open(path, 100, 7, 1_600_000_000, 0).live == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["desk.json"]


def test_a_broken_journal_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "desk.json"
    path.write_text("{")
    with pytest.raises(BrokenDirectory, match="delete it to begin with a new world"):
        Journal.open(path, 100, 7, None, 1_000_000_000)
    assert path.read_text() == "{"
    path.write_text(json.dumps([1]))
    with pytest.raises(BrokenDirectory):
        Journal.open(path, 100, 7, None, 1_000_000_000)


def test_limits_are_calls_over_seconds() -> None:
    assert parse_limit("10/60") == (10, 60.0)
    for text in ("0/60", "10/0", "10", "/", "a/b"):
        with pytest.raises(StackError):
            parse_limit(text)
