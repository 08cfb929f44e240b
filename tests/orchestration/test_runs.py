import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from assets.settings import Settings
from assets.stores.postgres import PostgresError
from infra.local.runs import prepare, root_cause
from orchestration.runs import HOST_TAG, abandoned, in_progress


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def idle() -> None:
    """Run nothing."""
    nothing()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def started_run(instance: dg.DagsterInstance, pid: int, host: str, written_at: float | None = None) -> dg.DagsterRun:
    """A run that the storage knows as started, whose newest event was written by a process."""
    run = instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED, tags={HOST_TAG: host})
    event = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name=idle.name, message="at work", pid=pid)
    instance.report_dagster_event(event, run_id=run.run_id, timestamp=written_at)
    return run


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_whose_process_is_gone_is_abandoned(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, dead_pid(), socket.gethostname())
    assert [each.run_id for each in abandoned(instance)] == [run.run_id]


def test_a_run_that_still_works_is_left_alone(instance: dg.DagsterInstance) -> None:
    started_run(instance, os.getpid(), socket.gethostname())
    assert abandoned(instance) == []


def test_a_run_of_another_machine_is_left_alone(instance: dg.DagsterInstance) -> None:
    started_run(instance, dead_pid(), "elsewhere")
    assert abandoned(instance) == []


def test_a_process_that_took_over_the_id_is_not_the_run(instance: dg.DagsterInstance) -> None:
    run = started_run(instance, os.getpid(), socket.gethostname(), written_at=1.0)
    assert [each.run_id for each in abandoned(instance)] == [run.run_id]


def test_runs_in_progress_are_named_by_job(instance: dg.DagsterInstance) -> None:
    assert in_progress(instance) == set()
    instance.create_run_for_job(idle, status=dg.DagsterRunStatus.STARTED)
    assert in_progress(instance) == {"idle"}
    ended = dg.DagsterInstance.ephemeral()
    assert idle.execute_in_process(instance=ended).success
    assert in_progress(ended) == set()


@pytest.mark.parametrize("kind", [ValueError, PostgresError])
def test_the_root_cause_of_a_failure_is_one_sentence(kind: type[Exception]) -> None:
    @dg.op
    def failing() -> None:
        try:
            raise kind("table unreadable: zendesk.tickets; run `switchdesk doctor`")
        except kind as error:
            raise RuntimeError("load failed") from error

    @dg.job
    def doomed() -> None:
        failing()

    result = doomed.execute_in_process(raise_on_error=False)
    assert root_cause(result.all_events) == "table unreadable: zendesk.tickets; run `switchdesk doctor`"


def test_a_storage_that_does_not_answer_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    url = SecretStr("postgresql+psycopg2://switchdesk:hidden@127.0.0.1:9/dagster")
    with pytest.raises(PostgresError, match=r"PostgreSQL does not answer: switchdesk@127\.0\.0\.1:9/dagster") as caught:
        prepare(Settings(dagster_storage_url=url))  # pyright: ignore[reportCallIssue]
    assert "hidden" not in str(caught.value)
