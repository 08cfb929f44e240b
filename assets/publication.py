"""Publishing the marts: what was built and tested beside them goes live in one transaction, row by changed row.

Readers keep their snapshot: live tables are never swapped, so a REPEATABLE READ reader neither fails nor sees two
builds. Only rows that differ are written, which keeps the write small and the content versions honest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg
from psycopg import sql

from assets import catalog
from assets.settings import SwitchdeskError

LIVE_SCHEMA = "analytics"
MANIFEST_DOCUMENT = "semantic_manifest"
VALUES_MODEL = "dimension_values"
"""Built like a mart, published into `catalog.dimension_values`."""


class PublicationError(SwitchdeskError):
    """A build cannot go live."""


@dataclass(frozen=True, slots=True)
class Mart:
    """A built table that goes live."""

    name: str
    key: tuple[str, ...]
    """Columns that identify a row."""
    times: Mapping[str, str] | None = None
    """Column by name of a time dimension, the one that partitions are named by first; None: no time axis."""


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing one mart came to."""

    name: str
    version: int
    rows: int
    rows_built: int
    columns: Mapping[str, str]
    """PostgreSQL type by column."""
    facts: Mapping[str, Any]


def marts(manifest: Mapping[str, Any], semantic_manifest: bytes) -> list[Mart]:
    """The marts of a dbt manifest, with the time axes that the semantic models give them."""
    times = _times(orjson.loads(semantic_manifest))
    found: list[Mart] = []
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["fqn"][1] == "marts" and node["name"] != VALUES_MODEL:
            key = node["config"]["meta"].get("key")
            if not key:
                raise PublicationError(f"mart without a key: {node['name']}; set config.meta.key in its yml")
            found.append(Mart(node["name"], tuple(key), times.get(node["name"])))
    return sorted(found, key=lambda mart: mart.name)


def _times(document: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for model in document["semantic_models"]:
        if not model["measures"]:
            continue
        default = model["defaults"]["agg_time_dimension"]
        columns = {
            dimension["name"]: dimension["expr"] or dimension["name"]
            for dimension in model["dimensions"]
            if dimension["type"] == "time"
        }
        found[model["node_relation"]["alias"]] = {default: columns[default], **columns}
    return found


def publish(
    connection: psycopg.Connection[Any],
    built: Sequence[Mart],
    *,
    build_schema: str,
    semantic_manifest: bytes,
    as_of: datetime,
    build_id: str,
) -> list[Published]:
    """Make a tested build live inside the caller's transaction: all marts, values and the manifest, or nothing."""
    # Moments are hashed as text, which must not depend on the session.
    connection.execute("set local timezone to 'UTC'")
    # A reader holds its tables for seconds; waiting longer than this would queue every later reader behind us.
    connection.execute("set local lock_timeout to '30s'")
    results: list[Published] = []
    for mart in built:
        _shape(connection, mart, build_schema)
        written, deleted = _merge(connection, mart, build_schema)
        results.append(_record(connection, mart, build_schema, as_of, build_id, written, deleted))
    _publish_values(connection, build_schema)
    catalog.publish_document(connection, MANIFEST_DOCUMENT, semantic_manifest)
    return results


def _columns(connection: psycopg.Connection[Any], schema: str, table: str) -> dict[str, str]:
    rows = connection.execute(
        """
        select attname, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum
        """,
        (f'"{schema}"."{table}"',),
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def _shape(connection: psycopg.Connection[Any], mart: Mart, build_schema: str) -> None:
    """Give the live table the columns of the build.

    A column whose type changed is dropped and added: that rewrites no table, and a rewritten one would look empty to
    readers with an older snapshot.
    """
    wanted = _columns(connection, build_schema, mart.name)
    if not wanted:
        raise PublicationError(f"mart missing: {build_schema}.{mart.name} was not built")
    live = sql.Identifier(LIVE_SCHEMA, mart.name)
    present = _columns(connection, LIVE_SCHEMA, mart.name)
    if not present:
        connection.execute(sql.SQL("create table {} (like {})").format(live, sql.Identifier(build_schema, mart.name)))
        connection.execute(sql.SQL("alter table {} add primary key ({})").format(live, _list(mart.key)))
        return
    if present == wanted:
        return
    if any(present.get(column) != wanted.get(column) for column in mart.key):
        # Another key is another table; this is the one change that readers with an old snapshot notice.
        connection.execute(sql.SQL("drop table {}").format(live))
        _shape(connection, mart, build_schema)
        return
    for column, kind in present.items():
        if wanted.get(column) != kind:
            connection.execute(sql.SQL("alter table {} drop column {}").format(live, sql.Identifier(column)))
    for column, kind in wanted.items():
        if present.get(column) != kind:
            connection.execute(
                sql.SQL("alter table {} add column {} {}").format(live, sql.Identifier(column), sql.SQL(kind))  # pyright: ignore[reportArgumentType]
            )


def _merge(connection: psycopg.Connection[Any], mart: Mart, build_schema: str) -> tuple[int, int]:
    """Bring the live rows to those of the build; return rows written and rows deleted."""
    columns = list(_columns(connection, build_schema, mart.name))
    others = [column for column in columns if column not in mart.key]
    live, build = sql.Identifier(LIVE_SCHEMA, mart.name), sql.Identifier(build_schema, mart.name)
    same_key = sql.SQL(" and ").join(
        sql.SQL("live.{0} = build.{0}").format(sql.Identifier(column)) for column in mart.key
    )
    deleted = connection.execute(
        sql.SQL("delete from {} as live where not exists (select from {} as build where {})").format(
            live, build, same_key
        )
    ).rowcount
    differs = sql.SQL("false")
    action = sql.SQL("nothing")
    if others:
        differs = sql.SQL("({}) is distinct from ({})").format(_list(others, "live"), _list(others, "build"))
        action = sql.SQL("update set {}").format(
            sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in others)
        )
    written = connection.execute(
        sql.SQL(
            """
            insert into {live} ({columns})
            select {qualified} from {build} as build left join {live} as live on {same_key}
            where live.{first_key} is null or {differs}
            on conflict ({key}) do {action}
            """
        ).format(
            live=live,
            build=build,
            columns=_list(columns),
            qualified=_list(columns, "build"),
            same_key=same_key,
            first_key=sql.Identifier(mart.key[0]),
            differs=differs,
            key=_list(mart.key),
            action=action,
        )
    ).rowcount
    return written, deleted


def _record(
    connection: psycopg.Connection[Any],
    mart: Mart,
    build_schema: str,
    as_of: datetime,
    build_id: str,
    written: int,
    deleted: int,
) -> Published:
    dataset = f"{LIVE_SCHEMA}.{mart.name}"
    live = sql.Identifier(LIVE_SCHEMA, mart.name)
    rows, rows_built = _count(connection, LIVE_SCHEMA, mart.name), _count(connection, build_schema, mart.name)
    if rows != rows_built:
        raise PublicationError(
            f"mart not unique: {mart.name} was built with {rows_built} rows of {rows} different {', '.join(mart.key)}; "
            "fix the model or its key"
        )
    changed = bool(written or deleted) or not _is_known(connection, dataset)
    facts: dict[str, Any] = {"rows_written": written, "rows_deleted": deleted}
    partitions: dict[str, tuple[str, int]] = {}
    if mart.times:
        column = next(iter(mart.times.values()))
        span = connection.execute(
            sql.SQL("select min({0})::text, max({0})::text from {1}").format(sql.Identifier(column), live)
        ).fetchone()
        if span:
            facts |= {"first": span[0], "last": span[1]}
        if changed:
            partitions = _partitions(connection, mart, dataset)
    version = catalog.publish(
        connection,
        dataset,
        as_of=as_of,
        rows=rows,
        facts=facts,
        build_id=build_id,
        partitions=partitions,
        changed=changed,
    )
    columns = _columns(connection, LIVE_SCHEMA, mart.name)
    return Published(mart.name, version, rows, rows_built, columns, facts)


def _count(connection: psycopg.Connection[Any], schema: str, table: str) -> int:
    row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table))).fetchone()
    return int(row[0]) if row else 0


def _is_known(connection: psycopg.Connection[Any], dataset: str) -> bool:
    found = connection.execute("select 1 from catalog.datasets where dataset = %s", (dataset,)).fetchone()
    return found is not None


def _partitions(connection: psycopg.Connection[Any], mart: Mart, dataset: str) -> dict[str, tuple[str, int]]:
    """Content hash and rows of each UTC month, along each time axis; months that emptied are told as empty."""
    assert mart.times
    known = connection.execute("select partition from catalog.partitions where dataset = %s", (dataset,)).fetchall()
    found: dict[str, tuple[str, int]] = {str(name): ("empty", 0) for (name,) in known}
    for number, (name, column) in enumerate(mart.times.items()):
        months = connection.execute(
            sql.SQL(
                """
                select coalesce(to_char({column}, 'YYYY-MM'), 'none'),
                    count(*), sum(hashtextextended(live::text, 0)::numeric)
                from {live} as live group by 1
                """
            ).format(column=sql.Identifier(column), live=sql.Identifier(LIVE_SCHEMA, mart.name))
        ).fetchall()
        prefix = f"{name}:" if number else ""
        # A sum does not depend on the order of rows, so hashing needs no sort.
        found |= {f"{prefix}{month}": (f"{count}-{digest}", count) for month, count, digest in months}
    return found


def _publish_values(connection: psycopg.Connection[Any], build_schema: str) -> None:
    build = sql.Identifier(build_schema, VALUES_MODEL)
    connection.execute(
        sql.SQL(
            """
            delete from catalog.dimension_values as live where not exists (
                select from {} as build where build.dimension = live.dimension and build.value = live.value
            )
            """
        ).format(build)
    )
    connection.execute(
        sql.SQL(
            """
            insert into catalog.dimension_values as live (dimension, value, rows)
            select dimension, value, rows from {}
            on conflict (dimension, value) do update set rows = excluded.rows where live.rows <> excluded.rows
            """
        ).format(build)
    )


def _list(columns: Sequence[str], table: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, column) if table else sql.Identifier(column) for column in columns)
