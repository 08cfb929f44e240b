"""Processes as the kernel shows them: who is alive, what they hold, how they end."""

import os
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import StackError

_PROC = Path("/proc")
_MARKER = "SWITCHDESK_PART"
_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process for good: a recycled process id has another start time."""

    pid: int
    start_time: int
    """Clock ticks since the machine started."""

    def is_alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        stat = _stat(self.pid)
        return stat is not None and stat.start_time == self.start_time and stat.state not in "ZX"


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent: int
    start_time: int


def _stat(pid: int) -> _Stat | None:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return None
    return _Stat(fields[0], int(fields[1]), int(fields[19]))


def _everyone() -> dict[int, _Stat]:
    found = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    return {pid: stat for pid, stat in found.items() if stat is not None}


def family(roots: Iterable[Process]) -> list[Process]:
    """The given processes that are alive, and all below them."""
    everyone = _everyone()
    children: dict[int, list[int]] = {}
    for pid, stat in everyone.items():
        children.setdefault(stat.parent, []).append(pid)
    waiting = [root.pid for root in roots if root.is_alive()]
    found: dict[int, Process] = {}
    while waiting:
        pid = waiting.pop()
        if pid not in found and pid in everyone:
            found[pid] = Process(pid, everyone[pid].start_time)
            waiting += children.get(pid, [])
    return list(found.values())


def marker(directory: Path, part: str) -> dict[str, str]:
    """Environment by which a process of this stack is known even where its record is lost."""
    return {_MARKER: f"{directory}:{part}"}


def belonging_to(directory: Path, *, but_not: str | None = None) -> list[Process]:
    """Every process that a stack in this folder started, by its marker or by where it works.

    Valkey and PostgreSQL overwrite their environment; both stay in the stack's folder. `but_not` leaves out what
    one part started.
    """
    wanted = f"{_MARKER}={directory}:".encode()
    left_out = None if but_not is None else wanted + but_not.encode()
    found = []
    for pid, stat in _everyone().items():
        if pid == os.getpid() or stat.state in "ZX":
            continue
        try:
            environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
            ours = any(entry.startswith(wanted) and entry != left_out for entry in environment)
            if not ours and Path(os.readlink(_PROC / str(pid) / "exe")).name in {"postgres", "valkey-server"}:
                ours = Path(os.readlink(_PROC / str(pid) / "cwd")).is_relative_to(directory)
        except OSError:
            continue
        if ours:
            found.append(Process(pid, stat.start_time))
    return found


def memory_mb(processes: Iterable[Process]) -> float:
    """Resident memory in MB, pages that several of them share counted once."""
    return round(sum(_resident_kb(process.pid) for process in processes) / 1024, 1)


def _resident_kb(pid: int) -> int:
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            text = (_PROC / str(pid) / name).read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    return 0


def end(processes: Iterable[Process], *, patience: float) -> None:
    """Ask them to end, wait `patience` seconds, then kill what is left and wait until it is gone."""
    remaining = _signal(processes, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while remaining and time.monotonic() < deadline:
        time.sleep(0.05)
        remaining = [process for process in remaining if process.is_alive()]
    remaining = _signal(remaining, signal.SIGKILL)
    deadline = time.monotonic() + _KILL_SECONDS
    # The kernel may hold one a while longer, over a disk that does not answer; no waiting helps against that.
    while remaining and time.monotonic() < deadline:
        time.sleep(0.02)
        remaining = [process for process in remaining if process.is_alive()]


def _signal(processes: Iterable[Process], number: signal.Signals) -> list[Process]:
    reached = []
    for process in processes:
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        try:
            # Checked after the handle is held: the signal can reach no successor of the same id.
            if process.is_alive():
                signal.pidfd_send_signal(handle, number)
                reached.append(process)
        except ProcessLookupError:
            continue
        except PermissionError:
            raise StackError(
                f"process {process.pid} not ended: it belongs to another user; run the command as that user"
            ) from None
        finally:
            os.close(handle)
    return reached


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder_of(port: int) -> str | None:
    """The program that listens on this port and its process id, where the kernel tells."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(os.readlink(handle) in inodes for handle in (entry / "fd").iterdir()):
                return f"{(entry / 'comm').read_text().strip()}, process {entry.name}"
        except OSError:
            continue
    return None
