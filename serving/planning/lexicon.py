"""The words of the catalogue: which phrase names which metric, dimension or value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class MetricWords(Protocol):
    """What the planner reads of a metric."""

    @property
    def name(self) -> str:
        """Name in plans."""
        ...

    @property
    def label(self) -> str:
        """What people call it."""
        ...

    @property
    def description(self) -> str:
        """Its definition in a sentence."""
        ...

    @property
    def unit(self) -> str:
        """Unit of its values."""
        ...

    @property
    def synonyms(self) -> Sequence[str]:
        """Further names."""
        ...


class DimensionWords(Protocol):
    """What the planner reads of a dimension."""

    @property
    def name(self) -> str:
        """Name in plans."""
        ...

    @property
    def label(self) -> str:
        """What people call it."""
        ...

    @property
    def synonyms(self) -> Sequence[str]:
        """Further names."""
        ...

    @property
    def values(self) -> Sequence[str]:
        """Known values."""
        ...


class Vocabulary(Protocol):
    """The part of the published semantics that gives the planner its words."""

    @property
    def metrics(self) -> Mapping[str, MetricWords]:
        """By name."""
        ...

    @property
    def dimensions(self) -> Mapping[str, DimensionWords]:
        """By name."""
        ...
