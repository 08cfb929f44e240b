"""The model registry in this process: which models there are, where they answer, and how they have been doing."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from serving.errors import NotFound
from serving.policy import Endpoint, ModelEntry, Policy, TaskClass
from serving.routing.breaker import Breaker, BreakerState
from serving.routing.completion import Attempt, Outcome

_REMEMBERED = 200
_RANK = {TaskClass.SIMPLE: 0, TaskClass.MEDIUM: 1, TaskClass.COMPLEX: 2}


@dataclass(slots=True)
class Line:
    """One endpoint of one model: its breaker and the calls under way."""

    endpoint: Endpoint
    breaker: Breaker
    in_flight: int = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a call while it runs."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """How a model does, as far as this process has seen."""

    state: BreakerState
    """The best of its endpoints."""
    calls: int
    error_rate: float | None
    pass_rate: float | None
    """Share of answers that the validator took."""
    p50_ms: int | None
    p95_ms: int | None


@dataclass(slots=True)
class _Model:
    entry: ModelEntry
    lines: list[Line]
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))


class Registry:
    """Models by name, in the order of the policy."""

    def __init__(self, policy: Policy) -> None:
        self._models: dict[str, _Model] = {}
        for entry in policy.models:
            lines = [Line(endpoint, Breaker(policy.breaker, time.monotonic)) for endpoint in entry.endpoints]
            self._models[entry.name] = _Model(entry, lines)

    def names(self) -> list[str]:
        """Every model that may be called."""
        return [name for name, model in self._models.items() if model.entry.state != "retired"]

    def get(self, name: str) -> ModelEntry:
        """A model by name; raises NotFound naming those there are."""
        model = self._models.get(name)
        if model is None or model.entry.state == "retired":
            raise NotFound(f"model unknown: {name[:100]!r}; known are {', '.join(self.names())}")
        return model.entry

    def entries(self) -> list[ModelEntry]:
        """Every model, retired ones too."""
        return [model.entry for model in self._models.values()]

    def strongest(self) -> ModelEntry:
        """What "always the best model" would have used: the measure of what routing saves."""
        return max(self._live(), key=lambda entry: (_RANK[entry.tier], entry.price.output_per_1k_usd))

    def candidates(self, task: TaskClass) -> list[ModelEntry]:
        """Models for a task, first choice first: the cheapest of its tier, stronger ones next, weaker ones last."""
        rank = _RANK[task]

        def order(entry: ModelEntry) -> tuple[int, float]:
            distance = _RANK[entry.tier] - rank
            return (distance if distance >= 0 else 10 - distance, float(entry.price.output_per_1k_usd))

        return sorted(self._live(), key=order)

    def chain(self, name: str) -> list[ModelEntry]:
        """A model asked for by name, then its own fallbacks."""
        first = self.get(name)
        return [first, *(self._models[other].entry for other in first.fallbacks if other in self._models)]

    def pick(self, name: str) -> Line | None:
        """The less busy of two endpoints whose breaker lets a call through; None: every breaker is open."""
        open_lines = [line for line in self._models[name].lines if line.breaker.would_allow]
        if not open_lines:
            return None
        pair = random.sample(open_lines, min(2, len(open_lines)))
        line = min(pair, key=lambda one: one.in_flight / one.endpoint.weight)
        return line if line.breaker.allow() else None

    def note(self, attempt: Attempt) -> None:
        """Remember how a call went."""
        if attempt.outcome is not Outcome.SKIPPED:
            self._models[attempt.model].attempts.append(attempt)

    def breaker_state(self, name: str) -> BreakerState:
        """The best state among a model's endpoints."""
        order = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)
        return min((line.breaker.state for line in self._models[name].lines), key=order.index)

    def health(self, name: str) -> ModelHealth:
        """What the last calls say of a model."""
        self.get(name)
        calls = list(self._models[name].attempts)
        answered = [call for call in calls if call.outcome in {Outcome.ANSWERED, Outcome.REJECTED}]
        times = sorted(call.milliseconds for call in answered)
        passed = sum(call.outcome is Outcome.ANSWERED for call in answered)
        return ModelHealth(
            state=self.breaker_state(name),
            calls=len(calls),
            error_rate=(len(calls) - len(answered)) / len(calls) if calls else None,
            pass_rate=passed / len(answered) if answered else None,
            p50_ms=times[len(times) // 2] if times else None,
            p95_ms=times[min(len(times) - 1, int(len(times) * 0.95))] if times else None,
        )

    def _live(self) -> list[ModelEntry]:
        return [model.entry for model in self._models.values() if model.entry.state == "live"]
