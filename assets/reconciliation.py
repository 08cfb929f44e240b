"""Checks that hold the copy against the help desk itself; they run nightly, apart from the sync."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from assets import catalog
from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk.client import open_client
from assets.zendesk.comparison import COMPARED, compare
from assets.zendesk.errors import AccessRefused, NotFound

LOOKED_BACK = timedelta(days=2)
"""How far changes are read again; listings are read whole."""


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "copy_equals_help_desk",
            asset=["zendesk", stream],
            description=(
                "Every row that the help desk shows as changed in the last two days (of a listing: every row) "
                "is in the copy, in that state or a newer one."
            ),
        )
        for stream in COMPARED
    ],
    can_subset=True,
)
def copy_equals_help_desk(
    context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.AssetCheckResult]:
    """Compare stream by stream, at the pace of the same limiter as the sync."""
    stop = threading.Event()
    since = datetime.now(UTC) - LOOKED_BACK
    client = open_client(settings)
    try:
        with postgres.connect(
            settings.require("postgres_url"), application="switchdesk reconcile", autocommit=True
        ) as connection:
            datasets = catalog.current(connection).datasets
            for check in sorted(context.selected_asset_check_keys):
                stream = check.asset_key.path[-1]
                copied = datasets.get(f"zendesk.{stream}")
                if copied is None:
                    yield _result(check, passed=False, reason="never copied; run `switchdesk sync`")
                    continue
                try:
                    found = compare(client, connection, stream, since=since, as_of=copied.as_of, stop=stop)
                except (AccessRefused, NotFound) as error:
                    yield _result(check, passed=True, reason=f"not on this account: {error}")
                    continue
                yield _result(
                    check,
                    passed=found.holds,
                    rows_shown=found.shown,
                    rows_missing=len(found.missing),
                    rows_older=len(found.older),
                    first_ids=[*found.missing, *found.older][:20],
                )
    finally:
        client.close()


def _result(check: dg.AssetCheckKey, *, passed: bool, **metadata: str | int | list[int]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=passed, asset_key=check.asset_key, check_name=check.name, metadata=metadata)
