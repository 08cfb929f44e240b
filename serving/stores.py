"""The stores that questions read: the read-only PostgreSQL login at once, the heavy clients at their first need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from psycopg_pool import ConnectionPool

from assets.settings import Settings, SwitchdeskError
from assets.stores import postgres
from serving.errors import StoreUnavailable

if TYPE_CHECKING:
    from serving.tiers.graph import Graph
    from serving.tiers.search import Search

_TRY_AGAIN_SECONDS = 3.0
_STATEMENT_TIMEOUT_MS = 10_000

Store = TypeVar("Store")


class Lazy(Generic[Store]):
    """A store opened at its first need; one that did not open is tried again, though not at every question."""

    def __init__(self, name: str, opening: Callable[[], Store]) -> None:
        self.name = name
        self._opening = opening
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._failure: tuple[float, str] | None = None

    def get(self) -> Store:
        """The store, opened now if it was not yet (blocking); raises StoreUnavailable naming it."""
        with self._lock:
            if self._store is not None:
                return self._store
            if self._failure is not None and time.monotonic() - self._failure[0] < _TRY_AGAIN_SECONDS:
                raise StoreUnavailable(self._failure[1])
            try:
                self._store = self._opening()
            except SwitchdeskError as error:
                self._failure = (time.monotonic(), str(error))
                raise StoreUnavailable(str(error)) from None
            self._failure = None
            return self._store

    @property
    def opened(self) -> Store | None:
        """The store where it is open already."""
        return self._store


class Stores:
    """Opens what questions need and closes it again."""

    def __init__(self, settings: Settings, *, connections: int = 8) -> None:
        self.questions: ConnectionPool = postgres.pool(
            settings.require("postgres_questions_url"),
            application="switchdesk-questions",
            size=connections,
            statement_timeout_ms=_STATEMENT_TIMEOUT_MS,
        )
        self._settings = settings
        self.milvus = Lazy("milvus", self._open_milvus)
        self.neo4j = Lazy("neo4j", self._open_neo4j)
        self.search: Lazy[Search] = Lazy("search", self._open_search)
        self.graph: Lazy[Graph] = Lazy("graph", self._open_graph)

    def close(self) -> None:
        """Close everything that was opened."""
        for client in (self.milvus.opened, self.neo4j.opened):
            if client is not None:
                client.close()
        self.questions.close(timeout=2)

    # The clients cost seconds and tens of megabytes to import, which a process that never searches need not pay.
    def _open_milvus(self):
        from assets.stores.milvus import Milvus

        return Milvus(self._settings.require("milvus_url"), timeout=10)

    def _open_neo4j(self):
        from assets.stores.neo4j import Neo4j

        settings = self._settings
        return Neo4j(settings.require("neo4j_url"), settings.neo4j_user, settings.require("neo4j_password"))

    def _open_search(self) -> Search:
        from serving.tiers.search import Search

        return Search(self.questions, self.milvus.get())

    def _open_graph(self) -> Graph:
        from serving.tiers.graph import Graph

        return Graph(self.questions, self.neo4j.get())
