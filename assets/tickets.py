"""The copy of the help desk as assets: every table of schema `zendesk`, read from Zendesk through Kafka."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk import audit, sync
from assets.zendesk.audit import Finding
from assets.zendesk.errors import SyncBusy
from assets.zendesk.records import parse_moment
from assets.zendesk.streams import DAILY, STREAMS, Stream
from assets.zendesk.sync import StreamReport, SyncReport
from assets.zendesk.tables import COLUMNS

logger = logging.getLogger(__name__)

SINCE_TAG = "switchdesk/since"
"""Run tag with an ISO moment: read again from there (a fresh copy begins there)."""
_SCHEDULE_TAG = "dagster/schedule_name"

DAYS = dg.DailyPartitionsDefinition(start_date="2015-01-01", timezone="UTC", end_offset=1)
"""A day holds the rows whose newest change Zendesk dates in that UTC day; the last one is today."""

_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=30), warn_window=timedelta(minutes=5))


def _key(stream: str) -> dg.AssetKey:
    return dg.AssetKey(["zendesk", stream])


def _spec(stream: Stream) -> dg.AssetSpec:
    columns = [
        dg.TableColumn("id", "bigint"),
        *(dg.TableColumn(column.name, column.type) for column in COLUMNS[stream.name]),
        dg.TableColumn("version", "bigint", description="Which copy is newer: microseconds since 1970."),
        dg.TableColumn("payload", "jsonb", description="The object as Zendesk sent it."),
        dg.TableColumn("loaded_at", "timestamptz"),
        dg.TableColumn("load_seq", "bigint", description="Grows with every load that changed the row."),
    ]
    return dg.AssetSpec(
        _key(stream.name),
        description=(
            f"{stream.row_is}\n\nRead from `/api/v2/{stream.path}` into the topic `zendesk.{stream.name}.raw` and "
            "loaded exactly once; the newest version of a row wins, and reading again changes nothing."
        ),
        group_name="zendesk",
        owners=["team:data-platform"],
        kinds={"zendesk", "kafka", "postgres"},
        freshness_policy=_FRESHNESS,
        partitions_def=DAYS if stream.name in DAILY else None,
        # Where another run holds the lease a tick makes nothing, and fails nothing.
        skippable=True,
        metadata={
            "dagster/table_name": f"zendesk.{stream.name}",
            "dagster/column_schema": dg.TableSchema(columns),
            "topic": f"zendesk.{stream.name}.raw",
        },
    )


def _check_specs() -> Iterator[dg.AssetCheckSpec]:
    for name in STREAMS:
        yield dg.AssetCheckSpec(
            "offsets_are_contiguous",
            asset=_key(name),
            blocking=True,
            description="The database's offsets lie within what Kafka holds, and no record between them is missing.",
        )
        yield dg.AssetCheckSpec(
            "no_dead_letters", asset=_key(name), description="Every record of the topic could be loaded."
        )
        yield dg.AssetCheckSpec(
            "newest_row_is_fresh",
            asset=_key(name),
            description=f"The table holds all that had happened up to {sync.BEHIND_SECONDS} seconds ago.",
        )
    yield dg.AssetCheckSpec(
        "comments_have_tickets",
        asset=_key("ticket_comments"),
        blocking=True,
        description="Each comment held for ten minutes when tickets were last read hangs on a ticket that we hold.",
    )


@dg.multi_asset(
    name="zendesk_copy",
    specs=[_spec(stream) for stream in STREAMS.values()],
    check_specs=list(_check_specs()),
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def zendesk_copy(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult]:
    """Bring the selected streams up to date, or read the selected days again.

    A run without partitions is a live one: it goes on from the stored cursors. A run with days reads those days again
    and leaves the cursors alone.
    """
    names = [name for name in STREAMS if _key(name) in context.selected_asset_keys]
    try:
        report = _read(context, settings, names)
    except SyncBusy as busy:
        # The run that holds the lease reads the same account, so this tick has nothing to add.
        context.log.info(str(busy))
        return
    with postgres.connect(
        settings.require("postgres_url"), application="switchdesk-checks", autocommit=True
    ) as connection:
        selected = context.selected_asset_check_keys
        for name in names:
            done = report.streams[name]
            if done.status != "ok":
                context.log.warning(f"{name}: {done.status}: {done.reason}")
            if done.status not in ("ok", "absent"):
                continue
            # An absent stream is an empty table. Making nothing would have Dagster skip all that reads it, silently.
            findings = (
                audit.findings(connection, settings.require("kafka_bootstrap"), name)
                if done.status == "ok"
                else [Finding(check, True, False, f"absent: {done.reason}", {}) for check in audit.checks_of(name)]
            )
            findings = [each for each in findings if dg.AssetCheckKey(_key(name), each.check) in selected]
            yield dg.MaterializeResult(
                asset_key=_key(name),
                metadata=_metadata(done),
                data_version=dg.DataVersion(str(done.version)),
                check_results=[_result(name, finding) for finding in findings],
            )
    for store, rows in report.waiting.items():
        context.log.warning(f"{rows} erasures wait for {store}; the next sync tries again")
    report.raise_failed()


def observed(done: StreamReport) -> dg.AssetMaterialization:
    """What a sync outside of a run did to one stream, as an event that Dagster takes without a run."""
    return dg.AssetMaterialization(
        _key(done.stream), metadata=_metadata(done), tags={"dagster/data_version": str(done.version)}
    )


def _read(context: dg.AssetExecutionContext, settings: Settings, names: list[str]) -> SyncReport:
    if context.has_partition_key_range or context.has_partition_key:
        # A backfill of one run carries a range; falling back to anything else would read everything again.
        days = context.partition_key_range
        return sync.backfill_day(
            settings,
            date.fromisoformat(days.start),
            date.fromisoformat(days.end),
            streams=names,
            notice=context.log.info,
        )
    since = context.run.tags.get(SINCE_TAG)
    return sync.run(
        settings,
        names,
        since=parse_moment(since) if since else None,
        wait=_SCHEDULE_TAG not in context.run.tags,
        notice=context.log.info,
    )


def _metadata(done: StreamReport) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "dagster/row_count": done.rows,
        "rows_read": done.rows_read,
        "rows_changed": done.rows_changed,
        "pages": done.pages,
        "calls": done.calls,
        "dead_letters": done.dead_letters,
    }
    if done.as_of is not None:
        metadata["as_of"] = dg.MetadataValue.timestamp(done.as_of)
        metadata["lag_seconds"] = round((datetime.now(UTC) - done.as_of).total_seconds(), 1)
    return metadata


def _result(stream: str, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=_key(stream),
        check_name=finding.check,
        passed=finding.holds,
        severity=dg.AssetCheckSeverity.ERROR if finding.is_serious else dg.AssetCheckSeverity.WARN,
        description=finding.text,
        metadata=dict(finding.figures),
    )
