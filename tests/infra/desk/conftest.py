from collections.abc import Iterator

import pytest

from infra.local.desk.world import World
from tests.fakes.desk import NOON, RunningDesk, demo_desk
from tests.infra.desk.client import Reader


@pytest.fixture(scope="session")
def world() -> World:
    """A world that no test changes."""
    return World.build(900, 7, NOON)


@pytest.fixture(scope="module")
def desk() -> Iterator[RunningDesk]:
    """A desk whose world no test changes; its faults and counters are each test's own."""
    with demo_desk(tickets=200) as running:
        yield running


@pytest.fixture(scope="module")
def reader(desk: RunningDesk) -> Iterator[Reader]:
    reading = Reader(desk)
    yield reading
    reading.close()


@pytest.fixture
def changing_desk() -> Iterator[RunningDesk]:
    with demo_desk(tickets=200) as running:
        yield running


@pytest.fixture
def changing_reader(changing_desk: RunningDesk) -> Iterator[Reader]:
    reading = Reader(changing_desk)
    yield reading
    reading.close()
