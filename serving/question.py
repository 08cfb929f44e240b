"""The question: what was asked, by whom, as of when, and within which limits; fixed before anything is read."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from assets.catalog import Snapshot
from assets.settings import Settings
from serving.access.asker import Asker
from serving.errors import BudgetExceeded, DeadlineExceeded, Invalid
from serving.policy import PathCost, Policy
from serving.routing.budget import Budget, usd
from serving.schemas import AskRequest, CacheUse

_MAIN_DATASET = "analytics.fct_tickets"
# What composing and storing an answer may still need after the last model was given up.
_SECONDS_KEPT = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its one deadline and its one budget over all attempts."""

    text: str
    asker: Asker
    zone: ZoneInfo
    asked_at: datetime
    """The real clock when it came in (UTC)."""
    asked_as_of: datetime | None
    """The moment the caller named; None: the data's own."""
    deadline: float
    """`time.monotonic()` moment."""
    budget: Budget
    cache: CacheUse = CacheUse.USE
    explain: bool = False
    conversation_id: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    """Id of the decision record."""
    started: float = field(default_factory=time.monotonic)

    @property
    def digest(self) -> str:
        """SHA-256 of the text, for records that outlive it."""
        return hashlib.sha256(self.text.encode(errors="surrogatepass")).hexdigest()

    @property
    def seconds_left(self) -> float:
        """Until the deadline; raises DeadlineExceeded where there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                "deadline passed before an answer was ready; raise deadline_ms or ask something simpler"
            )
        return left

    def model_deadline(self, path: PathCost) -> float:
        """`time.monotonic()` moment at which a path stops asking models, so that composing still finds time."""
        own = self.deadline - _SECONDS_KEPT
        return own if path.model_seconds is None else min(own, time.monotonic() + path.model_seconds)

    @property
    def milliseconds(self) -> int:
        """Taken so far."""
        return int((time.monotonic() - self.started) * 1000)

    def as_of(self, snapshot: Snapshot) -> datetime:
        """The moment asked, to the minute: the caller's, else that of the data, else now (nothing loaded)."""
        moment = self.asked_as_of or data_as_of(snapshot) or self.asked_at
        return moment.astimezone(UTC).replace(second=0, microsecond=0)


def data_as_of(snapshot: Snapshot) -> datetime | None:
    """Up to when the published marts hold everything; None where there are none."""
    main = snapshot.datasets.get(_MAIN_DATASET)
    return main.as_of if main is not None else None


def make_question(request: AskRequest, *, asker: Asker, settings: Settings, policy: Policy) -> Question:
    """Check a request's limits and fix its clock; raises Invalid or BudgetExceeded."""
    text = " ".join(request.question.replace("\x00", " ").split())
    if not any(sign.isalnum() for sign in text):
        raise Invalid("question empty: ask something, for example: How many tickets were created last week?")
    if len(text) > policy.limits.question_chars:
        raise Invalid(
            f"question too long: {len(text):,} characters, {policy.limits.question_chars:,} are read; ask for one thing"
        )
    cap = request_cap(request.budget_usd, asker, settings)
    milliseconds = request.deadline_ms or policy.limits.deadline_ms
    return Question(
        text=text,
        asker=asker,
        zone=ZoneInfo(request.time_zone) if request.time_zone else settings.zone,
        asked_at=datetime.now(UTC),
        asked_as_of=request.as_of,
        deadline=time.monotonic() + milliseconds / 1000,
        budget=Budget(cap),
        cache=request.cache,
        explain=request.explain,
        conversation_id=request.conversation_id,
    )


def request_cap(wanted: Decimal | None, asker: Asker, settings: Settings) -> Decimal:
    """USD one request may cost: what it says, else its key, else `DEFAULT_BUDGET`; never above the key's own cap."""
    if wanted is None:
        return asker.request_budget_usd or settings.default_budget
    if asker.request_budget_usd is not None and wanted > asker.request_budget_usd:
        raise BudgetExceeded(
            f"budget refused: {usd(wanted)} asked, key {asker.name!r} may spend {usd(asker.request_budget_usd)} "
            "a request"
        )
    return wanted
