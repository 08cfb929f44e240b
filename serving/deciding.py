"""Deciding: which way a question goes, what that is expected to cost, and why; the same record for route and answer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from serving.planning.plan import (
    ClarifyPlan,
    ComplexPlan,
    GraphPlan,
    MetricPlan,
    Plan,
    Reading,
    RefusePlan,
    SearchPlan,
    TemplatePlan,
)
from serving.policy import Policy, TaskClass, Tier
from serving.question import Question
from serving.routing.budget import usd
from serving.routing.selector import ModelSelector
from serving.schemas import CandidateOut, Intent, PathOut, RouteOut


@dataclass(frozen=True, slots=True)
class Way:
    """Where a question goes: its reading, its tier and why."""

    reading: Reading
    intent: Intent
    tier: Tier
    task: TaskClass
    why: tuple[str, ...]
    is_sure: bool
    """False: a model has to read the question into a plan first."""

    @property
    def plan(self) -> Plan:
        """The plan as the planner has it."""
        return self.reading.plan


class Deciding:
    """Decides by the reading, the policy and the models there are; reads nothing and runs nothing."""

    def __init__(self, policy: Policy, selector: ModelSelector) -> None:
        self._policy = policy
        self._selector = selector

    def way(self, question: Question, reading: Reading) -> Way:
        """The way of a question that was read."""
        plan = reading.plan
        threshold = self._policy.thresholds.plan_confidence
        why = [f"read as {plan.kind} with confidence {reading.confidence:.2f}"]
        if reading.unknown_words:
            why.append(f"words not understood: {', '.join(reading.unknown_words)}")

        def to(intent: Intent, tier: Tier, task: TaskClass, reason: str, *, is_sure: bool = True) -> Way:
            return Way(reading, intent, tier, task, (*why, reason), is_sure)

        is_sure = reading.confidence >= threshold
        match plan:
            case RefusePlan():
                return to(Intent.REFUSE, Tier.PLANNER, TaskClass.SIMPLE, "not to be answered here")
            case SearchPlan():
                reason = "asks what people wrote: comments are searched"
                return to(Intent.SEMANTIC, Tier.SEMANTIC, TaskClass.MEDIUM, reason)
            case GraphPlan():
                reason = "asks how tickets hang together: the graph is read"
                return to(Intent.GRAPH, Tier.GRAPH, TaskClass.SIMPLE, reason)
            case ComplexPlan():
                reason = "asks for reasons: figures, comments and links together"
                return to(Intent.COMPLEX, Tier.COMPLEX, TaskClass.COMPLEX, reason)
            case ClarifyPlan() if is_sure:
                reason = "has several readings or names something unknown: asked back"
                return to(Intent.CLARIFY, Tier.PLANNER, TaskClass.SIMPLE, reason)
            case MetricPlan() | TemplatePlan() if is_sure:
                reason = "every word is accounted for: no model is needed"
                return to(Intent.SQL, Tier.PLANNER, TaskClass.SIMPLE, reason)
        reason = f"below the threshold of {threshold}: a model reads it into a constrained plan"
        return to(Intent.SQL, Tier.SQL, self._selector.task_class(question.text), reason, is_sure=False)

    def given(self, plan: MetricPlan) -> Way:
        """The way of a plan that came without language."""
        reading = Reading(plan=plan, confidence=1, echo="")
        return Way(reading, Intent.SQL, Tier.PLANNER, TaskClass.SIMPLE, ("a plan was given",), True)

    def estimate(self, way: Way) -> Decimal:
        """USD the way is expected to cost."""
        return self._expected(way.tier)

    def route(self, question: Question, way: Way) -> RouteOut:
        """The decision as a record."""
        cap = question.budget.cap_usd
        task = self._policy.paths[way.tier].task
        candidates = self._selector.candidates(task, cap) if task is not None else []
        return RouteOut(
            intent=way.intent,
            tier=way.tier.value,
            task=way.task.value,
            reading=way.reading.echo,
            confidence=way.reading.confidence,
            plan=way.plan.model_dump(mode="json", by_alias=True),
            candidates=[
                CandidateOut(model=one.model, expected_usd=one.expected_usd, reason=one.reason, eligible=one.eligible)
                for one in candidates
            ],
            paths=[self._path(tier, way, cap) for tier in Tier],
            estimate_usd=self.estimate(way),
            budget_usd=cap,
            why=list(way.why),
            policy_version=self._policy.version,
            decision_id=question.id,
        )

    def _path(self, tier: Tier, way: Way, cap: Decimal) -> PathOut:
        expected = self._expected(tier)
        if tier is way.tier:
            why = way.why[-1]
        elif tier is Tier.CACHE:
            why = "looked at first, whatever the tier"
        else:
            why = "not what the question asks for"
        if expected > cap:
            why += f"; {usd(cap)} do not reach"
        return PathOut(
            tier=tier.value,
            expected_usd=expected,
            expected_ms=self._policy.paths[tier].expected_ms,
            chosen=tier is way.tier,
            why=why,
        )

    def _expected(self, tier: Tier) -> Decimal:
        path = self._policy.paths[tier]
        if path.task is None:
            return path.fixed_usd
        size = self._policy.tasks[path.task]
        model = self._selector.registry.candidates(path.task)[0]
        return path.fixed_usd + model.price.cost(size.input_tokens, size.max_tokens)
