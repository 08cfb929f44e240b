"""The local stack as a whole: start, stop and look at it. `up`, `down`, the demo and the tests all come here."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from assets.settings import Settings, SwitchdeskError, load_settings
from infra.local import launch, processes
from infra.local.directory import Directory, Record
from infra.local.errors import BrokenDirectory, DownloadFailed, PortTaken, StackError, StartFailed
from infra.local.parts.dagster import DagsterCode
from infra.local.parts.desk import DemoDesk
from infra.local.parts.part import Choices, NotAnswering, Part, Place, Refused
from infra.local.parts.registry import PARTS, STORES, chosen

_LEAST_FREE_BYTES = 1_000_000_000
_LARGEST_LOG_BYTES = 10_000_000
_DESK_URL = "SWITCHDESK_ZENDESK_URL"
_DESK_SIZE = "SWITCHDESK_DEMO_TICKETS"


class State(StrEnum):
    """What a part is doing."""

    READY = "ready"
    STARTING = "starting"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part as `status` shows it."""

    name: str
    state: State
    pid: int | None
    port: int | None
    rss_mb: float
    """Resident memory of the server and its children."""
    detail: str


Report = Callable[[str, State, str], None]
"""Told each change: part, state, what it is doing."""


def _silent(part: str, state: State, detail: str) -> None:
    """Report nothing."""


def start(
    directory: Path, only: str | None = None, *, tickets: int | None = None, report: Report = _silent
) -> list[str]:
    """Start what `only` names (see `chosen`) and does not run yet; return the names of the parts started.

    `tickets` is the size of the demo help desk, which is left out where the settings name a real one.
    Returns when every part answers. Raises StackError naming the parts that do not, the others keep running.
    """
    home = Directory(directory)
    parts = chosen(only)
    with home.lock(lambda: report("stack", State.STARTING, "waiting for another switchdesk command")):
        _check_space(home)
        env = home.read_env()
        has_own_desk = _has_own_desk(home, env)
        if not has_own_desk:
            parts = _without_desk(parts, only)
        _check_data(home, parts)
        running = {part.name for part in parts if (record := home.record(part.name)) and record.process.is_alive()}
        _end_strays(home)
        choices = Choices(env)
        env |= {"SWITCHDESK_DIR": str(home.path), "DAGSTER_HOME": str(home.data("dagster"))}
        if tickets is not None:
            _resize_desk(env, tickets, is_running=DemoDesk.name in running)
        for part in parts:
            part.choose(choices)
        home.write_env(env)
        place = Place(home, env, settings_of(env, home), has_own_desk)
        for part in parts:
            if part.name not in running:
                _check_port(part, place)
        return _start_all(parts, running, place, report)


def stop(directory: Path, *, report: Report = _silent) -> list[str]:
    """End every process of the stack, its data stays; return the names of the parts that ran.

    What uses the stores ends before them. Works on a damaged folder, and on one that is gone.
    """
    home = Directory(directory)
    if not home.path.exists():
        processes.end(processes.belonging_to(home.path), patience=8.0)
        return []
    with home.lock(lambda: report("stack", State.STARTING, "waiting for another switchdesk command")):
        ended: list[str] = []
        for group in (tuple(part for part in PARTS if part not in STORES), STORES):
            with ThreadPoolExecutor(len(group)) as pool:
                ran = list(pool.map(lambda part: _stop_part(home, part, report), group))
            ended += [part.name for part, did_run in zip(group, ran, strict=True) if did_run]
        processes.end(processes.belonging_to(home.path), patience=3.0)
        for part in PARTS:
            home.forget(part.name)
        return [part.name for part in PARTS if part.name in ended]


def exports(directory: Path) -> dict[str, str]:
    """What another shell needs to work with this stack; a real help desk that the user names stays the user's."""
    home = Directory(directory)
    env = home.read_env()
    if not env:
        raise StackError(f"no stack in {home.path}: run `switchdesk up` first, or name its folder with --dir")
    return Place(home, env, settings_of(env, home), _has_own_desk(home, env)).product_env()


def status(directory: Path, only: str | None = None) -> list[PartStatus]:
    """Every part as it is now, each asked by a real request."""
    home = Directory(directory)
    parts = chosen(only)
    env = home.read_env()
    place = Place(home, env, settings_of(env, home))
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(lambda part: _status_of(part, place), parts))


def _has_own_desk(home: Directory, env: dict[str, str]) -> bool:
    return (load_settings(dir=home.path).zendesk_url or "") == env.get(_DESK_URL, "")


def _without_desk(parts: tuple[Part, ...], only: str | None) -> tuple[Part, ...]:
    others = tuple(part for part in parts if part.name != DemoDesk.name)
    if only is not None and len(others) < len(parts):
        raise StackError(
            "demo-desk not started: SWITCHDESK_ZENDESK_URL names another help desk; unset it, or leave demo-desk out"
        )
    return others


def _resize_desk(env: dict[str, str], tickets: int, *, is_running: bool) -> None:
    present = env.get(_DESK_SIZE, str(tickets))
    if is_running and present != str(tickets):
        raise StackError(
            f"demo desk already up with {present} tickets, not {tickets}; run `switchdesk down` first, "
            "or leave --tickets out"
        )
    env[_DESK_SIZE] = str(tickets)


def _check_space(home: Directory) -> None:
    free = shutil.disk_usage(home.path).free
    if free < _LEAST_FREE_BYTES:
        raise StackError(
            f"too little disk space: {free / 1e6:.0f} MB are free under {home.path}, "
            f"{_LEAST_FREE_BYTES / 1e6:.0f} MB are needed; free some, or name another folder with --dir"
        )


def _check_data(home: Directory, parts: Iterable[Part]) -> None:
    for part in parts:
        if part.name in home.made() and not home.data(part.name).is_dir():
            raise BrokenDirectory(
                f"{part.name} lost its data: {home.data(part.name)} is missing; put it back, or accept the loss by "
                f"deleting {home.path / 'run' / (part.name + '.made')}"
            )
    if home.made() and not home.env_file.exists():
        copy = home.env_file.with_suffix(".env.copy")
        restore = f"copy {copy} there, or " if copy.exists() else ""
        raise BrokenDirectory(
            f"stack settings missing: {home.env_file} holds the passwords of the data beside it; {restore}"
            f"run `switchdesk down`, delete {home.path} and start afresh (its data goes with it)"
        )


def _end_strays(home: Directory) -> None:
    """End what an earlier stack in this folder left without a record: its files are gone, its ports are not ours."""
    recorded = [record.process for part in PARTS if (record := home.record(part.name))]
    known = set(processes.family(recorded))
    # Runs go on without the server of the code that started them.
    found = processes.belonging_to(home.path, but_not=DagsterCode.name)
    processes.end([stray for stray in found if stray not in known], patience=3.0)


def _check_port(part: Part, place: Place) -> None:
    for port in part.ports(place):
        if processes.port_is_free(port):
            continue
        holder = processes.holder_of(port)
        by = f" by {holder}" if holder else ""
        raise PortTaken(
            f"port taken: {part.name} belongs on 127.0.0.1:{port}, which is in use{by}; end that program, or change "
            f"the port in {place.directory.env_file} wherever {port} stands"
        )


class _Waiting(Exception):
    """A part that this one needs failed, or the start was interrupted."""


def _start_all(parts: tuple[Part, ...], running: set[str], place: Place, report: Report) -> list[str]:
    """Bring all up at once, each after those it needs; return those that were not up and settled before."""
    interrupted = threading.Event()
    futures: dict[str, Future[bool]] = {}

    def run(part: Part) -> bool:
        for name in part.after:
            if name in futures and futures[name].exception():
                report(part.name, State.FAILED, f"not started: it needs {name}")
                raise _Waiting
        return _bring_up(part, place, report, is_running=part.name in running, interrupted=interrupted)

    with ThreadPoolExecutor(len(parts)) as pool:
        try:
            for part in parts:
                futures[part.name] = pool.submit(run, part)
            failures = [failure for future in futures.values() if (failure := future.exception())]
        except BaseException:
            interrupted.set()
            raise
    own = [failure for failure in failures if not isinstance(failure, _Waiting)]
    for failure in own:
        # One sentence about the network is enough for all that wait for it; a fault of ours goes first.
        if isinstance(failure, DownloadFailed) or not isinstance(failure, SwitchdeskError):
            raise failure
    if own:
        raise StartFailed("\n".join(str(failure) for failure in own))
    return [name for name, future in futures.items() if future.result()]


def _bring_up(part: Part, place: Place, report: Report, *, is_running: bool, interrupted: threading.Event) -> bool:
    home = place.directory

    def say(text: str) -> None:
        if interrupted.is_set():
            raise _Waiting
        report(part.name, State.STARTING, text)

    if not is_running:
        say("")
        try:
            part.lay_out(place, say)
            home.mark_made(part.name)
        except OSError as error:
            raise StartFailed(f"{part.name} not started: {error.filename or home.path}: {error.strerror}") from None
        if interrupted.is_set():
            raise _Waiting
        _launch(part, place)
    record = home.record(part.name)
    assert record is not None
    detail = _wait(part, place, record, report, interrupted)
    must_settle = part.settles and not record.is_settled
    if must_settle:
        part.settle(place, say)
        home.keep(part.name, replace(record, is_settled=True))
    report(part.name, State.READY, detail)
    return must_settle or not is_running


def _launch(part: Part, place: Place) -> None:
    home = place.directory
    log = home.log(part.name)
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    plan = part.launch(place)
    request = {
        "argv": plan.argv,
        "env": plan.env | processes.marker(home.path, part.name) | {"SWITCHDESK_DIR": str(home.path)},
        "cwd": str(home.data(part.name)),
        "user": plan.user,
        "log": str(log),
        "logs_output": plan.logs_output,
        "record": str(home.record_file(part.name)),
        "identity": {"port": part.port(place), "started_at": time.time()},
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", launch.__file__], input=json.dumps(request), text=True, capture_output=True
    )
    if done.returncode:
        home.forget(part.name)
        raise StartFailed(f"{part.name} not started: {done.stderr.strip().splitlines()[-1]}")


def _wait(part: Part, place: Place, record: Record, report: Report, interrupted: threading.Event) -> str:
    """Ask until it answers; StartFailed where it dies first, refuses us, or the deadline passes."""
    deadline = time.monotonic() + part.deadline
    while True:
        is_alive = record.process.is_alive()
        try:
            if is_alive:
                return part.answer(place)
            raise _give_up(part, place, record, report, "it ended by itself")
        except Refused as refusal:
            raise _give_up(part, place, record, report, f"{refusal}; restore {place.directory.env_file}") from None
        except NotAnswering as error:
            if time.monotonic() > deadline:
                reason = f"no answer within {part.deadline:.0f} s ({error})"
                raise _give_up(part, place, record, report, reason) from None
        if interrupted.wait(0.1):
            raise _Waiting


def _give_up(part: Part, place: Place, record: Record, report: Report, reason: str) -> StartFailed:
    home = place.directory
    processes.end(processes.family([record.process]), patience=part.patience)
    home.keep(part.name, replace(record, error=reason))
    report(part.name, State.FAILED, reason)
    lines = "".join(f"\n  {line}" for line in home.last_lines(part.name))
    return StartFailed(
        f"{part.name} failed: {reason}; its log is {home.log(part.name)}; "
        f"what else was started goes on, `switchdesk up` tries again, `switchdesk down` stops all{lines}"
    )


def _stop_part(home: Directory, part: Part, report: Report) -> bool:
    record = home.record(part.name)
    if record is None or not record.process.is_alive():
        return False
    # The server first: it ends its own children in good order.
    children = processes.family([record.process])
    processes.end([record.process], patience=part.patience)
    processes.end(children, patience=1.0)
    report(part.name, State.STOPPED, "")
    return True


def _status_of(part: Part, place: Place) -> PartStatus:
    record = place.directory.record(part.name)
    if record is None:
        return PartStatus(part.name, State.STOPPED, None, None, 0.0, "")
    if not record.process.is_alive():
        last = place.directory.last_lines(part.name, 1)
        detail = record.error or "died" + (f"; last line of its log: {last[0][:160]}" if last else "")
        return PartStatus(part.name, State.FAILED, None, record.port or None, 0.0, detail)
    memory = processes.memory_mb(processes.family([record.process]))
    try:
        state, detail = State.READY, part.answer(place)
        if part.settles and not record.is_settled:
            state, detail = State.STARTING, f"{detail}, not set up to the end: `switchdesk up` does it"
    except NotAnswering as error:
        is_young = time.time() - record.started_at < part.deadline
        state = State.STARTING if is_young else State.FAILED
        detail = str(error) if is_young else f"runs but does not answer: {error}"
    return PartStatus(part.name, state, record.process.pid, record.port or None, memory, detail)


def settings_of(env: dict[str, str], home: Directory) -> Settings:
    """Settings that reach this stack, even where the environment names another one."""
    fields = {name.removeprefix("SWITCHDESK_").lower(): value for name, value in env.items()}
    own = {name: value for name, value in fields.items() if name in Settings.model_fields}
    return load_settings(**{**own, "dir": home.path})
