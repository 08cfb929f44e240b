"""The dbt project: where it lies, its parsed manifest, and how it is built."""

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from dagster_dbt import DbtProject
from sqlalchemy.engine import make_url

from assets.settings import Settings, SwitchdeskError

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt_project"
DBT = Path(sys.executable).with_name("dbt")
BUILD_SCHEMA = "analytics_build"
"""Where dbt builds and tests, beside the live marts."""

_PARSED = "partial_parse.msgpack"
_AS_OF = "SWITCHDESK_DBT_AS_OF"

log = logging.getLogger(__name__)


class DbtError(SwitchdeskError):
    """dbt cannot read or build the project."""


@cache
def dbt_project() -> DbtProject:
    """The project with a manifest that is as new as its files; parsed here (4 s) where it is not.

    An image parses at build time, so that a read-only installation finds it ready; elsewhere the first process that
    needs it parses, and others that start meanwhile wait for it.
    """
    if not (PROJECT_DIR / "dbt_project.yml").is_file():
        raise DbtError(f"dbt project missing: {PROJECT_DIR} has no dbt_project.yml; run from a checkout")
    target = _target()
    target.mkdir(parents=True, exist_ok=True)
    if not _is_fresh(target):
        with (target / "parse.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_fresh(target):
                _parse(target)
    return DbtProject(PROJECT_DIR, target_path=target)


def semantic_manifest() -> bytes:
    """The semantic manifest as dbt wrote it."""
    return (dbt_project().manifest_path.parent / "semantic_manifest.json").read_bytes()


@dataclass(frozen=True, slots=True)
class NodeResult:
    """How one model or test of a build ended."""

    unique_id: str
    status: str
    """`success` or `pass`; otherwise `error`, `fail`, `warn`, or `skipped` where it hangs on one that is broken."""
    message: str
    failures: int
    """Rows that a test found wrong."""
    seconds: float

    rows: int | None
    """Rows of a table that was built; None for views and tests."""

    @property
    def is_broken(self) -> bool:
        """The model could not be built, or the test does not hold."""
        return self.status not in {"success", "pass", "warn", "skipped"}

    @property
    def name(self) -> str:
        """Model or test without package and hash."""
        return self.unique_id.split(".")[2]


def build(settings: Settings, *, as_of: datetime, schema: str = BUILD_SCHEMA) -> list[NodeResult]:
    """Build and test every model into `schema`; return how each went, failed ones included.

    Raises DbtError where dbt could not start building at all. The connection travels in the environment of the
    process alone, so no argument, log or file holds the password.
    """
    return _run(settings, ["build", "--exclude-resource-type", "unit_test"], {_AS_OF: as_of.isoformat()}, schema)


def unit_test(settings: Settings, *, schema: str = BUILD_SCHEMA) -> list[NodeResult]:
    """Run dbt's unit tests, which need the models of a build to be there; return how each went."""
    return _run(settings, ["test", "--select", "test_type:unit"], {}, schema)


def _run(settings: Settings, arguments: list[str], environment: dict[str, str], schema: str) -> list[NodeResult]:
    project = dbt_project()
    with tempfile.TemporaryDirectory(prefix="switchdesk-dbt-") as folder:
        target = Path(folder)
        # dbt reads its own notes of the last parse only for the same connection: each stack keeps those of its builds.
        kept = settings.dir / "dbt" / _PARSED
        for parsed in (kept, project.manifest_path.parent / _PARSED):
            if parsed.is_file():
                shutil.copy(parsed, target)
                break
        result = _dbt(arguments, target, {**_connection(settings, schema), **environment})
        results = target / "run_results.json"
        if not results.is_file():
            raise DbtError(f"dbt did not run: {_tail(result)}")
        if settings.dir.is_dir() and (target / _PARSED).is_file():
            _keep(target / _PARSED, kept)
        return [_node(entry) for entry in orjson.loads(results.read_bytes())["results"]]


def _node(entry: dict[str, Any]) -> NodeResult:
    response = entry["adapter_response"]
    return NodeResult(
        unique_id=entry["unique_id"],
        status=entry["status"],
        message=entry.get("message") or "",
        failures=entry.get("failures") or 0,
        seconds=entry["execution_time"],
        # PostgreSQL answers `SELECT n` where a table was made of a query.
        rows=response.get("rows_affected") if response.get("code") == "SELECT" else None,
    )


def _keep(parsed: Path, kept: Path) -> None:
    kept.parent.mkdir(exist_ok=True)
    # Renamed into place: a reader never sees half a file.
    temporary = kept.with_suffix(f".{os.getpid()}")
    shutil.copy(parsed, temporary)
    temporary.replace(kept)


def _connection(settings: Settings, schema: str) -> dict[str, str]:
    """What `profiles.yml` reads; dbt hides variables named DBT_ENV_SECRET_ in everything it prints."""
    url = make_url(settings.require("postgres_url"))
    return {
        "SWITCHDESK_DBT_HOST": url.host or "127.0.0.1",
        "SWITCHDESK_DBT_PORT": str(url.port or 5432),
        "SWITCHDESK_DBT_USER": url.username or "",
        "SWITCHDESK_DBT_DATABASE": url.database or "",
        "SWITCHDESK_DBT_SCHEMA": schema,
        "DBT_ENV_SECRET_SWITCHDESK_PASSWORD": str(url.password or ""),
    }


def _dbt(arguments: list[str], target: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(DBT), "--no-use-colors", *arguments, "--project-dir", str(PROJECT_DIR), "--profiles-dir"]
    return subprocess.run(
        [*command, str(PROJECT_DIR), "--target-path", str(target), "--log-path", str(target)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **environment},
    )


def _tail(result: subprocess.CompletedProcess[str]) -> str:
    return (result.stdout.strip() or result.stderr.strip())[-1500:]


def _target() -> Path:
    own = PROJECT_DIR / "target"
    if own.is_dir() or os.access(PROJECT_DIR, os.W_OK):
        return own
    # Nobody may write beside the code: a folder of this user's own, kept from one process to the next.
    return Path(tempfile.gettempdir()) / f"switchdesk-dbt-{os.getuid()}"


def _is_fresh(target: Path) -> bool:
    made = [target / "manifest.json", target / "semantic_manifest.json"]
    if not all(path.is_file() for path in made):
        return False
    if not os.access(target, os.W_OK):
        return True
    oldest = min(path.stat().st_mtime for path in made)
    sources = (path for kind in ("*.sql", "*.yml") for path in PROJECT_DIR.rglob(kind) if target not in path.parents)
    return all(path.stat().st_mtime <= oldest for path in sources)


def _parse(target: Path) -> None:
    log.info("parsing the dbt project")
    result = _dbt(["parse"], target, {})
    if result.returncode:
        raise DbtError(f"dbt project does not parse: {_tail(result)}")
