"""Answering: the one file that knows the order of steps from a question to an answer.

checked -> read without a model -> cache by what is published -> reserved -> tier -> data judged -> recorded -> kept
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from assets.catalog import DatasetVersion
from serving import compose
from serving.deciding import Deciding, Way
from serving.errors import StoreUnavailable
from serving.planning.plan import (
    ClarifyPlan,
    ComplexPlan,
    GraphPlan,
    MetricPlan,
    Plan,
    Reading,
    RefusePlan,
    SearchPlan,
    TemplatePlan,
)
from serving.planning.planner import ask_back, read
from serving.policy import Policy, Tier
from serving.published import Published, View
from serving.question import Question
from serving.recording import Recording
from serving.routing.completion import Outcome
from serving.schemas import (
    Answer,
    AttemptOut,
    CacheOut,
    CacheUse,
    ColumnOut,
    DatasetOut,
    Intent,
    QueryOut,
    RangeOut,
    RouteOut,
    Status,
)
from serving.threads import Threads
from serving.tiers.cache import AnswerCache, answer_key, read_versions
from serving.tiers.draft import Draft
from serving.tiers.evidence import Evidence
from serving.tiers.pipeline import Pipeline
from serving.tiers.reading import ModelReader

Emit = Callable[[str, Mapping[str, Any]], Awaitable[None]]

NO_DATA = "no data yet: run `switchdesk sync --once` and then `switchdesk build all`, then ask again"
_AGE = "the data is as of "
# An answer whose models failed is composed and right, only less fluent: soon worth another try.
_SECOND_TRY_SECONDS = 300


async def silent(_event: str, _data: Mapping[str, Any]) -> None:
    """For callers that want the answer alone."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers questions; holds what the steps need and no state of its own."""

    policy: Policy
    published: Published
    deciding: Deciding
    cache: AnswerCache
    evidence: Evidence
    pipeline: Pipeline
    reader: ModelReader
    recording: Recording
    threads: Threads

    async def ask(self, question: Question, emit: Emit = silent) -> Answer:
        """Answer a question in words; what is known early is emitted as it comes."""
        view = await self._view(question)
        way = await self._read(question, view)
        await emit("plan", {"reading": way.reading.echo, "plan": _json(way.plan), "tier": way.tier.value})
        return await self._answer(question, view, way, emit, action="ask")

    async def query(self, question: Question, plan: MetricPlan) -> Answer:
        """Answer a metric query without language; raises Invalid with the nearest names for an unknown one."""
        view = await self._view(question)
        if view.semantics is None:
            raise StoreUnavailable(NO_DATA)
        return await self._answer(question, view, self.deciding.given(plan), silent, action="query")

    async def route(self, question: Question) -> RouteOut:
        """Decide and record, execute nothing."""
        view = await self._view(question)
        return await self.recording.routed(question, view, await self._read(question, view))

    async def _view(self, question: Question) -> View:
        return await self.threads.run(self.published.view, seconds=question.seconds_left)

    async def _read(self, question: Question, view: View) -> Way:
        semantics = view.semantics
        if semantics is None:
            return self.deciding.way(question, Reading(plan=RefusePlan(reason=NO_DATA), confidence=1, echo=""))
        now = question.as_of(view.snapshot)
        reading = await self.threads.run(
            lambda: read(question.text, semantics=semantics, now=now, zone=question.zone),
            seconds=question.seconds_left,
        )
        return self.deciding.way(question, reading)

    async def _answer(self, question: Question, view: View, way: Way, emit: Emit, *, action: str) -> Answer:
        key = await self._key(question, view, way)
        kept = await self.cache.get(key) if question.cache is CacheUse.USE else None
        reservation = await self.recording.reserve(question, way.tier if kept is None else Tier.CACHE)
        try:
            if kept is not None:
                draft, answer = None, self._from_cache(question, view, *kept)
            else:
                draft = await self._draft(question, view, way)
                answer = self._public(question, way, draft)
            await _emit_parts(answer, emit)
        except BaseException as error:
            await self.recording.give_up(question, view, way, reservation, error, action)
            raise
        attempts = draft.attempts if draft is not None else ()
        await self.recording.finish(question, view, way, answer, reservation, attempts, action)
        if draft is not None:
            await self._keep(question, view, way, draft, answer, key)
        await emit("answer", answer.model_dump(mode="json", by_alias=True))
        return answer

    async def _draft(self, question: Question, view: View, way: Way) -> Draft:
        """The tier's work: from a plan to text, rows and quotes."""
        draft = Draft(way.intent, way.tier)
        for assumption in way.reading.assumptions:
            draft.warn(f"assumed: {assumption}")
        plan = way.plan
        if not way.is_sure:
            assert view.semantics is not None
            as_of = question.as_of(view.snapshot)
            understood = await self.reader.read(question, way.reading, view.semantics, as_of, draft)
            plan = understood or ask_back(way.reading, semantics=view.semantics)
        draft.plan = _json(plan)
        draft.range = compose.plan_range(plan)
        match plan:
            case MetricPlan() | TemplatePlan():
                await self.evidence.metrics(question, plan, draft, view)
            case SearchPlan():
                draft.intent = Intent.SEMANTIC
                await self.evidence.search(question, plan, draft, view)
                await self.pipeline.summarise(question, draft)
            case GraphPlan():
                draft.intent = Intent.GRAPH
                await self.evidence.graph(question, plan, draft)
            case ComplexPlan():
                draft.intent = Intent.COMPLEX
                tables = await self.evidence.all(question, plan, draft, view)
                await self.pipeline.synthesise(question, draft, tables)
            case RefusePlan(reason=reason):
                draft.intent, draft.status = Intent.REFUSE, Status.REFUSED
                draft.text = compose.sentence(reason)
            case ClarifyPlan(reason=reason, suggestions=suggestions):
                draft.intent, draft.status, draft.suggestions = Intent.CLARIFY, Status.CLARIFY, suggestions
                draft.text = compose.clarify_text(reason, suggestions)
        self._judge_data(question, draft)
        return draft

    def _judge_data(self, question: Question, draft: Draft) -> None:
        """Say what the reader should know of the data: how old, how complete, whether its checks hold."""
        age = self._age_warning(question, draft.datasets.values())
        if age is not None:
            draft.warn(age)
        for version in draft.datasets.values():
            if version.coverage < 1:
                draft.warn(f"{version.dataset} holds {version.coverage:.1%} of its source so far")
            if version.failed_checks:
                draft.warn(f"{version.dataset} failed its checks: {', '.join(version.failed_checks)}")
            if (version.coverage < 1 or version.failed_checks) and draft.status is Status.ANSWERED:
                draft.status = Status.PARTIAL

    def _age_warning(self, question: Question, versions: Iterable[DatasetVersion]) -> str | None:
        old = [version.as_of for version in versions if self._is_stale(question, version)]
        return f"{_AGE}{compose.utc_text(min(old))}; what happened since is not in it" if old else None

    def _is_stale(self, question: Question, version: DatasetVersion) -> bool:
        age = question.asked_at - version.as_of
        return age.total_seconds() > self.policy.thresholds.stale_after_minutes * 60

    def _public(self, question: Question, way: Way, draft: Draft) -> Answer:
        text = draft.text
        if question.explain:
            reasons = [f"Understood as: {way.reading.echo}"] if way.reading.echo else []
            text = "\n".join([text, *reasons, *(compose.sentence(reason) for reason in way.why)])
        return Answer(
            status=draft.status,
            intent=draft.intent,
            tier=draft.tier.value,
            model=draft.model,
            text=text,
            value=draft.value,
            columns=[
                ColumnOut(name=column.name, type=column.type, unit=column.unit, role=column.role)
                for column in draft.table.columns
            ],
            rows=[list(row) for row in draft.table.rows],
            truncated=draft.table.truncated,
            ticket_ids=list(draft.ticket_ids),
            citations=list(draft.citations),
            query=QueryOut(plan=draft.plan, sql=draft.sql, cypher=draft.cypher, definitions=draft.definitions),
            range=RangeOut(**{"from": draft.range.from_}, to=draft.range.to, time_zone=question.zone.key),
            data=[self._dataset(question, version) for _, version in sorted(draft.datasets.items())],
            attempts=[
                AttemptOut(
                    model=attempt.model,
                    outcome=attempt.outcome.value,
                    reason=attempt.reason,
                    input_tokens=attempt.usage.input_tokens,
                    output_tokens=attempt.usage.output_tokens,
                    cost_usd=attempt.cost_usd,
                    milliseconds=attempt.milliseconds,
                )
                for attempt in draft.attempts
            ],
            estimate_usd=self.deciding.estimate(way),
            cost_usd=question.budget.spent_usd,
            budget_usd=question.budget.cap_usd,
            decision_id=question.id,
            warnings=draft.warnings,
            suggestions=list(draft.suggestions),
        )

    def _dataset(self, question: Question, version: DatasetVersion) -> DatasetOut:
        return DatasetOut(
            dataset=version.dataset,
            version=version.version,
            as_of=version.as_of,
            stale=self._is_stale(question, version),
            coverage=version.coverage,
        )

    def _from_cache(self, question: Question, view: View, stored: Answer, at: datetime) -> Answer:
        """An answer made before, for this asker, at this price, and with what is known of its data now.

        What the answer read has not changed, or its key would have; how fresh that is may have.
        """
        age = max(0.0, (datetime.now(UTC) - at).total_seconds())
        known = view.snapshot.datasets
        versions = [known[one.dataset] for one in stored.data if one.dataset in known]
        warnings = [warning for warning in stored.warnings if not warning.startswith(_AGE)]
        old = self._age_warning(question, versions)
        return stored.model_copy(
            update={
                "tier": Tier.CACHE.value,
                "attempts": [],
                "estimate_usd": question.budget.spent_usd,
                "cost_usd": question.budget.spent_usd,
                "budget_usd": question.budget.cap_usd,
                "cache": CacheOut(hit=True, kind="plan", age_s=round(age, 3)),
                "decision_id": question.id,
                "data": [self._dataset(question, version) for version in versions],
                "warnings": [*warnings, old] if old is not None else warnings,
            }
        )

    async def _keep(self, question: Question, view: View, way: Way, draft: Draft, answer: Answer, key: str) -> None:
        """Keep a whole answer under what it was made from; the data may have moved on since the plan was read."""
        unmoved = all(view.snapshot.datasets.get(name) == version for name, version in draft.datasets.items())
        if question.cache is CacheUse.OFF or answer.status is not Status.ANSWERED or not unmoved:
            return
        failed = any(attempt.outcome is not Outcome.ANSWERED for attempt in draft.attempts)
        ttl_seconds = _SECOND_TRY_SECONDS if failed else None
        await self.cache.put(key, answer, datetime.now(UTC), database=view.database, ttl_seconds=ttl_seconds)

    async def _key(self, question: Question, view: View, way: Way) -> str:
        as_of: datetime | None = question.as_of(view.snapshot)
        versions: Sequence[object] = read_versions(way.plan, view.snapshot)
        if way.tier is Tier.PLANNER and isinstance(way.plan, MetricPlan | TemplatePlan):
            fingerprint = await self.evidence.fingerprint(question, way.plan, view)
            versions = fingerprint.versions
            as_of = as_of if fingerprint.depends_on_as_of else None
        # Where words beyond the plan shape the answer (a prompt, an unsure reading) they are part of the key.
        words = question.text.casefold() if way.tier in {Tier.SQL, Tier.SEMANTIC, Tier.COMPLEX} else ""
        return answer_key(
            way.plan,
            versions=versions,
            as_of=as_of,
            zone=question.zone,
            digest=view.semantics.digest if view.semantics is not None else "",
            policy_version=self.policy.version,
            rows=question.asker.rows,
            variant=[view.database, words, question.explain],
        )


async def _emit_parts(answer: Answer, emit: Emit) -> None:
    columns = [column.model_dump(mode="json") for column in answer.columns]
    await emit("rows", {"columns": columns, "rows": answer.rows, "truncated": answer.truncated})
    for piece in _pieces(answer.text):
        await emit("token", {"text": piece})


def _pieces(text: str) -> Iterator[str]:
    """The text in words with the blanks behind them, so that the pieces joined are the text."""
    start = 0
    for at in range(1, len(text)):
        if text[at - 1].isspace() and not text[at].isspace():
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _json(plan: Plan) -> dict[str, Any]:
    return plan.model_dump(mode="json", by_alias=True)
