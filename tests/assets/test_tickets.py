"""The copy as Dagster shows and runs it."""

import threading
from collections.abc import Iterator

import dagster as dg
import pytest
from pydantic import SecretStr

from assets import tickets
from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk import sync
from assets.zendesk.lease import Lease
from assets.zendesk.streams import DAILY, STREAMS
from tests.fakes.desk import RunningDesk, demo_desk


@pytest.fixture
def desk() -> Iterator[RunningDesk]:
    with demo_desk(tickets=40) as running:
        yield running


@pytest.fixture
def settings(database: Settings, desk: RunningDesk) -> Settings:
    return database.model_copy(
        update={
            "zendesk_url": desk.url,
            "zendesk_client_id": desk.client_id,
            "zendesk_client_secret": SecretStr(desk.client_secret),
        }
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def run(
    instance: dg.DagsterInstance, settings: Settings, streams: list[str] | None = None, **tags: str
) -> dg.ExecuteInProcessResult:
    names = streams or list(STREAMS)
    keys = [dg.AssetKey(["zendesk", name]) for name in names]
    return dg.materialize(
        [tickets.zendesk_copy],
        instance=instance,
        resources={"settings": settings},
        selection=dg.AssetSelection.assets(*keys),
        tags={name.replace("__", "/"): value for name, value in tags.items()},
        raise_on_error=False,
    )


def made(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    return {
        event.materialization.asset_key.path[-1]: event.materialization
        for event in result.get_asset_materialization_events()
    }


def test_every_stream_is_an_asset_that_says_what_one_row_is() -> None:
    specs = {spec.key.path[-1]: spec for spec in tickets.zendesk_copy.specs}

    assert set(specs) == set(STREAMS)
    assert {spec.group_name for spec in specs.values()} == {"zendesk"}
    assert all(spec.description and spec.description.startswith("One ") for spec in specs.values())
    assert all(spec.owners and spec.freshness_policy for spec in specs.values())
    assert {name for name, spec in specs.items() if spec.partitions_def is not None} == set(DAILY)


def test_a_live_run_without_days_makes_all_streams_and_holds_their_checks(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    result = run(instance, settings)

    assert result.success
    found = made(result)
    assert set(found) == set(STREAMS)
    assert all(event.partition is None for event in found.values())
    assert found["tickets"].metadata["dagster/row_count"].value > 30
    checks = result.get_asset_check_evaluations()
    assert {check.check_name for check in checks} == {
        "offsets_are_contiguous",
        "no_dead_letters",
        "newest_row_is_fresh",
        "comments_have_tickets",
    }
    assert [check for check in checks if not check.passed] == []


def test_a_run_of_days_reads_them_again_and_changes_no_row(instance: dg.DagsterInstance, settings: Settings) -> None:
    run(instance, settings)
    days = {
        "dagster__asset_partition_range_start": "2026-11-01",
        "dagster__asset_partition_range_end": "2026-11-24",
    }

    result = run(instance, settings, ["tickets", "ticket_comments"], **days)

    assert result.success
    found = made(result)
    assert set(found) == {"tickets", "ticket_comments"}
    assert found["tickets"].metadata["rows_read"].value > 0
    assert found["tickets"].metadata["rows_changed"].value == 0
    key = dg.AssetKey(["zendesk", "tickets"])
    assert len(instance.get_materialized_partitions(key)) == 24


def test_a_scheduled_tick_that_finds_the_sync_busy_ends_quietly(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    holder = Lease(settings.require("postgres_url"), sync.LEASE)
    holder.acquire(wait=False, stop=threading.Event())
    try:
        result = run(instance, settings, ["groups"], dagster__schedule_name="zendesk_sync_schedule")
    finally:
        holder.release()

    assert result.success
    assert made(result) == {}


def test_a_dead_letter_turns_its_check_red_and_blocks_nothing(instance: dg.DagsterInstance, settings: Settings) -> None:
    run(instance, settings, ["groups"])
    with postgres.connect(settings.require("postgres_url"), application="tests", autocommit=True) as connection:
        connection.execute(
            "insert into ops.dead_letters (topic, part, record_offset, stream, reason)"
            " values ('zendesk.groups.raw', 0, 1, 'groups', 'id: expected an integer, got str')"
        )

    result = run(instance, settings, ["groups"])

    assert result.success
    (red,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert (red.check_name, red.severity) == ("no_dead_letters", dg.AssetCheckSeverity.WARN)


def test_comments_whose_tickets_are_missing_stop_what_is_built_on_them(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run(instance, settings)
    with postgres.connect(settings.require("postgres_url"), application="tests", autocommit=True) as connection:
        connection.execute(
            "delete from zendesk.tickets where id = (select min(ticket_id) from zendesk.ticket_comments)"
        )
        fresh = run(instance, settings, ["ticket_comments"])
        connection.execute("update zendesk.ticket_comments set loaded_at = loaded_at - interval '1 hour'")

    result = run(instance, settings, ["ticket_comments"])

    assert all(check.passed for check in fresh.get_asset_check_evaluations()), "a ticket in motion may still come"
    (red,) = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert red.check_name == "comments_have_tickets"
    assert red.blocking


def test_a_stream_that_fails_fails_the_run_after_the_others_are_made(
    instance: dg.DagsterInstance, settings: Settings, desk: RunningDesk
) -> None:
    desk.script([{"kind": "status", "status": 400, "path": "brands"}])

    result = run(instance, settings, ["brands", "groups"])

    assert not result.success
    assert set(made(result)) == {"groups"}
    assert "brands" in str(result.failure_data_for_node("zendesk_copy").error)  # pyright: ignore[reportOptionalMemberAccess]


def test_wrong_credentials_end_the_run_with_the_settings_named(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    wrong = settings.model_copy(update={"zendesk_client_secret": SecretStr("not-the-secret")})

    result = run(instance, wrong, ["groups"])

    error = str(result.failure_data_for_node("zendesk_copy").error)  # pyright: ignore[reportOptionalMemberAccess]
    assert "SWITCHDESK_ZENDESK_CLIENT_SECRET" in error
    assert "not-the-secret" not in error
