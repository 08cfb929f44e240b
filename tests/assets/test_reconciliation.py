"""The copy held against the help desk: what the nightly job finds, and what it does not cry about."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from pydantic import SecretStr

from assets import reconciliation
from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk import sync
from assets.zendesk.comparison import COMPARED
from tests.fakes.desk import RunningDesk, demo_desk

DAY = 86_400


@pytest.fixture
def desk() -> Iterator[RunningDesk]:
    # At the real time: a copy is complete up to a moment of our clock, and the desk's must agree with it.
    with demo_desk(tickets=60, now=datetime.now(UTC)) as running:
        yield running


@pytest.fixture
def settings(database: Settings, desk: RunningDesk, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # Everything since the desk's first day is looked at.
    monkeypatch.setattr(reconciliation, "LOOKED_BACK", 1_000 * reconciliation.LOOKED_BACK)
    return database.model_copy(
        update={
            "zendesk_url": desk.url,
            "zendesk_client_id": desk.client_id,
            "zendesk_client_secret": SecretStr(desk.client_secret),
        }
    )


def reconcile(settings: Settings) -> dict[str, dg.AssetCheckEvaluation]:
    """What each stream's check says."""
    defs = dg.Definitions(
        asset_checks=[reconciliation.copy_equals_help_desk],
        jobs=[dg.define_asset_job("reconcile", selection=dg.AssetSelection.all_asset_checks())],
        resources={"settings": settings},
    )
    result = defs.resolve_job_def("reconcile").execute_in_process()
    return {check.asset_key.path[-1]: check for check in result.get_asset_check_evaluations()}


def figures(check: dg.AssetCheckEvaluation) -> dict[str, object]:
    return {name: value.value for name, value in check.metadata.items()}


def change(settings: Settings, statement: str) -> None:
    with postgres.connect(settings.require("postgres_url"), application="tests", autocommit=True) as connection:
        connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_copy_that_is_up_to_date_equals_the_help_desk(settings: Settings, desk: RunningDesk) -> None:
    as_of = sync.run(settings).streams["tickets"].as_of

    found = reconcile(settings)

    assert found.keys() == set(COMPARED)
    assert {name for name, check in found.items() if not check.passed} == set()
    assert as_of is not None
    resting = [ticket for ticket in desk.world.tickets.values() if ticket.generated <= as_of.timestamp()]
    assert figures(found["tickets"])["rows_shown"] == len(resting)
    assert figures(found["groups"])["rows_shown"] != 0


def test_a_lost_row_and_an_older_one_are_found(settings: Settings) -> None:
    sync.run(settings)
    change(settings, "delete from zendesk.tickets where id = (select max(id) from zendesk.tickets)")
    change(settings, "update zendesk.users set version = version - 1 where id = (select min(id) from zendesk.users)")
    change(settings, "delete from zendesk.groups where id = (select min(id) from zendesk.groups)")

    found = reconcile(settings)

    assert {name for name, check in found.items() if not check.passed} == {"tickets", "users", "groups"}
    assert figures(found["tickets"])["rows_missing"] == 1
    assert figures(found["users"])["rows_older"] == 1
    assert figures(found["groups"])["rows_missing"] == 1


def test_what_changed_after_the_last_sync_is_left_to_the_next(settings: Settings, desk: RunningDesk) -> None:
    sync.run(settings)
    desk.advance(DAY, per_hour=5.0)

    assert reconcile(settings)["tickets"].passed


def test_a_copy_that_was_never_made_does_not_pass(settings: Settings) -> None:
    found = reconcile(settings)

    assert {name for name, check in found.items() if check.passed} == set()


def test_a_stream_that_the_account_lacks_passes_and_says_so(settings: Settings, desk: RunningDesk) -> None:
    sync.run(settings)
    desk.script([{"kind": "forbidden", "path": "slas/policies"}])

    check = reconcile(settings)["sla_policies"]

    assert check.passed
    assert "not on this account" in str(figures(check)["reason"])
