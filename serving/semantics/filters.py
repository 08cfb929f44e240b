"""Filters of a plan as conditions: names and operators are checked, values become parameters."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from serving.planning.plan import Filter, Operator, Scalar
from serving.semantics.catalogue import Dimension
from serving.semantics.errors import ImpossiblePlan
from serving.semantics.parameters import Parameters

_NONE = {Operator.IS_NULL, Operator.IS_NOT_NULL}
_MANY = {Operator.IN, Operator.NOT_IN}
_ORDERED = {Operator.GT, Operator.GE, Operator.LT, Operator.LE}
_TEXT = {Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN, Operator.CONTAINS, *_NONE}
_ALLOWED = {
    "text": _TEXT,
    "list": _TEXT,
    "boolean": {Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN, *_NONE},
    "number": {Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN, *_ORDERED, *_NONE},
    "time": {*_ORDERED, *_NONE},
}


def condition(expression: str, dimension: Dimension, wanted: Filter, zone: ZoneInfo, parameters: Parameters) -> str:
    """The condition over an expression that yields the dimension; raises SemanticsError where it makes no sense.

    A row without a value is unequal to every value: `!=` and `not_in` keep it.
    """
    op = wanted.op
    if op not in _ALLOWED[dimension.type]:
        known = ", ".join(sorted(_ALLOWED[dimension.type]))
        raise ImpossiblePlan(f"operator impossible: {dimension.name} {op} ...; {dimension.name} takes {known}")
    _check_values(dimension, wanted)
    if dimension.type == "list":
        return _list_condition(expression, dimension, wanted, parameters)
    if op is Operator.IS_NULL:
        return f"{expression} is null"
    if op is Operator.IS_NOT_NULL:
        return f"{expression} is not null"
    if op is Operator.CONTAINS:
        return f"position(lower({parameters.add(str(wanted.values[0]))}) in lower({expression})) > 0"
    if op in _MANY:
        token = parameters.add(_typed([dimension.resolve(value) for value in wanted.values], dimension))
        if op is Operator.IN:
            return f"{expression} = any({token})"
        return f"({expression} is null or {expression} <> all({token}))"
    value = wanted.values[0]
    if dimension.type == "time":
        return f"{expression} {op} cast({parameters.add(_moment(dimension, value, zone))} as timestamptz)"
    token = parameters.add(dimension.resolve(value))
    if op is Operator.NE:
        return f"({expression} is null or {expression} <> {token})"
    return f"{expression} {op} {token}"


def _list_condition(expression: str, dimension: Dimension, wanted: Filter, parameters: Parameters) -> str:
    """Conditions over an array column; null where the row it belongs to is missing, which counts as empty."""
    op = wanted.op
    if op is Operator.IS_NULL:
        return f"coalesce(cardinality({expression}), 0) = 0"
    if op is Operator.IS_NOT_NULL:
        return f"coalesce(cardinality({expression}), 0) > 0"
    if op is Operator.CONTAINS:
        part = parameters.add(str(wanted.values[0]))
        # Tags hold no line breaks, so a match never spans two of them.
        return f"position(lower({part}) in lower(array_to_string({expression}, chr(10)))) > 0"
    token = parameters.add([str(dimension.resolve(value)) for value in wanted.values])
    has_any = f"coalesce({expression} && cast({token} as text[]), false)"
    return has_any if op in {Operator.EQ, Operator.IN} else f"not {has_any}"


def _check_values(dimension: Dimension, wanted: Filter) -> None:
    count = len(wanted.values)
    for value in wanted.values:
        if isinstance(value, str) and ("\x00" in value or _is_broken(value)):
            raise ImpossiblePlan(f"value impossible: {dimension.name} cannot be text with U+0000 or half a character")
    if wanted.op in _NONE:
        if count:
            raise ImpossiblePlan(f"too many values: {dimension.name} {wanted.op} takes none, got {count}")
    elif wanted.op in _MANY:
        if not count:
            raise ImpossiblePlan(f"value missing: {dimension.name} {wanted.op} takes at least one")
    elif count != 1:
        raise ImpossiblePlan(f"one value wanted: {dimension.name} {wanted.op} got {count}; use `in` for several")


def _is_broken(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return True
    return False


def _typed(values: list[Scalar], dimension: Dimension) -> list[Scalar]:
    if dimension.type == "number" and any(isinstance(value, float) for value in values):
        return [float(value) for value in values]
    return values


def _moment(dimension: Dimension, value: Scalar, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ImpossiblePlan(
            f"not a time: {dimension.name} got {str(value)[:40]!r}; write it like 2026-11-25T09:00:00+00:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
