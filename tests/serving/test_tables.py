"""Serving's tables as the code sees them are those the migrations make."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from assets.settings import Settings
from serving.tables import METADATA

pytestmark = pytest.mark.stack


def test_the_tables_match_the_migrations(database: Settings) -> None:
    engine = create_engine(database.require("postgres_url"), poolclass=NullPool)
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, parents: kind != "schema" or name == "serving",
        "compare_type": True,
    }
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        differences = [
            difference
            for difference in compare_metadata(context, METADATA)
            # Names of indexes are the database's business.
            if not str(difference[0]).endswith("_index")
        ]
    assert differences == []
