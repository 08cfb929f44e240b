"""A copy of a few rows, an empty Milvus and the model."""

from collections.abc import Iterator

import pytest

from assets.embedder import Embedder
from assets.settings import Settings
from assets.stores.milvus import Milvus
from tests.fakes.copied import Copied, emptied_milvus, opened


@pytest.fixture
def copied(database: Settings) -> Iterator[Copied]:
    with opened(database) as copied:
        yield copied


@pytest.fixture
def milvus(database: Settings) -> Iterator[Milvus]:
    with emptied_milvus(database) as milvus:
        yield milvus


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder()
