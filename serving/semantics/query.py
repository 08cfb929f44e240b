"""A compiled query: a statement with its parameters, and what a reader must know about its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from assets.catalog import Snapshot
from serving.planning.plan import TimeRange

_MAX_MONTHS = 60


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result."""

    name: str
    type: str
    """`text`, `integer`, `number`, `boolean`, `date`, `timestamp` or `list`."""
    unit: str | None
    role: str
    """`dimension`, `metric` or `id`."""


@dataclass(frozen=True, slots=True)
class Reads:
    """A dataset that a query depends on."""

    dataset: str
    partitions: tuple[str, ...] | None
    """The partitions that can change the result; None: any of them."""


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """What the runner runs and the cache keys on."""

    sql: str
    """One SELECT with psycopg placeholders."""
    params: Mapping[str, Any]
    columns: tuple[Column, ...]
    reads: tuple[Reads, ...]
    definitions: Mapping[str, str]
    """Definition of each metric, by name."""
    time_zone: str
    as_of: datetime
    """The moment up to which counts what still runs."""
    depends_on_as_of: bool
    """Another `as_of` gives another result on the same data."""
    range: tuple[datetime | None, datetime | None]
    """From inclusive, to exclusive, as planned."""
    limit: int
    """Rows to return at most."""
    is_capped: bool
    """The limit is ours, not the asker's: whatever lies beyond it was cut off."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets read."""
        return tuple(read.dataset for read in self.reads)

    def versions(self, snapshot: Snapshot) -> tuple[tuple[str, str, int], ...]:
        """Content version of everything that can change the result: the data part of a cache key."""
        found: list[tuple[str, str, int]] = []
        for read in self.reads:
            if read.partitions is None:
                dataset = snapshot.datasets.get(read.dataset)
                found.append((read.dataset, "", dataset.version if dataset else 0))
            else:
                found += [
                    (read.dataset, name, snapshot.partitions.get((read.dataset, name), 0)) for name in read.partitions
                ]
        return tuple(found)


def partitions(time: TimeRange, dimensions: tuple[str | None, ...]) -> tuple[str, ...] | None:
    """Names of the UTC months that a range touches; None where it is open or long.

    A month of a dataset's first time dimension is called `2026-11`, one of a further dimension `solved_at:2026-11`:
    `dimensions` holds None for the first one.
    """
    if time.from_ is None or time.to is None:
        return None
    start, stop = time.from_.astimezone(UTC), time.to.astimezone(UTC)
    months = (stop.year - start.year) * 12 + stop.month - start.month + 1
    if months > _MAX_MONTHS:
        return None
    names = [
        f"{start.year + (start.month - 1 + i) // 12:04d}-{(start.month - 1 + i) % 12 + 1:02d}" for i in range(months)
    ]
    return tuple(f"{dimension}:{name}" if dimension else name for dimension in dimensions for name in names)
