import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import processes


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"])
    yield child
    child.kill()
    child.wait()


def test_a_process_is_known_by_its_id_and_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes.Process(sleeper.pid, start_time(sleeper.pid)).is_alive()


def test_a_recycled_process_id_is_somebody_else_and_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    gone = processes.Process(sleeper.pid, start_time(sleeper.pid) - 1)
    assert not gone.is_alive()
    processes.end([gone], patience=0.1)
    assert sleeper.poll() is None
    assert processes.family([gone]) == []


def test_a_process_that_waits_to_be_reaped_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    process = processes.Process(sleeper.pid, start_time(sleeper.pid))
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive()


def test_one_that_ignores_the_request_is_killed() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        processes.end([processes.Process(child.pid, start_time(child.pid))], patience=0.2)
        assert child.wait() == -signal.SIGKILL


def test_a_family_holds_children_and_their_children() -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        me = processes.Process(os.getpid(), start_time(os.getpid()))
        found = processes.family([me])
        assert {child.pid, grandchild} <= {process.pid for process in found}
        ours = processes.family([processes.Process(child.pid, start_time(child.pid))])
        assert processes.memory_mb(ours) > 1
        processes.end(ours, patience=1.0)


def test_processes_are_found_by_the_folder_of_their_stack(tmp_path: Path) -> None:
    mine = {**os.environ, **processes.marker(tmp_path, "kafka")}
    other = {**os.environ, **processes.marker(tmp_path.with_name("other"), "kafka")}
    with (
        subprocess.Popen(["sleep", "60"], env=mine) as here,
        subprocess.Popen(["sleep", "60"], env=other) as elsewhere,
    ):
        assert [process.pid for process in processes.belonging_to(tmp_path)] == [here.pid]
        assert processes.belonging_to(tmp_path, but_not="kafka") == []
        here.kill()
        elsewhere.kill()


def test_the_holder_of_a_port_is_named() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert not processes.port_is_free(port)
        assert str(os.getpid()) in (processes.holder_of(port) or "")
    assert processes.port_is_free(port)
    assert processes.holder_of(port) is None
