"""A stack of the benchmark's own: the user's topics and tables stay out of it."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from assets.settings import Settings
from assets.stores import postgres
from infra.local import stack
from infra.local.directory import Directory
from infra.migrations.run import migrate

_DATABASE_URLS = ("postgres_url", "postgres_serving_url", "postgres_questions_url")


@contextmanager
def running(tickets: int) -> Iterator[Settings]:
    """PostgreSQL, Kafka, Valkey and a demo help desk of this size in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="switchdesk-bench-") as folder:
        directory = Path(folder) / "var"
        try:
            stack.start(directory, "postgres,kafka,valkey,demo-desk", tickets=tickets)
            home = Directory(directory)
            yield stack.settings_of(home.read_env(), home)
        finally:
            stack.stop(directory)


@contextmanager
def fresh_database(settings: Settings) -> Iterator[Settings]:
    """The same stack with a migrated database in which nothing was loaded yet."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    with postgres.connect(settings.require("postgres_url"), application="bench", autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        urls = {
            field: SecretStr(make_url(settings.require(field)).set(database=name).render_as_string(hide_password=False))
            for field in _DATABASE_URLS
        }
        own = settings.model_copy(update=urls)
        migrate(own)
        yield own
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
