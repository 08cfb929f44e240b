"""The endpoints of the API, a few lines each."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from serving.access.asker import Scope
from serving.access.auth import Caller, Serving
from serving.errors import ServingError
from serving.policy import ModelEntry
from serving.question import make_question
from serving.routing.registry import Registry
from serving.schemas import (
    Answer,
    AskRequest,
    CatalogOut,
    DatasetOut,
    DecisionOut,
    FeedbackRequest,
    HitOut,
    ModelHealthOut,
    ModelOut,
    QueryRequest,
    ReadyOut,
    RelatedOut,
    RouteOut,
    SearchOut,
    SearchRequest,
    UsageOut,
)
from serving.state import State
from serving.stream import EVENT_STREAM, answer_events
from serving.sync_figures import FiguresUnavailable, SyncFigures

router = APIRouter()


@router.post("/v1/ask", response_model=Answer, tags=["answers"])
async def ask(body: AskRequest, request: Request, state: Serving, asker: Caller) -> Any:
    """Answer a question; with `Accept: text/event-stream` as events plan, rows, token, answer or error."""
    asker.require(Scope.ASK)
    question = make_question(body, asker=asker, settings=state.settings, policy=state.policy)
    if EVENT_STREAM in request.headers.get("accept", ""):
        events = answer_events(lambda emit: state.answering.ask(question, emit))
        return StreamingResponse(events, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store"})
    return await state.answering.ask(question)


@router.post("/v1/route", tags=["answers"])
async def route(body: AskRequest, state: Serving, asker: Caller) -> RouteOut:
    """Decide where a question would go and what it would cost; nothing is executed."""
    asker.require(Scope.ASK)
    question = make_question(body, asker=asker, settings=state.settings, policy=state.policy)
    return await state.answering.route(question)


@router.post("/v1/query", tags=["answers"])
async def query(body: QueryRequest, state: Serving, asker: Caller) -> Answer:
    """Run a metric query without language."""
    asker.require(Scope.ASK)
    request = AskRequest(
        question=f"query {', '.join(body.metrics)}", as_of=body.as_of, time_zone=body.time_zone, cache=body.cache
    )
    question = make_question(request, asker=asker, settings=state.settings, policy=state.policy)
    return await state.answering.query(question, body.plan)


@router.post("/v1/search", tags=["answers"])
async def search(body: SearchRequest, state: Serving, asker: Caller) -> SearchOut:
    """Find comments by meaning and words."""
    asker.require(Scope.SEARCH)
    result = await state.threads.run(
        lambda: state.stores.search.get().search(body.plan, rows=asker.rows), seconds=_seconds(state)
    )
    version = result.dataset
    age = (datetime.now(UTC) - version.as_of).total_seconds()
    stale = age > state.policy.thresholds.stale_after_minutes * 60
    return SearchOut(
        hits=[HitOut.model_validate(hit, from_attributes=True) for hit in result.hits],
        mode=result.mode.value,
        coverage=result.coverage,
        data=[
            DatasetOut(
                dataset=version.dataset,
                version=version.version,
                as_of=version.as_of,
                stale=stale,
                coverage=version.coverage,
            )
        ],
        warnings=list(result.warnings),
    )


@router.get("/v1/tickets/{ticket_id}/related", tags=["answers"])
async def related(
    state: Serving, asker: Caller, ticket_id: int = Path(ge=1, lt=2**63), limit: int = Query(20, ge=1, le=200)
) -> list[RelatedOut]:
    """Tickets that hang together with this one."""
    asker.require(Scope.SEARCH)
    found = await state.threads.run(
        lambda: state.stores.graph.get().related(ticket_id, rows=asker.rows, limit=limit), seconds=_seconds(state)
    )
    return [RelatedOut.model_validate(one, from_attributes=True) for one in found]


@router.get("/v1/catalog", tags=["data"])
async def catalog(state: Serving, asker: Caller) -> CatalogOut:
    """Metrics, dimensions with values, and datasets with their freshness."""
    asker.require(Scope.ASK)
    view = await state.threads.run(state.published.view)
    described = view.semantics.describe() if view.semantics is not None else {"metrics": [], "dimensions": []}
    now = datetime.now(UTC)
    return CatalogOut(
        metrics=described["metrics"],
        dimensions=described["dimensions"],
        datasets=[
            {
                "dataset": one.dataset,
                "version": one.version,
                "as_of": one.as_of,
                "age_seconds": round((now - one.as_of).total_seconds(), 1),
                "rows": one.rows,
                "coverage": one.coverage,
                "failed_checks": list(one.failed_checks),
            }
            for _, one in sorted(view.snapshot.datasets.items())
        ],
        epoch=view.snapshot.epoch,
    )


@router.get("/v1/decisions/{decision_id}", tags=["answers"])
async def decision(decision_id: str, state: Serving, asker: Caller) -> DecisionOut:
    """A stored decision of one's own, with its reasons and its answer."""
    asker.require(Scope.ASK)
    created_at, row = await state.threads.run(lambda: state.audit.read(decision_id, asker))
    return DecisionOut(
        decision_id=row["id"],
        created_at=created_at,
        question=row["question"],
        policy_version=row["policy_version"],
        epoch=row["epoch"],
        record=row["record"],
        answer=row["answer"],
    )


@router.post("/v1/feedback", status_code=204, tags=["answers"])
async def feedback(body: FeedbackRequest, state: Serving, asker: Caller) -> Response:
    """Say what an answer was worth."""
    asker.require(Scope.FEEDBACK)
    await state.threads.run(lambda: state.audit.add_feedback(body.decision_id, asker, body.score, body.comment))
    return Response(status_code=204)


@router.get("/v1/usage", tags=["access"])
async def usage(state: Serving, asker: Caller) -> UsageOut:
    """What the caller's key has spent in its running period."""
    found = await state.threads.run(lambda: state.ledger.usage(asker))
    return UsageOut(
        key=asker.name,
        period=found.period.value,
        period_start=datetime.combine(found.period_start, time(), UTC),
        budget_usd=found.budget_usd,
        spent_usd=found.spent_usd,
        reserved_usd=found.reserved_usd,
        by_tier=found.by_tier,
        by_model=found.by_model,
        counterfactual_usd=found.counterfactual_usd,
    )


@router.get("/v1/registry/models", tags=["registry"])
async def models(state: Serving, asker: Caller) -> list[ModelOut]:
    """Every model of the registry, with its health."""
    asker.require(Scope.ADMIN)
    registry = state.selector.registry
    return [_model(entry, registry) for entry in registry.entries()]


@router.get("/v1/registry/models/{name}", tags=["registry"])
async def model(name: str, state: Serving, asker: Caller) -> ModelOut:
    """One model of the registry."""
    asker.require(Scope.ADMIN)
    registry = state.selector.registry
    return _model(registry.get(name), registry)


@router.get("/healthz", tags=["operation"])
async def alive() -> dict[str, str]:
    """Alive: the process answers."""
    return {"status": "alive"}


@router.get("/readyz", response_model=ReadyOut, tags=["operation"])
async def ready(request: Request) -> Response:
    """Ready: each dependency by name; 503 where nothing can be answered."""
    found: ReadyOut = await request.state.readiness.look()
    status = 503 if found.status == "unavailable" else 200
    return Response(found.model_dump_json(), status_code=status, media_type="application/json")


@router.get("/metrics", include_in_schema=False)
async def metrics(state: Serving) -> Response:
    """Prometheus' exposition."""
    pool = state.stores.questions.get_stats()
    size = pool.get("pool_max", 0)
    state.telemetry.pool_size.set(size)
    state.telemetry.pool_in_use.set(pool.get("pool_size", 0) - pool.get("pool_available", 0))
    try:
        view = await state.threads.run(state.published.view, seconds=2)
    except ServingError:
        pass
    else:
        state.telemetry.datasets(view.snapshot.datasets)
    text = state.telemetry.expose()
    try:
        figures = await state.threads.run(lambda: SyncFigures.read(state.stores.questions), seconds=3)
    except (ServingError, FiguresUnavailable):
        pass
    else:
        text += figures.expose()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _seconds(state: State) -> float:
    return state.policy.limits.deadline_ms / 1000


def _model(entry: ModelEntry, registry: Registry) -> ModelOut:
    return ModelOut(
        name=entry.name,
        version=entry.version,
        tier=entry.tier.value,
        state=entry.state,
        context_length=entry.context_length,
        price={
            "input_per_1k_usd": float(entry.price.input_per_1k_usd),
            "output_per_1k_usd": float(entry.price.output_per_1k_usd),
        },
        capabilities=list(entry.capabilities),
        fallbacks=list(entry.fallbacks),
        endpoints=[endpoint.model_dump(mode="json") for endpoint in entry.endpoints],
        health=ModelHealthOut.model_validate(registry.health(entry.name), from_attributes=True),
    )
