"""A help desk of the test's own, and settings that copy it into the test's own database."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from assets.settings import Settings
from tests.assets.zendesk.copies import Copy
from tests.fakes.desk import RunningDesk, demo_desk


@pytest.fixture
def desk() -> Iterator[RunningDesk]:
    with demo_desk(tickets=60) as running:
        yield running


@pytest.fixture
def settings(database: Settings, desk: RunningDesk) -> Settings:
    return reaching(database, desk)


@pytest.fixture
def copy(settings: Settings) -> Iterator[Copy]:
    with Copy.open(settings) as opened:
        yield opened


def reaching(database: Settings, desk: RunningDesk) -> Settings:
    return database.model_copy(
        update={
            "zendesk_url": desk.url,
            "zendesk_client_id": desk.client_id,
            "zendesk_client_secret": SecretStr(desk.client_secret),
        }
    )
