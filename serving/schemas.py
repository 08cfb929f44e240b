"""The public models of the HTTP interface: what comes in and what goes out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from serving.planning.plan import Filter, MetricPlan, SearchPlan, TimeRange

Usd = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""USD: exact inside, a number in JSON."""

Cell = str | int | float | bool | None
"""One value of a row; times are ISO texts."""


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone, for example 2026-11-25T09:00:00Z")
    return moment


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("not a time zone name; an example is Europe/Berlin") from error
    return name


Moment = Annotated[datetime, AfterValidator(_aware)]
ZoneName = Annotated[str, Field(max_length=100), AfterValidator(_zone)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class _Response(BaseModel):
    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)


class Status(StrEnum):
    """How far the answer goes."""

    ANSWERED = "answered"
    PARTIAL = "partial"
    CLARIFY = "clarify"
    REFUSED = "refused"


class Intent(StrEnum):
    """What kind of question it was."""

    SQL = "sql"
    SEMANTIC = "semantic"
    GRAPH = "graph"
    COMPLEX = "complex"
    CLARIFY = "clarify"
    REFUSE = "refuse"


class CacheUse(StrEnum):
    """What a caller wants of the cache."""

    USE = "use"
    REFRESH = "refresh"
    """Answer anew and keep that."""
    OFF = "off"


class AskRequest(_Request):
    """A question in words."""

    question: str = Field(max_length=100_000)
    as_of: Moment | None = None
    """The moment asked; default: now, read as the data's own as-of, to the minute."""
    time_zone: ZoneName | None = None
    budget_usd: Decimal | None = Field(default=None, ge=0, le=1000)
    deadline_ms: int | None = Field(default=None, ge=1, le=600_000)
    conversation_id: str | None = Field(default=None, max_length=200)
    cache: CacheUse = CacheUse.USE
    explain: bool = False


class QueryRequest(MetricPlan):
    """A metric query without language."""

    as_of: Moment | None = None
    time_zone: ZoneName | None = None
    cache: CacheUse = CacheUse.USE

    @property
    def plan(self) -> MetricPlan:
        """The plan alone."""
        return MetricPlan.model_validate({name: getattr(self, name) for name in MetricPlan.model_fields})


class SearchRequest(_Request):
    """Words to find comments by."""

    query: str = Field(max_length=10_000)
    filters: tuple[Filter, ...] = Field(default=(), max_length=20)
    time: TimeRange = TimeRange()  # pyright: ignore[reportCallIssue]
    limit: int = Field(default=10, ge=1, le=100)

    @property
    def plan(self) -> SearchPlan:
        """The plan of it."""
        return SearchPlan(query=self.query, filters=self.filters, time=self.time, limit=self.limit)


class FeedbackRequest(_Request):
    """What a reader thought of an answer."""

    decision_id: str = Field(max_length=64)
    score: int = Field(ge=-1, le=5)
    comment: str | None = Field(default=None, max_length=4000)


class ColumnOut(_Response):
    """One column of the table behind an answer."""

    name: str
    type: str
    unit: str | None
    role: Literal["dimension", "metric", "id"]


class Citation(_Response):
    """A quote, verbatim in that comment."""

    ticket_id: int
    comment_id: int
    quote: str
    score: float


class QueryOut(_Response):
    """What was run."""

    plan: dict[str, Any] | None = None
    sql: str | None = None
    cypher: str | None = None
    definitions: dict[str, str] = {}
    """The definition of each metric used."""


class RangeOut(_Response):
    """Which moments counted; `from` inclusive, `to` exclusive."""

    from_: datetime | None = Field(default=None, alias="from")
    to: datetime | None = None
    time_zone: str


class DatasetOut(_Response):
    """One dataset an answer rests on."""

    dataset: str
    version: int
    as_of: datetime
    stale: bool
    coverage: float


class AttemptOut(_Response):
    """One model tried."""

    model: str
    outcome: str
    reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: Usd
    milliseconds: int


class CacheOut(_Response):
    """Whether a cache answered."""

    hit: bool = False
    kind: str | None = None
    age_s: float | None = None


class Answer(_Response):
    """An answer with everything it rests on; prints as its text."""

    status: Status
    intent: Intent
    tier: str
    model: str | None = None
    text: str
    value: float | int | None = None
    """Durations in minutes, shares as fractions; null where the answer is not one number."""
    columns: list[ColumnOut] = []
    rows: list[list[Cell]] = []
    truncated: bool = False
    ticket_ids: list[int] = []
    citations: list[Citation] = []
    query: QueryOut = QueryOut()
    range: RangeOut
    data: list[DatasetOut] = []
    attempts: list[AttemptOut] = []
    estimate_usd: Usd = Decimal(0)
    cost_usd: Usd = Decimal(0)
    budget_usd: Usd = Decimal(0)
    latency_ms: int = 0
    cache: CacheOut = CacheOut()
    decision_id: str = ""
    warnings: list[str] = []
    suggestions: list[str] = []

    def __str__(self) -> str:
        return self.text


class CandidateOut(_Response):
    """A model in the order of choice."""

    model: str
    expected_usd: Usd
    reason: str
    eligible: bool


class PathOut(_Response):
    """What one path is expected to cost and take, and whether it would be gone."""

    tier: str
    expected_usd: Usd
    expected_ms: int
    chosen: bool
    why: str


class RouteOut(_Response):
    """The decision alone: nothing was executed."""

    intent: Intent
    tier: str
    task: str
    reading: str
    """The question as it was understood."""
    confidence: float
    plan: dict[str, Any]
    candidates: list[CandidateOut]
    paths: list[PathOut]
    estimate_usd: Usd
    budget_usd: Usd
    why: list[str]
    policy_version: str
    decision_id: str


class HitOut(_Response):
    """One comment found."""

    ticket_id: int
    comment_id: int
    score: float
    quote: str
    author_role: str
    created_at: datetime
    is_public: bool


class SearchOut(_Response):
    """Comments found, best first."""

    hits: list[HitOut]
    mode: str
    coverage: float
    data: list[DatasetOut] = []
    warnings: list[str] = []


class CatalogOut(_Response):
    """What can be asked and how fresh it is."""

    metrics: list[dict[str, Any]]
    dimensions: list[dict[str, Any]]
    datasets: list[dict[str, Any]]
    epoch: int


class DecisionOut(_Response):
    """A stored decision with its answer."""

    decision_id: str
    created_at: datetime
    question: str | None
    policy_version: str
    epoch: int
    record: dict[str, Any]
    answer: dict[str, Any] | None


class UsageOut(_Response):
    """What a key has spent in its running period."""

    key: str
    period: str
    period_start: datetime
    budget_usd: Usd | None
    spent_usd: Usd
    reserved_usd: Usd
    by_tier: dict[str, float]
    by_model: dict[str, float]
    counterfactual_usd: Usd
    """The same tokens on the strongest model at the same prices."""


class DependencyOut(_Response):
    """One thing the API leans on."""

    name: str
    state: Literal["ready", "degraded"]
    detail: str


class ReadyOut(_Response):
    """Whether questions can be answered, and what is degraded."""

    status: Literal["ready", "degraded", "unavailable"]
    degraded: list[str]
    dependencies: list[DependencyOut]


class ModelHealthOut(_Response):
    """How a model has been doing in this process."""

    state: str
    calls: int
    error_rate: float | None
    pass_rate: float | None
    p50_ms: int | None
    p95_ms: int | None


class ModelOut(_Response):
    """A model of the registry."""

    name: str
    version: str
    tier: str
    state: str
    context_length: int
    price: dict[str, float]
    capabilities: list[str]
    fallbacks: list[str]
    endpoints: list[dict[str, Any]]
    health: ModelHealthOut


class RelatedOut(_Response):
    """A ticket that hangs together with the one asked about."""

    ticket_id: int
    relation: str
    subject: str | None
    status: str | None
    created_at: datetime
    score: float | None
