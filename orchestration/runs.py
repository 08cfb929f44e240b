"""Runs as the instance knows them: which are in progress, and which have lost their process."""

import os
import socket
from pathlib import Path

import dagster as dg

HOST_TAG = "switchdesk/host"
"""Machine of a run that a command executes in its own process."""

_LAUNCHED_TAG = ".dagster/grpc_info"
_IN_PROGRESS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def in_progress(instance: dg.DagsterInstance) -> set[str]:
    """Names of the jobs that wait or run at this moment."""
    return {run.job_name for run in instance.get_runs(dg.RunsFilter(statuses=_IN_PROGRESS))}


def abandoned(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Started runs whose process on this machine is gone, for example after a SIGKILL.

    Dagster's default launcher cannot tell a dead process from a busy one: such a run would stay started for ever and
    take a place in the queue. Runs on other machines are left alone.
    """
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    return [run for run in started if _is_of_this_machine(run) and not _has_process(instance, run)]


def _is_of_this_machine(run: dg.DagsterRun) -> bool:
    host = run.tags.get(HOST_TAG)
    return host == socket.gethostname() if host else _LAUNCHED_TAG in run.tags


def _has_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    # The newest event that carries a process id is the run's own: the daemon writes none once a run has started.
    for record in instance.get_records_for_run(run.run_id, limit=50, ascending=False).records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.pid is not None:
            return _is_alive(event.pid, record.event_log_entry.timestamp)
    return True


def _is_alive(pid: int, seen_at: float) -> bool:
    """Whether the process that wrote an event at `seen_at` (seconds since the epoch) is the one with this id now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    if fields[0] == "Z":
        return False
    ticks = int(fields[19])
    return _boot_time() + ticks / os.sysconf("SC_CLK_TCK") <= seen_at + 1


def _boot_time() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "btime":
            return float(value)
    return 0.0
