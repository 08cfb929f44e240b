"""A draft: what a tier found and wrote, before it becomes a public answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from assets.catalog import DatasetVersion
from serving.planning.plan import TimeRange
from serving.policy import Tier
from serving.routing.completion import Attempt
from serving.schemas import Citation, Intent, Status
from serving.tiers.table import Table


@dataclass(slots=True)
class Draft:
    """Filled step by step by the tier that answers."""

    intent: Intent
    tier: Tier
    text: str = ""
    status: Status = Status.ANSWERED
    model: str | None = None
    value: float | int | None = None
    table: Table = field(default_factory=Table)
    ticket_ids: Sequence[int] = ()
    citations: Sequence[Citation] = ()
    plan: dict[str, Any] | None = None
    range: TimeRange = field(default_factory=TimeRange)
    sql: str | None = None
    cypher: str | None = None
    definitions: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, DatasetVersion] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    suggestions: Sequence[str] = ()

    def warn(self, sentence: str) -> None:
        """Tell the reader something once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)
