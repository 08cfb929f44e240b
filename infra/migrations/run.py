"""Bring a database to the code's revision: logins, schemas, tables, rights; the same for `up`, `migrate` and tests."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from assets.settings import Settings, SwitchdeskError
from assets.stores import postgres

# One migration at a time on a database, whoever starts it.
_LOCK = 0x5317C4DE5C


class MigrationError(SwitchdeskError):
    """The database cannot be brought to the code's revision."""


def migrate(settings: Settings) -> str:
    """Create logins, upgrade to the newest revision, renew all rights; return the revision. Safe to repeat."""
    owner_url = settings.require("postgres_url")
    with postgres.connect(owner_url, application="switchdesk-migrate", autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        try:
            serving = _ensure_login(connection, settings.require("postgres_serving_url"))
            questions = _ensure_login(connection, settings.require("postgres_questions_url"))
            revision = _upgrade(owner_url)
            _grant(connection, serving=serving, questions=questions)
        finally:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))
    return revision


def _upgrade(owner_url: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(Path(str(resources.files("infra.migrations")))))
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    engine = create_engine(owner_url, poolclass=NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": "public"})
        present = context.get_current_revision()
    known = {revision.revision for revision in script.walk_revisions()}
    if present is not None and present not in known:
        raise MigrationError(
            f"database newer than the code: it is at revision {present}, this version knows up to {head}; "
            "install the newer version of switchdesk"
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    engine.dispose()
    return str(head)


def _ensure_login(connection: psycopg.Connection, url: str) -> str:
    user, password = postgres.login(url)
    exists = connection.execute("select 1 from pg_roles where rolname = %s", (user,)).fetchone()
    verb = sql.SQL("alter" if exists else "create")
    connection.execute(
        sql.SQL("{} role {} login password {}").format(verb, sql.Identifier(user), postgres.literal(password))
    )
    return user


def _grant(connection: psycopg.Connection, *, serving: str, questions: str) -> None:
    """Rights of the two lesser logins, renewed as a whole so that they never drift."""
    serving_role, questions_role = sql.Identifier(serving), sql.Identifier(questions)
    database = sql.Identifier(connection.info.dbname)
    statements = [
        sql.SQL("revoke all on database {} from public").format(database),
        sql.SQL("grant connect on database {} to {}, {}").format(database, serving_role, questions_role),
        sql.SQL("grant usage on schema serving, catalog to {}").format(serving_role),
        sql.SQL("grant select, insert, update, delete on all tables in schema serving to {}").format(serving_role),
        sql.SQL("grant usage, select on all sequences in schema serving to {}").format(serving_role),
        sql.SQL("grant select on all tables in schema catalog to {}").format(serving_role),
        sql.SQL("grant usage on schema analytics, catalog, zendesk to {}").format(questions_role),
        sql.SQL("grant select on all tables in schema analytics, catalog to {}").format(questions_role),
        sql.SQL("grant select on zendesk.ticket_comments to {}").format(questions_role),
        sql.SQL("alter default privileges in schema analytics grant select on tables to {}").format(questions_role),
        sql.SQL(
            "alter default privileges in schema serving grant select, insert, update, delete on tables to {}"
        ).format(serving_role),
        sql.SQL("alter role {} set default_transaction_read_only = on").format(questions_role),
        sql.SQL("alter role {} set statement_timeout = '10s'").format(questions_role),
        sql.SQL("alter role {} set idle_in_transaction_session_timeout = '60s'").format(questions_role),
    ]
    for statement in statements:
        connection.execute(statement)
