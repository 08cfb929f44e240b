"""The folder of one local stack: its settings file, its records and its lock."""

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

from infra.local import processes
from infra.local.errors import BrokenDirectory, StackError

# Below the range from which Linux takes ports for outgoing connections, so that a port is still ours after a restart.
_FIRST_PORT, _LAST_PORT = 20_000, 29_999
_LOCK_PATIENCE_SECONDS = 300.0
_STRANGE = frozenset("\n\r\"'\\,:;#$%=")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a part that was started."""

    process: processes.Process
    port: int
    started_at: float
    """Unix seconds."""
    error: str | None = None
    """Why it is not to be had, where `up` gave up on it."""
    is_settled: bool = False
    """Whether what follows its first answer is done."""


class Directory:
    """Everything a stack keeps on disk; whoever else may read the machine, only its user reads this."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def env_file(self) -> Path:
        """The settings that every command and client reads."""
        return self.path / "stack.env"

    def log(self, part: str) -> Path:
        """Where a part's output goes."""
        return self.path / "logs" / f"{part}.log"

    def data(self, part: str) -> Path:
        """Where a part keeps what must survive it."""
        return self.path / part

    def record_file(self, part: str) -> Path:
        """Where a part's process is written down."""
        return self.path / "run" / f"{part}.json"

    def create(self) -> None:
        """Make the folder and its fixed subfolders."""
        if strange := sorted(set(str(self.path)) & _STRANGE):
            raise BrokenDirectory(
                f"stack folder not usable: {self.path} contains {' '.join(map(repr, strange))}, which the servers' "
                "configuration files read as something else; name another with --dir or SWITCHDESK_DIR"
            )
        try:
            for folder in (self.path, self.path / "logs", self.path / "run"):
                folder.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise BrokenDirectory(
                f"stack folder not usable: {self.path}: {error.strerror}; name another with --dir or SWITCHDESK_DIR"
            ) from None

    @contextmanager
    def lock(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the stack alone; calls `waiting` once where another command has it."""
        self.create()
        with (self.path / "run" / "lock").open("a") as file:
            deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
            told = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StackError(
                            f"stack busy: another switchdesk command has held {self.path} "
                            f"for {_LOCK_PATIENCE_SECONDS:.0f} s; end it and try again"
                        ) from None
                    if not told:
                        waiting()
                        told = True
                    time.sleep(0.1)
            yield

    def read_env(self) -> dict[str, str]:
        """The settings file; empty where there is none."""
        try:
            text = self.env_file.read_text()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError):
            raise BrokenDirectory(f"stack settings unreadable: {self.env_file}; {self._way_out()}") from None
        values: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            name, equals, value = line.partition("=")
            if not line.strip() or line.startswith("#"):
                continue
            if not equals or not name.isidentifier() or "\0" in value:
                raise BrokenDirectory(
                    f"stack settings damaged: line {number} of {self.env_file} is not NAME=VALUE; {self._way_out()}"
                )
            values[name] = value
        for name, value in values.items():
            _check_value(name, value, f"{self.env_file}; {self._way_out()}")
        return values

    def write_env(self, values: dict[str, str]) -> None:
        """Replace the settings file as a whole and keep a copy."""
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        _write(self.env_file, text)
        _write(self.env_file.with_suffix(".env.copy"), text)

    def _way_out(self) -> str:
        copy = self.env_file.with_suffix(".env.copy")
        restore = f"copy {copy} over it, or " if copy.exists() else ""
        return f"{restore}run `switchdesk down`, delete {self.path} and start afresh (its data goes with it)"

    def record(self, part: str) -> Record | None:
        """A part's record; None where it was never started, or was stopped, or its record is damaged."""
        try:
            fields = json.loads(self.record_file(part).read_text())
            process = processes.Process(int(fields["pid"]), int(fields["start_time"]))
            port, started_at = int(fields["port"]), float(fields["started_at"])
            return Record(process, port, started_at, fields.get("error"), bool(fields.get("settled")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, part: str, record: Record) -> None:
        """Replace a part's record."""
        fields = {
            "pid": record.process.pid,
            "start_time": record.process.start_time,
            "port": record.port,
            "started_at": record.started_at,
            "error": record.error,
            "settled": record.is_settled,
        }
        _write(self.record_file(part), json.dumps(fields))

    def forget(self, part: str) -> None:
        """Drop a part's record: it was stopped on purpose."""
        self.record_file(part).unlink(missing_ok=True)

    def made(self) -> set[str]:
        """The parts whose data was laid out here once."""
        return {file.name.removesuffix(".made") for file in (self.path / "run").glob("*.made")}

    def mark_made(self, part: str) -> None:
        """Note that a part's data exists, so that its loss is told from a first start."""
        _write(self.path / "run" / f"{part}.made", "")

    def last_lines(self, part: str, count: int = 12) -> list[str]:
        """The end of a part's log."""
        try:
            with self.log(part).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        return [line for line in lines if line.strip()][-count:]


def _write(path: Path, text: str) -> None:
    """Write so that a reader sees the old text or the new, and nobody else reads it."""
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def _check_value(name: str, value: str, where: str) -> None:
    if "PASSWORD" in name or name.endswith(("_KEY", "_SECRET")):
        if not value:
            raise BrokenDirectory(f"stack settings damaged: {name} is empty in {where}")
    elif "://" in value:
        try:
            url = urlsplit(value)
            empty = url.port is None or ("@" in url.netloc and not url.password)
        except ValueError:
            empty = True
        if empty:
            raise BrokenDirectory(f"stack settings damaged: {name} lacks its port or password in {where}")


def new_password() -> str:
    """A password that needs quoting nowhere."""
    return token_hex(20)


def free_port(taken: set[int]) -> int:
    """A port nobody listens on, other than those just given out."""
    for _ in range(1000):
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        if port not in taken and processes.port_is_free(port):
            taken.add(port)
            return port
    raise StackError(f"no free port: a thousand tries between {_FIRST_PORT} and {_LAST_PORT} found none on 127.0.0.1")
