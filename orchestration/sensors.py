"""Sensors: builds follow changes of what they read, and runs without a process are ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import orjson

from assets import catalog
from assets.settings import Settings
from assets.stores import postgres
from orchestration import jobs
from orchestration.runs import abandoned, in_progress


@dataclass(frozen=True, slots=True)
class Build:
    """A job that makes a dataset out of others."""

    job: str
    makes: str
    """Dataset in the catalogue that tells how far the build is."""
    reads: tuple[str, ...]
    """Datasets, or a schema with a dot at its end for all of it."""
    after: tuple[str, ...] = ()
    """Jobs to wait for where they are due too, so that one change is not built twice."""


BUILDS = (
    Build(jobs.analytics_build.name, "analytics.fct_tickets", ("zendesk.",)),
    Build(jobs.embeddings_build.name, "milvus.comment_embeddings", ("zendesk.ticket_comments", "zendesk.tickets")),
    Build(
        jobs.graph_build.name,
        "neo4j.ticket_graph",
        (
            "zendesk.tickets",
            "zendesk.ticket_events",
            "zendesk.users",
            "zendesk.organizations",
            "zendesk.groups",
            "milvus.comment_embeddings",
        ),
        after=(jobs.embeddings_build.name,),
    ),
)

# A quiet help desk changes no row, yet its marts must not look old; a failed build gets its next try after as long.
REFRESH = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one build."""

    launch: bool
    reason: str
    seen: Mapping[str, Any] | None
    """What to remember of the build: the versions it was launched for, and when."""


def decide(
    build: Build, snapshot: catalog.Snapshot, seen: Mapping[str, Any] | None, busy: set[str], now: datetime
) -> Decision:
    """Decide whether a build is due: something it reads has another version than when it was last launched."""
    inputs = {name: each for name, each in snapshot.datasets.items() if _reads(build, name)}
    if not inputs:
        return Decision(False, "nothing copied yet", seen)
    output = snapshot.datasets.get(build.makes)
    if seen is None and output is not None and _published(output) >= max(map(_published, inputs.values())):
        # First evaluation after an initial load: the load built what is there, so there is nothing to follow yet.
        seen = {"versions": _versions(inputs), "at": now.isoformat()}
    changed = sorted(name for name, each in inputs.items() if not seen or seen["versions"].get(name) != each.version)
    is_old = output is None or max(each.as_of for each in inputs.values()) - output.as_of > REFRESH
    if not changed and not (is_old and seen and now - datetime.fromisoformat(seen["at"]) > REFRESH):
        return Decision(False, "up to date", seen)
    failed = sorted(name for name, each in inputs.items() if each.failed_checks)
    if failed:
        return Decision(False, f"waits for checks of {', '.join(failed)} to hold", seen)
    blockers = busy & {build.job, jobs.initial_load.name, *build.after}
    if blockers:
        return Decision(False, f"waits for {min(blockers)}", seen)
    reason = f"changed: {', '.join(changed)}" if changed else "same rows, newer as-of"
    return Decision(True, reason, {"versions": _versions(inputs), "at": now.isoformat()})


@dg.sensor(
    jobs=[jobs.analytics_build, jobs.embeddings_build, jobs.graph_build],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Starts the build of marts, embeddings and graph where the catalogue says that something they read changed, "
        "whoever synced it: the schedule, a command or the connector."
    ),
)
def builds_follow_changes(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SensorResult:
    """Compare the versions in the catalogue with those each build was last launched for."""
    # Automation conditions do not see runs without a partition of partitioned assets, which is what a live tick is;
    # the catalogue also knows what was synced outside of Dagster's own runs.
    with postgres.connect(settings.require("postgres_url"), application="switchdesk sensor") as connection:
        snapshot = catalog.current(connection)
    memory: dict[str, Any] = orjson.loads(context.cursor) if context.cursor else {}
    busy = in_progress(context.instance)
    now = datetime.now(UTC)
    requests: list[dg.RunRequest] = []
    reasons: list[str] = []
    for build in BUILDS:
        decision = decide(build, snapshot, memory.get(build.job), busy, now)
        reasons.append(f"{build.job}: {decision.reason}")
        if decision.seen is not None:
            memory[build.job] = decision.seen
        if decision.launch:
            busy.add(build.job)
            requests.append(dg.RunRequest(job_name=build.job, tags={"switchdesk/reason": decision.reason[:200]}))
    return dg.SensorResult(
        run_requests=requests or None,
        skip_reason=None if requests else dg.SkipReason("; ".join(reasons)),
        cursor=orjson.dumps(memory).decode(),
    )


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process on this machine is gone, so that they do not hold a place in the queue.",
)
def abandoned_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Mark runs without a process as failed."""
    ended = abandoned(context.instance)
    for run in ended:
        context.instance.report_run_failed(run, "The process of this run is gone; the next run continues its work.")
    return dg.SkipReason(f"ended {len(ended)} abandoned runs" if ended else "no abandoned run")


def _reads(build: Build, dataset: str) -> bool:
    return any(dataset.startswith(name) if name.endswith(".") else dataset == name for name in build.reads)


def _versions(inputs: Mapping[str, catalog.DatasetVersion]) -> dict[str, int]:
    return {name: each.version for name, each in inputs.items()}


def _published(dataset: catalog.DatasetVersion) -> datetime:
    return dataset.published_at or datetime.min.replace(tzinfo=UTC)
