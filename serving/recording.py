"""Recording: what a question may spend is held back before it runs, and settled with its decision after it, always."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from serving.access.asker import Asker
from serving.access.audit import Audit, Decision
from serving.access.ledger import Charge, Ledger, Reservation
from serving.deciding import Deciding, Way
from serving.errors import BudgetExceeded, ServingError
from serving.policy import Policy, Tier
from serving.published import View
from serving.question import Question
from serving.routing.budget import usd
from serving.routing.completion import Attempt, Outcome
from serving.routing.registry import Registry
from serving.schemas import Answer, RouteOut
from serving.telemetry import Telemetry
from serving.threads import Threads

_log = logging.getLogger(__name__)


class Recording:
    """Keeps the ledger, the decisions and the audit of questions."""

    def __init__(
        self,
        *,
        policy: Policy,
        alert_threshold: float,
        deciding: Deciding,
        registry: Registry,
        ledger: Ledger,
        audit: Audit,
        telemetry: Telemetry,
        threads: Threads,
    ) -> None:
        self._policy = policy
        self._alert_threshold = alert_threshold
        self._deciding = deciding
        self._registry = registry
        self._ledger = ledger
        self._audit = audit
        self._telemetry = telemetry
        self._threads = threads

    async def reserve(self, question: Question, tier: Tier) -> Reservation | None:
        """Hold back what the question may cost and spend the tier's fixed part; raises BudgetExceeded.

        Without a cap on the key's period there is nothing to hold back from.
        """
        path = self._policy.paths[tier]
        fixed, budget = path.fixed_usd, question.budget
        if budget.cap_usd < fixed:
            raise BudgetExceeded(
                f"budget does not reach: the {tier.value} path costs at least {usd(fixed)}, {usd(budget.cap_usd)} "
                "are allowed; raise budget_usd"
            )
        reservation = None
        if question.asker.budget_usd is not None:
            reservation = await self._threads.run(
                lambda: self._ledger.reserve(question.asker, budget.cap_usd, least_usd=fixed)
            )
            budget.cap_usd = reservation.amount_usd
            self._watch(question.asker, reservation)
        budget.path_cap_usd = path.cap_usd
        budget.reserve(fixed, what=f"the {tier.value} path")
        budget.settle(fixed, fixed)
        return reservation

    async def finish(
        self,
        question: Question,
        view: View,
        way: Way,
        answer: Answer,
        reservation: Reservation | None,
        attempts: Sequence[Attempt],
        action: str,
    ) -> None:
        """Settle and record an answer."""
        answer.latency_ms = question.milliseconds
        tier = Tier(answer.tier)
        charges = self._charges(tier, attempts)
        decision = self._decision(question, view, self._record(question, view, way, answer), action, answer=answer)
        await self._threads.run(lambda: self._audit.store(decision, question.asker, reservation, charges))
        self._count(question, answer.intent.value, tier, answer.status.value, charges[0].cost_usd)

    async def give_up(
        self,
        question: Question,
        view: View,
        way: Way,
        reservation: Reservation | None,
        error: BaseException,
        action: str,
    ) -> None:
        """Settle and record a question that ended in an error, or whose asker went away."""
        code = error.code if isinstance(error, ServingError) else "abandoned"
        record = {**self._record(question, view, way, None), "error": code}
        decision = self._decision(question, view, record, action, outcome=code)
        spent = question.budget.spent_usd
        charges = [Charge(way.tier.value, None, spent)] if spent else []
        # A cancelled request must not leave its reservation behind.
        await asyncio.shield(
            self._threads.run(lambda: self._audit.store(decision, question.asker, reservation, charges))
        )
        self._count(question, way.intent.value, way.tier, code, Decimal(0))

    async def routed(self, question: Question, view: View, way: Way) -> RouteOut:
        """Record a decision of which nothing is executed."""
        route = self._deciding.route(question, way)
        decision = self._decision(question, view, self._record(question, view, way, None), "route", outcome="routed")
        await self._threads.run(lambda: self._audit.store(decision, question.asker))
        return route

    def _watch(self, asker: Asker, reservation: Reservation) -> None:
        self._telemetry.budget_used.labels(asker.key_id).set(reservation.used_ratio)
        if reservation.used_ratio >= self._alert_threshold:
            _log.warning("budget nearly spent: key %s, %.0f%%", asker.key_id, reservation.used_ratio * 100)

    def _charges(self, tier: Tier, attempts: Sequence[Attempt]) -> list[Charge]:
        strongest = self._registry.strongest().price
        return [
            Charge(tier.value, None, self._policy.paths[tier].fixed_usd),
            *(
                Charge(
                    tier.value,
                    attempt.model,
                    attempt.cost_usd,
                    counterfactual_usd=strongest.cost(attempt.usage.input_tokens, attempt.usage.output_tokens),
                    input_tokens=attempt.usage.input_tokens,
                    output_tokens=attempt.usage.output_tokens,
                )
                for attempt in attempts
                if attempt.outcome is not Outcome.SKIPPED
            ),
        ]

    def _record(self, question: Question, view: View, way: Way, answer: Answer | None) -> dict[str, Any]:
        """Why it went this way, with everything the decision rests on."""
        return {
            "route": self._deciding.route(question, way).model_dump(mode="json", by_alias=True),
            "as_of": question.as_of(view.snapshot).isoformat(),
            "time_zone": question.zone.key,
            "asker": question.asker.name,
            "rows": [row.model_dump(mode="json") for row in question.asker.rows],
            "data": {name: version.version for name, version in view.snapshot.datasets.items()},
            "tier": answer.tier if answer is not None else None,
            "attempts": [one.model_dump(mode="json") for one in answer.attempts] if answer is not None else [],
        }

    def _decision(
        self,
        question: Question,
        view: View,
        record: dict[str, Any],
        action: str,
        *,
        answer: Answer | None = None,
        outcome: str | None = None,
    ) -> Decision:
        return Decision(
            id=question.id,
            action=action,
            outcome=outcome or (answer.status.value if answer is not None else "unknown"),
            question=question.text,
            question_digest=question.digest,
            conversation_id=question.conversation_id,
            policy_version=self._policy.version,
            epoch=view.snapshot.epoch,
            record=record,
            answer=answer.model_dump_json(by_alias=True).encode() if answer is not None else None,
            cost_usd=question.budget.spent_usd,
        )

    def _count(self, question: Question, intent: str, tier: Tier, status: str, fixed: Decimal) -> None:
        self._telemetry.answered(
            intent=intent, tier=tier.value, status=status, seconds=question.milliseconds / 1000, fixed_usd=fixed
        )
