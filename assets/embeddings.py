"""Embeddings as an asset: every comment with text in Milvus, as the vector of what it means."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import numpy as np

from assets import datasets
from assets.comment_index import CommentIndex, Report
from assets.embedder import DIMENSION, Embedder
from assets.settings import Settings
from assets.stores import postgres
from assets.stores.milvus import Milvus
from assets.tickets import DAYS

KEY = dg.AssetKey(["milvus", "comment_embeddings"])
LIVE_KEY = dg.AssetKey(["milvus", "live_collection"])

_SAMPLE = 200


_SPEC = dg.AssetSpec(
    KEY,
    description=(
        "One row is a chunk of a comment: a unit vector of 384 numbers (MiniLM-L6) with ticket, author role, "
        "visibility and time. Most comments are one chunk; those over 254 tokens are several that overlap.\n\n"
        "Read from `zendesk.ticket_comments`. Addresses, phone, card and account numbers are masked before embedding, "
        "equal texts are embedded once, and what was redacted or erased leaves with the next run. A run without days "
        "embeds what changed since the last one; a run with days embeds the comments written in those UTC days anew "
        "and leaves all others as they are."
    ),
    # Not the tables themselves, for they have days too: a live run has none, and Dagster refuses such a pair then.
    deps=[datasets.KEY],
    group_name="embeddings",
    owners=["team:data-platform"],
    kinds={"milvus", "openvino"},
    partitions_def=DAYS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=1)),
    code_version="1",
    metadata={
        "dagster/column_schema": dg.TableSchema(
            [
                dg.TableColumn("id", "int64", description="Comment id * 256 + chunk."),
                dg.TableColumn("ticket_id", "int64"),
                dg.TableColumn("comment_id", "int64"),
                dg.TableColumn("organization_id", "int64", description="Of the ticket; null where it has none."),
                dg.TableColumn("created_at", "int64", description="Unix seconds."),
                dg.TableColumn("is_public", "bool", description="False: an internal note."),
                dg.TableColumn("author_role", "varchar", description="`agent` or `end_user`."),
                dg.TableColumn("text_hash", "varchar", description="SHA-256 of the normalised text."),
                dg.TableColumn("chunk", "int64", description="Place in its comment, from 0."),
                dg.TableColumn("start", "int64", description="First character of the body that the chunk covers."),
                dg.TableColumn("end", "int64", description="Character after the last one."),
                dg.TableColumn("vector", "float_vector(384)"),
            ]
        ),
    },
)


@dg.multi_asset(
    name="comment_embeddings",
    specs=[_SPEC],
    # `@asset` would warn at every start that this is in beta.
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL),
    check_specs=[
        dg.AssetCheckSpec(
            "coverage_is_complete", asset=KEY, description="Every comment with text has its vectors in Milvus."
        ),
        dg.AssetCheckSpec(
            "vectors_have_unit_length",
            asset=KEY,
            blocking=True,
            description=f"A sample of {_SAMPLE} stored vectors is of length 1, so that cosine and inner product agree.",
        ),
        dg.AssetCheckSpec(
            "vectors_find_themselves",
            asset=KEY,
            description="Searching with a stored vector finds it, or one equal to it, as the nearest.",
        ),
    ],
)
def comment_embeddings(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Bring the vectors up to date, or embed the selected days anew."""
    milvus = Milvus(settings.require("milvus_url"))
    with postgres.connect(
        settings.require("postgres_url"), application="switchdesk-embeddings", autocommit=True
    ) as connection:
        index = CommentIndex(
            connection,
            milvus,
            Embedder(cache_dir=settings.dir / "cache" / "openvino"),
            progress=lambda done, total: context.log.info(f"{done:,} of {total:,} comments embedded"),
        )
        if context.has_partition_key_range or context.has_partition_key:
            days = context.partition_key_range
            report = index.rebuild_days(
                date.fromisoformat(days.start), date.fromisoformat(days.end), context.run.run_id
            )
        else:
            report = index.update(context.run.run_id)
    try:
        checks = list(_checks(milvus, report))
    finally:
        milvus.close()
    yield dg.MaterializeResult(
        asset_key=KEY,
        metadata={
            "dagster/row_count": report.rows,
            "coverage": report.coverage,
            "comments_read": report.comments,
            **report.facts(),
        },
        data_version=dg.DataVersion(str(report.version)),
        check_results=checks,
    )


def _checks(milvus: Milvus, report: Report) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        check_name="coverage_is_complete",
        passed=report.coverage == 1.0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"coverage": report.coverage, "vectors": report.rows},
    )
    rows, vectors = milvus.sample(report.collection, _SAMPLE)
    lengths = np.linalg.norm(vectors, axis=1) if len(rows) else np.ones(1)
    yield dg.AssetCheckResult(
        check_name="vectors_have_unit_length",
        passed=bool(np.all(np.abs(lengths - 1) < 1e-2)) and vectors.shape[1] == DIMENSION,
        metadata={"sampled": len(rows), "shortest": float(lengths.min()), "longest": float(lengths.max())},
    )
    some = vectors[:20]
    nearest = milvus.search(report.collection, some, limit=1, strong=True) if len(rows) else []
    lost = sum(1 for found in nearest if not found or found[0].score < 0.999)
    yield dg.AssetCheckResult(
        check_name="vectors_find_themselves",
        passed=lost == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"searched": len(some), "lost": lost},
    )


# What is made from the vectors by day depends on this one, for the reason given at `deps` above.
@dg.asset(
    key=LIVE_KEY,
    deps=[KEY],
    group_name="embeddings",
    owners=["team:data-platform"],
    kinds={"milvus"},
    description=(
        "One row: the collection that the alias `comment_embeddings` names, which searches read. It changes when "
        "another model or precision was embedded in full, never while one is being written."
    ),
)
def live_collection(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult[Any]:
    """Tell which collection is live, once the vectors are in."""
    milvus = Milvus(settings.require("milvus_url"))
    try:
        name = milvus.live()
        if name is None:
            raise dg.Failure(
                "no collection is live: the embeddings were never built; run `switchdesk build embeddings`",
                allow_retries=False,
            )
        return dg.MaterializeResult(
            metadata={"dagster/row_count": 1, "collection": name, "vectors": milvus.count(name)},
            data_version=dg.DataVersion(name),
        )
    finally:
        milvus.close()
