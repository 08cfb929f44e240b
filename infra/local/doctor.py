"""Checks everything a stack needs, one line each: connections, versions, credentials, permissions."""

import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import Any

import psycopg

from assets.settings import Settings, SwitchdeskError
from assets.stores import postgres
from infra.local import stack
from infra.local.directory import Directory
from infra.local.parts.http import get_json
from infra.local.parts.part import NotAnswering

_LEAST_FREE_BYTES = 1_000_000_000


class Wrong(SwitchdeskError):
    """Something is not as it should be; the text says what, and the way out."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    name: str
    is_ok: bool
    detail: str


def examine(settings: Settings, home: Directory) -> list[Finding]:
    """Run every check that applies, several at a time; the report keeps their order."""
    checks = list(_checks(settings, home))
    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(lambda check: _examine(*check), checks))


def _examine(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except (SwitchdeskError, NotAnswering) as error:
        return Finding(name, False, str(error))
    except psycopg.Error as error:
        return Finding(name, False, f"{str(error).splitlines()[0]}; run `switchdesk migrate`")


def _checks(settings: Settings, home: Directory) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "disk", lambda: _disk(home)
    if home.env_file.exists():
        yield "stack.env", lambda: _secrecy(home)
        for part in stack.status(home.path):
            if part.state is not stack.State.STOPPED:
                yield part.name, lambda part=part: _part(part)
    yield "postgres login", lambda: _owner(settings)
    yield "postgres schema", lambda: _revision(settings)
    yield "serving login", lambda: _serving(settings)
    yield "questions login", lambda: _questions(settings)
    yield "redis", lambda: _redis(settings)
    yield "kafka topics", lambda: _kafka(settings)
    yield "neo4j login", lambda: _neo4j(settings)
    yield "milvus collections", lambda: _milvus(settings)
    yield "policy", lambda: _policy(settings)
    if settings.models_url:
        yield "models by name", lambda: _models(settings)
    record = home.record("api")
    if record is not None and record.process.is_alive() and settings.api_url:
        yield "api key", lambda: _api(settings)
    if settings.zendesk_url:
        yield "zendesk", lambda: _zendesk(settings)


def _disk(home: Directory) -> str:
    folder = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE_BYTES:
        raise Wrong(f"only {free / 1e6:.0f} MB are free under {folder}; free some space")
    return f"{free / 1e9:.1f} GB free under {folder}"


def _secrecy(home: Directory) -> str:
    mode = stat.S_IMODE(home.env_file.stat().st_mode)
    if mode & 0o077:
        raise Wrong(f"{home.env_file} holds passwords and others may read it; run `chmod 600 {home.env_file}`")
    return f"{home.env_file} is readable by you alone"


def _part(part: stack.PartStatus) -> str:
    if part.state is not stack.State.READY:
        raise Wrong(f"{part.state}: {part.detail}; run `switchdesk up`")
    return part.detail


def _owner(settings: Settings) -> str:
    with postgres.connect(settings.require("postgres_url"), application="switchdesk-doctor") as connection:
        number, text = connection.info.server_version, connection.execute("show server_version").fetchone()
        if number < 160000:
            raise Wrong(f"PostgreSQL {text and text[0]} is too old: 16 or newer is needed")
        row = connection.execute(
            "select current_user, rolcreaterole, has_database_privilege(current_database(), 'create')"
            " from pg_roles where rolname = current_user"
        ).fetchone()
    assert row is not None
    user, may_create_logins, may_create_schemas = row
    if not may_create_schemas or not may_create_logins:
        raise Wrong(
            f"{user} may not create {'logins' if may_create_schemas else 'schemas'}, which migrations need; "
            f"run `alter role {user} createrole` and `grant create on database … to {user}` as an administrator"
        )
    return f"{user} may create schemas and logins"


def _revision(settings: Settings) -> str:
    from alembic.script import ScriptDirectory

    want = ScriptDirectory(str(resources.files("infra.migrations"))).get_current_head()
    with postgres.connect(settings.require("postgres_url"), application="switchdesk-doctor") as connection:
        row = connection.execute("select version_num from public.alembic_version").fetchone()
    if row is None or row[0] != want:
        raise Wrong(f"database at revision {row and row[0]}, the code at {want}; run `switchdesk migrate`")
    return f"revision {want}"


def _serving(settings: Settings) -> str:
    url = settings.require("postgres_serving_url")
    may = {"serving.api_keys": "select, insert, update, delete", "catalog.datasets": "select"}
    return _rights(url, may, {"zendesk.tickets": "select", "catalog.datasets": "insert"}, {})


def _questions(settings: Settings) -> str:
    url = settings.require("postgres_questions_url")
    may = {"catalog.datasets": "select", "zendesk.ticket_comments": "select"}
    may_not = {"zendesk.tickets": "select", "serving.api_keys": "select", "zendesk.ticket_comments": "insert"}
    must = {"default_transaction_read_only": "on", "statement_timeout": None}
    return _rights(url, may, may_not, must)


def _rights(url: str, may: dict[str, str], may_not: dict[str, str], must: dict[str, str | None]) -> str:
    with postgres.connect(url, application="switchdesk-doctor") as connection:
        login = connection.info.user
        for table, privileges in may.items():
            for privilege in privileges.split(", "):
                if not _has(connection, table, privilege):
                    raise Wrong(f"{login} may not {privilege} {table}; run `switchdesk migrate`")
        for table, privilege in may_not.items():
            if _has(connection, table, privilege):
                raise Wrong(f"{login} may {privilege} {table}, which it must not; run `switchdesk migrate`")
        for name, value in must.items():
            row = connection.execute("select current_setting(%s)", (name,)).fetchone()
            if row is None or row[0] in {"0", "off"} or (value is not None and row[0] != value):
                raise Wrong(f"{login} runs with {name} = {row and row[0]}; run `switchdesk migrate`")
    return f"{login} may do what it needs and nothing else"


def _has(connection: psycopg.Connection[Any], table: str, privilege: str) -> bool:
    schema = table.partition(".")[0]
    row = connection.execute(
        "select has_schema_privilege(%s, 'usage') and has_table_privilege(%s, %s)", (schema, table, privilege)
    ).fetchone()
    return bool(row and row[0])


def _redis(settings: Settings) -> str:
    import redis

    client = redis.Redis.from_url(settings.require("redis_url"), socket_timeout=5, socket_connect_timeout=5)
    try:
        server: Any = client.info("server")
        version = server["redis_version"]
        if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
            raise Wrong(f"Redis {version} is too old: 6.2 or newer is needed")
        client.eval("return redis.call('TIME')", 0)
    except redis.RedisError as error:
        raise Wrong(f"does not do what is asked: {error}; check SWITCHDESK_REDIS_URL") from None
    finally:
        client.close()
    return f"answers as Redis {version}, scripts run"


def _kafka(settings: Settings) -> str:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    bootstrap = settings.require("kafka_bootstrap")
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        found = client.list_topics(timeout=5).topics
    except KafkaException as error:
        raise Wrong(f"no answer from {bootstrap}: {error.args[0].str()}; check SWITCHDESK_KAFKA_BOOTSTRAP") from None
    if failed := [name for name, topic in found.items() if topic.error is not None]:
        raise Wrong(f"{', '.join(failed)} cannot be read: their leader is missing; see the broker's log")
    return f"{sum(name.startswith('zendesk.') for name in found)} topics of ours"


def _neo4j(settings: Settings) -> str:
    from assets.stores.neo4j import Neo4j

    password = settings.require("neo4j_password")
    client = Neo4j(settings.require("neo4j_url"), settings.neo4j_user, password)
    try:
        return f"{settings.neo4j_user} may read Neo4j {client.version()}"
    finally:
        client.close()


def _milvus(settings: Settings) -> str:
    from assets.stores.milvus import Milvus

    client = Milvus(settings.require("milvus_url"), timeout=10.0)
    try:
        return f"answers as {client.version()}"
    finally:
        client.close()


def _policy(settings: Settings) -> str:
    from serving.policy import load_policy

    load_policy(settings)
    return str(settings.policy or "the packaged serving/policy.yaml")


def _models(settings: Settings) -> str:
    from serving.policy import load_policy

    key = settings.models_api_key
    url = settings.require("models_url")
    listed = get_json(f"{url}/models", token=key.get_secret_value() if key else None)["data"]
    names = {name for model in listed for name in (model["id"], *model.get("aliases", ()))}
    if missing := sorted({model.name for model in load_policy(settings).models} - names):
        raise Wrong(f"{url} knows no {', '.join(missing)}; serve them there, or unset SWITCHDESK_MODELS_URL")
    return f"{url} knows every model of the policy"


def _api(settings: Settings) -> str:
    get_json(f"{settings.require('api_url')}/v1/catalog", token=settings.require("api_key"))
    return "accepted"


def _zendesk(settings: Settings) -> str:
    from assets.zendesk.client import open_client, retirement_warning

    client = open_client(settings, give_up_seconds=5.0)
    try:
        role = client.check_admin(stop=threading.Event())
    finally:
        client.close()
    warning = retirement_warning(settings)
    return f"{client.account} takes the credentials for {role}" + (f"; {warning}" if warning else "")
