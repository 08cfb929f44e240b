"""Jobs: which assets are made together."""

import dagster as dg

from assets import reconciliation

# What asks the help desk again is a job of its own: a sync must not pay for it.
COMPARISON = dg.AssetSelection.checks(reconciliation.copy_equals_help_desk)
EVERYTHING = dg.AssetSelection.all() - COMPARISON
COPY = dg.AssetSelection.groups("zendesk") - COMPARISON
MARTS = dg.AssetSelection.groups("analytics")
EMBEDDINGS = dg.AssetSelection.groups("embeddings")
GRAPH = dg.AssetSelection.groups("graph")

# `dagster.yaml` lets one run with this tag work at a time.
_BUILD = {"switchdesk/build": "true"}

initial_load = dg.define_asset_job(
    "initial_load",
    selection=EVERYTHING,
    description=(
        "All phases in order: copy the help desk, build and publish the marts, embed the comments, build the graph. "
        "Run again it catches up from where each phase stands."
    ),
)
zendesk_sync = dg.define_asset_job(
    "zendesk_sync",
    selection=COPY,
    description=(
        "Copy what changed in the help desk since the last run. Launched with days, it loads those days again, "
        "never moves the live cursor, and changes no row that is already newer."
    ),
)
analytics_build = dg.define_asset_job(
    "analytics_build",
    selection=MARTS,
    tags=_BUILD,
    description="Build and test the marts beside the live ones, then publish them in one transaction.",
)
embeddings_build = dg.define_asset_job(
    "embeddings_build",
    selection=EMBEDDINGS,
    tags=_BUILD,
    description="Embed new and changed comments; drop erased ones.",
)
graph_build = dg.define_asset_job(
    "graph_build",
    selection=GRAPH,
    tags=_BUILD,
    description="Bring changed tickets, people and relations into the graph.",
)
reconcile = dg.define_asset_job(
    "reconcile",
    selection=COMPARISON,
    description="Hold the copy against the help desk, stream by stream, and report what is missing or older.",
)
