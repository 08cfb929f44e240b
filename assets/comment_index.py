"""The comment index: keeps a Milvus collection equal to the comments in PostgreSQL, touching only what changed.

A page of work is a stretch of load numbers. Milvus is written first, the watermark after it, so a build that dies
half-way repeats its last page; keys are derived from comment ids, so the repetition adds nothing.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

import numpy as np
import orjson
import psycopg
from numpy.typing import NDArray
from psycopg.rows import class_row

from assets import catalog
from assets.embedder import DIMENSION, Embedder
from assets.settings import SwitchdeskError
from assets.stores.milvus import CHUNKS_PER_COMMENT, CommentVector, Milvus, Where, collection_name
from assets.stores.postgres import BuildLock
from assets.text import BLANKS, HAS_TEXT, VERSION, Chunk, chunks

logger = logging.getLogger(__name__)

DATASET = "milvus.comment_embeddings"
SOURCE = "zendesk.ticket_comments"

_PAGE = 2_000
"""Comments of a page at least; a page ends where a load ends."""
_REMEMBERED = 50_000
"""Texts of a build whose vectors are kept in memory (75 MB)."""

_COMMENT = """
    select c.id, c.ticket_id, t.organization_id, extract(epoch from c.created_at)::bigint as created_at, c.is_public,
        case when u.role in ('agent', 'admin') or not c.is_public or exists (
            select from zendesk.ticket_comments n where n.author_id = c.author_id and not n.is_public
        ) then 'agent' else 'end_user' end as author_role,
        left(c.body, 262144) as body, length(c.body) > 262144 as is_cut
    from zendesk.ticket_comments c
    left join zendesk.tickets t on t.id = c.ticket_id
    left join zendesk.users u on u.id = c.author_id
"""


class CommentIndexError(SwitchdeskError):
    """The index cannot be built or does not hold what it should."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment as it is embedded."""

    id: int
    ticket_id: int
    organization_id: int | None
    created_at: int
    """Unix seconds."""
    is_public: bool
    author_role: str
    """`agent` if the author is one, ever was (wrote an internal note), or this is an internal note."""
    body: str
    is_cut: bool
    """The rest of the body, beyond 262,144 characters, is not embedded."""


@dataclass(slots=True)
class Report:
    """What a build did."""

    comments: int = 0
    """Comments looked at."""
    embedded: int = 0
    """Texts that went through the model."""
    reused: int = 0
    """Vectors taken from an equal text."""
    kept: int = 0
    """Vectors that stood as they should."""
    deleted: int = 0
    """Vectors removed."""
    cut: int = 0
    """Comments too long to be embedded whole."""
    seconds: float = 0.0
    """Time in the model."""
    rows: int = 0
    """Vectors in the collection, as published."""
    coverage: float = 0.0
    """Share of the comments with text that the collection holds, as published."""
    collection: str = ""
    model_id: str = ""
    version: int = 0
    """Of the dataset, as published."""

    @property
    def per_minute(self) -> float:
        """Texts a minute through the model; 0 where none went."""
        return round(60 * self.embedded / self.seconds, 1) if self.seconds else 0.0

    def facts(self) -> dict[str, Any]:
        """Figures that catalogue and Dagster show alike."""
        return {
            "collection": self.collection,
            "model_id": self.model_id,
            "dimension": DIMENSION,
            "embedded": self.embedded,
            "reused": self.reused,
            "deleted": self.deleted,
            "cut_comments": self.cut,
            "embedding_rate_per_minute": self.per_minute,
        }


class CommentIndex:
    """Builds over open clients; `progress` is called after each page with (comments done, comments to do)."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        milvus: Milvus,
        embedder: Embedder,
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """`connection` is the owner's and in autocommit: each page is a transaction of its own."""
        if not connection.autocommit:
            raise CommentIndexError("comment index needs a connection in autocommit: open it with autocommit=True")
        self._connection = connection
        self._milvus = milvus
        self._embedder = embedder
        self._progress = progress
        self._collection = collection_name(embedder.model_id)
        self._known: dict[str, NDArray[np.float32]] = {}
        self._months: Counter[str] = Counter()
        """Months that changed since the last publication, with their growth in comments."""

    def update(self, build_id: str = "") -> Report:
        """Embed what changed since the last build, remove what is gone, publish.

        The first build with another model or precision fills a collection of its own; the old one answers until the
        new one is complete.
        """
        report = Report(collection=self._collection, model_id=self._embedder.model_id)
        with self._alone():
            watermark = self._open()
            replaces_other = self._live_collection() not in (None, self._collection)
            as_of, end = self._source()
            erasures = self._erasures()
            total = self._count("load_seq > %(after)s and load_seq <= %(upto)s", {"after": watermark, "upto": end})
            while watermark < end:
                watermark, before = self._page_end(watermark, end), watermark
                self._refresh(self._changed(before, watermark), report)
                with self._connection.transaction():
                    self._store_watermark(watermark)
                    if not replaces_other:
                        self._publish(report, as_of, build_id)
                self._progress(report.comments, max(total, report.comments))
            self._erase(erasures, report)
            with self._connection.transaction():
                self._connection.execute(
                    "update ops.erasures set milvus_at = now() where id = any(%s)", ([row[0] for row in erasures],)
                )
                self._publish(report, as_of, build_id)
                if replaces_other and report.coverage < 1:
                    raise CommentIndexError(
                        f"new collection is incomplete: {self._collection} holds {report.coverage:.2%} of the "
                        "comments, so the old one stays live; run `switchdesk build embeddings` again"
                    )
            self._milvus.point(self._collection)
            self._drop_others(keeps_last=replaces_other)
        return report

    def rebuild_days(self, first: date, last: date, build_id: str = "") -> Report:
        """Embed the comments written in these UTC days (both included) anew; nothing else moves, nor the watermark."""
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        stop = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        report = Report(collection=self._collection, model_id=self._embedder.model_id)
        with self._alone():
            live = self._live_collection()
            if live not in (None, self._collection):
                raise CommentIndexError(
                    f"days cannot be embedded by another model than the live one: {live}; "
                    "run `switchdesk build embeddings` without days first"
                )
            self._milvus.ensure(self._collection, DIMENSION)
            as_of, _ = self._source()
            written = "created_at >= %(start)s and created_at < %(stop)s"
            total = self._count(written, {"start": start, "stop": stop})
            stored = self._milvus.rows(
                self._collection, Where(created_from=int(start.timestamp()), created_to=int(stop.timestamp()))
            )
            present: set[int] = set()
            for comments in self._written(start, stop):
                present.update(comment.id for comment in comments)
                self._refresh(comments, report, anew=True)
                self._progress(report.comments, max(total, report.comments))
            self._remove([row for row in stored if row.comment_id not in present], report)
            with self._connection.transaction():
                self._publish(report, as_of, build_id)
            self._milvus.point(self._collection)
        return report

    def _refresh(self, comments: Sequence[Comment], report: Report, *, anew: bool = False) -> None:
        """Make the vectors of these comments what they should be."""
        held = self._milvus.rows(self._collection, Where(comment_ids=[comment.id for comment in comments]))
        stored = {row.id: row for row in held}
        wanted = [
            (_row(comment, place, chunk), chunk)
            for comment in comments
            for place, chunk in enumerate(chunks(comment.body, self._embedder.token_spans))
        ]
        writes = [(row, chunk) for row, chunk in wanted if anew or stored.get(row.id) != row]
        if writes:
            vectors = self._vectors([chunk for _, chunk in writes], report, anew=anew)
            self._milvus.upsert(self._collection, [row for row, _ in writes], vectors)
        for row, _ in writes:
            if stored.get(row.id) != row:
                self._months[_month(row)] += 1 if row.id not in stored and row.chunk == 0 else 0
        keys = {row.id for row, _ in wanted}
        self._remove([row for row in held if row.id not in keys], report)
        report.comments += len(comments)
        report.cut += sum(1 for comment in comments if comment.is_cut)
        report.kept += len(wanted) - len(writes)

    def _vectors(self, pieces: Sequence[Chunk], report: Report, *, anew: bool) -> NDArray[np.float32]:
        """Vectors of the chunks, each distinct text embedded once, here or in an earlier build."""
        texts = {piece.digest: piece.text for piece in pieces}
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        missing = [digest for digest in texts if digest not in self._known]
        if missing and not anew:
            self._known |= self._milvus.vectors_by_hash(self._collection, missing)
            missing = [digest for digest in missing if digest not in self._known]
        started = time.monotonic()
        fresh = self._embedder.encode([texts[digest] for digest in missing])
        report.seconds += time.monotonic() - started
        self._known |= dict(zip(missing, fresh, strict=True))
        report.embedded += len(missing)
        report.reused += len(pieces) - len(missing)
        return np.asarray([self._known[piece.digest] for piece in pieces], dtype=np.float32)

    def _remove(self, rows: Sequence[CommentVector], report: Report) -> None:
        self._milvus.delete_keys(self._collection, [row.id for row in rows])
        report.deleted += len(rows)
        for row in rows:
            self._months[_month(row)] -= 1 if row.chunk == 0 else 0

    def _erase(self, erasures: Sequence[tuple[int, int, int | None]], report: Report) -> None:
        """Take out what had to go, of the live collection and of any other that still exists.

        A redacted comment may have been embedded again after its erasure was read: the live collection is compared
        with PostgreSQL rather than emptied blindly.
        """
        tickets = sorted({ticket for _, ticket, comment in erasures if comment is None})
        named = sorted({comment for _, _, comment in erasures if comment is not None})
        for collection in self._milvus.collections():
            if collection != self._collection:
                self._milvus.delete(collection, Where(ticket_ids=tickets))
                self._milvus.delete(collection, Where(comment_ids=named))
        for start in range(0, len(tickets), _PAGE):
            self._compare("c.ticket_id = any(%(ids)s)", tickets[start : start + _PAGE], report, by_ticket=True)
        for start in range(0, len(named), _PAGE):
            self._compare("c.id = any(%(ids)s)", named[start : start + _PAGE], report, by_ticket=False)

    def _compare(self, condition: LiteralString, ids: Sequence[int], report: Report, *, by_ticket: bool) -> None:
        where = Where(ticket_ids=ids) if by_ticket else Where(comment_ids=ids)
        stored = self._milvus.rows(self._collection, where)
        present = self._comments(condition, {"ids": list(ids)})
        known = {comment.id for comment in present}
        self._remove([row for row in stored if row.comment_id not in known], report)
        self._refresh(present, report)

    def _publish(self, report: Report, as_of: datetime, build_id: str) -> None:
        """Count both sides and publish inside the caller's transaction."""
        report.rows = self._milvus.count(self._collection)
        held = self._milvus.comments(self._collection)
        due = self._count(HAS_TEXT, {"blanks": BLANKS})
        report.coverage = min(1.0, held / due) if due else 1.0
        known = catalog.current(self._connection).datasets
        counts = {
            name: int(count)
            for name, count in self._connection.execute(
                "select partition, rows from catalog.partitions where dataset = %s and partition = any(%s)",
                (DATASET, list(self._months)),
            ).fetchall()
        }
        facts = report.facts()
        if not report.embedded and DATASET in known:
            # A run with nothing to do has no rate of its own: the last one measured stays.
            facts["embedding_rate_per_minute"] = known[DATASET].facts.get("embedding_rate_per_minute", 0.0)
        mark = f"{self._collection}:{datetime.now(UTC).isoformat()}"
        report.version = catalog.publish(
            self._connection,
            DATASET,
            as_of=as_of,
            rows=report.rows,
            facts=facts,
            coverage=report.coverage,
            build_id=build_id,
            # Only months with a vector written or removed are named, so the moment stands for their content.
            partitions={month: (mark, counts.get(month, 0) + growth) for month, growth in self._months.items()},
            changed=bool(self._months)
            or DATASET not in known
            or known[DATASET].facts.get("collection") != self._collection,
        )
        self._months.clear()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One build at a time: another waits here, and finds little left to do."""
        self._connection.execute("select pg_advisory_lock(%s)", (BuildLock.COMMENT_INDEX,))
        try:
            yield
        finally:
            self._connection.execute("select pg_advisory_unlock(%s)", (BuildLock.COMMENT_INDEX,))

    def _open(self) -> int:
        """Prepare the collection and return the load number up to which it holds everything."""
        row = self._connection.execute(
            "select load_seq, facts from ops.watermarks where dataset = %s", (DATASET,)
        ).fetchone()
        is_new = not self._milvus.exists(self._collection)
        self._milvus.ensure(self._collection, DIMENSION)
        return 0 if row is None or is_new or row[1] != self._made_by() else int(row[0])

    def _store_watermark(self, load_seq: int) -> None:
        self._connection.execute(
            """
            insert into ops.watermarks (dataset, load_seq, facts) values (%s, %s, %s)
            on conflict (dataset) do update set
                load_seq = excluded.load_seq, facts = excluded.facts, updated_at = now()
            """,
            (DATASET, load_seq, orjson.dumps(self._made_by()).decode()),
        )

    def _made_by(self) -> dict[str, Any]:
        return {"collection": self._collection, "text": VERSION}

    def _live_collection(self) -> str | None:
        published = catalog.current(self._connection).datasets.get(DATASET)
        return None if published is None else published.facts.get("collection")

    def _source(self) -> tuple[datetime, int]:
        """The moment up to which the copy holds everything, and its last load; in this order, never the other."""
        source = catalog.current(self._connection).datasets.get(SOURCE)
        row = self._connection.execute(
            "select greatest((select max(load_seq) from zendesk.ticket_comments),"
            " (select max(load_seq) from zendesk.tickets), 0)"
        ).fetchone()
        assert row is not None
        return source.as_of if source else datetime.now(UTC), int(row[0])

    def _page_end(self, after: int, end: int) -> int:
        """The load that ends the next page: some thousand changed comments or tickets, and always whole loads."""
        row = self._connection.execute(
            """
            select least(%(end)s,
                (select load_seq from zendesk.ticket_comments where load_seq > %(after)s
                 order by load_seq offset %(page)s limit 1),
                (select load_seq from zendesk.tickets where load_seq > %(after)s
                 order by load_seq offset %(page)s limit 1))
            """,
            {"after": after, "end": end, "page": _PAGE},
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _changed(self, after: int, upto: int) -> list[Comment]:
        """Comments that changed in these loads, and earlier ones whose ticket did."""
        return self._comments(
            """
            c.load_seq > %(after)s and c.load_seq <= %(upto)s
            or c.load_seq <= %(after)s and c.ticket_id in (
                select k.id from zendesk.tickets k where k.load_seq > %(after)s and k.load_seq <= %(upto)s)
            """,
            {"after": after, "upto": upto},
        )

    def _written(self, start: datetime, stop: datetime) -> Iterator[list[Comment]]:
        """Comments written in a range, page by page."""
        last = 0
        while page := self._comments(
            "c.created_at >= %(start)s and c.created_at < %(stop)s and c.id > %(last)s",
            {"start": start, "stop": stop, "last": last, "page": _PAGE},
            "order by c.id limit %(page)s",
        ):
            yield page
            last = page[-1].id

    def _comments(
        self, condition: LiteralString, parameters: Mapping[str, Any], rest: LiteralString = ""
    ) -> list[Comment]:
        with self._connection.cursor(row_factory=class_row(Comment)) as cursor:
            return cursor.execute(f"{_COMMENT} where {condition} {rest}", parameters).fetchall()

    def _erasures(self) -> list[tuple[int, int, int | None]]:
        return self._connection.execute(
            "select id, ticket_id, comment_id from ops.erasures where milvus_at is null order by id"
        ).fetchall()

    def _count(self, condition: LiteralString, parameters: Mapping[str, Any]) -> int:
        row = self._connection.execute(
            f"select count(*) from zendesk.ticket_comments where {condition}", parameters
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _drop_others(self, *, keeps_last: bool) -> None:
        """Drop collections of other models; one that was live until now serves the questions under way once more."""
        if keeps_last:
            return
        for collection in self._milvus.collections():
            if collection != self._collection:
                self._milvus.drop(collection)
                logger.info("dropped a collection that nothing reads", extra={"collection": collection})


def _row(comment: Comment, place: int, chunk: Chunk) -> CommentVector:
    return CommentVector(
        id=comment.id * CHUNKS_PER_COMMENT + place,
        ticket_id=comment.ticket_id,
        comment_id=comment.id,
        organization_id=comment.organization_id,
        created_at=comment.created_at,
        is_public=comment.is_public,
        author_role=comment.author_role,
        text_hash=chunk.digest,
        chunk=place,
        start=chunk.start,
        end=chunk.end,
    )


def _month(row: CommentVector) -> str:
    return datetime.fromtimestamp(row.created_at, UTC).strftime("%Y-%m")
