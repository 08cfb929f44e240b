"""A plan: what a question asks for, in the words of the catalogue; SQL, Cypher and searches are made from it alone."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = str | int | float | bool
"""A typed filter value; it is rendered as a quoted literal or passed as a parameter, never as text of a statement."""


class Operator(StrEnum):
    """What a filter does with its values."""

    EQ = "="
    NE = "!="
    IN = "in"
    NOT_IN = "not_in"
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"
    CONTAINS = "contains"


class Grain(StrEnum):
    """Length of one period of a series."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Filter(_Frozen):
    """One condition on a dimension; several are joined by and."""

    dimension: str
    op: Operator = Operator.EQ
    values: tuple[Scalar, ...] = Field(default=(), max_length=10_000)


class TimeRange(_Frozen):
    """Which moments count; `from` inclusive, `to` exclusive, both aware."""

    dimension: str | None = None
    """Time dimension; None: each metric's own default."""
    grain: Grain | None = None
    """Set: one row a period; None: one number over the whole range."""
    from_: datetime | None = Field(default=None, alias="from")
    to: datetime | None = None


class MetricPlan(_Frozen):
    """A metric query: the body of `/v1/query`, what the planner makes, and what a model may fill."""

    kind: Literal["metrics"] = "metrics"
    metrics: tuple[str, ...] = Field(min_length=1, max_length=10)
    group_by: tuple[str, ...] = Field(default=(), max_length=5)
    filters: tuple[Filter, ...] = Field(default=(), max_length=20)
    time: TimeRange = TimeRange()  # pyright: ignore[reportCallIssue]
    order_by: tuple[str, ...] = Field(default=(), max_length=5)
    """Metric or dimension names, `-` before one for descending; `time` is the period."""
    limit: int | None = Field(default=None, ge=1, le=10_000)
    share_of: tuple[Scalar, ...] = Field(default=(), max_length=100)
    """Members of the one dimension grouped by whose part of all rows is the answer: "what percent came by chat"."""
    is_mean: bool = False
    """The mean over the periods is the answer: "average tickets per day"."""


class TemplatePlan(_Frozen):
    """A parameterised question that metrics cannot express: ticket lists, one ticket, the oldest open ones."""

    kind: Literal["template"] = "template"
    template: Literal["ticket_list", "ticket", "oldest_open", "most_replies"]
    ticket_id: int | None = None
    filters: tuple[Filter, ...] = Field(default=(), max_length=20)
    time: TimeRange = TimeRange()  # pyright: ignore[reportCallIssue]
    limit: int = Field(default=20, ge=1, le=1_000)


class SearchPlan(_Frozen):
    """What customers or agents say: nearest comments to a text."""

    kind: Literal["search"] = "search"
    query: str
    filters: tuple[Filter, ...] = Field(default=(), max_length=20)
    time: TimeRange = TimeRange()  # pyright: ignore[reportCallIssue]
    limit: int = Field(default=10, ge=1, le=100)


class GraphPlan(_Frozen):
    """How things hang together."""

    kind: Literal["graph"] = "graph"
    relation: Literal["related", "incidents", "merged", "follow_ups", "repeat_contacts", "escalations", "problems"]
    ticket_id: int | None = None
    filters: tuple[Filter, ...] = Field(default=(), max_length=20)
    time: TimeRange = TimeRange()  # pyright: ignore[reportCallIssue]
    limit: int = Field(default=20, ge=1, le=200)


class ComplexPlan(_Frozen):
    """A why, a comparison with reasons, a root cause: figures, quotes and relations together, then a synthesis."""

    kind: Literal["complex"] = "complex"
    metrics: tuple[MetricPlan, ...] = Field(default=(), max_length=12)
    search: SearchPlan | None = None
    graph: GraphPlan | None = None


class ClarifyPlan(_Frozen):
    """The question has several readings or names something unknown: ask back."""

    kind: Literal["clarify"] = "clarify"
    reason: str
    suggestions: tuple[str, ...] = ()


class RefusePlan(_Frozen):
    """The question must not or cannot be answered here."""

    kind: Literal["refuse"] = "refuse"
    reason: str


Plan = Annotated[
    MetricPlan | TemplatePlan | SearchPlan | GraphPlan | ComplexPlan | ClarifyPlan | RefusePlan,
    Field(discriminator="kind"),
]


class Reading(_Frozen):
    """How the planner understood a question."""

    plan: Plan
    confidence: float = Field(ge=0, le=1)
    """1: every meaning-bearing word is accounted for; below the policy's threshold a model is asked."""
    echo: str
    """The reading in plain words, first line of the answer's explanation."""
    assumptions: tuple[str, ...] = ()
    """Defaults that were filled in, told to the reader."""
    unknown_words: tuple[str, ...] = ()
