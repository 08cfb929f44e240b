"""The selector: picks the cheapest model fit for a task within a budget, and asks it with fallback."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from assets.settings import Settings, load_settings
from serving.errors import BudgetExceeded, Invalid
from serving.policy import ModelEntry, Policy, TaskClass, load_policy
from serving.routing.breaker import BreakerState
from serving.routing.budget import Budget, usd
from serving.routing.classify import classify
from serving.routing.completion import Completion
from serving.routing.fallback import Accept, Fallback, NoAnswer
from serving.routing.registry import Registry
from serving.routing.validator import check_text
from serving.telemetry import Telemetry
from serving.vllm import ChatRequest, Upstream

_SYSTEM = "You are a support-analytics assistant. Answer briefly, in the language of the question, without invention."


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model in the order of choice, with what a call is expected to cost and why it is (not) first."""

    model: str
    expected_usd: Decimal
    reason: str
    eligible: bool


class ModelSelector:
    """Selects and asks models; built from Settings alone, inside or outside an event loop."""

    PRICING: ClassVar[Mapping[str, float]] = load_policy().prices
    """USD per 1,000 tokens by model, of the packaged policy."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        policy: Policy | None = None,
        upstream: Upstream | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings or load_settings()
        self.policy = policy or load_policy(self.settings)
        self.registry = Registry(self.policy)
        self._default = self.registry.get(self.settings.default_model)
        self.upstream = upstream or Upstream(self.settings)
        self.fallback = Fallback(
            self.registry,
            self.upstream,
            telemetry or Telemetry(),
            further_attempts=self.settings.max_fallback_attempts,
        )

    async def select_model(self, task: str, budget: float | Decimal) -> str:
        """Name of the cheapest model fit for a task within `budget` USD; raises BudgetExceeded where none is.

        `task` is a class (`simple`, `medium`, `complex`) or the text itself, which is then classified; without either
        the choice is `DEFAULT_MODEL`. A budget that does not reach the task's own tier buys the best weaker model.
        """
        cap = _amount(budget)
        candidates = self.candidates(self.task_class(task), cap)
        for candidate in candidates:
            if candidate.eligible:
                return candidate.model
        cheapest = min(candidates, key=lambda one: one.expected_usd)
        if cheapest.expected_usd > cap:
            raise BudgetExceeded(
                f"budget does not reach: the cheapest call ({cheapest.model}) is expected to cost "
                f"{usd(cheapest.expected_usd)}, {usd(cap)} are allowed"
            )
        # Every breaker is open: unknown or bad health alone refuses nobody, the call itself will tell.
        return next(one.model for one in candidates if one.expected_usd <= cap)

    def candidates(self, task: TaskClass, budget: Decimal) -> list[Candidate]:
        """Every live model for a task in order of choice, eligible or not, with the reason."""
        size = self.policy.tasks[task]
        found = []
        for entry in self.registry.candidates(task):
            expected = entry.price.cost(size.input_tokens, size.max_tokens)
            open_now = self.registry.breaker_state(entry.name) is BreakerState.OPEN
            if expected > budget:
                reason = f"costs about {usd(expected)}, {usd(budget)} are left"
            elif open_now:
                reason = "its breaker is open"
            else:
                reason = "of the task's tier" if entry.tier is task else "fallback"
            found.append(Candidate(entry.name, expected, reason, expected <= budget and not open_now))
        return found

    def task_class(self, task: str) -> TaskClass:
        """The class a task names, else the class of the text."""
        if not task.strip():
            return self._default.tier
        try:
            return TaskClass(task)
        except ValueError:
            return classify(task).task

    async def execute_with_fallback(
        self,
        prompt: str | Sequence[Mapping[str, Any]],
        task: str,
        *,
        budget: float | Decimal | None = None,
        deadline_ms: int | None = None,
    ) -> Completion:
        """Ask the task's model and, where it fails or its answer is no good, the next; the result prints as its text.

        Where every candidate's answer was found wanting the best of them is returned, its attempts say so.
        Raises BudgetExceeded, DeadlineExceeded or ModelsUnavailable.
        """
        kind = self.task_class(task)
        messages = (
            [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": prompt}]
            if isinstance(prompt, str)
            else list(prompt)
        )
        if not any(str(message.get("content") or "").strip() for message in messages if message.get("role") == "user"):
            raise Invalid("prompt empty: there is nothing to answer")
        request = ChatRequest(messages, max_tokens=self.policy.tasks[kind].max_tokens)
        milliseconds = deadline_ms or self.policy.limits.deadline_ms
        cap = _amount(budget) if budget is not None else self.settings.default_budget
        try:
            return await self.ask(
                request,
                kind,
                accept=check_text,
                budget=Budget(cap),
                deadline=time.monotonic() + milliseconds / 1000,
                tier=kind.value,
            )
        except NoAnswer as error:
            if error.best is None:
                raise
            return error.best

    async def ask(
        self,
        request: ChatRequest,
        task: TaskClass,
        *,
        accept: Accept,
        budget: Budget,
        deadline: float,
        tier: str,
        models: Sequence[ModelEntry] | None = None,
    ) -> Completion:
        """Ask the candidates of a task, or `models`, until one answers acceptably; raises what `Fallback.run` does."""
        chain = models if models is not None else self.registry.candidates(task)
        return await self.fallback.run(request, chain, accept=accept, budget=budget, deadline=deadline, tier=tier)


def _amount(budget: float | Decimal) -> Decimal:
    amount = budget if isinstance(budget, Decimal) else Decimal(str(budget))
    if not amount.is_finite() or amount < 0:
        raise Invalid(f"budget refused: {budget} is not an amount of USD from zero up")
    return amount
