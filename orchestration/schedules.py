"""Schedules: the live sync, and the nightly comparison with the help desk."""

import dagster as dg

from assets.settings import load_settings
from orchestration import jobs
from orchestration.runs import in_progress


@dg.schedule(
    job=jobs.zendesk_sync,
    cron_schedule=load_settings().sync_cron,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Copies what changed, each minute unless SWITCHDESK_SYNC_CRON says otherwise. "
        "A tick that finds the previous run still busy starts nothing."
    ),
)
def zendesk_sync_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One live run without a partition; skipped while a run that syncs is waiting or running."""
    # A run that finds the sync's lease taken would end by itself, but only after a process and its imports.
    busy = in_progress(context.instance) & {jobs.zendesk_sync.name, jobs.initial_load.name}
    if busy:
        return dg.SkipReason(f"{min(busy)} is still running; the next tick continues where it ends")
    return dg.RunRequest()


reconcile_schedule = dg.ScheduleDefinition(
    name="reconcile_schedule",
    job=jobs.reconcile,
    cron_schedule="17 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Compares the copy with the help desk, nightly at 03:17 UTC.",
)
