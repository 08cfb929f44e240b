"""The model reader: what rules do not read surely a model fills into a constrained plan, which is then checked."""

from __future__ import annotations

from datetime import datetime

from serving.errors import BudgetExceeded, DeadlineExceeded
from serving.planning import prompt
from serving.planning.plan import MetricPlan, Reading
from serving.policy import Policy, TaskClass
from serving.question import Question
from serving.routing.fallback import NoAnswer, attempts_of
from serving.routing.selector import ModelSelector
from serving.routing.validator import Verdict
from serving.semantics.catalogue import Semantics
from serving.tiers.draft import Draft
from serving.vllm import ChatAnswer, ChatRequest


class ModelReader:
    """Asks the small model first; a plan that the question does not bear out leads to the next one."""

    def __init__(self, selector: ModelSelector, policy: Policy) -> None:
        self._selector = selector
        self._policy = policy

    async def read(
        self, question: Question, reading: Reading, semantics: Semantics, as_of: datetime, draft: Draft
    ) -> MetricPlan | None:
        """A plan that the question bears out; None where no model gives one. The draft gets the attempts."""
        plans: list[MetricPlan] = []

        def accept(answer: ChatAnswer) -> Verdict:
            if answer.finish_reason == "length":
                return Verdict(0.0, ("the plan was cut off",))
            try:
                plan = prompt.parse(
                    answer.text,
                    question=question.text,
                    reading=reading,
                    semantics=semantics,
                    now=as_of,
                    zone=question.zone,
                )
            except prompt.UnusablePlan as error:
                return Verdict(0.0, (str(error),))
            plans.append(plan)
            return Verdict(1.0)

        request = ChatRequest(
            prompt.messages(question.text, reading, semantics=semantics),
            max_tokens=self._policy.tasks[TaskClass.SIMPLE].max_tokens,
            response_format=prompt.response_format(question.text, reading, semantics=semantics),
        )
        try:
            completion = await self._selector.ask(
                request,
                TaskClass.SIMPLE,
                accept=accept,
                budget=question.budget,
                deadline=question.model_deadline(self._policy.paths[draft.tier]),
                tier=draft.tier.value,
            )
        except (NoAnswer, BudgetExceeded, DeadlineExceeded) as error:
            draft.attempts.extend(attempts_of(error))
            draft.warn(f"no model read the question usably, so it is asked back ({error.title.lower()})")
            return None
        draft.attempts.extend(completion.attempts)
        draft.model = completion.model
        return plans[-1]
