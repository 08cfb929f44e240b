"""Which end comes first and how many rows: "top 5", "most", "slowest", "10 oldest"."""

from __future__ import annotations

from dataclasses import dataclass

from serving.planning.plan import Grain
from serving.planning.scene import AskBack, Scene
from serving.semantics.catalogue import Metric

TIES = 5
"""Rows shown for "the most" without a number: the first is the answer, the others show whether it is tied."""
_DOWN = {"most", "highest", "largest", "biggest", "busiest", "top", "greatest", "longest", "slowest", "leading", "more"}
_UP = {"fewest", "least", "lowest", "smallest", "bottom", "quietest", "shortest", "fastest", "quickest"}
_BETTER = {"best": True, "worst": False}
_UNITS = {"hour": Grain.HOUR, "day": Grain.DAY, "week": Grain.WEEK, "month": Grain.MONTH, "quarter": Grain.QUARTER,
"year": Grain.YEAR}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """An order that is asked for."""

    word: str
    at: int
    descending: bool | None
    """None: by which way is better for the metric, see `is_best`."""
    is_best: bool = False
    limit: int | None = None
    grain: Grain | None = None
    """Set: periods are ranked ("busiest day")."""

    def is_descending(self, metric: Metric) -> bool:
        """Whether the largest comes first; raises AskBack where neither way is better."""
        if self.descending is not None:
            return self.descending
        if metric.direction == "neutral":
            raise AskBack(f"best or worst by what? {metric.label} has no better direction")
        return (metric.direction == "up") == self.is_best


def find(scene: Scene) -> Order | None:
    """The order asked for; its words are accounted for."""
    for at in range(len(scene.tokens)):
        word = scene.word(at)
        if at in scene.used or scene.in_time(at):
            continue
        if word == "more" and not (scene.word(at + 1) in ("ticket", "tickets") and scene.word(at - 1) == "which"):
            continue
        if word == "top" and scene.word(at + 1) == "priority":
            continue
        if word not in _DOWN | _UP and word not in _BETTER:
            continue
        limit = _limit(scene, at)
        grain = _ranked_period(scene, at)
        scene.used.add(at)
        if word in ("most", "least") and scene.word(at + 1) in (
            "active",
            "frequent",
            "common",
            "often",
            "busy",
            "popular",
        ):
            scene.used.add(at + 1)
        descending = None if word in _BETTER else word in _DOWN
        return Order(word, at, descending, _BETTER.get(word, False), limit, grain)
    return None


def _limit(scene: Scene, at: int) -> int | None:
    for near in (at + 1, at - 1):
        value = scene.tokens[near].value if 0 <= near < len(scene.tokens) else None
        if value is not None and value == int(value) and not scene.in_time(near):
            if not 1 <= value <= 1_000:
                raise AskBack(f"the number of rows must be 1 to 1000: {int(value)}")
            scene.used.add(near)
            return int(value)
    return None


def _ranked_period(scene: Scene, at: int) -> Grain | None:
    """The period in "busiest day", "which week had the most"."""
    unit = _UNITS.get(scene.stem(at + 1))
    if unit is not None and not scene.in_time(at + 1):
        scene.used.add(at + 1)
        return unit
    for before in range(at - 1, -1, -1):
        if scene.word(before) in ("which", "what", "on") and scene.word(before) != "on":
            ahead = before + 1 if scene.word(before + 1) not in ("was", "is", "the") else before + 2
            unit = _UNITS.get(scene.stem(ahead))
            if unit is not None and not scene.in_time(ahead):
                scene.used.add(ahead)
                return unit
    return None
