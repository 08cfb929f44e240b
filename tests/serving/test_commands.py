"""`switchdesk keys`, `ask` and `route` against a running API."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from assets.settings import Settings
from infra.local.cli import build_app
from serving.access.keys import create_key
from serving.app import create_app
from tests.fakes.marts import Mart, Marts, days_ago

pytestmark = pytest.mark.stack

COUNT = "How many tickets were created in the last 7 days, by channel?"


@pytest.fixture
def served(settings: Settings, marts: Marts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    marts.publish([Mart(1, days_ago(2)), Mart(2, days_ago(3), "web")])
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning", timeout_graceful_shutdown=2))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.05)
        monkeypatch.setenv("SWITCHDESK_API_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("SWITCHDESK_API_KEY", create_key(settings, "cli"))
        yield settings
        server.should_exit = True
        thread.join(30)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(list(arguments)), list(arguments))


def test_an_answer_is_printed_with_tier_cost_and_evidence(served: Settings) -> None:
    for options in ((), ("--stream",)):
        result = _run("ask", COUNT, *options)
        assert result.exit_code == 0, result.output
        assert "Tickets created by channel" in result.output
        assert "- email: 1 ticket" in result.output
        assert "tier " in result.output
        assert "USD" in result.output
        assert "analytics.fct_tickets version 1" in result.output


def test_an_answer_as_json_is_the_whole_answer(served: Settings) -> None:
    answer = json.loads(_run("ask", COUNT, "--json").output)
    assert sorted(answer["rows"]) == [["email", 1], ["web", 1]]


def test_a_route_is_printed_with_its_reasons(served: Settings) -> None:
    result = _run("route", COUNT)
    assert result.exit_code == 0, result.output
    assert "> planner" in result.output
    assert "no model is needed" in result.output


def test_a_refusal_is_one_sentence(served: Settings) -> None:
    result = _run("ask", "?")
    assert result.exit_code == 1
    assert "question empty" in str(result.exception)


def test_an_api_that_is_away_says_how_to_start_it(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHDESK_API_URL", "http://127.0.0.1:1")
    assert "API unreachable" in str(_run("ask", COUNT).exception)


def test_a_key_is_made_and_its_secret_alone_on_the_last_line(database: Settings) -> None:
    made = _run("keys", "create", "bob", "--scopes", "ask", "--budget", "5/day", "--request-budget", "0.02")
    secret = made.output.splitlines()[-1]
    assert made.exit_code == 0, made.output
    assert secret.startswith("swd_")
    assert " " not in secret
    listed = _run("keys", "list").output
    assert "bob" in listed
    assert "5 USD/day" in listed
    assert secret not in listed
    rotated = _run("keys", "rotate", "bob", "--grace", "5").output.splitlines()[-1]
    assert rotated.startswith("swd_")
    assert rotated != secret
    assert _run("keys", "revoke", "bob").exit_code == 0
    assert "revoked" in _run("keys", "list").output


def test_a_malformed_option_is_bad_usage(database: Settings) -> None:
    for options in (("--budget", "lots"), ("--budget", "5/year"), ("--expires", "soon"), ("--request-budget", "-1")):
        assert _run("keys", "create", "bob", *options).exit_code == 2
