"""What a plan becomes as a reading: its confidence, what was assumed and what was left over."""

from __future__ import annotations

from collections.abc import Sequence

from serving.planning.conditions import Condition
from serving.planning.english import FUNCTION
from serving.planning.normalise import Kind
from serving.planning.plan import (
    Filter,
    Operator,
    Plan,
    Reading,
)
from serving.planning.scene import AskBack, Scene

LEFT_OVER = 0.7
"""Highest confidence of a reading that leaves a meaning-bearing word over; every other reading has at least 0.85."""


def done(scene: Scene, plan: Plan, echo: str) -> Reading:
    """The reading of a plan: what is left over lowers the confidence, what was filled in is told."""
    unknown = scene.left_over()
    notes = [f'"{fix.written}" is read as "{fix.read}"' for fix in scene.corrections]
    words = [token for token in scene.tokens if token.kind is Kind.WORD and token.text not in FUNCTION]
    confidence = max(0.85, scene.doubt * 0.97 ** len(scene.corrections))
    if unknown:
        confidence = LEFT_OVER * max(0.15, 1 - len(unknown) / max(len(words), len(unknown) + 1))
    return Reading(
        plan=plan,
        confidence=round(confidence, 3),
        echo=echo,
        assumptions=tuple(dict.fromkeys((*notes, *scene.notes))),
        unknown_words=tuple(unknown),
    )


def filters_of(scene: Scene, found: Sequence[Condition]) -> tuple[Filter, ...]:
    """The filters of the plan; raises AskBack where they could never hold."""
    filters = [condition.filter() for condition in found]
    if any(
        "deleted" in one.values and one.op in (Operator.EQ, Operator.IN) for one in filters if one.dimension == "status"
    ):
        raise AskBack("deleted tickets are counted nowhere and listed nowhere")
    if scene.ranges() and any(one.dimension in ("status", "is_open") and one.op is Operator.EQ for one in filters):
        scene.notes.append("the status is that of now")
    return tuple(dict.fromkeys(filters))
