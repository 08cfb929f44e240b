"""Publishing writes changed rows alone, in one transaction, under the eyes of readers."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from assets import catalog
from assets.publication import Mart, PublicationError, Published, publish
from assets.settings import Settings
from assets.stores import postgres

MART = Mart("fct_things", ("thing_id",), {"made_at": "made_at", "sold_at": "sold_at"})
AS_OF = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.fixture
def owner(database: Settings) -> Iterator[psycopg.Connection]:
    with postgres.connect(database.require("postgres_url"), application="tests", autocommit=True) as connection:
        connection.execute("create schema build")
        connection.execute("create table build.dimension_values (dimension text, value text, rows bigint)")
        connection.execute(
            "create table build.fct_things"
            " (thing_id bigint, name text, tags text[], made_at timestamptz, sold_at timestamptz)"
        )
        connection.execute(
            """
            insert into build.fct_things values
            (1, 'one', '{a}', '2026-01-31 23:00:00+00', null),
            (2, 'two', null, '2026-02-01 00:00:00+00', '2026-03-01 00:00:00+00'),
            (3, null, '{}', '2026-02-02 00:00:00+00', null)
            """
        )
        yield connection


def go_live(connection: psycopg.Connection, *marts: Mart, body: bytes = b"{}") -> list[Published]:
    with connection.transaction():
        return publish(
            connection, marts or [MART], build_schema="build", semantic_manifest=body, as_of=AS_OF, build_id="b"
        )


def partitions(connection: psycopg.Connection) -> dict[str, int]:
    snapshot = catalog.current(connection)
    return {name: version for (dataset, name), version in snapshot.partitions.items() if dataset.endswith("things")}


def test_a_first_build_goes_live_with_versions_by_month_along_each_time(owner: psycopg.Connection) -> None:
    (published,) = go_live(owner)
    assert (published.rows, published.version, published.facts["rows_written"]) == (3, 1, 3)
    assert partitions(owner) == {
        "2026-01": 1,
        "2026-02": 1,
        "sold_at:2026-03": 1,
        "sold_at:none": 1,
    }
    dataset = catalog.current(owner).datasets["analytics.fct_things"]
    assert (dataset.rows, dataset.as_of, dataset.build_id) == (3, AS_OF, "b")


def test_the_same_build_again_writes_nothing_and_keeps_every_version(owner: psycopg.Connection) -> None:
    go_live(owner)
    before = owner.execute("select xmin, ctid from analytics.fct_things order by thing_id").fetchall()
    (published,) = go_live(owner)
    assert published.facts["rows_written"] == published.facts["rows_deleted"] == 0
    assert published.version == 1
    assert owner.execute("select xmin, ctid from analytics.fct_things order by thing_id").fetchall() == before


def test_a_changed_row_moves_the_versions_of_its_months_alone(owner: psycopg.Connection) -> None:
    go_live(owner)
    owner.execute("update build.fct_things set name = null where thing_id = 1")
    (published,) = go_live(owner)
    assert (published.facts["rows_written"], published.version) == (1, 2)
    assert partitions(owner) == {"2026-01": 2, "2026-02": 1, "sold_at:2026-03": 1, "sold_at:none": 2}


def test_rows_that_vanished_leave_and_their_month_is_told_as_changed(owner: psycopg.Connection) -> None:
    go_live(owner)
    owner.execute("delete from build.fct_things where thing_id in (2, 3)")
    (published,) = go_live(owner)
    assert (published.rows, published.facts["rows_deleted"]) == (1, 2)
    assert partitions(owner)["2026-02"] == 2
    assert partitions(owner)["2026-01"] == 1


def test_a_reader_keeps_its_build_while_another_goes_live(owner: psycopg.Connection, database: Settings) -> None:
    go_live(owner, body=b'{"build": 1}')
    url = database.require("postgres_questions_url")
    with postgres.connect(url, application="tests") as reader:
        reader.execute("set transaction isolation level repeatable read, read only")
        assert reader.execute("select count(*) from analytics.fct_things").fetchone() == (3,)
        digest = catalog.live_digest(reader, "semantic_manifest")
        owner.execute("delete from build.fct_things where thing_id = 1")
        owner.execute("update build.fct_things set name = 'new'")
        go_live(owner, body=b'{"build": 2}')
        assert reader.execute("select count(*), max(name) from analytics.fct_things").fetchone() == (3, "two")
        assert catalog.current(reader).datasets["analytics.fct_things"].version == 1
        assert catalog.live_digest(reader, "semantic_manifest") == digest
        reader.rollback()
        assert reader.execute("select count(*), max(name) from analytics.fct_things").fetchone() == (2, "new")
        assert catalog.current(reader).datasets["analytics.fct_things"].version == 2


def test_columns_come_go_and_change_their_type(owner: psycopg.Connection, database: Settings) -> None:
    go_live(owner)
    owner.execute("alter table build.fct_things drop column tags, add column price numeric(10, 2) default 5")
    owner.execute("alter table build.fct_things alter column name type bigint using thing_id * 10")
    (published,) = go_live(owner)
    assert published.columns["price"] == "numeric(10,2)"
    assert "tags" not in published.columns
    rows = owner.execute("select thing_id, name, price::text from analytics.fct_things order by 1").fetchall()
    assert rows == [(1, 10, "5.00"), (2, 20, "5.00"), (3, 30, "5.00")]
    with postgres.connect(database.require("postgres_questions_url"), application="tests") as reader:
        assert reader.execute("select sum(name) from analytics.fct_things").fetchone() == (60,)


def test_a_build_that_cannot_go_live_whole_does_not_go_live_at_all(owner: psycopg.Connection) -> None:
    go_live(owner)
    owner.execute("update build.fct_things set name = 'changed'")
    owner.execute("create table build.fct_twice as select 1 as id from generate_series(1, 2)")
    with pytest.raises(PublicationError, match="not unique: fct_twice was built with 2 rows of 1"):
        go_live(owner, MART, Mart("fct_twice", ("id",)), body=b'{"new": true}')
    assert owner.execute("select count(*) from analytics.fct_things where name = 'changed'").fetchone() == (0,)
    assert set(catalog.current(owner).datasets) == {"analytics.fct_things"}
    digest = catalog.live_digest(owner, "semantic_manifest")
    assert digest is not None
    assert catalog.document(owner, digest) == b"{}"


def test_values_of_dimensions_follow_the_build(owner: psycopg.Connection) -> None:
    owner.execute("insert into build.dimension_values values ('group', 'A', 1), ('group', 'B', 2)")
    go_live(owner)
    owner.execute("delete from build.dimension_values where value = 'A'")
    owner.execute("update build.dimension_values set rows = 3")
    go_live(owner)
    assert owner.execute("select * from catalog.dimension_values").fetchall() == [("group", "B", 3)]
