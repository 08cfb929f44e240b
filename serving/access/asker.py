"""The asker: who asks, what they may do, which rows they see and what they may spend."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from serving.errors import Forbidden, Invalid
from serving.planning.plan import Filter, Operator


class Scope(StrEnum):
    """What a key may do; none implies another."""

    ASK = "ask"
    SEARCH = "search"
    ADMIN = "admin"
    FEEDBACK = "feedback"
    VERIFY = "verify"


class Period(StrEnum):
    """Length of a budget's period, counted in UTC."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Asker:
    """A key that was checked, or the local default user."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    rows: tuple[Filter, ...] = ()
    """Conditions every row must meet; they are part of each plan, cache key and audit entry."""
    budget_usd: Decimal | None = None
    """Cap of the period; None: no cap."""
    budget_period: Period = Period.MONTH
    request_budget_usd: Decimal | None = None
    """Cap of one request; None: `DEFAULT_BUDGET`."""

    def require(self, scope: Scope) -> None:
        """Raise Forbidden where the key lacks a scope."""
        if scope not in self.scopes:
            raise Forbidden(
                f"key {self.name!r} lacks the scope {scope.value!r}: make a key with --scopes {scope.value}"
            )


LOCAL = Asker(key_id="local", name="local", scopes=frozenset(Scope))
"""Who asks where there is no key: the Python interface on one's own machine."""


def parse_rows(text: str | None) -> tuple[Filter, ...]:
    """Read `dimension=value[,value][;…]`; raises Invalid with the rule where it does not fit."""
    if not text:
        return ()
    filters = []
    for part in text.split(";"):
        dimension, equals, values = part.partition("=")
        names = tuple(value.strip() for value in values.split(",") if value.strip())
        if not equals or not dimension.strip() or not names:
            raise Invalid(f"row filter malformed: {part.strip()!r} is not dimension=value[,value]; join several by ';'")
        filters.append(Filter(dimension=dimension.strip(), op=Operator.IN, values=names))
    return tuple(filters)
