"""The planner: question text to a reading, by rules alone."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from serving.planning.plan import ClarifyPlan, Reading, TemplatePlan

if TYPE_CHECKING:
    from serving.planning.lexicon import Vocabulary

_TICKET = re.compile(r"(?:\bticket\s+(?:no\.?\s*|number\s+)?#?|#)(\d{1,18})\b", re.IGNORECASE)


def read(question: str, *, semantics: Vocabulary, now: datetime, zone: tzinfo) -> Reading:
    """Read a question as a plan; the same arguments always give the same reading.

    Args:
        question: What was asked, any text.
        semantics: The published catalogue: metrics and dimensions with their words and values.
        now: The moment asked (aware); relative dates are counted from it.
        zone: Zone in which days, weeks and months are cut.
    """
    found = _TICKET.search(question)
    if found is not None:
        ticket_id = int(found[1])
        plan = TemplatePlan(template="ticket", ticket_id=ticket_id)
        return Reading(plan=plan, confidence=0.9, echo=f"Ticket {ticket_id}.")
    plan = ClarifyPlan(reason="the question names no metric of the catalogue", suggestions=tuple(semantics.metrics)[:3])
    return Reading(plan=plan, confidence=0.2, echo="No metric was recognised.")
