"""Search: a text -> the comments nearest to it in meaning and words, each with a sentence of it, word for word.

Internal notes are found too, since support people ask; every hit says whether it is public and who wrote it, and the
dimensions `is_public` and `author_role` narrow to either. PostgreSQL has the last word: a comment that is gone from
there, or was changed, is never shown from a vector.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from psycopg_pool import ConnectionPool
from rapidfuzz import fuzz

from assets.catalog import DatasetVersion, current
from assets.embedder import Embedder
from assets.stores.milvus import CollectionMissingError, Match, Milvus, MilvusError, Where
from serving.errors import Invalid, StoreUnavailable
from serving.planning.plan import Filter, Operator, SearchPlan
from serving.tiers.ticket_filter import ticket_ids

DATASET = "milvus.comment_embeddings"

_WORD_SHARE = 0.2
"""Weight of the words found as written; the rest is nearness in meaning."""
_LEAST_MEANING = 0.3
"""Cosine below which neighbours have nothing to do with the query; a comment with all its words counts anyway."""
_NEAR_MEANING = 0.4
"""Cosine below which neighbours may well have little to do with it."""
_CANDIDATES = 60
_MOST_CANDIDATES = 2_000
_WORD_CANDIDATES = 50
_LISTED_TICKETS = 5_000
"""More tickets than this are not written into a Milvus filter; neighbours are then sifted in PostgreSQL."""
_FAR = "no comment is close to what was asked; these are the nearest there are"
_SAME_TEXT = 95.0
"""Similarity (0-100) from which two comments count as one text: macros, automatic replies, quoted mail."""
_SAME_QUOTE = 85.0
"""Similarity (0-100) from which two quotes say the same."""
_SENTENCES_PER_HIT = 24
_LONGEST_QUOTE = 400
_SHORT_SENTENCE = 25
_READ_OF_COMMENT = 1 << 18
"""Characters of a comment that were embedded at most (`assets.text`)."""
_READ_OF_QUERY = 2_000
"""Characters of a query that are looked at; the model reads 256 tokens."""

_BREAK = re.compile(r"""(?<=[.!?])["')\]]*\s+|(?<=[。！？؟])|\n""")
"""No alternative starts with a run of any length, so a comment of blanks costs one pass."""
_WORD = re.compile(r"[^\W_]{2,}")
_NOTICE = re.compile(
    r"This is a follow-up to your previous request #\d|Request #\d+ .{0,300}? was closed and merged into this request"
    r"|This request was closed and merged into request #\d|Last comment in request #\d"
)
"""Sentences that Zendesk puts into comments by itself; none is quoted where there is another."""
_GREETING = re.compile(
    r"(?:dear|hello|hi|hey|good (?:morning|afternoon|evening|day))\b[^.?\n]{0,60}[,!:]?", re.IGNORECASE
)
"""A salutation alone on its line; not quoted where there is another sentence."""
_COMMON = frozenset(
    "a about after all also an and any are as at be been before but by can could did do does for from had has have how"
    " i if in into is it its just like me more most my no not of on or our say saying says show so some tell than that"
    " the their them there these they this to us was we were what when where which who why will with would you your"
    " comment comments complain complaining complaint complaints customer customers example examples find mention"
    " mentioning mentions people ticket tickets".split()
)
"""Words that say nothing about what a comment should hold."""
_ROLES = {"agent": "agent", "end_user": "end_user", "end-user": "end_user", "customer": "end_user"}


class Mode(StrEnum):
    """How the hits were found."""

    HYBRID = "hybrid"
    """By meaning and by words."""
    SEMANTIC = "semantic"
    """By meaning alone: the query has no word of its own to look for."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One comment that was found."""

    ticket_id: int
    comment_id: int
    score: float
    """0-1: 0.8 of the cosine and 0.2 of the share of the query's words that stand in the comment."""
    quote: str
    """Sentence(s) of the comment, verbatim."""
    author_role: str
    """`agent` or `end_user`."""
    is_public: bool
    """False: an internal note."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found and over what."""

    hits: tuple[Hit, ...]
    """Best first; those that say again what a better one says come after all others."""
    mode: Mode
    coverage: float
    """Share (0-1) of the comments with text that could be found."""
    dataset: DatasetVersion
    """The version of `milvus.comment_embeddings` that was read."""
    model_id: str
    """Model that embedded comments and query."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Comment:
    id: int
    ticket_id: int
    created_at: datetime
    is_public: bool
    body: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    comment: _Comment
    match: Match
    score: float


class Search:
    """Finds comments; safe to share between threads. Nothing is opened before the first search."""

    def __init__(self, questions: ConnectionPool, milvus: Milvus, *, embedder_threads: int = 1) -> None:
        """`questions` is a pool of the login that may read the marts, the catalogue and the comments' text."""
        self._questions = questions
        self._milvus = milvus
        self._threads = embedder_threads
        self._embedders: dict[str, Embedder] = {}
        self._opening = threading.Lock()

    def search(self, plan: SearchPlan, *, rows: Sequence[Filter] = (), timeout: float = 10.0) -> SearchResult:
        """Find the comments nearest to the plan's text.

        `rows` are the asker's own limits, beside the plan's filters. Raises Invalid for an empty text or an unknown
        dimension, StoreUnavailable where nothing was embedded yet or Milvus is away.
        """
        query = " ".join(plan.query[:_READ_OF_QUERY].replace("\x00", " ").split())
        if not query:
            raise Invalid("search text empty: say what the comments should be about")
        ticket_filters, where = _split(plan, rows)
        with _reading(self._questions) as connection:
            dataset = current(connection).datasets.get(DATASET)
            if dataset is None or "collection" not in dataset.facts:
                raise StoreUnavailable("no comments are embedded yet: run `switchdesk build embeddings`")
            tickets = ticket_ids(connection, ticket_filters)
        words = _distinctive(query)
        hits: tuple[Hit, ...] = ()
        far = False
        if where is not None and tickets != []:
            embedder = self._embedder(str(dataset.facts["model_id"]))
            vector = embedder.encode([query])
            try:
                found = self._candidates(
                    str(dataset.facts["collection"]), vector, words, where, tickets, plan.limit, timeout
                )
            except CollectionMissingError:
                raise StoreUnavailable("the embedded comments are being replaced: ask again in a minute") from None
            except MilvusError as error:
                raise StoreUnavailable(str(error)) from None
            far = bool(found) and max(item.match.score for item in found) < _NEAR_MEANING
            hits = _varied(_hits(embedder, vector[0], words, _distinct(found, 3 * plan.limit)), plan.limit)
        return SearchResult(
            hits=hits,
            mode=Mode.HYBRID if words else Mode.SEMANTIC,
            coverage=dataset.coverage,
            dataset=dataset,
            model_id=str(dataset.facts["model_id"]),
            warnings=(*_warnings(plan, dataset), *((_FAR,) if far else ())),
        )

    def _candidates(
        self,
        collection: str,
        vector: NDArray[np.float32],
        words: Sequence[str],
        where: Where,
        tickets: list[int] | None,
        limit: int,
        timeout: float,
    ) -> list[_Candidate]:
        """Comments near in meaning, and those that hold all the words, each with its nearest chunk; best first."""
        listed = tickets if tickets is not None and len(tickets) <= _LISTED_TICKETS else None
        allowed = None if tickets is None or listed is not None else frozenset(tickets)
        wanted = max(_CANDIDATES, 5 * limit)
        while True:
            narrowed = replace(where, ticket_ids=listed)
            nearest = self._milvus.search(collection, vector, limit=wanted, where=narrowed, timeout=timeout)[0]
            found = [match for match in nearest if allowed is None or match.row.ticket_id in allowed]
            # A macro may fill the whole list, so what counts is how many texts there are, not how many comments.
            texts = len({match.row.text_hash for match in found})
            if texts >= 3 * limit or len(nearest) < wanted or wanted >= _MOST_CANDIDATES:
                break
            wanted = min(4 * wanted, _MOST_CANDIDATES)
        with _reading(self._questions) as connection:
            known = {match.row.comment_id for match in found}
            worded = [comment for comment in _holding(connection, words, where, tickets) if comment not in known]
            if worded:
                narrowed = replace(where, comment_ids=worded)
                found += self._milvus.search(
                    collection, vector, limit=4 * len(worded), where=narrowed, timeout=timeout
                )[0]
            best: dict[int, Match] = {}
            for match in found:
                before = best.get(match.row.comment_id)
                if before is None or match.score > before.score:
                    best[match.row.comment_id] = match
            comments = _comments(connection, list(best), where)
        candidates = [_scored(comment, best[comment.id], words) for comment in comments]
        return sorted((item for item in candidates if item is not None), key=lambda item: -item.score)

    def _embedder(self, model_id: str) -> Embedder:
        with self._opening:
            if model_id not in self._embedders:
                self._embedders = {model_id: Embedder.named(model_id, threads=self._threads)}
            return self._embedders[model_id]


@contextmanager
def _reading(pool: ConnectionPool) -> Iterator[psycopg.Connection[Any]]:
    """One REPEATABLE READ transaction of the questions' login."""
    with pool.connection() as connection, connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        yield connection


def _split(plan: SearchPlan, rows: Sequence[Filter]) -> tuple[list[Filter], Where | None]:
    """Conditions on tickets, and those on comments as a Milvus filter; None where no comment can meet them."""
    roles, visibility = {"agent", "end_user"}, {True, False}
    tickets: list[Filter] = []
    for item in (*plan.filters, *rows):
        if item.dimension in {"author_role", "is_public"}:
            if item.op not in {Operator.EQ, Operator.IN, Operator.NE, Operator.NOT_IN}:
                raise Invalid(f"filter malformed: {item.dimension} takes =, !=, in or not_in, not {item.op}")
            negated = item.op in {Operator.NE, Operator.NOT_IN}
            if item.dimension == "author_role":
                named = {_role(value) for value in item.values}
                roles = roles - named if negated else roles & named
            else:
                flags = {_flag(value) for value in item.values}
                visibility = visibility - flags if negated else visibility & flags
        else:
            tickets.append(item)
    if not roles or not visibility:
        return tickets, None
    return tickets, Where(
        created_from=None if plan.time.from_ is None else int(plan.time.from_.timestamp()),
        created_to=None if plan.time.to is None else int(plan.time.to.timestamp()),
        is_public=visibility.pop() if len(visibility) == 1 else None,
        author_role=roles.pop() if len(roles) == 1 else None,
    )


def _role(value: object) -> str:
    role = _ROLES.get(str(value).strip().lower())
    if role is None:
        raise Invalid(f"filter value unknown: author_role {str(value)[:40]!r}; it is agent or end_user")
    return role


def _flag(value: object) -> bool:
    flag = {"true": True, "false": False}.get(str(value).lower())
    if flag is None:
        raise Invalid(f"filter value unknown: is_public {str(value)[:40]!r}; it is true or false")
    return flag


def _distinctive(query: str) -> tuple[str, ...]:
    """Words of the query that a comment could hold, each once, in their order."""
    words = dict.fromkeys(word for word in _WORD.findall(query.lower()) if word not in _COMMON)
    return tuple(words)[:32]


def _holding(
    connection: psycopg.Connection[Any], words: Sequence[str], where: Where, tickets: Sequence[int] | None
) -> list[int]:
    """Ids of the newest comments that hold all the words, whatever their ending."""
    if not words:
        return []
    parameters: dict[str, Any] = {"words": " ".join(words), "most": _WORD_CANDIDATES}
    conditions = [
        sql.SQL("to_tsvector('english', left(body, 65536)) @@ plainto_tsquery('english', %(words)s)"),
        *_conditions(where, parameters),
    ]
    if tickets is not None:
        conditions.append(sql.SQL("ticket_id = any(%(tickets)s)"))
        parameters["tickets"] = list(tickets)
    statement = sql.SQL(
        "select id from zendesk.ticket_comments where {} order by created_at desc, id desc limit %(most)s"
    ).format(sql.SQL(" and ").join(conditions))
    return [int(row[0]) for row in connection.execute(statement, parameters).fetchall()]


def _comments(connection: psycopg.Connection[Any], ids: Sequence[int], where: Where) -> list[_Comment]:
    """The comments as they are now: a vector that is behind cannot show what has become private or is gone."""
    parameters: dict[str, Any] = {"ids": list(ids), "read": _READ_OF_COMMENT}
    conditions = [sql.SQL("id = any(%(ids)s)"), *_conditions(where, parameters)]
    statement = sql.SQL(
        "select id, ticket_id, created_at, is_public, left(body, %(read)s) from zendesk.ticket_comments where {}"
    ).format(sql.SQL(" and ").join(conditions))
    return [_Comment(*row) for row in connection.execute(statement, parameters).fetchall()]


def _conditions(where: Where, parameters: dict[str, Any]) -> Iterator[sql.Composable]:
    if where.created_from is not None:
        parameters["created_from"] = where.created_from
        yield sql.SQL("created_at >= to_timestamp(%(created_from)s)")
    if where.created_to is not None:
        parameters["created_to"] = where.created_to
        yield sql.SQL("created_at < to_timestamp(%(created_to)s)")
    if where.is_public is not None:
        parameters["is_public"] = where.is_public
        yield sql.SQL("is_public = %(is_public)s")


def _scored(comment: _Comment, match: Match, words: Sequence[str]) -> _Candidate | None:
    """Score a comment; None where neither meaning nor words bring it near."""
    meaning = min(max(match.score, 0.0), 1.0)
    if not words:
        return _Candidate(comment, match, meaning) if meaning >= _LEAST_MEANING else None
    share = _share(comment.body.lower(), words)
    if meaning < _LEAST_MEANING and share < 1:
        return None
    return _Candidate(comment, match, (1 - _WORD_SHARE) * meaning + _WORD_SHARE * share)


def _share(text: str, words: Sequence[str]) -> float:
    """Share of the words that stand in the text, a plural s left aside."""
    return sum(1 for word in words if (word[:-1] if len(word) > 3 and word[-1] == "s" else word) in text) / len(words)


def _distinct(candidates: Sequence[_Candidate], limit: int) -> list[_Candidate]:
    """The best candidates, of texts that are all but equal only the first."""
    kept: list[_Candidate] = []
    texts: list[str] = []
    hashes: set[str] = set()
    for candidate in candidates:
        if len(kept) == limit:
            break
        text = " ".join(candidate.comment.body[:1_000].lower().split())
        if candidate.match.row.text_hash in hashes:
            continue
        if any(fuzz.ratio(text, other, score_cutoff=_SAME_TEXT) for other in texts):
            continue
        kept.append(candidate)
        texts.append(text)
        hashes.add(candidate.match.row.text_hash)
    return kept


def _hits(
    embedder: Embedder, vector: NDArray[np.float32], words: Sequence[str], candidates: Sequence[_Candidate]
) -> tuple[Hit, ...]:
    """Hits with the sentence of each that is nearest to the query, all sentences embedded together."""
    spans = [_sentences(item.comment.body, item.match.row.start, item.match.row.end) for item in candidates]
    texts = [
        item.comment.body[start:end] for item, found in zip(candidates, spans, strict=True) for start, end in found
    ]
    nearness = embedder.encode(texts) @ vector
    hits: list[Hit] = []
    place = 0
    for item, found in zip(candidates, spans, strict=True):
        scores = [
            float(near) + (_WORD_SHARE * _share(text.lower(), words) if words else 0.0)
            for near, text in zip(nearness[place : place + len(found)], texts[place : place + len(found)], strict=True)
        ]
        place += len(found)
        hits.append(
            Hit(
                ticket_id=item.comment.ticket_id,
                comment_id=item.comment.id,
                score=round(item.score, 4),
                quote=_quote(item.comment.body, found, scores),
                author_role=item.match.row.author_role,
                is_public=item.comment.is_public,
                created_at=item.comment.created_at,
            )
        )
    return tuple(hits)


def _varied(hits: Sequence[Hit], limit: int) -> tuple[Hit, ...]:
    """The best hits, those that would repeat another's quote only where there are too few others."""
    fresh: list[Hit] = []
    repeated: list[Hit] = []
    for hit in hits:
        text = hit.quote.lower()
        is_repeated = any(fuzz.ratio(text, other.quote.lower(), score_cutoff=_SAME_QUOTE) for other in fresh)
        (repeated if is_repeated else fresh).append(hit)
    return (*fresh, *repeated)[:limit]


def _sentences(body: str, start: int, end: int) -> list[tuple[int, int]]:
    """Spans (from, to) of the sentences of a chunk, without space around them; redaction marks are no sentence."""
    if start >= len(body):
        start, end = 0, len(body)
    end = min(end, len(body))
    spans: list[tuple[int, int]] = []
    place = start
    for found in (*_BREAK.finditer(body, start, end), None):
        stop = end if found is None else found.start()
        first, last = place, stop
        while first < last and body[first].isspace():
            first += 1
        while last > first and body[last - 1].isspace():
            last -= 1
        if any(character.isalnum() for character in body[first:last]):
            spans.append((first, last))
        place = end if found is None else found.end()
        if len(spans) == _SENTENCES_PER_HIT:
            break
    return spans


def _quote(body: str, spans: Sequence[tuple[int, int]], scores: Sequence[float]) -> str:
    """The best sentence, a very short one with its neighbour, cut between words where it is too long."""
    if not spans:
        return body[:_LONGEST_QUOTE].strip()
    written = [
        place
        for place, (start, end) in enumerate(spans)
        if not _NOTICE.match(body, start, end) and not _GREETING.fullmatch(body, start, end)
    ]
    best = max(written or range(len(spans)), key=scores.__getitem__)
    start, end = spans[best]
    if end - start < _SHORT_SENTENCE and len(spans) > 1:
        start, end = (start, spans[best + 1][1]) if best + 1 < len(spans) else (spans[best - 1][0], end)
    if end - start > _LONGEST_QUOTE:
        cut = body.rfind(" ", start, start + _LONGEST_QUOTE)
        end = cut if cut > start else start + _LONGEST_QUOTE
    return body[start:end].strip()


def _warnings(plan: SearchPlan, dataset: DatasetVersion) -> tuple[str, ...]:
    warnings: list[str] = []
    if len(plan.query) > _READ_OF_QUERY:
        warnings.append(f"only the first {_READ_OF_QUERY:,} characters of the search text were read")
    if dataset.coverage < 1:
        warnings.append(f"{dataset.coverage:.1%} of the comments are embedded so far; others cannot be found yet")
    return tuple(warnings)
