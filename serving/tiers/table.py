"""A table: the rows behind an answer, with what each column is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from serving.schemas import Cell

Role = Literal["dimension", "metric", "id"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `unit` as the catalogue has it (`minutes`, `share`, `tickets`), None for words."""

    name: str
    type: str
    unit: str | None
    role: Role
    label: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in column order; times are ISO texts."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    truncated: bool = False
    total: int | None = None
    """Rows there are, of a list also those that are not here; None where nobody counted."""

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    @property
    def metrics(self) -> list[int]:
        """Positions of the metric columns."""
        return [at for at, column in enumerate(self.columns) if column.role == "metric"]

    @property
    def dimensions(self) -> list[int]:
        """Positions of the dimension columns."""
        return [at for at, column in enumerate(self.columns) if column.role == "dimension"]

    @property
    def value(self) -> float | int | None:
        """The number, where the table is one number."""
        if len(self.rows) == 1 and len(self.columns) == 1 and self.columns[0].role == "metric":
            return number(self.rows[0][0])
        return None

    @property
    def ticket_ids(self) -> list[int]:
        """Tickets the rows name."""
        at = next((at for at, column in enumerate(self.columns) if column.name in {"ticket_id", "ticket"}), None)
        if at is None:
            return []
        return list(dict.fromkeys(row[at] for row in self.rows if isinstance(row[at], int)))  # pyright: ignore[reportReturnType]

    @property
    def numbers(self) -> list[float]:
        """Every number the rows hold, and how many rows there are."""
        cells = [cell for row in self.rows for cell in row]
        return [float(len(self.rows)), *(found for cell in cells if (found := number(cell)) is not None)]


def number(cell: Cell) -> float | int | None:
    """A cell as a number; None where it is none."""
    return cell if isinstance(cell, int | float) and not isinstance(cell, bool) else None


def column_numbers(table: Table, at: int) -> Sequence[float]:
    """The numbers of one column, missing ones left out."""
    return [found for row in table.rows if (found := number(row[at])) is not None]
