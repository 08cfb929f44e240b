"""Search and graph as serving sees them, over hits and links that a test writes down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from assets.catalog import DatasetVersion
from serving.errors import StoreUnavailable
from serving.planning.plan import Filter, GraphPlan, SearchPlan
from serving.tiers.graph import Column, GraphResult
from serving.tiers.search import Hit, Mode, SearchResult

NOW = datetime.now(UTC)


@dataclass
class FakeSearch:
    """Finds what it was given, whatever is asked."""

    quotes: Sequence[tuple[int, str]] = ()
    coverage: float = 1.0
    asked: list[tuple[SearchPlan, tuple[Filter, ...]]] = field(default_factory=list)
    is_away: bool = False

    def search(self, plan: SearchPlan, *, rows: Sequence[Filter] = (), timeout: float = 10.0) -> SearchResult:
        self.asked.append((plan, tuple(rows)))
        if self.is_away:
            raise StoreUnavailable("Milvus does not answer")
        hits = tuple(
            Hit(ticket, 1000 + at, 0.9 - at / 100, quote, "end_user", True, NOW)
            for at, (ticket, quote) in enumerate(self.quotes)
        )
        version = DatasetVersion("milvus.comment_embeddings", 1, NOW, len(hits), coverage=self.coverage)
        return SearchResult(hits, Mode.HYBRID, self.coverage, version, "minilm@f32")


@dataclass
class FakeGraph:
    """Links every ticket to the same others."""

    others: Sequence[int] = ()

    def run(self, plan: GraphPlan, *, rows: Sequence[Filter] = (), timeout: float = 10.0) -> GraphResult:
        version = DatasetVersion("neo4j.ticket_graph", 1, NOW, len(self.others))
        return GraphResult(
            columns=(Column("ticket_id", "number", "id"), Column("relation", "text", "dimension")),
            rows=tuple((other, "incident") for other in self.others),
            truncated=False,
            total=len(self.others),
            ticket_ids=tuple(self.others),
            cypher="match (t:Ticket) return t",
            parameters={},
            dataset=version,
        )
