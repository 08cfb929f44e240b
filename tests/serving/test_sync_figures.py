"""What /metrics tells of the sync, read by the login that may do least."""

import re
from collections.abc import Iterator

import pytest
from psycopg_pool import ConnectionPool

from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk import sync
from assets.zendesk.streams import STREAMS
from serving.sync_figures import FiguresUnavailable, SyncFigures
from tests.assets.zendesk.conftest import reaching
from tests.assets.zendesk.copies import Copy
from tests.fakes.desk import demo_desk
from tests.serving.conftest import Api


@pytest.fixture
def questions(database: Settings) -> Iterator[ConnectionPool]:
    with postgres.pool(database.require("postgres_questions_url"), application="tests", size=1) as pool:
        yield pool


def figures(text: str, name: str) -> dict[str, float]:
    """Values of a metric by its labels."""
    return {labels: float(value) for labels, value in re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)}


def test_a_sync_is_told_by_stream(database: Settings, questions: ConnectionPool) -> None:
    with demo_desk(tickets=30) as desk, Copy.open(database) as copy:
        desk.script([{"kind": "status", "status": 503, "times": 2}, {"kind": "forbidden", "path": "slas/*"}])
        sync.run(reaching(database, desk))
        text = SyncFigures.read(questions).expose().decode()

        rows = figures(text, "zendesk_rows_total")
        assert rows == {f'stream="{name}"': len(copy.rows(name)) for name in STREAMS if name != "sla_policies"}
        assert figures(text, "zendesk_sync_lag_seconds").keys() == rows.keys()
        waited = figures(text, "kafka_loader_lag_seconds")
        assert waited['stream="tickets"'] >= 0
        calls = figures(text, "zendesk_api_calls_total")
        assert calls['status="403",stream="sla_policies"'] == 1
        assert sum(count for labels, count in calls.items() if 'status="503"' in labels) == 2
        # Tokens are not asked for as part of any stream.
        api_calls = sum(count for path, count in desk.stats()["by_path"].items() if "oauth" not in path)
        assert sum(calls.values()) == api_calls


def test_the_api_exposes_them(api: Api, database: Settings) -> None:
    with Copy.open(database) as copy:
        copy.connection.execute("insert into ops.sync_state (stream, account, as_of) values ('tickets', 'acme', now())")
        copy.connection.execute("insert into ops.api_calls values ('tickets', '200', 7)")
        text = api.client.get("/metrics").text

    assert 'zendesk_sync_lag_seconds{stream="tickets"}' in text
    assert 'zendesk_api_calls_total{status="200",stream="tickets"} 7.0' in text
    assert "acme" not in text


def test_a_database_without_the_figures_is_said_to_be(database: Settings, questions: ConnectionPool) -> None:
    with Copy.open(database) as copy:
        copy.connection.execute("drop view catalog.sync_calls")

    with pytest.raises(FiguresUnavailable, match="cannot be read: UndefinedTable"):
        SyncFigures.read(questions)
