"""The whole platform on one screen: what exists, when it is made, and with which live clients."""

from datetime import timedelta

import dagster as dg

from assets import analytics, datasets, embeddings, reconciliation, relationships, tickets
from orchestration import jobs, resources, schedules, sensors

DATASETS = [tickets, datasets, analytics, embeddings, relationships]

# For assets that name none of their own. A help desk may be quiet for a night, but its copy is looked at each minute.
FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=24), warn_window=timedelta(hours=2))

defs = dg.Definitions(
    assets=dg.map_asset_specs(
        lambda spec: dg.apply_freshness_policy(spec, FRESHNESS, overwrite_existing=False),
        [each for each in dg.load_assets_from_modules(DATASETS) if isinstance(each, dg.AssetsDefinition)],
    ),
    asset_checks=dg.load_asset_checks_from_modules([*DATASETS, reconciliation]),
    jobs=[
        jobs.initial_load,
        jobs.zendesk_sync,
        jobs.analytics_build,
        jobs.embeddings_build,
        jobs.graph_build,
        jobs.reconcile,
    ],
    schedules=[schedules.zendesk_sync_schedule, schedules.reconcile_schedule],
    sensors=[sensors.builds_follow_changes, sensors.abandoned_runs],
    resources={"settings": resources.settings},
    # One process a run: starting a second one for each step costs more than most steps do.
    executor=dg.in_process_executor,
)
