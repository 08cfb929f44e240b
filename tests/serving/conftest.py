"""The API over real PostgreSQL and Valkey, marts of a handful of tickets, and a scripted model server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from assets.settings import Settings
from serving.access.asker import Scope
from serving.access.keys import create_key
from serving.app import create_app
from serving.state import State
from serving.stores import Lazy
from tests.fakes.evidence import FakeGraph, FakeSearch
from tests.fakes.marts import Marts, opened_marts
from tests.fakes.models import ModelServer, running_models


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with running_models() as server:
        yield server


@pytest.fixture
def settings(database: Settings, models: ModelServer) -> Settings:
    return database.model_copy(update={"models_url": models.url})


@pytest.fixture
def marts(settings: Settings) -> Iterator[Marts]:
    with opened_marts(settings) as marts:
        yield marts


@dataclass
class Api:
    """The running API and a key for it."""

    client: TestClient
    key: str
    state: State

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {self.key}", **headers})

    def get(self, path: str) -> Any:
        return self.client.get(path, headers={"Authorization": f"Bearer {self.key}"})

    def ask(self, question: str, **fields: Any) -> dict[str, Any]:
        response = self.post("/v1/ask", {"question": question, **fields})
        assert response.status_code == 200, response.text
        return response.json()

    def find(self, search: FakeSearch) -> FakeSearch:
        self.state.stores.search = Lazy("search", lambda: search)  # pyright: ignore[reportAttributeAccessIssue]
        return search

    def link(self, graph: FakeGraph) -> FakeGraph:
        self.state.stores.graph = Lazy("graph", lambda: graph)  # pyright: ignore[reportAttributeAccessIssue]
        return graph


@contextmanager
def running_api(settings: Settings, key: str) -> Iterator[Api]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield Api(client, key, client.app_state["serving"])


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    key = create_key(settings, "tests", scopes=list(Scope))
    with running_api(settings, key) as api:
        api.find(FakeSearch())
        api.link(FakeGraph())
        yield api
