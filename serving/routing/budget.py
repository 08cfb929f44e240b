"""The budget of one request: what may be spent, what is held back for calls under way, what was spent."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from serving.errors import BudgetExceeded


@dataclass(slots=True)
class Budget:
    """One cap over all attempts; `reserve` before a call, `settle` after it."""

    cap_usd: Decimal
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)
    path_cap_usd: Decimal | None = None
    """What the path taken may cost in all, however much more the asker would allow."""

    @property
    def left_usd(self) -> Decimal:
        """What may still be reserved."""
        cap = self.cap_usd if self.path_cap_usd is None else min(self.cap_usd, self.path_cap_usd)
        return cap - self.spent_usd - self.reserved_usd

    def reaches(self, amount: Decimal) -> bool:
        """Whether an amount could be reserved."""
        return amount <= self.left_usd

    def reserve(self, amount: Decimal, *, what: str) -> None:
        """Hold an amount back; raises BudgetExceeded where it does not fit."""
        if not self.reaches(amount):
            raise BudgetExceeded(
                f"budget does not reach: {what} may cost {usd(amount)}, {usd(self.left_usd)} of "
                f"{usd(self.cap_usd)} are left; raise budget_usd or ask something simpler"
            )
        self.reserved_usd += amount

    def settle(self, reserved: Decimal, actual: Decimal) -> None:
        """Turn a reservation into what was really spent."""
        self.reserved_usd -= reserved
        self.spent_usd += actual


def usd(amount: Decimal) -> str:
    """An amount for people, such as `$0.00042`: no exponent, no trailing zeros."""
    text = f"{amount:.8f}".rstrip("0").rstrip(".")
    return f"${text}" if not text.startswith("-") else f"-${text[1:]}"
