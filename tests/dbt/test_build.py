"""The build: a failed test publishes nothing, dbt's own unit tests hold, secrets stay out of what it writes."""

import subprocess
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import psycopg
import pytest

from assets import catalog, dbt_project
from assets.analytics import analytics_marts, analytics_models
from assets.settings import Settings
from assets.stores import postgres
from tests.dbt.conftest import Built
from tests.fakes.handmade import hard_cases


def test_a_failed_test_publishes_nothing_and_is_told(database: Settings) -> None:
    desk = hard_cases()
    desk.tickets[0].fields["status"] = "melted"
    before = datetime(2026, 3, 1, tzinfo=UTC)
    with postgres.connect(database.require("postgres_url"), application="tests", autocommit=True) as connection:
        desk.load(connection)
        catalog.publish(connection, "analytics.fct_tickets", as_of=before, rows=5)
        run = dg.materialize(
            [analytics_models, analytics_marts], resources={"settings": database}, raise_on_error=False
        )
        dataset = catalog.current(connection).datasets["analytics.fct_tickets"]
        tables = connection.execute("select tablename from pg_tables where schemaname = 'analytics'").fetchall()
    assert not run.success
    failed = [check.check_name for check in run.get_asset_check_evaluations() if not check.passed]
    assert failed
    assert all("accepted_values" in name for name in failed)
    assert not run.get_asset_materialization_events()
    assert tables == []
    assert (dataset.version, dataset.as_of, dataset.rows) == (1, before, 5)
    assert list(dataset.failed_checks) == failed


def test_dbt_unit_tests_hold_and_no_argument_of_dbt_has_the_password(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    run = subprocess.run

    def watched(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    results = dbt_project.unit_test(built.settings)
    assert {result.name: result.status for result in results} == {
        "fct_comments": "pass",
        "int_status_intervals": "pass",
        "fct_tickets": "pass",
    }
    _, secret = postgres.login(built.settings.require("postgres_url"))
    assert seen
    assert all(secret not in argument for command in seen for argument in command)


def test_nothing_to_build_from_says_what_to_run_first(database: Settings) -> None:
    run = dg.materialize([analytics_models], resources={"settings": database}, raise_on_error=False)
    assert not run.success
    failure = run.get_step_failure_events()[0].step_failure_data.error
    assert failure is not None
    assert "switchdesk sync --once" in failure.to_string()


def test_days_of_a_mart_can_be_built_again(built: Built, owner: psycopg.Connection) -> None:
    before = catalog.current(owner).datasets["analytics.fct_tickets"]
    assert before.build_id == built.run.run_id
    definitions = dg.Definitions(
        assets=[analytics_models, analytics_marts],
        resources={"settings": built.settings},
        jobs=[dg.define_asset_job("days", selection=dg.AssetSelection.assets(["analytics", "fct_tickets"]))],
    )
    run = definitions.resolve_job_def("days").execute_in_process(
        tags={"dagster/asset_partition_range_start": "2026-03-02", "dagster/asset_partition_range_end": "2026-03-03"}
    )
    made = [event.step_materialization_data.materialization for event in run.get_asset_materialization_events()]
    assert [(each.asset_key.path[-1], each.partition) for each in made] == [
        ("fct_tickets", "2026-03-02"),
        ("fct_tickets", "2026-03-03"),
    ]
    after = catalog.current(owner).datasets["analytics.fct_tickets"]
    # Built and published anew; the same rows keep their version, so that nothing cached is lost.
    assert after.build_id == run.run_id
    assert (after.rows, after.version) == (before.rows, before.version)
