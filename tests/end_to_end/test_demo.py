"""The way of the demo on 300 tickets, on a stack of its own: every engine real, every number held against the world."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from assets.settings import Settings
from assets.stores import postgres
from infra.local import processes
from infra.local.directory import Directory
from infra.local.stack import settings_of
from infra.local.tour import ask, steps, world_at
from tests import guardian

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

STORES = {"postgres", "valkey", "kafka", "neo4j", "milvus", "models"}
PARTS = STORES | {"dagster-webserver", "dagster-daemon", "api", "demo-desk"}
STREAMS_WITH_ROWS = {"tickets", "ticket_events", "ticket_comments", "ticket_metric_events", "users", "organizations"}


class Stack:
    """A running stack and the command line that belongs to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `switchdesk` from another folder, as a user may."""
        command = [sys.executable, "-m", "infra.local.cli", "--dir", str(self.directory), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHDESK_")}
        root = str(Path(__file__).resolve().parents[2])
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            cwd=self.directory.parent,
            env=environment | {"PYTHONPATH": root},
        )

    def must(self, *arguments: str) -> str:
        """The output of a command that has to succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, (
            f"{arguments} exited {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
        )
        return done.stdout

    def status(self) -> dict[str, dict[str, Any]]:
        """State of each part by its name."""
        return {part["name"]: part for part in json.loads(self.must("status", "--json"))["parts"]}

    @property
    def env(self) -> dict[str, str]:
        """Settings as `up` wrote them."""
        return Directory(self.directory).read_env()

    @property
    def settings(self) -> Settings:
        """The same for the product's own code."""
        return settings_of(self.env, Directory(self.directory))

    def connect(self) -> "psycopg.Connection[Any]":
        """The owner's connection."""
        return postgres.connect(self.settings.require("postgres_url"), application="tests", autocommit=True)


class Dagster:
    """Dagster as its web page sees it: GraphQL and nothing else."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/graphql"

    def ask(self, query: str, **variables: Any) -> Any:
        """One answer; errors fail the test."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            body = client.post(self._url, json={"query": query, "variables": variables}).json()
        assert "errors" not in body, body
        return body["data"]

    def launch(self, job: str) -> str:
        """Launch a job without a partition; return the run's id."""
        selector = {"repositoryLocationName": "switchdesk", "repositoryName": "__repository__", "pipelineName": job}
        launched = self.ask(
            "mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {"
            " __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            params={"selector": selector, "runConfigData": {}, "mode": "default"},
        )["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def backfill(self, asset: list[str], days: list[str]) -> str:
        """Ask for days of an asset again; return the id of the one run that makes them."""
        answer = self.ask(
            "mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {"
            " __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }",
            params={"assetSelection": [{"path": asset}], "partitionNames": days},
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        tag = {"key": "dagster/backfill", "value": answer["backfillId"]}

        def runs() -> list[str]:
            found = self.ask(
                "query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { runId } } } }",
                filter={"tags": [tag]},
            )
            return [run["runId"] for run in found["runsOrError"]["results"]]

        wait_for(lambda: bool(runs()), "a run of the backfill")
        assert len(runs()) == 1
        return runs()[0]

    def wait(self, run_id: str) -> None:
        """Wait until a run has succeeded."""

        def is_over() -> bool:
            run = self.ask("query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)[
                "runOrError"
            ]
            assert run["status"] not in ("FAILURE", "CANCELED"), self.failure(run_id)
            return run["status"] == "SUCCESS"

        wait_for(is_over, f"run {run_id}")

    def failure(self, run_id: str) -> Any:
        """Why a run failed."""
        events = self.ask(
            "query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {"
            " ... on ExecutionStepFailureEvent { stepKey error { message cause { message } } } } } } }",
            id=run_id,
        )
        return [event for event in events["logsForRun"]["events"] if event]


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 240.0) -> None:
    """Look twice a second until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All parts up, and everything loaded once by the job of that name."""
    directory = tmp_path_factory.mktemp("demo") / "var"
    watch = subprocess.Popen(
        [sys.executable, "-m", guardian.__name__, str(directory)],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
    )
    try:
        running = Stack(directory)
        running.must("up", "--tickets", "300")
        dagster = Dagster(running.env["SWITCHDESK_DAGSTER_URL"])
        dagster.wait(dagster.launch("initial_load"))
        with pytest.MonkeyPatch.context() as patch:
            # A run in this process reads the environment, and sets there what Dagster reads.
            patch.setenv("SWITCHDESK_DIR", str(directory))
            for name in ("DAGSTER_HOME", "SWITCHDESK_DAGSTER_STORAGE_URL"):
                patch.setenv(name, running.env[name])
            yield running
    finally:
        watch.communicate(timeout=120)


def test_every_part_is_ready(stack: Stack) -> None:
    parts = stack.status()
    assert parts.keys() >= PARTS
    assert {name for name, part in parts.items() if part["state"] != "ready"} == set()


def test_the_initial_load_fills_every_store(stack: Stack) -> None:
    with stack.connect() as connection:
        rows = dict(connection.execute("select dataset, rows from catalog.datasets").fetchall())
    assert {name for name in STREAMS_WITH_ROWS if not rows.get(f"zendesk.{name}")} == set()
    for dataset in ("analytics.fct_tickets", "milvus.comment_embeddings", "neo4j.ticket_graph"):
        assert rows.get(dataset), dataset


def test_five_questions_are_answered_as_the_world_itself_has_it(stack: Stack) -> None:
    now = datetime.now(UTC)
    for step in steps(now, world_at(stack.settings, now)):
        answer, equal = ask(stack.settings, step)
        assert equal
        assert answer["tier"] == step.tier, step.question
        assert answer["cost_usd"] >= 0
        assert answer["decision_id"]


def test_a_day_read_again_changes_no_row(stack: Stack) -> None:
    query = "select id, version, load_seq, md5(payload::text) from zendesk.tickets"
    with stack.connect() as connection:
        before = {row[0]: row[1:] for row in connection.execute(query)}
        cursor = connection.execute("select cursor from ops.sync_state where stream = 'tickets'").fetchone()
        days = connection.execute(
            "select to_char(to_timestamp(generated_timestamp) at time zone 'UTC', 'YYYY-MM-DD') as day"
            " from zendesk.tickets where generated_timestamp < extract(epoch from now()) - 2 * 86400"
            " group by day order by count(*) desc limit 1"
        ).fetchone()
    assert days is not None
    assert cursor is not None
    dagster = Dagster(stack.env["SWITCHDESK_DAGSTER_URL"])
    dagster.wait(dagster.backfill(["zendesk", "tickets"], [days[0]]))
    with stack.connect() as connection:
        after = {row[0]: row[1:] for row in connection.execute(query)}
    # The live sync goes on meanwhile, so rows may have a newer version; none may be touched without one.
    assert before.keys() <= after.keys()
    assert {id for id in before if after[id][0] == before[id][0] and after[id] != before[id]} == set()


def test_a_killed_server_is_named_and_comes_back_with_its_data(stack: Stack) -> None:
    with stack.connect() as connection:
        tickets = connection.execute("select count(*) from zendesk.tickets").fetchone()
    assert tickets is not None
    victim = stack.status()["postgres"]
    os.kill(victim["pid"], signal.SIGKILL)
    wait_for(lambda: stack.status()["postgres"]["state"] != "ready", "the loss of PostgreSQL", 30)
    doctor = stack.run("doctor")
    assert doctor.returncode == 1
    assert "postgres" in doctor.stdout + doctor.stderr
    stack.must("up")
    repaired = stack.status()["postgres"]
    assert repaired["state"] == "ready"
    assert repaired["port"] == victim["port"]
    with stack.connect() as connection:
        found = connection.execute("select count(*) from zendesk.tickets").fetchone()
    assert found is not None
    assert found[0] >= tickets[0]


def test_a_second_load_ends_well_after_the_repair(stack: Stack) -> None:
    dagster = Dagster(stack.env["SWITCHDESK_DAGSTER_URL"])
    dagster.wait(dagster.launch("initial_load"))
    with stack.connect() as connection:
        row = connection.execute("select max(as_of) from catalog.datasets where dataset = 'zendesk.tickets'").fetchone()
    assert row is not None
    assert datetime.now(UTC) - row[0] < timedelta(minutes=10)


def test_down_leaves_no_process(stack: Stack) -> None:
    home = Directory(stack.directory)
    servers = [record.process for name in stack.status() if (record := home.record(name))]
    everything = processes.family(servers)
    assert len(everything) >= len(PARTS)
    stack.must("down")
    assert [process for process in everything if process.is_alive()] == []
    assert processes.belonging_to(stack.directory) == []
