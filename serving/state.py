"""The state of one serving process: everything opened once, typed, and closed again in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from redis.asyncio import Redis
from sqlalchemy import Engine

from assets.settings import Settings
from serving import tables
from serving.access.audit import Audit
from serving.access.keys import Keyring
from serving.access.ledger import Ledger
from serving.answering import Answering
from serving.deciding import Deciding
from serving.errors import ServingError
from serving.planning.plan import MetricPlan
from serving.policy import Policy, load_policy
from serving.published import Published
from serving.recording import Recording
from serving.redis import create_redis
from serving.routing.selector import ModelSelector
from serving.semantics.runner import Analytics
from serving.stores import Stores
from serving.telemetry import Telemetry
from serving.threads import Threads
from serving.tiers.cache import AnswerCache
from serving.tiers.evidence import Evidence
from serving.tiers.metrics import Metrics
from serving.tiers.pipeline import Pipeline
from serving.tiers.reading import ModelReader
from serving.vllm import Upstream

_log = logging.getLogger(__name__)

_CONNECTIONS = 8
_THREADS = 16


@dataclass(frozen=True, slots=True)
class State:
    """What endpoints use."""

    settings: Settings
    policy: Policy
    telemetry: Telemetry
    engine: Engine
    redis: Redis
    stores: Stores
    threads: Threads
    published: Published
    keyring: Keyring
    ledger: Ledger
    audit: Audit
    selector: ModelSelector
    answering: Answering


@asynccontextmanager
async def open_state(settings: Settings, *, telemetry: Telemetry | None = None) -> AsyncIterator[State]:
    """Open everything that answering needs; stores that are away are met at the first question, not here."""
    policy = load_policy(settings)
    telemetry = telemetry or Telemetry()
    async with AsyncExitStack() as opened:
        threads = Threads(_THREADS)
        opened.callback(threads.close)
        engine = tables.open_engine(settings, size=_CONNECTIONS)
        opened.callback(engine.dispose)
        stores = Stores(settings, connections=_CONNECTIONS)
        opened.callback(stores.close)
        redis = create_redis(settings)
        opened.push_async_callback(redis.aclose)
        upstream = await opened.enter_async_context(Upstream(settings))
        selector = ModelSelector(settings, policy=policy, upstream=upstream, telemetry=telemetry)
        published, ledger, audit = Published(stores.questions), Ledger(engine), Audit(engine)
        deciding = Deciding(policy, selector)
        metrics = Metrics(Analytics(stores.questions, row_cap=policy.limits.rows))
        answering = Answering(
            policy=policy,
            published=published,
            deciding=deciding,
            cache=AnswerCache(redis, policy.cache),
            evidence=Evidence(stores, metrics, threads),
            pipeline=Pipeline(selector, policy),
            reader=ModelReader(selector, policy),
            recording=Recording(
                policy=policy,
                alert_threshold=settings.cost_alert_threshold,
                deciding=deciding,
                registry=selector.registry,
                ledger=ledger,
                audit=audit,
                telemetry=telemetry,
                threads=threads,
            ),
            threads=threads,
        )
        state = State(
            settings=settings,
            policy=policy,
            telemetry=telemetry,
            engine=engine,
            redis=redis,
            stores=stores,
            threads=threads,
            published=published,
            keyring=Keyring(engine),
            ledger=ledger,
            audit=audit,
            selector=selector,
            answering=answering,
        )
        warming = asyncio.create_task(_warm(state, metrics))
        try:
            yield state
        finally:
            warming.cancel()


async def _warm(state: State, metrics: Metrics) -> None:
    """Import and connect in the background what the first question would otherwise wait seconds for."""
    try:
        view = await state.threads.run(state.published.view)
        if view.semantics is None or not view.semantics.metrics:
            return
        plan = MetricPlan(metrics=(next(iter(view.semantics.metrics)),))
        now = datetime.now(UTC)
        await state.threads.run(lambda: metrics.fingerprint(plan, zone=state.settings.zone, as_of=now, rows=()))
        for store in (state.stores.search, state.stores.graph):
            await state.threads.run(store.get)
    except ServingError as error:
        # Whatever is away now is asked again at the first question, and /readyz names it.
        _log.info("not warm: %s", error)
