"""What serving measures for Prometheus; every label set is bounded: no question, ticket or secret in one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from assets.catalog import DatasetVersion
from serving.policy import Tier
from serving.routing.breaker import BreakerState
from serving.routing.completion import Attempt, Outcome

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60)
_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class Telemetry:
    """The metrics of one process, in a registry of their own; several workers share them by files."""

    def __init__(self, *, shared_folder: str | None = None) -> None:
        self._shared_folder = shared_folder
        self._registry = CollectorRegistry()
        registry = self._registry
        self.duration = Histogram(
            "analytics_query_duration_seconds",
            "Time to answer a question",
            ["intent", "tier"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queries = Counter(
            "analytics_queries", "Questions answered", ["intent", "tier", "status"], registry=registry
        )
        self.cache_hits = Counter("analytics_cache_hits", "Answers from a cache", ["kind"], registry=registry)
        self.cost = Counter("analytics_query_cost_usd", "USD spent on answers", ["tier", "model"], registry=registry)
        self.model_requests = Counter(
            "analytics_model_requests", "Calls to models", ["model", "outcome"], registry=registry
        )
        self.model_latency = Histogram(
            "analytics_model_latency_seconds", "Time of a model call", ["model"], buckets=_SECONDS, registry=registry
        )
        self.model_tokens = Counter(
            "analytics_model_tokens",
            "Tokens sent to and received from models",
            ["model", "direction"],
            registry=registry,
        )
        self.fallbacks = Counter(
            "analytics_fallbacks",
            "Changes to the next candidate",
            ["from_model", "to_model", "reason"],
            registry=registry,
        )
        self.breaker_state = Gauge(
            "analytics_breaker_state",
            "0 closed, 1 half-open, 2 open",
            ["model"],
            registry=registry,
            multiprocess_mode="max",
        )
        self.verdicts = Counter(
            "analytics_quality_verdicts", "Verdicts of the validator", ["model", "verdict"], registry=registry
        )
        self.budget_used = Gauge(
            "analytics_budget_used_ratio",
            "Share of a key's budget that is spent or reserved",
            ["key"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self.rate_limited = Counter("analytics_rate_limited", "Requests refused by a rate limit", registry=registry)
        self.pool_in_use = Gauge(
            "postgres_pool_in_use", "PostgreSQL connections in use", registry=registry, multiprocess_mode="livesum"
        )
        self.pool_size = Gauge(
            "postgres_pool_size",
            "PostgreSQL connections at most",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.dataset_age = Gauge(
            "dataset_age_seconds",
            "Age of what a dataset holds",
            ["dataset"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def model_called(self, attempt: Attempt, tier: str, state: BreakerState) -> None:
        """Count one call to a model."""
        self.model_requests.labels(attempt.model, attempt.outcome.value).inc()
        self.model_latency.labels(attempt.model).observe(attempt.milliseconds / 1000)
        self.model_tokens.labels(attempt.model, "input").inc(attempt.usage.input_tokens)
        self.model_tokens.labels(attempt.model, "output").inc(attempt.usage.output_tokens)
        self.breaker_state.labels(attempt.model).set(_BREAKER[state])
        self.cost.labels(tier, attempt.model).inc(float(attempt.cost_usd))
        if attempt.outcome in {Outcome.ANSWERED, Outcome.REJECTED}:
            verdict = "passed" if attempt.outcome is Outcome.ANSWERED else "refused"
            self.verdicts.labels(attempt.model, verdict).inc()

    def fell_back(self, attempt: Attempt, to_model: str) -> None:
        """Count a change from a candidate that did not serve to the next."""
        self.fallbacks.labels(attempt.model, to_model, attempt.outcome.value).inc()

    def answered(self, *, intent: str, tier: str, status: str, seconds: float, fixed_usd: Decimal) -> None:
        """Count one answer; its model calls have been counted as they were made."""
        self.duration.labels(intent, tier).observe(seconds)
        self.queries.labels(intent, tier, status).inc()
        self.cost.labels(tier, "none").inc(float(fixed_usd))
        if tier == Tier.CACHE:
            self.cache_hits.labels("plan").inc()

    def datasets(self, datasets: Mapping[str, DatasetVersion]) -> None:
        """Say how old each dataset is now."""
        now = datetime.now(UTC)
        for name, version in datasets.items():
            self.dataset_age.labels(name).set((now - version.as_of).total_seconds())

    def expose(self) -> bytes:
        """The exposition text, over all workers."""
        if self._shared_folder is None:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together, path=self._shared_folder)
        return generate_latest(together)
