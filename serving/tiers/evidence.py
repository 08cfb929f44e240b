"""Evidence: what each tier finds, put into a draft with the text composed from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from serving import compose
from serving.errors import Invalid, NotFound, StoreUnavailable
from serving.planning.plan import ComplexPlan, GraphPlan, MetricPlan, SearchPlan
from serving.planning.wording import where
from serving.published import View
from serving.question import Question
from serving.schemas import Citation, Status
from serving.stores import Stores
from serving.threads import Threads
from serving.tiers.draft import Draft
from serving.tiers.explanation import explain
from serving.tiers.metrics import Countable, Figures, Fingerprint, Metrics, cell, plain_label
from serving.tiers.table import Column, Table

_STORE_SECONDS = 10.0


class Evidence:
    """Runs plans against the stores, in threads."""

    def __init__(self, stores: Stores, metrics: Metrics, threads: Threads) -> None:
        self._stores = stores
        self._metrics = metrics
        self._threads = threads

    async def fingerprint(self, question: Question, plan: Countable, view: View) -> Fingerprint:
        """What the plan's figures will depend on."""
        as_of, rows = question.as_of(view.snapshot), question.asker.rows
        return await self._threads.run(
            lambda: self._metrics.fingerprint(plan, zone=question.zone, as_of=as_of, rows=rows),
            seconds=question.seconds_left,
        )

    async def metrics(self, question: Question, plan: Countable, draft: Draft, view: View) -> None:
        """Figures or a list of tickets, with the definitions used."""
        found = (await self._figures(question, [plan], draft, view))[0]
        as_of = question.as_of(view.snapshot)
        table = found.table
        draft.table, draft.value, draft.sql, draft.ticket_ids = table, table.value, found.sql, table.ticket_ids
        limits = "" if view.semantics is None else where(plan.filters, view.semantics).removeprefix(", ")
        if isinstance(plan, MetricPlan):
            draft.value = table.value if table.value is not None else compose.asked_of_rows(plan, table)
            draft.text = compose.metric_text(plan, table, zone=question.zone, as_of=as_of, limits=limits)
        else:
            draft.text = compose.template_text(plan, table, zone=question.zone, as_of=as_of, limits=limits)
        for label, definition in found.definitions.items():
            draft.text += f"\n{compose.sentence(f'{label}: {definition}')}"
        # A list says itself that it shows the first ones.
        if table.truncated and isinstance(plan, MetricPlan):
            draft.warn(f"the table shows the first {len(table.rows):,} rows; narrow the question for the rest")

    async def search(self, question: Question, plan: SearchPlan, draft: Draft, view: View) -> None:
        """Comments with quotes."""
        timeout = min(_STORE_SECONDS, question.seconds_left)
        result = await self._threads.run(
            lambda: self._stores.search.get().search(plan, rows=question.asker.rows, timeout=timeout),
            seconds=question.seconds_left,
        )
        draft.citations = [
            Citation(ticket_id=hit.ticket_id, comment_id=hit.comment_id, quote=hit.quote, score=hit.score)
            for hit in result.hits
        ]
        draft.ticket_ids = list(dict.fromkeys(hit.ticket_id for hit in result.hits))
        draft.datasets[result.dataset.dataset] = result.dataset
        for warning in result.warnings:
            draft.warn(warning)
        quotes = [(hit.ticket_id, hit.quote) for hit in result.hits]
        draft.text = compose.search_text(plan, quotes, zone=question.zone, as_of=question.as_of(view.snapshot))

    async def graph(self, question: Question, plan: GraphPlan, draft: Draft) -> None:
        """Links between tickets."""
        timeout = min(_STORE_SECONDS, question.seconds_left)
        try:
            result = await self._threads.run(
                lambda: self._stores.graph.get().run(plan, rows=question.asker.rows, timeout=timeout),
                seconds=question.seconds_left,
            )
        except NotFound as error:
            draft.status, draft.text = Status.REFUSED, compose.sentence(str(error))
            return
        draft.table = Table(
            tuple(
                Column(column.name, column.type, column.unit, column.role, plain_label(column.name))
                for column in result.columns
            ),
            tuple(tuple(cell(_local(value, question)) for value in row) for row in result.rows),
            result.truncated,
            result.total,
        )
        draft.ticket_ids, draft.cypher = list(result.ticket_ids), result.cypher
        draft.datasets[result.dataset.dataset] = result.dataset
        draft.text = compose.graph_text(plan, draft.table)

    async def all(self, question: Question, plan: ComplexPlan, draft: Draft, view: View) -> list[tuple[str, Table]]:
        """Figures, comments and links; a part whose store is away makes the answer partial, not void.

        Returns the tables with their titles; raises StoreUnavailable where no part answers.
        """
        texts: list[str] = []
        tables: list[tuple[str, Table]] = []
        search = plan.search
        if plan.metrics:
            with _part(draft, "figures"):
                found = await self._figures(question, plan.metrics, draft, view)
                as_of = question.as_of(view.snapshot)
                parts = [(one, result.table) for one, result in zip(plan.metrics, found, strict=True)]
                assert view.semantics is not None  # without it there were no figures
                for one, table in parts:
                    limits = where(one.filters, view.semantics).removeprefix(", ")
                    text = compose.metric_text(one, table, zone=question.zone, as_of=as_of, limits=limits)
                    tables.append((text.splitlines()[0], table))
                    texts.append(text)
                moved = explain(
                    parts,
                    is_additive=_adds_up(view, plan),
                    zone=question.zone,
                    as_of=as_of,
                    limits=where(plan.metrics[0].filters, view.semantics),
                )
                if moved is not None:
                    texts = [moved.text]
                    search = moved.search(search) if search is not None else None
                draft.table = compose.long_table(parts, zone=question.zone)
                draft.sql = ";\n".join(result.sql for result in found)
        if search is not None:
            draft.plan = plan.model_copy(update={"search": search}).model_dump(mode="json", by_alias=True)
            with _part(draft, "comments"):
                await self.search(question, search, draft, view)
                if draft.citations:
                    texts.append(draft.text)
        if plan.graph is not None:
            with _part(draft, "links"):
                linked = Draft(draft.intent, draft.tier)
                await self.graph(question, plan.graph, linked)
                draft.cypher = linked.cypher
                draft.datasets.update(linked.datasets)
                draft.ticket_ids = list(dict.fromkeys([*draft.ticket_ids, *linked.ticket_ids]))
                tables.append((linked.text.splitlines()[0], linked.table))
                texts.append(linked.text)
        if not texts:
            raise StoreUnavailable("no part of the answer can be had: " + "; ".join(draft.warnings))
        draft.text = "\n".join(texts)
        return tables

    async def _figures(self, question: Question, plans: Sequence[Countable], draft: Draft, view: View) -> list[Figures]:
        semantics = view.semantics
        if semantics is None:
            raise StoreUnavailable("no marts are published yet: run `switchdesk build analytics`")
        as_of, rows = question.as_of(view.snapshot), question.asker.rows
        results = await self._threads.run(
            lambda: self._metrics.run(plans, semantics=semantics, zone=question.zone, as_of=as_of, rows=rows),
            seconds=question.seconds_left,
        )
        for result in results:
            draft.definitions.update(result.definitions)
            draft.datasets.update(result.datasets)
        return results


def _adds_up(view: View, plan: ComplexPlan) -> bool:
    """Whether slices of the metric in question add up to it; of a stock of tickets only the periods do not."""
    if view.semantics is None:
        return False
    metric = view.semantics.metrics[plan.metrics[0].metrics[0]]
    return metric.is_additive or metric.unit == "tickets"


def _local(value: object, question: Question) -> object:
    """A moment in the asker's zone, anything else as it is."""
    return value.astimezone(question.zone) if isinstance(value, datetime) else value


@contextmanager
def _part(draft: Draft, name: str) -> Iterator[None]:
    try:
        yield
    except (StoreUnavailable, Invalid) as error:
        draft.warn(f"without {name}: {error}")
        draft.status = Status.PARTIAL
