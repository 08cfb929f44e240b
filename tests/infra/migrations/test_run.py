import psycopg
import pytest

from assets.settings import Settings
from assets.stores import postgres
from infra.migrations.run import MigrationError, migrate


def test_migrating_twice_changes_nothing(database: Settings) -> None:
    assert migrate(database) == migrate(database)


def test_a_database_newer_than_the_code_is_refused_in_one_sentence(database: Settings) -> None:
    with postgres.connect(database.require("postgres_url"), application="tests") as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    with pytest.raises(MigrationError, match=r"^database newer than the code: it is at revision 9999"):
        migrate(database)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into catalog.documents values ('x', 'x', 'x')",
        "create table analytics.mine (id int)",
        "select secret_hash from serving.api_keys",
        "select * from zendesk.users",
        "select * from ops.sync_state",
        "set default_transaction_read_only = off; insert into catalog.documents values ('x', 'x', 'x')",
    ],
)
def test_the_login_that_runs_questions_reads_only_what_it_needs(database: Settings, statement: str) -> None:
    with (
        postgres.connect(database.require("postgres_questions_url"), application="tests") as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("statement", ["select * from zendesk.tickets", "delete from catalog.datasets"])
def test_the_api_login_reads_no_ticket_and_writes_no_catalogue(database: Settings, statement: str) -> None:
    with (
        postgres.connect(database.require("postgres_serving_url"), application="tests") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
