"""The copy as a whole: what is live of every dataset, made when the streams of a sync are in."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets import catalog
from assets.settings import Settings
from assets.stores import postgres

KEY = dg.AssetKey(["catalog", "datasets"])

# Streams that every account has; one that an account lacks would keep this from being made.
_DEPS = ("tickets", "ticket_events", "ticket_comments", "users", "organizations", "groups")


# Assets with days of their own depend on this one instead of the tables: Dagster refuses a run without days where an
# asset with days depends on another one, and a live sync has none.
@dg.asset(
    key=KEY,
    deps=[dg.AssetKey(["zendesk", stream]) for stream in _DEPS],
    group_name="zendesk",
    owners=["team:data-platform"],
    kinds={"postgres"},
    description=(
        "One row is a dataset: its live version, the moment up to which it is complete, its rows and its failed checks."
        "\n\nWritten by every load and build in the transaction that writes the data; read by the API with each "
        "question. It stands for the copy as a whole: what is made from the copy by day starts here."
    ),
    metadata={"dagster/table_name": "catalog.datasets"},
)
def datasets(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[Any]:
    """Tell what the catalogue holds once the streams are in."""
    with postgres.connect(
        settings.require("postgres_url"), application="switchdesk-datasets", autocommit=True
    ) as connection:
        snapshot = catalog.current(connection)
    copied = [each for name, each in snapshot.datasets.items() if name.startswith("zendesk.")]
    oldest = min((each.as_of for each in copied), default=datetime.now(UTC))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(snapshot.datasets),
            "copied_rows": sum(each.rows for each in copied),
            "as_of": dg.MetadataValue.timestamp(oldest),
            "failed_checks": [f"{each.dataset}: {check}" for each in copied for check in each.failed_checks],
        },
        data_version=dg.DataVersion(str(snapshot.epoch)),
    )
