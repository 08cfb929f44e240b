"""Relationships as an asset: the ticket graph in Neo4j."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from assets import datasets
from assets.embeddings import LIVE_KEY
from assets.graph import REQUESTER_DAYS
from assets.settings import Settings
from assets.stores import postgres
from assets.stores.milvus import Milvus
from assets.stores.neo4j import Neo4j
from assets.ticket_graph import Report, TicketGraph
from assets.tickets import DAYS

KEY = dg.AssetKey(["neo4j", "ticket_graph"])

_SPEC = dg.AssetSpec(
    KEY,
    description=(
        "One row is a node: a ticket, user, organization, group, brand or tag. Edges say who requested, is assigned, "
        "commented and belongs where; which tickets are incidents of a problem, follow-ups, merged, similar (mutual "
        f"neighbours in Milvus) or by the same requester within {REQUESTER_DAYS} days; and how tickets moved between "
        "groups.\n\n"
        "Read from the copy in PostgreSQL and the vectors in Milvus. Only changed tickets are written, each with all "
        "its edges, and writing one again changes nothing. A scrubbed ticket keeps its node and loses its text. "
        "A run with days writes the tickets created in those UTC days anew."
    ),
    # Stand-ins without days for the tables and the vectors: a live run has none, and Dagster refuses an asset with days
    # that depends on another one then.
    deps=[datasets.KEY, LIVE_KEY],
    group_name="graph",
    owners=["team:data-platform"],
    kinds={"neo4j"},
    partitions_def=DAYS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=1)),
    code_version="1",
)


@dg.multi_asset(
    name="ticket_graph",
    specs=[_SPEC],
    # `@asset` would warn at every start that this is in beta.
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    check_specs=[
        dg.AssetCheckSpec("every_ticket_is_a_node", asset=KEY, description="Each ticket of the copy is in the graph."),
        dg.AssetCheckSpec(
            "referred_tickets_are_known",
            asset=KEY,
            description="No edge leads to a ticket that the copy does not hold, such as one deleted before the copy.",
        ),
        dg.AssetCheckSpec(
            "scrubbed_tickets_have_no_text", asset=KEY, description="A ticket deleted for good has no subject here."
        ),
    ],
)
def ticket_graph(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Bring the graph up to date, or write the selected days anew."""
    milvus = Milvus(settings.require("milvus_url"))
    neo4j = Neo4j(settings.require("neo4j_url"), settings.neo4j_user, settings.require("neo4j_password"))
    try:
        with postgres.connect(
            settings.require("postgres_url"), application="switchdesk-graph", autocommit=True
        ) as connection:
            graph = TicketGraph(
                connection, neo4j, milvus, progress=lambda done: context.log.info(f"{done:,} tickets written")
            )
            if context.has_partition_key_range or context.has_partition_key:
                days = context.partition_key_range
                report = graph.rebuild_days(
                    date.fromisoformat(days.start), date.fromisoformat(days.end), context.run.run_id
                )
            else:
                report = graph.update(context.run.run_id)
            with_text = graph.scrubbed_with_text()
    finally:
        neo4j.close()
        milvus.close()
    yield dg.MaterializeResult(
        asset_key=KEY,
        metadata={
            "dagster/row_count": sum(report.nodes.values()),
            **{f"nodes/{label}": count for label, count in report.nodes.items()},
            **{f"relationships/{name}": count for name, count in report.relationships.items()},
            "graph_relationships": sum(report.relationships.values()),
            "tickets_written": report.tickets,
            "tickets_compared": report.similar,
        },
        data_version=dg.DataVersion(str(report.version)),
        check_results=list(_checks(report, with_text)),
    )


def _checks(report: Report, with_text: int) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        check_name="every_ticket_is_a_node",
        passed=report.missing_tickets == 0,
        metadata={"missing": report.missing_tickets},
    )
    yield dg.AssetCheckResult(
        check_name="referred_tickets_are_known",
        passed=report.unknown_tickets == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"unknown": report.unknown_tickets},
    )
    yield dg.AssetCheckResult(
        check_name="scrubbed_tickets_have_no_text", passed=with_text == 0, metadata={"with_text": with_text}
    )
