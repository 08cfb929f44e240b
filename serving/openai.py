"""The OpenAI interface: `switchdesk` and `auto` answer like `/v1/ask`, a model's name passes through to that model."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson
from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from serving.access.asker import Asker, Scope
from serving.access.audit import Decision
from serving.access.auth import Caller, Serving
from serving.access.ledger import Charge, Reservation
from serving.errors import Invalid, ServingError
from serving.policy import ModelEntry
from serving.question import make_question, request_cap
from serving.routing.budget import Budget
from serving.routing.completion import Attempt, Outcome, Usage
from serving.routing.fallback import attempts_of
from serving.routing.validator import Verdict
from serving.schemas import Answer, AskRequest
from serving.state import State
from serving.stream import EVENT_STREAM, event
from serving.vllm import ChatAnswer, ChatRequest, count_prompt, count_tokens

router = APIRouter(tags=["openai"])

_OURS = ("switchdesk", "auto")
# Fields beside those of ChatBody that are ours to set; everything else goes to the model server as it came.
_READ = {
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "stream_options",
    "budget_usd",
    "deadline_ms",
}
_LONGEST_ANSWER = 4096


class ChatBody(BaseModel):
    """A chat completion request; unknown fields pass through."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=200)
    messages: list[dict[str, Any]] = Field(min_length=1, max_length=1000)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    stream: bool = False
    budget_usd: Decimal | None = Field(default=None, ge=0, le=1000)
    deadline_ms: int | None = Field(default=None, ge=1, le=600_000)


@router.get("/v1/models")
async def models(state: Serving, asker: Caller) -> dict[str, Any]:
    """Names that may be asked."""
    del asker  # Any key may look.
    names = [*_OURS, *state.selector.registry.names()]
    return {"object": "list", "data": [_listed(name) for name in names]}


@router.post("/v1/chat/completions")
async def chat(body: ChatBody, state: Serving, asker: Caller) -> Response:
    """Answer a chat."""
    asker.require(Scope.ASK)
    if body.model in _OURS:
        return await _ask(body, state, asker)
    return await _pass_through(body, state, asker)


async def _ask(body: ChatBody, state: State, asker: Asker) -> Response:
    request = AskRequest(question=_last_user_text(body), budget_usd=body.budget_usd, deadline_ms=body.deadline_ms)
    question = make_question(request, asker=asker, settings=state.settings, policy=state.policy)
    answer = await state.answering.ask(question)
    prompt = count_prompt(body.messages)
    usage = Usage(prompt, count_tokens(answer.text))
    if not body.stream:
        message = {"role": "assistant", "content": answer.text}
        return JSONResponse(_completion(answer.decision_id, body.model, message, "stop", usage, _evidence(answer)))

    async def chunks() -> AsyncIterator[bytes]:
        for delta, finish in (({"role": "assistant", "content": answer.text}, None), ({}, "stop")):
            yield _data(_chunk(answer.decision_id, body.model, delta, finish))
        yield b"data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type=EVENT_STREAM)


async def _pass_through(body: ChatBody, state: State, asker: Asker) -> Response:
    chain = state.selector.registry.chain(body.model)
    cap = request_cap(body.budget_usd, asker, state.settings)
    reservation = None
    if asker.budget_usd is not None:
        reservation = await state.threads.run(lambda: state.ledger.reserve(asker, cap, least_usd=Decimal(0)))
        cap = reservation.amount_usd
    call = _Call(body, state, asker, chain, Budget(cap), reservation)
    return await (call.stream() if body.stream else call.whole())


class _Call:
    """One pass-through call: asked, settled and audited."""

    def __init__(
        self,
        body: ChatBody,
        state: State,
        asker: Asker,
        chain: Sequence[ModelEntry],
        budget: Budget,
        reservation: Reservation | None,
    ) -> None:
        self._state, self._asker, self._chain, self._budget = state, asker, chain, budget
        self._reservation = reservation
        self._model = body.model
        self._id = secrets.token_hex(12)
        self._request = _request(body, chain[0], budget)
        milliseconds = body.deadline_ms or state.policy.limits.deadline_ms
        self._deadline = time.monotonic() + milliseconds / 1000
        self._attempts: list[Attempt] = []

    async def whole(self) -> Response:
        """The answer in one piece."""
        outcome = "abandoned"
        try:
            completion = await self._state.selector.fallback.run(
                self._request,
                self._chain,
                accept=_any_answer,
                budget=self._budget,
                deadline=self._deadline,
                tier=self._chain[0].tier.value,
            )
            self._attempts.extend(completion.attempts)
            outcome = "answered"
        except ServingError as error:
            self._attempts.extend(attempts_of(error))
            outcome = error.code
            raise
        finally:
            await self._settle(outcome)
        return JSONResponse(
            _completion(self._id, completion.model, completion.message, completion.finish_reason, completion.usage, {})
        )

    async def stream(self) -> Response:
        """The answer as it comes; what fails before its first byte is an error of the request."""
        chunks = self._state.selector.fallback.stream(
            self._request,
            self._chain,
            budget=self._budget,
            deadline=self._deadline,
            tier=self._chain[0].tier.value,
            attempts=self._attempts,
        )
        try:
            first = await anext(chunks, None)
        except ServingError as error:
            await self._settle(error.code)
            raise
        return StreamingResponse(self._sent(first, chunks), media_type=EVENT_STREAM)

    async def _sent(
        self, first: Mapping[str, Any] | None, chunks: AsyncIterator[Mapping[str, Any]]
    ) -> AsyncIterator[bytes]:
        outcome = "abandoned"
        try:
            if first is not None:
                yield _data(first)
            async for chunk in chunks:
                yield _data(chunk)
            outcome = "answered"
            yield b"data: [DONE]\n\n"
        except ServingError as error:
            # What was shown may be half an answer: never the end mark after a cut.
            outcome = error.code
            yield event("error", {**error.problem(), "error": {"message": str(error), "type": error.code}})
        finally:
            await self._settle(outcome)

    async def _settle(self, outcome: str) -> None:
        strongest = self._state.selector.registry.strongest().price
        charges = [
            Charge(
                self._chain[0].tier.value,
                attempt.model,
                attempt.cost_usd,
                counterfactual_usd=strongest.cost(attempt.usage.input_tokens, attempt.usage.output_tokens),
                input_tokens=attempt.usage.input_tokens,
                output_tokens=attempt.usage.output_tokens,
            )
            for attempt in self._attempts
            if attempt.outcome is not Outcome.SKIPPED
        ]
        question = _digestible(self._request.messages)
        decision = Decision(
            id=self._id,
            action="chat",
            outcome=outcome,
            question=None,
            question_digest=question,
            conversation_id=None,
            policy_version=self._state.policy.version,
            epoch=0,
            record={
                "model": self._model,
                "attempts": [
                    {"model": one.model, "outcome": one.outcome.value, "reason": one.reason} for one in self._attempts
                ],
            },
            answer=None,
            cost_usd=sum((charge.cost_usd for charge in charges), Decimal(0)),
        )
        await asyncio.shield(
            self._state.threads.run(lambda: self._state.audit.store(decision, self._asker, self._reservation, charges))
        )


def _request(body: ChatBody, entry: ModelEntry, budget: Budget) -> ChatRequest:
    """The request as asked; without `max_tokens` as long as context and budget allow."""
    further = {name: value for name, value in (body.model_extra or {}).items() if name not in _READ}
    asked = body.max_tokens or body.max_completion_tokens
    if asked is None:
        prompt = count_prompt(body.messages)
        price = entry.price.output_per_1k_usd
        left = budget.left_usd - entry.price.cost(prompt, 0)
        affordable = int(left / price * 1000) if price else _LONGEST_ANSWER
        asked = max(1, min(affordable, entry.context_length - prompt, _LONGEST_ANSWER))
    return ChatRequest(body.messages, max_tokens=asked, temperature=1.0, body=further)


def _any_answer(_answer: ChatAnswer) -> Verdict:
    return Verdict(1.0)


def _last_user_text(body: ChatBody) -> str:
    for message in reversed(body.messages):
        if message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, str):
            return content
        if isinstance(content, list):
            parts = [str(part.get("text") or "") for part in content if isinstance(part, dict)]
            return " ".join(part for part in parts if part)
    raise Invalid("messages without a question: one of them needs role user and text as content")


def _completion(
    decision_id: str,
    model: str,
    message: Mapping[str, Any],
    finish: str,
    usage: Usage,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{decision_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": dict(message), "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
        **more,
    }


def _chunk(decision_id: str, model: str, delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{decision_id}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish}],
    }


def _evidence(answer: Answer) -> dict[str, Any]:
    return {"switchdesk": answer.model_dump(mode="json", by_alias=True, exclude={"text"})}


def _listed(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "switchdesk"}


def _data(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _digestible(messages: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(orjson.dumps(list(messages))).hexdigest()
