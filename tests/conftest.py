"""What all tests share: the real engines, started once a session in a folder of their own, and a database a test."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from assets.settings import Settings
from assets.stores import postgres
from infra.local import stack as local_stack
from infra.local.directory import Directory
from infra.migrations.run import migrate
from tests import guardian

pytest_plugins = ["tests.fakes.stores"]

_OURS = ("MODEL_REGISTRY_URL", "DEFAULT_MODEL", "MAX_FALLBACK_ATTEMPTS", "DEFAULT_BUDGET", "COST_ALERT_THRESHOLD")
_DATABASE_URLS = ("postgres_url", "postgres_serving_url", "postgres_questions_url")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the caller's settings before anything reads them: no test may reach a stack that is not its own."""
    del config
    for name in [name for name in os.environ if name.startswith("SWITCHDESK_") or name in _OURS]:
        del os.environ[name]
    os.environ.pop("DAGSTER_HOME", None)
    os.environ["SWITCHDESK_DIR"] = "/nonexistent/switchdesk-tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real engines, so that `-m "not stack"` leaves it out."""
    for item in items:
        if "stack_directory" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)


@pytest.fixture(scope="session")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the six real servers, running."""
    directory = tmp_path_factory.mktemp("stack") / "var"
    watch = subprocess.Popen(
        [sys.executable, "-m", guardian.__name__, str(directory)],
        stdin=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        start_new_session=True,
    )
    try:
        local_stack.start(directory, "stores")
        yield directory
    finally:
        watch.communicate(timeout=60)
    assert watch.returncode == 0, "the test stack did not stop"


@pytest.fixture(scope="session")
def stack(stack_directory: Path) -> Settings:
    """Settings that reach the six real servers; PostgreSQL is migrated."""
    home = Directory(stack_directory)
    return local_stack.settings_of(home.read_env(), home)


@pytest.fixture(scope="session")
def migrated_template(stack: Settings) -> str:
    """Name of a database at the newest revision, to be copied and never written."""
    name = "switchdesk_template"
    with postgres.connect(stack.require("postgres_url"), application="tests", autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    migrate(_with_database(stack, name))
    return name


@pytest.fixture
def database(stack: Settings, migrated_template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of the stack with a fresh, migrated database of this test's own; the environment names it too."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with postgres.connect(stack.require("postgres_url"), application="tests", autocommit=True) as connection:
        _run(connection, "create database {} template {}", name, migrated_template)
        # A database's own rights are not copied with it.
        _run(connection, "grant connect on database {} to switchdesk_serving, switchdesk_questions", name)
        own = _with_database(stack, name)
        monkeypatch.setenv("SWITCHDESK_DIR", str(own.dir))
        for field in _DATABASE_URLS:
            monkeypatch.setenv(f"SWITCHDESK_{field.upper()}", own.require(field))
        yield own
        _run(connection, "drop database {} with (force)", name)


def _with_database(settings: Settings, name: str) -> Settings:
    urls = {
        field: SecretStr(make_url(settings.require(field)).set(database=name).render_as_string(hide_password=False))
        for field in _DATABASE_URLS
    }
    return settings.model_copy(update=urls)


def _run(connection: psycopg.Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
