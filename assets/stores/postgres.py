"""PostgreSQL: how it is opened, by which login, and with which limits."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from sqlalchemy.engine import make_url

from assets.settings import SwitchdeskError


class BuildLock(IntEnum):
    """Advisory locks: one build of a store at a time, released by the server when its holder dies."""

    COMMENT_INDEX = 0x5D_E3BED
    TICKET_GRAPH = 0x5D_69A4


class PostgresError(SwitchdeskError):
    """PostgreSQL cannot be reached or refuses the login."""


def conninfo(url: str) -> str:
    """Turn `postgresql+psycopg://…` into what psycopg itself reads; no password reaches an error from here."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def connect(url: str, *, application: str, autocommit: bool = False, **options: Any) -> psycopg.Connection[TupleRow]:
    """Open one connection; raises PostgresError naming host and database, never the password."""
    try:
        return psycopg.connect(
            conninfo(url), autocommit=autocommit, application_name=application, connect_timeout=10, **options
        )
    except psycopg.OperationalError as error:
        raise PostgresError(f"PostgreSQL does not answer: {_where(url)}: {_first_line(error)}") from None


def pool(url: str, *, application: str, size: int, statement_timeout_ms: int | None = None) -> ConnectionPool:
    """Open a pool of at most `size` connections, opened on demand and checked before use."""
    options = f"-c statement_timeout={statement_timeout_ms}" if statement_timeout_ms else ""
    return ConnectionPool(
        conninfo(url),
        min_size=1,
        max_size=size,
        open=True,
        timeout=10,
        check=ConnectionPool.check_connection,
        kwargs={"application_name": application, "options": options, "connect_timeout": 10},
    )


def login(url: str) -> tuple[str, str]:
    """User and password that a URL names."""
    parsed = make_url(url)
    return str(parsed.username), str(parsed.password or "")


def literal(value: str) -> sql.Literal:
    """A quoted literal, for statements that take no parameters (`ALTER ROLE … PASSWORD`)."""
    return sql.Literal(value)


def _where(url: str) -> str:
    parsed = make_url(url)
    return f"{parsed.username}@{parsed.host}:{parsed.port or 5432}/{parsed.database}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[-1] if text else type(error).__name__
