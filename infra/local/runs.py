"""Runs of Dagster jobs in this process, recorded in the stack's storage like any other run."""

import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.settings import Settings, SwitchdeskError
from assets.stores import postgres

if TYPE_CHECKING:
    import dagster as dg

_INSTANCE_FILE = Path(__file__).resolve().parents[2] / "dagster.yaml"


class RunFailed(SwitchdeskError):
    """A run did not succeed: its text is the root cause."""


@dataclass(frozen=True, slots=True)
class Made:
    """An asset that a run materialised."""

    key: tuple[str, ...]
    metadata: Mapping[str, Any]
    """Plain values, among them `dagster/row_count`."""

    @property
    def rows(self) -> int | None:
        """Rows the asset holds now."""
        return self.metadata.get("dagster/row_count")


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that did not hold and that blocks nothing."""

    key: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What a successful run did."""

    run_id: str
    seconds: float
    made: tuple[Made, ...]
    failed_checks: tuple[FailedCheck, ...]


def run_job(
    settings: Settings,
    job: str,
    *,
    assets: Sequence[Sequence[str]] = (),
    tags: Mapping[str, str] | None = None,
    on_event: "Callable[[dg.DagsterEvent], None] | None" = None,
) -> Finished:
    """Execute a job here and now; raises RunFailed with the root cause of the first step that failed.

    `assets` names the keys to make where it is not all of the job. `on_event` sees each Dagster event as it happens,
    in the thread that calls this.
    """
    prepare(settings)
    import dagster as dg

    from orchestration.definitions import defs
    from orchestration.runs import HOST_TAG

    run_id = str(uuid.uuid4())
    started = time.monotonic()
    with dg.DagsterInstance.get() as instance:
        if on_event is not None:
            instance.add_event_listener(run_id, _unwrap(on_event))
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_id=run_id,
            asset_selection=[dg.AssetKey(list(key)) for key in assets] or None,
            tags={**(tags or {}), HOST_TAG: socket.gethostname()},
            raise_on_error=False,
            # What the run logs is kept with the run; the terminal shows progress only.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    if not result.success:
        raise RunFailed(f"run failed: {job}: {root_cause(result.all_events)}")
    return Finished(
        run_id,
        time.monotonic() - started,
        tuple(
            Made(
                tuple(event.materialization.asset_key.path),
                {name: value.value for name, value in event.materialization.metadata.items()},
            )
            for event in result.get_asset_materialization_events()
        ),
        tuple(
            FailedCheck(tuple(check.asset_key.path), check.check_name)
            for check in result.get_asset_check_evaluations()
            if not check.passed
        ),
    )


def prepare(settings: Settings) -> None:
    """Let Dagster find the stack's storage: it reads the environment alone, when it is first used.

    Raises PostgresError where the storage does not answer.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.dir / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(_INSTANCE_FILE, home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    storage = settings.require("dagster_storage_url")
    # Dagster itself would try again for half a minute, and tell with a traceback.
    postgres.connect(storage, application="switchdesk-runs").close()
    os.environ["SWITCHDESK_DAGSTER_STORAGE_URL"] = storage
    # gRPC's own library writes of every closed connection to the terminal; errors reach us as exceptions.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def root_cause(events: "Sequence[dg.DagsterEvent]") -> str:
    """The innermost error of the first step that failed, as one sentence."""
    for event in events:
        error = event.step_failure_data.error if event.is_step_failure else None
        if error is None:
            continue
        while error.cause is not None:
            error = error.cause
        # The message leads with the class, named with its module where it is not built in.
        return re.sub(rf"^(\w+\.)*{re.escape(error.cls_name or '')}: ", "", error.message.strip())
    return "the run ended without a failed step; its log in Dagster says why"


def _unwrap(on_event: "Callable[[dg.DagsterEvent], None]") -> "Callable[[dg.EventLogEntry], None]":
    def listen(entry: "dg.EventLogEntry") -> None:
        if entry.dagster_event is not None:
            on_event(entry.dagster_event)

    return listen
