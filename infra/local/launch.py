"""Puts one server into the background: own session, own record, nothing of the caller's; run as a script.

The request is JSON on standard input, so that secrets are in no command line. The record (process id and start
time) is on disk before the server's program begins: however the caller dies, no server runs unrecorded.
"""

import ctypes
import json
import os
import sys

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def main() -> int:
    """Start what standard input describes; print its process id, or the reason on standard error."""
    request = json.load(sys.stdin)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            _become_server(request)
        except OSError as error:
            os.write(writer, f"{error.strerror}: {error.filename or request['argv'][0]}".encode())
        os._exit(127)
    os.close(writer)
    with os.fdopen(reader, "rb") as failures:
        failure = failures.read()
    if failure:
        os.waitpid(pid, 0)
        sys.stderr.write(failure.decode())
        return 1
    sys.stdout.write(str(pid))
    return 0


def _become_server(request: dict) -> None:
    os.setsid()
    os.umask(0o077)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(log if request["logs_output"] else nothing, 1)
    os.dup2(log, 2)
    _write_record(request["record"], request["identity"])
    os.chdir(request["cwd"])
    if request["user"] is not None:
        drop_to(*request["user"])
    os.execve(request["argv"][0], request["argv"], {**os.environ, **request["env"]})


def _write_record(path: str, identity: dict) -> None:
    with open("/proc/self/stat") as stat:
        # The name in parentheses may hold spaces; field 22, the start time, is the 20th after it.
        start_time = int(stat.read().rpartition(")")[2].split()[19])
    temporary = path + ".new"
    with open(temporary, "w") as file:
        json.dump({**identity, "pid": os.getpid(), "start_time": start_time}, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)


def drop_to(uid: int, gid: int) -> None:
    """Become an ordinary user that may still enter folders only root can: root's home is closed to others.

    PostgreSQL refuses to run as root; its programs and data often lie below /root.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << _CAP_DAC_OVERRIDE
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    # Without the capability (a container may withhold it) the server still starts where the folders are open.
    if libc.capset(header, data) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
