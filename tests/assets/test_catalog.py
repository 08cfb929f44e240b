from datetime import UTC, datetime, timedelta

import pytest

from assets import catalog
from assets.settings import Settings
from assets.stores import postgres

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_a_version_grows_only_when_content_changed(database: Settings) -> None:
    with postgres.connect(database.require("postgres_url"), application="tests") as connection:
        first = catalog.publish(connection, "zendesk.tickets", as_of=NOON, rows=1)
        fresher = catalog.publish(
            connection, "zendesk.tickets", as_of=NOON + timedelta(minutes=1), rows=1, changed=False
        )
        changed = catalog.publish(connection, "zendesk.tickets", as_of=NOON + timedelta(minutes=2), rows=2)
    assert (first, fresher, changed) == (1, 1, 2)


def test_only_partitions_whose_content_differs_get_a_new_version(database: Settings) -> None:
    with postgres.connect(database.require("postgres_url"), application="tests") as connection:
        months = {"2026-10": ("a", 5), "2026-11": ("b", 6)}
        catalog.publish(connection, "zendesk.tickets", as_of=NOON, rows=11, partitions=months)
        catalog.publish(connection, "zendesk.tickets", as_of=NOON, rows=12, partitions=months | {"2026-11": ("c", 7)})
        partitions = catalog.current(connection).partitions
    assert partitions == {("zendesk.tickets", "2026-10"): 1, ("zendesk.tickets", "2026-11"): 2}


def test_freshness_never_goes_back(database: Settings) -> None:
    with postgres.connect(database.require("postgres_url"), application="tests") as connection:
        catalog.publish(connection, "zendesk.tickets", as_of=NOON, rows=1)
        catalog.publish(connection, "zendesk.tickets", as_of=NOON - timedelta(days=1), rows=1, changed=False)
        assert catalog.current(connection).datasets["zendesk.tickets"].as_of == NOON


def test_a_publication_that_rolls_back_is_seen_by_nobody(database: Settings) -> None:
    with postgres.connect(database.require("postgres_url"), application="tests") as connection:
        catalog.publish(connection, "zendesk.tickets", as_of=NOON, rows=1)
        connection.rollback()
        snapshot = catalog.current(connection)
    assert snapshot.epoch == 0
    assert snapshot.datasets == {}


def test_the_live_document_is_the_last_one_published(database: Settings) -> None:
    with postgres.connect(database.require("postgres_url"), application="tests") as connection:
        catalog.publish_document(connection, "semantic_manifest", b"old")
        digest = catalog.publish_document(connection, "semantic_manifest", b"new")
        assert catalog.live_digest(connection, "semantic_manifest") == digest
        assert catalog.document(connection, digest) == b"new"


def test_an_unknown_document_names_the_way_out(database: Settings) -> None:
    with (
        postgres.connect(database.require("postgres_url"), application="tests") as connection,
        pytest.raises(catalog.CatalogError, match="switchdesk build analytics"),
    ):
        catalog.document(connection, "0" * 64)
