"""The embeddings and the graph as Dagster runs them: live, and by day."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from assets.embeddings import comment_embeddings
from assets.relationships import ticket_graph
from assets.settings import Settings
from assets.stores.milvus import Milvus
from tests.fakes.copied import NOON, Copied, emptied_neo4j

pytestmark = pytest.mark.stack


@pytest.fixture
def job(database: Settings, copied: Copied, milvus: Milvus) -> Iterator[dg.JobDefinition]:
    del milvus
    copied.ticket(1)
    copied.comment(11, 1, "The parcel is late.")
    copied.comment(12, 1, "It came the next day.", created_at=NOON + timedelta(days=1))
    copied.publish()
    definitions = dg.Definitions(
        assets=[comment_embeddings, ticket_graph],
        jobs=[dg.define_asset_job("build", selection=[comment_embeddings, ticket_graph])],
        resources={"settings": dg.ResourceDefinition.hardcoded_resource(database)},
    )
    with emptied_neo4j(database):
        yield definitions.resolve_job_def("build")


def test_a_run_without_days_is_a_live_one_and_its_checks_hold(job: dg.JobDefinition) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    made = {event.asset_key.path[-1]: event for event in _made(result)}  # pyright: ignore
    assert made["comment_embeddings"].metadata["dagster/row_count"].value == 2
    assert made["comment_embeddings"].metadata["comments_read"].value == 2
    assert made["ticket_graph"].metadata["nodes/Ticket"].value == 1
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert len(result.get_asset_check_evaluations()) == 6


def test_a_run_with_days_makes_only_their_comments_and_tickets(job: dg.JobDefinition) -> None:
    day = f"{NOON + timedelta(days=1):%Y-%m-%d}"
    tags = {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance)
        result = job.execute_in_process(instance=instance, tags=tags)
    made = {event.asset_key.path[-1]: event for event in _made(result)}  # pyright: ignore
    assert made["comment_embeddings"].partition == day
    assert made["comment_embeddings"].metadata["comments_read"].value == 1
    assert made["comment_embeddings"].metadata["dagster/row_count"].value == 2
    assert made["ticket_graph"].metadata["tickets_written"].value == 0


def _made(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [event.materialization for event in result.get_asset_materialization_events()]
