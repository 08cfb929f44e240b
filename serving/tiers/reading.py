"""The model reader: a question that rules alone do not read surely becomes a plan by a model, constrained and checked."""

from __future__ import annotations

from datetime import datetime

from serving.planning.plan import Plan, Reading
from serving.policy import Policy
from serving.question import Question
from serving.routing.selector import ModelSelector
from serving.semantics.catalogue import Semantics
from serving.tiers.draft import Draft


class ModelReader:
    """Asks the small model for a plan."""

    def __init__(self, selector: ModelSelector, policy: Policy) -> None:
        self._selector = selector
        self._policy = policy

    async def read(
        self, question: Question, reading: Reading, semantics: Semantics, as_of: datetime, draft: Draft
    ) -> Plan | None:
        """A plan that was validated; None where no model gives one, and the question is asked back."""
        return None
