"""The record of every answer: the decision with its reasons, the audit row of digests, and readers' feedback."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Engine, insert, select

from serving import tables
from serving.access.asker import Asker, Scope
from serving.access.ledger import Charge, Reservation, charge_within, settle_within
from serving.errors import NotFound


@dataclass(frozen=True, slots=True)
class Decision:
    """One question decided and, unless it was a dry run, answered."""

    id: str
    action: str
    """`ask`, `query`, `route`, `chat`."""
    outcome: str
    question: str | None
    question_digest: str
    conversation_id: str | None
    policy_version: str
    epoch: int
    record: Mapping[str, Any]
    answer: bytes | None
    """The answer as JSON, as the caller got it."""
    cost_usd: Decimal = Decimal(0)


class Audit:
    """Writes and reads decisions (blocking)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(
        self,
        decision: Decision,
        asker: Asker,
        reservation: Reservation | None = None,
        charges: Sequence[Charge] = (),
    ) -> None:
        """Keep a decision, its audit row and its charges, all or nothing."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(tables.decisions).values(
                    id=decision.id,
                    key_id=asker.key_id,
                    conversation_id=decision.conversation_id,
                    question=_storable(decision.question),
                    question_digest=decision.question_digest,
                    policy_version=decision.policy_version,
                    epoch=decision.epoch,
                    record=dict(decision.record),
                    answer=_loads(decision.answer),
                )
            )
            connection.execute(
                insert(tables.audit).values(
                    key_id=asker.key_id,
                    action=decision.action,
                    decision_id=decision.id,
                    outcome=decision.outcome,
                    question_digest=decision.question_digest,
                    answer_digest=hashlib.sha256(decision.answer).hexdigest() if decision.answer else None,
                    cost_usd=decision.cost_usd,
                )
            )
            if reservation is not None:
                settle_within(connection, reservation, charges, decision_id=decision.id)
            elif charges:
                charge_within(connection, asker, charges, decision_id=decision.id)

    def read(self, decision_id: str, asker: Asker) -> tuple[datetime, Mapping[str, Any]]:
        """A decision of one's own, or any with the admin scope; raises NotFound otherwise."""
        rows = tables.decisions
        query = select(rows).where(rows.c.id == decision_id)
        if Scope.ADMIN not in asker.scopes:
            query = query.where(rows.c.key_id == asker.key_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise NotFound(f"decision unknown: {decision_id[:64]!r} is none of this key's")
        return row["created_at"], dict(row)

    def add_feedback(self, decision_id: str, asker: Asker, score: int, comment: str | None) -> None:
        """Keep what a reader thought of an answer; raises NotFound for a decision that is not theirs."""
        self.read(decision_id, asker)
        with self._engine.begin() as connection:
            connection.execute(
                insert(tables.feedback).values(
                    decision_id=decision_id, key_id=asker.key_id, score=score, comment=_storable(comment)
                )
            )


def _storable(text: str | None) -> str | None:
    """PostgreSQL text holds neither U+0000 nor half a surrogate pair."""
    return None if text is None else text.replace("\x00", " ").encode("utf-8", "replace").decode()


def _loads(body: bytes | None) -> Any:
    return None if body is None else orjson.loads(body)
