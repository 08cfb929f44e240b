"""One build of the marts for all tests here: the hand-made help desk, built, tested and published through Dagster."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from assets.analytics import analytics_marts, analytics_models
from assets.settings import Settings
from assets.stores import postgres
from serving.semantics.runner import Analytics
from tests.fakes.handmade import Desk, hard_cases

_DATABASE = "marts"


@dataclass(frozen=True)
class Built:
    """A published build."""

    settings: Settings
    desk: Desk
    run: dg.ExecuteInProcessResult


@pytest.fixture(scope="session")
def built(stack: Settings, migrated_template: str) -> Built:
    """The marts of the hard cases in a database of their own."""
    with postgres.connect(stack.require("postgres_url"), application="tests", autocommit=True) as connection:
        name, template = sql.Identifier(_DATABASE), sql.Identifier(migrated_template)
        connection.execute(sql.SQL("create database {} template {}").format(name, template))
        connection.execute(sql.SQL("grant connect on database {} to switchdesk_questions").format(name))
    urls = {
        field: SecretStr(make_url(stack.require(field)).set(database=_DATABASE).render_as_string(hide_password=False))
        for field in ("postgres_url", "postgres_serving_url", "postgres_questions_url")
    }
    settings = stack.model_copy(update=urls)
    desk = hard_cases()
    with postgres.connect(settings.require("postgres_url"), application="tests") as connection:
        desk.load(connection)
    run = dg.materialize([analytics_models, analytics_marts], resources={"settings": settings})
    return Built(settings, desk, run)


@pytest.fixture
def owner(built: Built) -> Iterator[psycopg.Connection]:
    """The owner's login, for hand-written SQL; moments read in UTC."""
    url = built.settings.require("postgres_url")
    with postgres.connect(url, application="tests", autocommit=True) as connection:
        connection.execute("set timezone to 'UTC'")
        yield connection


@pytest.fixture(scope="session")
def pool(built: Built) -> Iterator[ConnectionPool]:
    """The login that runs questions."""
    with postgres.pool(built.settings.require("postgres_questions_url"), application="tests", size=4) as opened:
        yield opened


@pytest.fixture
def analytics(pool: ConnectionPool) -> Analytics:
    """What runs plans over the build."""
    return Analytics(pool)
