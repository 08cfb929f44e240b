"""Fixtures of tests that need a copied help desk, an empty Milvus or Neo4j, or the embedding model."""

from collections.abc import Iterator

import pytest

from assets.embedder import Embedder
from assets.settings import Settings
from assets.stores.milvus import Milvus
from assets.stores.neo4j import Neo4j
from tests.fakes.copied import Copied, emptied_milvus, emptied_neo4j, opened


@pytest.fixture
def copied(database: Settings) -> Iterator[Copied]:
    with opened(database) as copied:
        yield copied


@pytest.fixture
def milvus(database: Settings) -> Iterator[Milvus]:
    with emptied_milvus(database) as milvus:
        yield milvus


@pytest.fixture
def neo4j(database: Settings) -> Iterator[Neo4j]:
    with emptied_neo4j(database) as neo4j:
        yield neo4j


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder()
