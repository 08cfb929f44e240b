"""Filters on tickets: conditions on dimensions -> ids of the tickets that meet them in the published marts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql
from rapidfuzz import process

from serving.errors import Invalid, StoreUnavailable
from serving.planning.plan import Filter, Operator, Scalar

_NAMES = {
    "group": ("dim_groups", "group_id", "group_id"),
    "organization": ("dim_organizations", "organization_id", "organization_id"),
    "brand": ("dim_brands", "brand_id", "brand_id"),
    "form": ("dim_forms", "form_id", "form_id"),
    "requester": ("dim_users", "user_id", "requester_id"),
    "assignee": ("dim_users", "user_id", "assignee_id"),
}
"""Dimension -> table of `analytics` that holds its name, its key there, and the key in `fct_tickets`."""
_COMPARISONS = {
    Operator.GT: sql.SQL(">"),
    Operator.GE: sql.SQL(">="),
    Operator.LT: sql.SQL("<"),
    Operator.LE: sql.SQL("<="),
}
_POSITIVE = {
    Operator.NE: Operator.IN,
    Operator.NOT_IN: Operator.IN,
    Operator.IS_NULL: Operator.IS_NOT_NULL,
}


def ticket_ids(connection: psycopg.Connection[Any], filters: Sequence[Filter]) -> list[int] | None:
    """Ids of the tickets that meet all conditions; None where there is no condition.

    A dimension is a column of `analytics.fct_tickets`, `tag`, or the name of what a ticket refers to (group,
    organization, brand, form, requester, assignee). An unknown one raises Invalid with the nearest names, never an
    empty answer. Values are compared without case; an absent value differs from every other.
    """
    if not filters:
        return None
    rows = connection.execute(
        "select attname from pg_attribute"
        " where attrelid = to_regclass('analytics.fct_tickets') and attnum > 0 and not attisdropped"
    )
    columns = frozenset(row[0] for row in rows.fetchall())
    if not columns:
        raise StoreUnavailable("ticket filters need the marts, which are not built: run `switchdesk build analytics`")
    conditions = [_condition(item, columns) for item in filters]
    statement = sql.SQL("select t.ticket_id from analytics.fct_tickets as t where {}").format(
        sql.SQL(" and ").join(conditions)
    )
    try:
        return [int(row[0]) for row in connection.execute(statement).fetchall()]
    except psycopg.DataError:
        names = ", ".join(item.dimension for item in filters)
        raise Invalid(
            f"filter value does not fit its dimension: one of {names}; /v1/catalog lists their values"
        ) from None


def _condition(item: Filter, columns: frozenset[str]) -> sql.Composable:
    if item.dimension in {"tag", "tags"}:
        inner = _compare(sql.SQL("tag"), item.model_copy(update={"op": _POSITIVE.get(item.op, item.op)}))
        return sql.SQL("{} (select 1 from unnest(t.tags) as tag where {})").format(
            sql.SQL("not exists" if item.op in _POSITIVE else "exists"), inner
        )
    if item.dimension in columns:
        return _compare(sql.Identifier("t", item.dimension), item)
    if item.dimension in _NAMES:
        table, key, reference = _NAMES[item.dimension]
        name = sql.SQL("(select d.name from {} as d where d.{} = t.{})").format(
            sql.Identifier("analytics", table), sql.Identifier(key), sql.Identifier(reference)
        )
        return _compare(name, item)
    nearest = [match[0] for match in process.extract(item.dimension[:80], sorted({*columns, *_NAMES, "tag"}), limit=3)]
    raise Invalid(
        f"filter dimension unknown: {item.dimension[:80]!r} is nothing that tickets have; "
        f"nearest are {', '.join(nearest)}",
        nearest=nearest,
    )


def _compare(column: sql.Composable, item: Filter) -> sql.Composable:
    match item.op:
        case Operator.IS_NULL:
            return sql.SQL("{} is null").format(column)
        case Operator.IS_NOT_NULL:
            return sql.SQL("{} is not null").format(column)
        case Operator.EQ | Operator.IN:
            return sql.SQL("lower({}::text) = any({})").format(column, _texts(item))
        case Operator.NE | Operator.NOT_IN:
            return sql.SQL("coalesce(lower({}::text) <> all({}), true)").format(column, _texts(item))
        case Operator.CONTAINS:
            parts = [
                sql.SQL("position({} in lower({}::text)) > 0").format(sql.Literal(_text(value)), column)
                for value in _values(item)
            ]
            return sql.SQL("({})").format(sql.SQL(" or ").join(parts))
        case Operator.GT | Operator.GE | Operator.LT | Operator.LE:
            if len(item.values) != 1:
                raise Invalid(f"filter malformed: {item.dimension} {item.op} takes one value, not {len(item.values)}")
            # A quoted literal has no type of its own, so PostgreSQL reads it as the column's.
            return sql.SQL("{} {} {}").format(column, _COMPARISONS[item.op], sql.Literal(_text(item.values[0])))


def _values(item: Filter) -> tuple[Scalar, ...]:
    if not item.values:
        raise Invalid(f"filter malformed: {item.dimension} {item.op} needs a value")
    return item.values


def _texts(item: Filter) -> sql.Composable:
    return sql.Literal([_text(value) for value in _values(item)])


def _text(value: Scalar) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).replace("\x00", "").lower()
