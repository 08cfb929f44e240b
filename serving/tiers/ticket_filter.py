"""Filters on tickets: conditions on dimensions -> ids of the tickets that meet them in the published marts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from rapidfuzz import process

from serving.errors import Invalid, StoreUnavailable
from serving.planning.plan import Filter, Operator

_RELATION = ("analytics", "fct_tickets")
_TAGS = ("analytics", "bridge_ticket_tags")
_COMPARISONS = {
    Operator.GT: sql.SQL(">"),
    Operator.GE: sql.SQL(">="),
    Operator.LT: sql.SQL("<"),
    Operator.LE: sql.SQL("<="),
}


def ticket_ids(connection: psycopg.Connection[Any], filters: Sequence[Filter]) -> list[int] | None:
    """Ids of the tickets that meet all conditions; None where there is no condition.

    A dimension is a column of `analytics.fct_tickets`, by its name or with `_name` behind it, or `tag`. An unknown one
    raises Invalid with the nearest names, never an empty answer.
    """
    if not filters:
        return None
    columns = _columns(connection, _RELATION)
    if not columns:
        raise StoreUnavailable(
            "ticket filters need the marts, which are not built yet: run `switchdesk build analytics`"
        )
    key = "ticket_id" if "ticket_id" in columns else "id"
    tags = _columns(connection, _TAGS)
    conditions = [_condition(item, columns, tags, key) for item in filters]
    statement = sql.SQL("select t.{key} from {relation} as t where {conditions}").format(
        key=sql.Identifier(key), relation=sql.Identifier(*_RELATION), conditions=sql.SQL(" and ").join(conditions)
    )
    try:
        return [int(row[0]) for row in connection.execute(statement).fetchall()]
    except psycopg.DataError:
        names = ", ".join(item.dimension for item in filters)
        raise Invalid(
            f"filter value does not fit its dimension: one of {names}; use a value of the catalogue"
        ) from None


def _columns(connection: psycopg.Connection[Any], relation: tuple[str, str]) -> frozenset[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (".".join(relation),),
    )
    return frozenset(row[0] for row in rows.fetchall())


def _condition(item: Filter, columns: frozenset[str], tags: frozenset[str], key: str) -> sql.Composable:
    if item.dimension in {"tag", "tags"} and "tag" in tags:
        return _tag_condition(item, key)
    name = next((name for name in (item.dimension, f"{item.dimension}_name") if name in columns), None)
    if name is None:
        known = sorted({*columns, "tag"})
        nearest = [match[0] for match in process.extract(item.dimension, known, limit=3)]
        raise Invalid(
            f"filter dimension unknown: {item.dimension[:80]!r} is nothing that tickets have; "
            f"nearest are {', '.join(nearest)}",
            nearest=nearest,
        )
    return compare(sql.Identifier("t", name), item)


def compare(column: sql.Composable, item: Filter) -> sql.Composable:
    """One condition on a column, every value a quoted literal; a missing value differs from any other."""
    match item.op:
        case Operator.IS_NULL:
            return sql.SQL("{} is null").format(column)
        case Operator.IS_NOT_NULL:
            return sql.SQL("{} is not null").format(column)
        case Operator.EQ | Operator.IN:
            return sql.SQL("{}::text = any({})").format(column, _texts(item))
        case Operator.NE | Operator.NOT_IN:
            return sql.SQL("({0} is null or {0}::text <> all({1}))").format(column, _texts(item))
        case Operator.CONTAINS:
            needles = sql.SQL(" or ").join(
                sql.SQL("position(lower({}) in lower({}::text)) > 0").format(sql.Literal(_text(value)), column)
                for value in _values(item)
            )
            return sql.SQL("({})").format(needles)
        case Operator.GT | Operator.GE | Operator.LT | Operator.LE:
            if len(_values(item)) != 1:
                raise Invalid(f"filter malformed: {item.dimension} {item.op} takes one value, not {len(item.values)}")
            # Quoted, so that PostgreSQL reads it as whatever type the column has.
            value = sql.Literal(_text(item.values[0]))
            return sql.SQL("{} {} {}").format(column, _COMPARISONS[item.op], value)


def _tag_condition(item: Filter, key: str) -> sql.Composable:
    negated = item.op in {Operator.NE, Operator.NOT_IN, Operator.IS_NULL}
    positive = {Operator.NE: Operator.IN, Operator.NOT_IN: Operator.IN, Operator.IS_NULL: Operator.IS_NOT_NULL}
    inner = compare(sql.Identifier("b", "tag"), item.model_copy(update={"op": positive.get(item.op, item.op)}))
    return sql.SQL("{} (select 1 from {} as b where b.ticket_id = t.{} and {})").format(
        sql.SQL("not exists" if negated else "exists"), sql.Identifier(*_TAGS), sql.Identifier(key), inner
    )


def _values(item: Filter) -> tuple[str | int | float | bool, ...]:
    if not item.values:
        raise Invalid(f"filter malformed: {item.dimension} {item.op} needs a value")
    return item.values


def _texts(item: Filter) -> sql.Composable:
    return sql.Literal([_text(value) for value in _values(item)])


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("\x00", "")
