"""The task classifier: how much a text asks of a model, by what it asks for rather than how long it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from serving.policy import TaskClass

# Each signal is a reason that the decision record names. Complex: reasons, judgements, forecasts.
_COMPLEX = {
    "asks for causes": (
        r"\bwhy\b|root.?caus|\bcaus(?:e|es|ed|ing)\b|\breasons? (?:for|behind)\b|\bdiagnos"
        r"|what (?:drives|drove|explains)|what(?:'s| is| was) behind"
    ),
    "asks for a judgement": (
        r"\bshould (?:we|i)\b|recommend|\bstrateg|\btrade.?offs?\b|\bprioriti[sz]e\b|\badvi[cs]e\b|\bplan for\b"
    ),
    "asks for a forecast": r"\bforecast|\bpredict|\bproject(?:ed|ion)\b|what (?:if|would happen)",
    "asks for an explanation": (
        r"\bexplain\b|\banaly[sz]e\b|\banalysis\b|\bdeep.?dive\b|\binvestigat|\bimpact of\b|\bcorrelat|\bin depth\b"
    ),
    "asks for reasoning": r"\bprove\b|\bderive\b|step by step|\bdesign an?\b|\barchitect",
}
# Medium: reading what people wrote, or writing more than a fact.
_MEDIUM = {
    "asks what people say": (
        r"\b(?:complain|complaints?|mention(?:s|ed|ing)?|feedback|say(?:s|ing)?|said|unhappy|angry|frustrat\w+|sentiment)\b"
    ),
    "asks for a text": (
        r"\bsummar(?:y|ies|i[sz]e)\b|\bdraft\b|\brewrite\b|\btranslate\b|\bwrite\b|\bdescribe\b|\bthemes?\b"
        r"|\btopics?\b|\bexamples? of\b|\bquotes?\b"
    ),
    "asks for likeness": (
        r"\bsimilar\b|\blike this\b|\brelated to\b|\bcompar(?:e|ed|ing|ison)\b|\bdifference between\b"
    ),
}
_COMPILED = [
    (task, reason, re.compile(pattern, re.IGNORECASE))
    for task, signals in ((TaskClass.COMPLEX, _COMPLEX), (TaskClass.MEDIUM, _MEDIUM))
    for reason, pattern in signals.items()
]
_LONG_WORDS = 120
_VERY_LONG_WORDS = 600


@dataclass(frozen=True, slots=True)
class Classification:
    """The class and what spoke for it."""

    task: TaskClass
    reasons: tuple[str, ...]


def classify(text: str) -> Classification:
    """Class of a text; where signals disagree the stronger class wins."""
    found = [(task, reason) for task, reason, pattern in _COMPILED if pattern.search(text)]
    words = len(text.split())
    if words > _VERY_LONG_WORDS:
        found.append((TaskClass.COMPLEX, f"{words} words"))
    elif words > _LONG_WORDS:
        found.append((TaskClass.MEDIUM, f"{words} words"))
    for task in (TaskClass.COMPLEX, TaskClass.MEDIUM):
        reasons = tuple(reason for kind, reason in found if kind is task)
        if reasons:
            return Classification(task, reasons)
    return Classification(TaskClass.SIMPLE, ("asks for a fact or a figure",))


async def classify_task(text: str) -> TaskClass:
    """Class of a text: `simple`, `medium` or `complex`."""
    return classify(text).task
