"""What can be asked: metrics and dimensions with their words, units and values, as the published build defines them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from serving.planning.plan import Grain, Scalar
from serving.semantics.errors import ImpossiblePlan, UnknownDimension, UnknownMetric, UnknownValue


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that can be asked for."""

    name: str
    label: str
    description: str
    """The definition, one sentence, shown with every answer."""
    unit: str
    """`tickets`, `comments`, `people`, `minutes`, `share` (0-1), ..."""
    synonyms: tuple[str, ...]
    direction: str
    """Which way is better: `up`, `down` or `neutral`."""
    is_additive: bool
    """Parts add up to the total over dimensions and periods."""
    is_now: bool
    """Tells the state now; a range narrows it to tickets of that range by `time`."""
    time: str | None
    """Time dimension by which it is dated unless the plan names one; None: its parts have different ones."""
    times: tuple[str, ...]
    """Time dimensions that a plan may name."""
    dimensions: frozenset[str]
    """Dimensions by which it can be filtered and, unless `Dimension.is_filter_only`, grouped."""
    finest_grain: Grain
    empty: int | None
    """What a period without rows shows: 0 for counts, None for averages and shares."""
    datasets: tuple[str, ...]
    """Datasets of the catalogue that it reads, dimensions aside."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One attribute by which numbers are cut and filtered."""

    name: str
    label: str
    type: str
    """`text`, `boolean`, `number`, `time` or `list` (a ticket has several values: tags)."""
    synonyms: tuple[str, ...]
    values: tuple[str, ...] = ()
    """Values that occur, most frequent first; empty where they are not enumerated."""
    value_synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_free: bool = False
    """Values are not enumerated: any text may be filtered for."""
    is_id: bool = False
    """Identifies a row; not a thing to group by."""

    def resolve(self, value: Scalar) -> Scalar:
        """Return the value as the data spells it; raises UnknownValue with the nearest ones.

        Spelling is compared without case. Where values are not enumerated the value is returned as it came, of the
        dimension's type; a value of another type raises ImpossiblePlan.
        """
        if self.type == "boolean":
            return _boolean(self, value)
        if self.type == "number":
            return _number(self, value)
        text = str(value)
        if self.is_free or self.type == "time":
            return text
        if text in self.values:
            return text
        folded = text.casefold().strip()
        for known in self.values:
            if known.casefold() == folded:
                return known
        for known, words in self.value_synonyms.items():
            if known in self.values and folded in (word.casefold() for word in words):
                return known
        raise UnknownValue(text, self.values, where=f" of {self.name}")


@dataclass(frozen=True, slots=True)
class Semantics:
    """Everything that can be asked of one published build."""

    metrics: Mapping[str, Metric]
    dimensions: Mapping[str, Dimension]
    digest: str
    """Of the published manifest; part of every cache key."""

    def metric(self, name: str) -> Metric:
        """Return the metric; raises UnknownMetric."""
        found = self.metrics.get(name)
        if found is None:
            raise UnknownMetric(name, self.metrics)
        return found

    def dimension(self, name: str, *, of: Sequence[Metric] = ()) -> Dimension:
        """Return the dimension; raises UnknownDimension, also where it does not go with one of the metrics."""
        found = self.dimensions.get(name)
        if found is None:
            known = frozenset.intersection(*(metric.dimensions for metric in of)) if of else self.dimensions
            raise UnknownDimension(name, known)
        for metric in of:
            if name not in metric.dimensions:
                raise UnknownDimension(name, metric.dimensions, where=f" for {metric.name}")
        return found

    def with_values(self, values: Mapping[str, Sequence[str]]) -> Semantics:
        """The same with the values that occur."""
        dimensions = {
            name: replace(dimension, values=tuple(values.get(name, ()))) for name, dimension in self.dimensions.items()
        }
        return replace(self, dimensions=MappingProxyType(dimensions))

    def describe(self) -> dict[str, Any]:
        """Metrics and dimensions as `/v1/catalog` shows them."""
        return {
            "metrics": [
                {
                    "name": metric.name,
                    "label": metric.label,
                    "description": metric.description,
                    "unit": metric.unit,
                    "synonyms": list(metric.synonyms),
                    "direction": metric.direction,
                    "additive": metric.is_additive,
                    "now": metric.is_now,
                    "time": metric.time,
                    "times": list(metric.times),
                    "finest_grain": metric.finest_grain.value,
                    "dimensions": sorted(metric.dimensions),
                    "datasets": list(metric.datasets),
                }
                for metric in self.metrics.values()
            ],
            "dimensions": [
                {
                    "name": dimension.name,
                    "label": dimension.label,
                    "type": dimension.type,
                    "synonyms": list(dimension.synonyms),
                    "values": list(dimension.values),
                    "value_synonyms": {value: list(words) for value, words in dimension.value_synonyms.items()},
                }
                for dimension in self.dimensions.values()
            ],
            "digest": self.digest,
        }


def _boolean(dimension: Dimension, value: Scalar) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().casefold()
    if text in {"true", "yes", "1"}:
        return True
    if text in {"false", "no", "0"}:
        return False
    raise UnknownValue(str(value), ("true", "false"), where=f" of {dimension.name}")


def _number(dimension: Dimension, value: Scalar) -> int | float:
    if isinstance(value, bool):
        raise ImpossiblePlan(f"value of the wrong type: {dimension.name} is a number, not {value}; give digits")
    if isinstance(value, int | float):
        number = value
    else:
        try:
            number = float(value) if "." in value else int(value)
        except ValueError:
            raise ImpossiblePlan(
                f"value of the wrong type: {dimension.name} is a number, not {value[:40]!r}; give digits"
            ) from None
    if not -(2**63) <= number < 2**63:
        raise ImpossiblePlan(f"value out of range: {dimension.name} is a 64-bit number; give a smaller one")
    return number
