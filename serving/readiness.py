"""Readiness: each dependency asked by a real request, side by side, none waited for longer than two seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from assets.settings import SwitchdeskError
from serving.errors import ServingError
from serving.policy import Endpoint
from serving.schemas import DependencyOut, ReadyOut
from serving.state import State

_SECONDS = 2.0
_KEPT_SECONDS = 1.0
_VECTORS, _GRAPH = "milvus.comment_embeddings", "neo4j.ticket_graph"


class Degraded(Exception):
    """A dependency that cannot serve, and why; the text holds no secret."""


class Readiness:
    """Answers for a second from the last look, so that probes cost nothing."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: tuple[float, ReadyOut] | None = None
        self._lock = asyncio.Lock()

    async def look(self) -> ReadyOut:
        """The state of every dependency; without PostgreSQL nothing can be answered, anything else degrades."""
        async with self._lock:
            if self._kept is not None and time.monotonic() - self._kept[0] < _KEPT_SECONDS:
                return self._kept[1]
            checks: dict[str, Callable[[], Awaitable[str]]] = {
                "postgres": self._postgres,
                "analytics": self._analytics,
                "redis": self._redis,
                "milvus": self._milvus,
                "neo4j": self._neo4j,
                "models": self._models,
            }
            found = await asyncio.gather(*(_checked(name, check) for name, check in checks.items()))
            degraded = [one.name for one in found if one.state == "degraded"]
            status = "unavailable" if "postgres" in degraded else "degraded" if degraded else "ready"
            ready = ReadyOut(status=status, degraded=degraded, dependencies=list(found))
            self._kept = (time.monotonic(), ready)
            return ready

    async def _postgres(self) -> str:
        def ask() -> str:
            with self._state.engine.connect() as own, self._state.stores.questions.connection(timeout=_SECONDS):
                return f"PostgreSQL {own.exec_driver_sql('show server_version').scalar()}"

        return await self._state.threads.run(ask)

    async def _analytics(self) -> str:
        view = await self._state.threads.run(self._state.published.view)
        if view.semantics is None:
            raise Degraded("no marts are published yet: run `switchdesk build analytics`")
        return f"{len(view.semantics.metrics)} metrics of build {view.semantics.digest[:12]}"

    async def _redis(self) -> str:
        try:
            await self._state.redis.ping()
        except RedisError as error:
            raise Degraded(f"Redis does not answer: {type(error).__name__}; answers are not cached") from None
        return "answers"

    async def _milvus(self) -> str:
        def ask() -> str:
            return f"Milvus {self._state.stores.milvus.get().version()}"

        return await self._published(_VECTORS, await self._state.threads.run(ask))

    async def _neo4j(self) -> str:
        def ask() -> str:
            return f"Neo4j {self._state.stores.neo4j.get().version()}"

        return await self._published(_GRAPH, await self._state.threads.run(ask))

    async def _models(self) -> str:
        registry = self._state.selector.registry
        endpoints = {endpoint.url: endpoint for entry in registry.entries() for endpoint in entry.endpoints}

        async def silence(endpoint: Endpoint) -> str | None:
            try:
                await self._state.selector.upstream.models(endpoint, timeout=_SECONDS)
            except ServingError as error:
                return f"{urlsplit(endpoint.url).hostname}: {error}"
            return None

        silent = [reason for reason in await asyncio.gather(*map(silence, endpoints.values())) if reason]
        if silent:
            raise Degraded("; ".join(silent))
        return ", ".join(registry.names())

    async def _published(self, dataset: str, detail: str) -> str:
        # Read a moment ago is good enough here: without PostgreSQL a store beside it is not to be called silent.
        view = self._state.published.kept or await self._state.threads.run(self._state.published.view)
        version = view.snapshot.datasets.get(dataset)
        if version is None:
            raise Degraded(f"{detail}, but {dataset} was never published: run `switchdesk build all`")
        return f"{detail}, {version.rows:,} rows"


async def _checked(name: str, check: Callable[[], Awaitable[str]]) -> DependencyOut:
    try:
        detail = await asyncio.wait_for(check(), _SECONDS + 0.5)
    except (Degraded, SwitchdeskError) as error:
        return DependencyOut(name=name, state="degraded", detail=str(error))
    except TimeoutError:
        return DependencyOut(name=name, state="degraded", detail=f"{name} did not answer within {_SECONDS:g} s")
    return DependencyOut(name=name, state="ready", detail=detail)
