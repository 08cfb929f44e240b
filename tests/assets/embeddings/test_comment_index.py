"""Milvus is kept equal to the comments in PostgreSQL, against the real ones."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from assets import catalog
from assets.catalog import DatasetVersion
from assets.comment_index import DATASET, CommentIndex, CommentIndexError, Report
from assets.embedder import Embedder, Precision
from assets.stores.milvus import CommentVector, Milvus, MilvusUnreachableError, Where, collection_name
from assets.text import MAX_CHUNKS
from tests.fakes.copied import NOON, Copied

pytestmark = pytest.mark.stack


class Pipeline:
    """The copy, Milvus and the model of one test."""

    def __init__(self, copied: Copied, milvus: Milvus, embedder: Embedder) -> None:
        self.copied, self.milvus, self.embedder = copied, milvus, embedder
        self.collection = collection_name(embedder.model_id)

    def index(self) -> CommentIndex:
        return CommentIndex(self.copied.connection, self.milvus, self.embedder)

    def update(self) -> Report:
        return self.index().update("test")

    def stored(self, *comments: int) -> list[CommentVector]:
        return sorted(self.milvus.rows(self.collection, Where(comment_ids=comments)), key=lambda row: row.id)

    def vector(self, comment: int) -> np.ndarray:
        _, vectors = self.milvus.vectors_of(self.collection, Where(comment_ids=[comment]))
        return vectors[0]

    def published(self) -> DatasetVersion:
        return catalog.current(self.copied.connection).datasets[DATASET]


@pytest.fixture
def pipeline(copied: Copied, milvus: Milvus, embedder: Embedder) -> Pipeline:
    copied.ticket(1, organization_id=77)
    copied.ticket(2)
    copied.user(501, "Ada Customer")
    copied.user(601, "Grace Agent", role="agent")
    copied.comment(11, 1, "The parcel is late and nobody answers the phone.")
    copied.comment(12, 1, "We are sorry, the carrier is on strike.", author_id=601)
    copied.comment(13, 1, "Carrier strike until Friday, do not promise dates.", author_id=602, is_public=False)
    copied.comment(21, 2, "My camera shows a black picture.", author_id=502)
    copied.publish()
    return Pipeline(copied, milvus, embedder)


def test_every_comment_is_embedded_with_what_searches_filter_by(pipeline: Pipeline) -> None:
    report = pipeline.update()
    assert (report.comments, report.embedded, report.rows, report.coverage) == (4, 4, 4, 1.0)
    late, _, note, camera = pipeline.stored(11, 12, 13, 21)
    assert (late.ticket_id, late.organization_id, late.is_public, late.author_role) == (1, 77, True, "end_user")
    assert late.created_at == int(NOON.timestamp())
    assert (late.chunk, late.start, late.end) == (0, 0, len("The parcel is late and nobody answers the phone."))
    assert (note.is_public, note.author_role) == (False, "agent")
    assert camera.organization_id is None
    expected = pipeline.embedder.encode(["My camera shows a black picture."])[0]
    assert float(pipeline.vector(21) @ expected) > 0.999


def test_who_wrote_an_internal_note_is_an_agent_in_public_too(pipeline: Pipeline) -> None:
    pipeline.copied.comment(14, 1, "Here is what I found.", author_id=602)
    pipeline.update()
    assert pipeline.stored(14)[0].author_role == "agent"


def test_the_catalogue_names_collection_model_and_coverage(pipeline: Pipeline) -> None:
    report = pipeline.update()
    published = pipeline.published()
    assert published.facts["collection"] == pipeline.collection
    assert published.facts["model_id"] == pipeline.embedder.model_id
    assert published.as_of == NOON
    assert (published.rows, published.coverage, published.version) == (4, 1.0, report.version)
    assert published.facts["embedding_rate_per_minute"] > 0
    assert pipeline.milvus.live() == pipeline.collection


def test_a_second_build_does_nothing_and_keeps_the_version(pipeline: Pipeline) -> None:
    first = pipeline.update()
    pipeline.copied.publish(NOON + timedelta(minutes=5))
    second = pipeline.update()
    assert (second.comments, second.embedded, second.version) == (0, 0, first.version)
    assert pipeline.published().as_of == NOON + timedelta(minutes=5)


def test_only_the_changed_text_is_embedded_again(pipeline: Pipeline) -> None:
    pipeline.update()
    before = pipeline.vector(11)
    pipeline.copied.comment(21, 2, "It works again, thank you.", author_id=502)
    report = pipeline.update()
    assert (report.comments, report.embedded, report.rows) == (1, 1, 4)
    assert np.array_equal(pipeline.vector(11), before)
    assert float(pipeline.vector(21) @ pipeline.embedder.encode(["It works again, thank you."])[0]) > 0.999


def test_a_ticket_that_changes_organization_takes_its_comments_along_without_embedding(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.ticket(1, organization_id=78)
    report = pipeline.update()
    assert report.embedded == 0
    assert {row.organization_id for row in pipeline.stored(11, 12, 13)} == {78}


def test_equal_texts_are_embedded_once_within_a_build_and_across_builds(pipeline: Pipeline) -> None:
    macro = "Thank you for writing to us. We answer within one day."
    pipeline.copied.comment(31, 2, macro)
    pipeline.copied.comment(32, 2, macro.upper())
    first = pipeline.update()
    assert (first.embedded, first.reused) == (5, 1)
    pipeline.copied.comment(33, 2, f"  {macro}\n")
    second = pipeline.update()
    assert (second.embedded, second.reused, second.rows) == (0, 1, 7)


def test_a_redacted_comment_loses_its_old_vector(pipeline: Pipeline) -> None:
    pipeline.update()
    old = pipeline.vector(11)
    pipeline.copied.redact(11, 1, "The parcel is late and ▇▇▇▇ ▇▇▇▇.")
    pipeline.update()
    assert float(pipeline.vector(11) @ old) < 0.999
    pipeline.copied.redact(11, 1, "▇")
    report = pipeline.update()
    assert pipeline.stored(11) == []
    assert (report.rows, report.coverage) == (3, 1.0)
    assert _open_erasures(pipeline.copied) == 0


def test_a_redaction_that_was_embedded_before_its_erasure_was_read_is_not_lost(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.redact(11, 1, "The parcel is late.")
    pipeline.update()
    pipeline.copied.connection.execute("update ops.erasures set milvus_at = null")
    pipeline.update()
    assert len(pipeline.stored(11)) == 1
    assert pipeline.published().coverage == 1.0


def test_a_scrubbed_ticket_leaves_milvus(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.copied.scrub(1)
    report = pipeline.update()
    assert (report.deleted, report.rows) == (3, 1)
    assert pipeline.stored(11, 12, 13) == []
    assert _open_erasures(pipeline.copied) == 0


def test_text_leaves_a_collection_of_an_older_model_too(pipeline: Pipeline) -> None:
    other = Embedder(Precision.F32 if pipeline.embedder.precision is Precision.BF16 else Precision.BF16)
    CommentIndex(pipeline.copied.connection, pipeline.milvus, other).update()
    old = collection_name(other.model_id)
    pipeline.copied.scrub(1)
    pipeline.update()
    assert pipeline.milvus.exists(old)
    assert {row.comment_id for row in pipeline.milvus.rows(old, Where(ticket_ids=[1, 2]))} == {21}


def test_another_precision_fills_a_collection_of_its_own_and_then_takes_over(pipeline: Pipeline) -> None:
    other = Embedder(Precision.F32 if pipeline.embedder.precision is Precision.BF16 else Precision.BF16)
    CommentIndex(pipeline.copied.connection, pipeline.milvus, other).update()
    old = collection_name(other.model_id)
    assert pipeline.published().facts["collection"] == old
    report = pipeline.update()
    assert report.rows == 4
    assert pipeline.published().facts["collection"] == pipeline.collection
    assert pipeline.milvus.live() == pipeline.collection
    assert pipeline.milvus.collections() == sorted([old, pipeline.collection])
    pipeline.update()
    assert pipeline.milvus.collections() == [pipeline.collection]


def test_a_build_that_dies_half_way_is_repeated_without_duplicates(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = pipeline.index()
    with monkeypatch.context() as patch:
        patch.setattr(index, "_store_watermark", _die)
        with pytest.raises(KeyboardInterrupt):
            index.update()
    assert pipeline.milvus.count(pipeline.collection) == 4
    report = pipeline.update()
    assert (report.comments, report.embedded, report.kept, report.rows) == (4, 0, 4, 4)


def test_a_lost_collection_is_filled_again(pipeline: Pipeline) -> None:
    pipeline.update()
    pipeline.milvus.unpoint()
    pipeline.milvus.drop(pipeline.collection)
    assert pipeline.update().rows == 4


def test_a_day_is_embedded_anew_and_no_other(pipeline: Pipeline) -> None:
    next_day = NOON + timedelta(days=1)
    pipeline.copied.comment(41, 2, "A word of the next day.", created_at=next_day)
    pipeline.update()
    watermark = _watermark(pipeline.copied)
    other = pipeline.vector(11)
    wrong = np.zeros((1, other.size), dtype=np.float32)
    wrong[0, 0] = 1.0
    pipeline.milvus.upsert(pipeline.collection, pipeline.stored(41), wrong)
    orphan = CommentVector(99 * 256, 2, 99, None, int(next_day.timestamp()), True, "agent", "0" * 64, 0, 0, 4)
    pipeline.milvus.upsert(pipeline.collection, [orphan], wrong)

    report = pipeline.index().rebuild_days(next_day.date(), next_day.date())

    assert (report.comments, report.embedded, report.deleted, report.rows) == (1, 1, 1, 5)
    assert float(pipeline.vector(41) @ pipeline.embedder.encode(["A word of the next day."])[0]) > 0.999
    assert np.array_equal(pipeline.vector(11), other)
    assert _watermark(pipeline.copied) == watermark


def test_a_day_that_needs_nothing_keeps_the_version(pipeline: Pipeline) -> None:
    version = pipeline.update().version
    assert pipeline.index().rebuild_days(NOON.date(), NOON.date()).version == version
    assert pipeline.index().rebuild_days(date(2020, 1, 1), date(2020, 1, 2)).comments == 0


def test_only_months_that_changed_get_a_new_version(pipeline: Pipeline) -> None:
    pipeline.copied.comment(51, 2, "From another month.", created_at=datetime(2026, 10, 5, tzinfo=UTC))
    pipeline.update()
    before = catalog.current(pipeline.copied.connection).partitions
    pipeline.copied.comment(52, 2, "One more of this month.")
    pipeline.update()
    after = catalog.current(pipeline.copied.connection).partitions
    assert after[DATASET, "2026-10"] == before[DATASET, "2026-10"]
    assert after[DATASET, "2026-11"] == before[DATASET, "2026-11"] + 1
    counts = pipeline.copied.connection.execute(
        "select partition, rows from catalog.partitions where dataset = %s", (DATASET,)
    ).fetchall()
    assert dict(counts) == {"2026-10": 1, "2026-11": 5}


@pytest.mark.parametrize(
    ("body", "vectors"),
    [
        ("", 0),
        (" \n\t ", 0),
        ("▇▇▇", 0),
        ("🎉", 1),
        ("مرحبا، لم يصل الطرد بعد", 1),
        ("refund " * 1_500_000, MAX_CHUNKS),
        ("x" * 10_000_000, 1),
    ],
    ids=["empty", "blank", "redacted", "emoji", "right to left", "ten megabytes", "one endless word"],
)
def test_hostile_comments_are_embedded_or_left_out_and_never_stop_a_build(
    pipeline: Pipeline, body: str, vectors: int
) -> None:
    pipeline.copied.comment(61, 2, body)
    report = pipeline.update()
    assert len(pipeline.stored(61)) == vectors
    assert report.coverage == 1.0
    assert report.cut == (1 if len(body) > 262_144 else 0)


def test_a_long_comment_that_becomes_short_loses_its_further_chunks(pipeline: Pipeline) -> None:
    pipeline.copied.comment(61, 2, "The hub drops offline every night. " * 100)
    pipeline.update()
    assert len(pipeline.stored(61)) > 1
    pipeline.copied.comment(61, 2, "Solved.")
    pipeline.update()
    assert [row.chunk for row in pipeline.stored(61)] == [0]


def test_an_empty_help_desk_is_covered_and_has_no_vectors(copied: Copied, milvus: Milvus, embedder: Embedder) -> None:
    report = CommentIndex(copied.connection, milvus, embedder).update()
    assert (report.rows, report.coverage) == (0, 1.0)


def test_a_milvus_that_is_away_is_said_in_a_sentence(copied: Copied, embedder: Embedder) -> None:
    copied.comment(11, 1, "Hello")
    with pytest.raises(MilvusUnreachableError, match=r"Milvus does not answer: 127\.0\.0\.1:1;"):
        CommentIndex(copied.connection, Milvus("http://127.0.0.1:1", timeout=1), embedder).update()


def test_a_connection_without_autocommit_is_refused(copied: Copied, milvus: Milvus, embedder: Embedder) -> None:
    copied.connection.set_autocommit(False)
    with pytest.raises(CommentIndexError, match="autocommit"):
        CommentIndex(copied.connection, milvus, embedder)
    copied.connection.set_autocommit(True)


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def _open_erasures(copied: Copied) -> int:
    row = copied.connection.execute("select count(*) from ops.erasures where milvus_at is null").fetchone()
    assert row is not None
    return int(row[0])


def _watermark(copied: Copied) -> int:
    row = copied.connection.execute("select load_seq from ops.watermarks where dataset = %s", (DATASET,)).fetchone()
    assert row is not None
    return int(row[0])
