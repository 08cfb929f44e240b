"""The answer cache: keyed by what was asked (the plan, not its words) and the data read, so publishing invalidates."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from assets.catalog import Snapshot
from assets.stores import answers
from serving.planning.plan import ComplexPlan, Filter, GraphPlan, Plan, SearchPlan
from serving.policy import CachePolicy
from serving.schemas import Answer

_log = logging.getLogger(__name__)

_MARTS = "analytics."
_VECTORS = ("milvus.comment_embeddings", "zendesk.ticket_comments")
_GRAPH = ("neo4j.ticket_graph",)


class _Kept(BaseModel):
    stored_at: datetime
    answer: Answer


class AnswerCache:
    """Answers by key, in Redis; without Redis every look-up is a miss."""

    def __init__(self, redis: Redis, policy: CachePolicy) -> None:
        self._redis = redis
        self._policy = policy
        self._keep = redis.register_script(answers.KEEP)

    async def get(self, key: str) -> tuple[Answer, datetime] | None:
        """The answer kept under a key and when it was made; None where there is none or Redis does not answer."""
        try:
            body = await self._redis.get(answers.answer(key))
        except RedisError as error:
            _log.warning("cache does not answer: %s", type(error).__name__)
            return None
        if body is None:
            return None
        kept = _Kept.model_validate_json(body)
        return kept.answer, kept.stored_at

    async def put(
        self, key: str, answer: Answer, now: datetime, *, database: str, ttl_seconds: int | None = None
    ) -> None:
        """Keep an answer, for the policy's time or a shorter one, unless it is larger than the policy allows.

        One that names a ticket whose text was erased meanwhile is not kept: it may quote what is gone.
        """
        body = _Kept(stored_at=now, answer=answer).model_dump_json(by_alias=True)
        if len(body) > self._policy.max_bytes:
            return
        tickets = {*answer.ticket_ids, *(citation.ticket_id for citation in answer.citations)}
        keys = [answers.answer(key), *answers.names(database, tickets)]
        try:
            await self._keep(keys=keys, args=[body, ttl_seconds or self._policy.ttl_seconds])
        except RedisError as error:
            _log.warning("cache does not answer: %s", type(error).__name__)


def answer_key(
    plan: Plan,
    *,
    versions: Sequence[object],
    as_of: datetime | None,
    zone: ZoneInfo,
    digest: str,
    policy_version: str,
    rows: Sequence[Filter],
    variant: object,
) -> str:
    """Key of an answer: equal only where plan, moment, zone, data, definitions, policy and row scope are.

    `versions` are those of the data the plan reads; `as_of` is None where the result does not depend on it; `digest`
    is the semantic manifest's; `variant` tells apart answers that differ by something else.
    """
    content = {
        "plan": normal_form(plan),
        "as_of": as_of,
        "zone": zone.key,
        "data": versions,
        "digest": digest,
        "policy": policy_version,
        "rows": _ordered(row.model_dump(mode="json") for row in rows),
        "variant": variant,
    }
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read_versions(plan: Plan, snapshot: Snapshot) -> list[tuple[str, int]]:
    """Published datasets that a plan may read, with their versions. All marts, as one build publishes them together."""
    wanted = {name for name in snapshot.datasets if name.startswith(_MARTS)}
    if isinstance(plan, SearchPlan) or (isinstance(plan, ComplexPlan) and plan.search is not None):
        wanted.update(_VECTORS)
    if isinstance(plan, GraphPlan) or (isinstance(plan, ComplexPlan) and plan.graph is not None):
        wanted.update(_GRAPH)
    return [(name, snapshot.datasets[name].version) for name in sorted(wanted & snapshot.datasets.keys())]


def normal_form(plan: Plan) -> dict[str, object]:
    """The plan as JSON in which the order of filters and of a filter's values makes no difference."""
    return _sorted_filters(plan.model_dump(mode="json", by_alias=True))


def _sorted_filters(value: dict[str, object]) -> dict[str, object]:
    changed: dict[str, object] = {}
    for name, item in value.items():
        if name == "filters" and isinstance(item, list):
            changed[name] = _ordered({**one, "values": _ordered(one.get("values") or [])} for one in item)
        elif isinstance(item, dict):
            changed[name] = _sorted_filters(item)
        elif isinstance(item, list):
            changed[name] = [_sorted_filters(one) if isinstance(one, dict) else one for one in item]
        else:
            changed[name] = item
    return changed


def _ordered(items: Iterable[object]) -> list[object]:
    return sorted(items, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
