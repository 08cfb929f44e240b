from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from assets.settings import Settings
from assets.stores import postgres
from infra.local.directory import Directory
from infra.local.doctor import Finding, examine

pytestmark = pytest.mark.stack


@pytest.fixture
def home(tmp_path: Path) -> Directory:
    """A folder without a stack: the settings alone say where everything is."""
    return Directory(tmp_path / "var")


def found(settings: Settings, home: Directory) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(settings, home)}


@contextmanager
def altered(settings: Settings, change: str, back: str) -> Iterator[None]:
    with postgres.connect(settings.require("postgres_url"), application="tests", autocommit=True) as connection:
        connection.execute(change)
        try:
            yield
        finally:
            connection.execute(back)


def test_a_sound_database_has_nothing_wrong(database: Settings, home: Directory) -> None:
    assert [finding for finding in examine(database, home) if not finding.is_ok] == []


@pytest.mark.parametrize(
    ("change", "back", "check", "complaint"),
    [
        (
            "grant select on zendesk.tickets to switchdesk_questions",
            "revoke select on zendesk.tickets from switchdesk_questions",
            "questions login",
            "may select zendesk.tickets, which it must not",
        ),
        (
            "grant insert on zendesk.ticket_comments to switchdesk_questions",
            "revoke insert on zendesk.ticket_comments from switchdesk_questions",
            "questions login",
            "may insert zendesk.ticket_comments, which it must not",
        ),
        (
            "revoke delete on serving.api_keys from switchdesk_serving",
            "grant delete on serving.api_keys to switchdesk_serving",
            "serving login",
            "may not delete serving.api_keys",
        ),
        (
            "update public.alembic_version set version_num = '0001'",
            "select 1",
            "postgres schema",
            "database at revision 0001",
        ),
    ],
)
def test_a_right_too_many_or_too_few_is_named_with_the_way_out(
    database: Settings, home: Directory, change: str, back: str, check: str, complaint: str
) -> None:
    with altered(database, change, back):
        finding = found(database, home)[check]
    assert not finding.is_ok
    assert complaint in finding.detail
    assert "switchdesk migrate" in finding.detail


def test_a_login_that_may_write_is_told_from_one_that_only_reads(database: Settings, home: Directory) -> None:
    """The owner in the place of the login that runs questions: it may do far too much."""
    careless = database.model_copy(update={"postgres_questions_url": database.postgres_url})
    assert not found(careless, home)["questions login"].is_ok


def test_wrong_credentials_are_told_without_showing_them(database: Settings, home: Directory) -> None:
    wrong = database.require("postgres_serving_url").replace("switchdesk_serving:", "switchdesk_serving:wrong")
    broken = database.model_copy(
        update={
            "postgres_serving_url": SecretStr(wrong),
            "redis_url": SecretStr(database.require("redis_url").replace("redis://:", "redis://:wrong")),
            "neo4j_password": SecretStr("wrong-password"),
        }
    )
    findings = found(broken, home)
    for check in ("serving login", "redis", "neo4j login"):
        assert not findings[check].is_ok
        assert "wrong" not in findings[check].detail


def test_what_does_not_answer_is_named(database: Settings, home: Directory) -> None:
    away = database.model_copy(
        update={
            "kafka_bootstrap": "127.0.0.1:9",
            "milvus_url": "http://127.0.0.1:9",
            "models_url": "http://127.0.0.1:9/v1",
        }
    )
    findings = found(away, home)
    for check in ("kafka topics", "milvus collections", "models by name"):
        assert not findings[check].is_ok


def test_a_missing_setting_is_named(database: Settings, home: Directory) -> None:
    finding = found(database.model_copy(update={"neo4j_url": None}), home)["neo4j login"]
    assert "SWITCHDESK_NEO4J_URL" in finding.detail


def test_a_settings_file_that_others_may_read_is_wrong(database: Settings, home: Directory) -> None:
    home.create()
    home.write_env({"SWITCHDESK_DIR": str(home.path)})
    assert found(database, home)["stack.env"].is_ok
    home.env_file.chmod(0o640)
    finding = found(database, home)["stack.env"]
    assert not finding.is_ok
    assert "chmod 600" in finding.detail
