"""Milvus: how it is opened, the shape of the comment collections, and the few verbs used on them.

One collection a model and precision; `comment_embeddings` is an alias of the live one, for people and tools. The
product itself reads the collection that the catalogue names, so a query and the vectors it meets are of one model.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException

from assets.settings import SwitchdeskError

ALIAS = "comment_embeddings"
# A gRPC server hangs up on clients that ping more often than each five minutes; pymilvus would each ten seconds.
_KEEPALIVE = {"grpc.keepalive_time_ms": 330_000, "grpc.keepalive_permit_without_calls": False}
CHUNKS_PER_COMMENT = 256
"""The key of a vector is comment id * 256 + chunk: a replayed write replaces instead of adding."""

_WRITE_ROWS = 1_000
_READ_ROWS = 2_000
"""Keys in one filter; far below the 16,384 rows that Milvus returns at most."""
_SCALARS = ("ticket_id", "comment_id", "organization_id", "created_at", "is_public", "author_role", "text_hash")
_PLACE = ("chunk", "start", "end")
T = TypeVar("T")
_HEX = re.compile(r"[0-9a-f]{64}")


class MilvusError(SwitchdeskError):
    """Milvus cannot be reached or refuses what was asked."""


class MilvusUnreachableError(MilvusError):
    """No answer: the same call may work later."""


class CollectionMissingError(MilvusError):
    """The collection is gone: the catalogue has moved on, or nothing was built yet."""


@dataclass(frozen=True, slots=True)
class CommentVector:
    """One chunk of one comment as it stands in a collection, without its vector."""

    id: int
    """Comment id * 256 + chunk."""
    ticket_id: int
    comment_id: int
    organization_id: int | None
    """Of the ticket."""
    created_at: int
    """Unix seconds."""
    is_public: bool
    author_role: str
    """`agent` or `end_user`."""
    text_hash: str
    """SHA-256 of the normalised text, hex: equal texts have equal vectors."""
    chunk: int
    """Place of the chunk in its comment, from 0."""
    start: int
    end: int
    """Characters (from, to) of the comment's body that the chunk covers."""


@dataclass(frozen=True, slots=True)
class Match:
    """A neighbour of a query vector."""

    row: CommentVector
    score: float
    """Cosine, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which vectors a search may return; None leaves a side open."""

    ticket_ids: Sequence[int] | None = None
    comment_ids: Sequence[int] | None = None
    created_from: int | None = None
    """Unix seconds, inclusive."""
    created_to: int | None = None
    """Unix seconds, exclusive."""
    is_public: bool | None = None
    author_role: str | None = None

    def expression(self) -> str:
        """Milvus filter; only numbers and our own two roles are ever written into it."""
        parts: list[str] = []
        if self.ticket_ids is not None:
            parts.append(f"ticket_id in {_numbers(self.ticket_ids)}")
        if self.comment_ids is not None:
            parts.append(f"comment_id in {_numbers(self.comment_ids)}")
        if self.created_from is not None:
            parts.append(f"created_at >= {int(self.created_from)}")
        if self.created_to is not None:
            parts.append(f"created_at < {int(self.created_to)}")
        if self.is_public is not None:
            parts.append(f"is_public == {'true' if self.is_public else 'false'}")
        if self.author_role is not None:
            if self.author_role not in {"agent", "end_user"}:
                raise MilvusError(f"author role unknown: {self.author_role[:40]}; it is agent or end_user")
            parts.append(f'author_role == "{self.author_role}"')
        return " and ".join(parts)


def collection_name(model_id: str) -> str:
    """Collection of a model and precision, such as `comment_embeddings_all_minilm_l6_v2_bf16`."""
    return f"{ALIAS}_{re.sub(r'[^a-z0-9]+', '_', model_id.lower()).strip('_')}"


class Milvus:
    """An open Milvus; reads of a build see all its own writes, a user's search may lag by seconds."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        """Nothing is opened before the first call; `timeout` is seconds a call may take."""
        self._url = url
        self._where = urlsplit(url).netloc
        self._timeout = timeout
        self._opened: MilvusClient | None = None
        self._opening = threading.Lock()
        # It would print a traceback of every refused call; each one is raised as ours instead.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)

    def close(self) -> None:
        """Close the connection."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @property
    def _client(self) -> MilvusClient:
        with self._opening:
            if self._opened is None:
                self._opened = MilvusClient(uri=self._url, timeout=min(self._timeout, 10.0), grpc_options=_KEEPALIVE)
            return self._opened

    def version(self) -> str:
        """Version that the server tells; the cheapest real request."""
        with self._failures():
            return str(self._client.get_server_version(timeout=self._timeout))

    def ensure(self, collection: str, dimension: int) -> None:
        """Create the collection with its indexes where it does not exist."""
        with self._failures():
            if self._client.has_collection(collection, timeout=self._timeout):
                return
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            for name in ("ticket_id", "comment_id", "created_at", *_PLACE):
                schema.add_field(name, DataType.INT64)
            schema.add_field("organization_id", DataType.INT64, nullable=True)
            schema.add_field("is_public", DataType.BOOL)
            schema.add_field("author_role", DataType.VARCHAR, max_length=16)
            schema.add_field("text_hash", DataType.VARCHAR, max_length=64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            indexes = self._client.prepare_index_params()
            indexes.add_index(
                "vector", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 200}
            )
            for name in ("ticket_id", "comment_id", "created_at", "text_hash"):
                indexes.add_index(name, index_type="INVERTED")
            self._client.create_collection(
                collection, schema=schema, consistency_level="Bounded", timeout=self._timeout
            )
            # Of an empty collection there is nothing to index yet, so nothing to wait half a second a field for.
            self._client.create_index(collection, indexes, timeout=self._timeout, sync=False)
            self._client.load_collection(collection, timeout=self._timeout)

    def upsert(self, collection: str, rows: Sequence[CommentVector], vectors: NDArray[np.float32]) -> None:
        """Write rows with their vectors (float32 [n, d]); returns once Milvus has logged them."""
        for start in range(0, len(rows), _WRITE_ROWS):
            part = rows[start : start + _WRITE_ROWS]
            entities = [
                {
                    "id": row.id,
                    **{name: getattr(row, name) for name in (*_SCALARS, *_PLACE)},
                    "vector": vectors[start + place],
                }
                for place, row in enumerate(part)
            ]
            with self._failures():
                self._client.upsert(collection, entities, timeout=self._timeout)

    def delete(self, collection: str, where: Where) -> None:
        """Delete all of the comments or tickets that `where` names by id; a missing one is no error."""
        if where.comment_ids is None and where.ticket_ids is None:
            raise MilvusError("deletion refused: it names neither comments nor tickets, so it would empty the whole")
        for part in _named(where):
            with self._failures():
                self._client.delete(collection, filter=part, timeout=self._timeout)

    def delete_keys(self, collection: str, ids: Sequence[int]) -> None:
        """Delete single chunks by key."""
        for part in _parts(sorted(set(ids))):
            with self._failures():
                self._client.delete(collection, filter=f"id in {_numbers(part)}", timeout=self._timeout)

    def rows(self, collection: str, where: Where) -> list[CommentVector]:
        """Stored chunks, without vectors, of comments or tickets named by id, or of a range of time."""
        fields = (*_SCALARS, *_PLACE)
        if where.comment_ids is not None or where.ticket_ids is not None:
            return [_row(entity) for part in _named(where) for entity in self._query(collection, part, fields)]
        found: list[CommentVector] = []
        with self._failures():
            iterator = self._client.query_iterator(
                collection,
                batch_size=_READ_ROWS,
                filter=where.expression(),
                output_fields=["id", *fields],
                consistency_level="Strong",
                timeout=self._timeout,
            )
            while entities := cast(list[dict[str, Any]], iterator.next()):
                found.extend(_row(entity) for entity in entities)
            iterator.close()
        return found

    def vectors_by_hash(self, collection: str, hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors already known for these text hashes: a text that was embedded once is not embedded again."""
        found: dict[str, NDArray[np.float32]] = {}
        for part in _parts(sorted(set(hashes)), 500):
            for value in part:
                if not _HEX.fullmatch(value):
                    raise MilvusError("text hash malformed: it has to be 64 hexadecimal digits")
            listed = ", ".join(f'"{value}"' for value in part)
            for entity in self._query(collection, f"text_hash in [{listed}]", ("text_hash", "vector")):
                found.setdefault(entity["text_hash"], np.asarray(entity["vector"], dtype=np.float32))
        return found

    def vectors_of(self, collection: str, where: Where) -> tuple[list[CommentVector], NDArray[np.float32]]:
        """Rows with their vectors (float32 [n, d]) of comments or tickets named by id."""
        return self._with_vectors(
            [
                entity
                for part in _named(where, 500)
                for entity in self._query(collection, part, (*_SCALARS, *_PLACE, "vector"))
            ]
        )

    def sample(self, collection: str, size: int) -> tuple[list[CommentVector], NDArray[np.float32]]:
        """Some rows, whichever Milvus returns first, with their vectors (float32 [n, d])."""
        with self._failures():
            found = self._client.query(
                collection,
                filter="id >= 0",
                output_fields=[*_SCALARS, *_PLACE, "vector"],
                limit=size,
                consistency_level="Strong",
                timeout=self._timeout,
            )
        return self._with_vectors(cast(list[dict[str, Any]], list(found)))

    def search(
        self,
        collection: str,
        vectors: NDArray[np.float32],
        *,
        limit: int,
        where: Where | None = None,
        strong: bool = False,
        timeout: float | None = None,
    ) -> list[list[Match]]:
        """Nearest rows of each vector (float32 [n, d]), best first.

        `strong` waits for all writes acknowledged before; otherwise the newest seconds may be missing.
        """
        expression = where.expression() if where else ""
        # A filter thins HNSW's neighbours: recall at 2 % selectivity is .55 at ef 64 and .94 at 1,024.
        effort = max(1_024 if expression else 128, 2 * limit)
        with self._failures():
            found = self._client.search(
                collection,
                list(vectors),
                filter=expression,
                limit=limit,
                output_fields=[*_SCALARS, *_PLACE],
                search_params={"metric_type": "COSINE", "params": {"ef": effort}},
                consistency_level="Strong" if strong else "Bounded",
                timeout=timeout or self._timeout,
            )
        return [
            [Match(_row({"id": hit["id"], **hit["entity"]}), float(hit["distance"])) for hit in cast(Any, hits)]
            for hits in found
        ]

    def count(self, collection: str) -> int:
        """Vectors in the collection, all acknowledged writes included."""
        return int(self._query(collection, "", ("count(*)",))[0]["count(*)"])

    def comments(self, collection: str) -> int:
        """Comments in the collection, all acknowledged writes included."""
        return int(self._query(collection, "chunk == 0", ("count(*)",))[0]["count(*)"])

    def collections(self) -> list[str]:
        """Names of all comment collections of ours."""
        with self._failures():
            names = self._client.list_collections(timeout=self._timeout)
        return sorted(name for name in cast(list[str], names) if name.startswith(f"{ALIAS}_"))

    def exists(self, collection: str) -> bool:
        """Whether the collection is there."""
        with self._failures():
            return bool(self._client.has_collection(collection, timeout=self._timeout))

    def point(self, collection: str) -> None:
        """Point the alias `comment_embeddings` at the collection, in one step."""
        with self._failures():
            live = self._alias_target()
            if live is None:
                self._client.create_alias(collection, ALIAS, timeout=self._timeout)
            elif live != collection:
                self._client.alter_alias(collection, ALIAS, timeout=self._timeout)

    def unpoint(self) -> None:
        """Take the alias away, without which its collection cannot be dropped; none is no error."""
        with self._failures():
            if self._alias_target() is not None:
                self._client.drop_alias(ALIAS, timeout=self._timeout)

    def live(self) -> str | None:
        """Collection that the alias points at; None before the first build."""
        with self._failures():
            return self._alias_target()

    def drop(self, collection: str) -> None:
        """Drop a collection that nothing reads any more."""
        with self._failures():
            self._client.drop_collection(collection, timeout=self._timeout)

    def _alias_target(self) -> str | None:
        for name in self.collections():
            aliases = self._client.list_aliases(name, timeout=self._timeout)
            if ALIAS in cast(Any, aliases)["aliases"]:
                return name
        return None

    def _query(self, collection: str, expression: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        with self._failures():
            found = self._client.query(
                collection,
                filter=expression,
                output_fields=list(fields),
                consistency_level="Strong",
                timeout=self._timeout,
            )
        return cast(list[dict[str, Any]], list(found))

    @staticmethod
    def _with_vectors(entities: list[dict[str, Any]]) -> tuple[list[CommentVector], NDArray[np.float32]]:
        if not entities:
            return [], np.empty((0, 0), np.float32)
        vectors = np.asarray([entity["vector"] for entity in entities], dtype=np.float32)
        return [_row(entity) for entity in entities], vectors

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            text = str(error.message).splitlines()[0][:200] if error.message else type(error).__name__
            if error.code == 100 or "not found" in text or "does not exist" in text:
                raise CollectionMissingError(
                    f"Milvus at {self._where} has no such collection: run `switchdesk build embeddings`"
                ) from None
            if error.code == 2 or "connect" in text.lower() or "deadline" in text.lower() or "UNAVAILABLE" in text:
                raise MilvusUnreachableError(
                    f"Milvus does not answer: {self._where}; `switchdesk doctor` says why, `switchdesk up` starts it"
                ) from None
            raise MilvusError(f"Milvus at {self._where} refused a request: {text}") from None


def _row(entity: dict[str, Any]) -> CommentVector:
    organization = entity["organization_id"]
    return CommentVector(
        id=int(entity["id"]),
        ticket_id=int(entity["ticket_id"]),
        comment_id=int(entity["comment_id"]),
        organization_id=None if organization is None else int(organization),
        created_at=int(entity["created_at"]),
        is_public=bool(entity["is_public"]),
        author_role=str(entity["author_role"]),
        text_hash=str(entity["text_hash"]),
        chunk=int(entity["chunk"]),
        start=int(entity["start"]),
        end=int(entity["end"]),
    )


def _named(where: Where, size: int = _READ_ROWS) -> Iterator[str]:
    """Filters that together name all the ids of `where`, some thousand in each."""
    if where.comment_ids is not None:
        for part in _parts(sorted(set(where.comment_ids)), size):
            yield Where(comment_ids=part).expression()
    elif where.ticket_ids is not None:
        for part in _parts(sorted(set(where.ticket_ids)), size):
            yield Where(ticket_ids=part).expression()


def _numbers(values: Sequence[int]) -> str:
    return f"[{', '.join(str(int(value)) for value in values)}]"


def _parts(values: Sequence[T], size: int = _READ_ROWS) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
