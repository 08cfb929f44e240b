"""The dbt project: where it lies, its parsed manifest, and the environment in which dbt runs."""

import fcntl
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from dagster_dbt import DbtProject
from sqlalchemy.engine import make_url

from assets.settings import Settings, SwitchdeskError

PROJECT_DIR = Path(__file__).resolve().parents[1] / "dbt_project"
DBT = Path(sys.executable).with_name("dbt")
BUILD_SCHEMA = "analytics_build"
"""Where dbt builds and tests, beside the live marts."""

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


@contextmanager
def dbt_environment(settings: Settings, *, schema: str = BUILD_SCHEMA) -> Iterator[None]:
    """Set what `profiles.yml` reads while dbt runs; the password is in no argument, log or file.

    dbt hides the value of a variable whose name starts with DBT_ENV_SECRET_ in everything it prints.
    """
    url = make_url(settings.require("postgres_url"))
    values = {
        "SWITCHDESK_DBT_HOST": url.host or "127.0.0.1",
        "SWITCHDESK_DBT_PORT": str(url.port or 5432),
        "SWITCHDESK_DBT_USER": url.username or "",
        "SWITCHDESK_DBT_DATABASE": url.database or "",
        "SWITCHDESK_DBT_SCHEMA": schema,
        "DBT_ENV_SECRET_SWITCHDESK_PASSWORD": str(url.password or ""),
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
    command = [str(DBT), "--no-use-colors", "parse", "--project-dir", str(PROJECT_DIR), "--profiles-dir"]
    result = subprocess.run(
        [*command, str(PROJECT_DIR), "--target-path", str(target), "--log-path", str(target)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
    )
    if result.returncode:
        raise DbtError(f"dbt project does not parse: {result.stdout.strip()[-1500:]}")
