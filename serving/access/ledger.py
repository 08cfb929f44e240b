"""The spend ledger: what each key may still spend in its period, held back before and settled after each request.

A period's cap is hard: the sum lies in one row per key and period, whose lock serialises reservations of all replicas.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, case, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from serving import tables
from serving.access.asker import Asker, Period
from serving.errors import BudgetExceeded
from serving.routing.budget import usd

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount held back for one request."""

    id: str
    key_id: str
    period_start: date
    amount_usd: Decimal
    used_ratio: float
    """Share of the period's budget that was spent or held back before it; 0 without a cap."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one tier or model of a request cost."""

    tier: str
    model: str | None
    cost_usd: Decimal
    counterfactual_usd: Decimal = _NOTHING
    """The same tokens on the strongest model."""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """A key's running period."""

    period: Period
    period_start: date
    budget_usd: Decimal | None
    spent_usd: Decimal
    reserved_usd: Decimal
    by_tier: dict[str, float]
    by_model: dict[str, float]
    counterfactual_usd: Decimal


class Ledger:
    """Reserves and settles (blocking); every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def reserve(self, asker: Asker, cap_usd: Decimal, *, least_usd: Decimal) -> Reservation:
        """Hold back what one request may cost: its cap, or what the period still has if that is less.

        Raises BudgetExceeded where less than `least_usd` is left.
        """
        start = period_start(asker.budget_period, datetime.now(UTC))
        with self._engine.begin() as connection:
            amount, used_ratio = cap_usd, 0.0
            if asker.budget_usd is not None:
                row = _locked(connection, asker.key_id, start)
                left = asker.budget_usd - row[0] - row[1]
                if left < least_usd:
                    raise BudgetExceeded(
                        f"budget of key {asker.name!r} spent: {usd(max(left, _NOTHING))} of "
                        f"{usd(asker.budget_usd)} a {asker.budget_period.value} are left; wait for the next "
                        f"{asker.budget_period.value} or raise it"
                    )
                amount, used_ratio = min(cap_usd, left), float(1 - left / asker.budget_usd)
            reservation = Reservation(secrets.token_hex(12), asker.key_id, start, amount, used_ratio)
            _add_to_spend(connection, asker.key_id, start, reserved=amount)
            connection.execute(
                insert(tables.ledger).values(
                    id=reservation.id,
                    key_id=asker.key_id,
                    period_start=start,
                    state="reserved",
                    reserved_usd=amount,
                )
            )
        return reservation

    def settle(self, reservation: Reservation, charges: Sequence[Charge], *, decision_id: str | None) -> None:
        """Turn a reservation into what was spent; settling it again changes nothing."""
        with self._engine.begin() as connection:
            settle_within(connection, reservation, charges, decision_id=decision_id)

    def usage(self, asker: Asker) -> Usage:
        """What the key has spent in its running period."""
        start = period_start(asker.budget_period, datetime.now(UTC))
        rows, held = tables.ledger, tables.spend
        mine = (rows.c.key_id == asker.key_id, rows.c.period_start == start, rows.c.state == "settled")
        with self._engine.connect() as connection:
            totals = connection.execute(
                select(held.c.spent_usd, held.c.reserved_usd).where(
                    held.c.key_id == asker.key_id, held.c.period_start == start
                )
            ).one_or_none()
            by_tier = connection.execute(
                select(rows.c.tier, func.sum(rows.c.cost_usd)).where(*mine).group_by(rows.c.tier)
            ).all()
            by_model = connection.execute(
                select(rows.c.model, func.sum(rows.c.cost_usd))
                .where(*mine, rows.c.model.is_not(None))
                .group_by(rows.c.model)
            ).all()
            counterfactual = connection.scalar(select(func.sum(rows.c.counterfactual_usd)).where(*mine))
        return Usage(
            period=asker.budget_period,
            period_start=start,
            budget_usd=asker.budget_usd,
            spent_usd=totals[0] if totals else _NOTHING,
            reserved_usd=totals[1] if totals else _NOTHING,
            by_tier={str(tier): float(cost) for tier, cost in by_tier},
            by_model={str(model): float(cost) for model, cost in by_model},
            counterfactual_usd=counterfactual or _NOTHING,
        )


def settle_within(
    connection: Connection, reservation: Reservation, charges: Sequence[Charge], *, decision_id: str | None
) -> None:
    """Settle in the caller's transaction; a reservation that was settled before is left alone."""
    rows = tables.ledger
    taken = connection.execute(
        update(rows)
        .where(rows.c.id == reservation.id, rows.c.state == "reserved")
        .values(state="released", decision_id=decision_id, settled_at=datetime.now(UTC))
    )
    if taken.rowcount == 1:
        spent = _add_charges(connection, reservation.key_id, reservation.period_start, charges, decision_id)
        _add_to_spend(
            connection, reservation.key_id, reservation.period_start, reserved=-reservation.amount_usd, spent=spent
        )


def charge_within(connection: Connection, asker: Asker, charges: Sequence[Charge], *, decision_id: str | None) -> None:
    """Charge in the caller's transaction what nothing was held back for: keys without a cap."""
    start = period_start(asker.budget_period, datetime.now(UTC))
    spent = _add_charges(connection, asker.key_id, start, charges, decision_id)
    _add_to_spend(connection, asker.key_id, start, spent=spent)


def period_start(period: Period, now: datetime) -> date:
    """First day of the running period, in UTC."""
    today = now.astimezone(UTC).date()
    return today if period is Period.DAY else today.replace(day=1)


def _add_charges(
    connection: Connection, key_id: str, start: date, charges: Sequence[Charge], decision_id: str | None
) -> Decimal:
    """Add one settled row a charge and return their sum."""
    if not charges:
        return _NOTHING
    now = datetime.now(UTC)
    connection.execute(
        insert(tables.ledger),
        [
            {
                "id": secrets.token_hex(12),
                "key_id": key_id,
                "period_start": start,
                "decision_id": decision_id,
                "state": "settled",
                "reserved_usd": _NOTHING,
                "tier": charge.tier,
                "model": charge.model,
                "cost_usd": charge.cost_usd,
                "counterfactual_usd": charge.counterfactual_usd,
                "input_tokens": charge.input_tokens,
                "output_tokens": charge.output_tokens,
                "settled_at": now,
            }
            for charge in charges
        ],
    )
    return sum((charge.cost_usd for charge in charges), _NOTHING)


def _locked(connection: Connection, key_id: str, start: date) -> tuple[Decimal, Decimal]:
    """Spent and reserved of a period, its row locked until the transaction ends."""
    held = tables.spend
    connection.execute(upsert(held).values(key_id=key_id, period_start=start).on_conflict_do_nothing())
    row = connection.execute(
        select(held.c.spent_usd, held.c.reserved_usd)
        .where(held.c.key_id == key_id, held.c.period_start == start)
        .with_for_update()
    ).one()
    return row[0], row[1]


def _add_to_spend(
    connection: Connection, key_id: str, start: date, *, reserved: Decimal = _NOTHING, spent: Decimal = _NOTHING
) -> None:
    held = tables.spend
    statement = upsert(held).values(
        key_id=key_id, period_start=start, reserved_usd=max(reserved, _NOTHING), spent_usd=spent
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[held.c.key_id, held.c.period_start],
            set_={
                "reserved_usd": case((held.c.reserved_usd + reserved < 0, 0), else_=held.c.reserved_usd + reserved),
                "spent_usd": held.c.spent_usd + spent,
            },
        )
    )
