"""Fallback: ask one candidate after another until one answers acceptably, under one deadline and one budget."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from serving.errors import BudgetExceeded, DeadlineExceeded, ModelsUnavailable, ServingError
from serving.policy import ModelEntry
from serving.routing.budget import Budget, usd
from serving.routing.completion import Attempt, Completion, Outcome, Usage
from serving.routing.registry import Line, Registry
from serving.routing.validator import Verdict
from serving.telemetry import Telemetry
from serving.vllm import (
    ChatAnswer,
    ChatRequest,
    Upstream,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamTimeout,
    count_prompt,
    usage_of,
)

Accept = Callable[[ChatAnswer], Verdict]

# While other candidates remain one may use this share of the time left, so that a hanging server leaves them some.
_SHARE_OF_TIME = 0.6
_LEAST_SECONDS = 0.05


class NoAnswer(ModelsUnavailable):
    """No candidate answered acceptably; carries what was tried and spent."""

    def __init__(self, message: str, attempts: Sequence[Attempt], best: Completion | None = None) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)
        self.best = best
        """The best answer that the validator refused."""


class Fallback:
    """Runs the chain of candidates; shared by every path that calls a model."""

    def __init__(self, registry: Registry, upstream: Upstream, telemetry: Telemetry, *, further_attempts: int) -> None:
        self._registry = registry
        self._upstream = upstream
        self._telemetry = telemetry
        self._most = further_attempts + 1

    async def run(
        self,
        request: ChatRequest,
        candidates: Sequence[ModelEntry],
        *,
        accept: Accept,
        budget: Budget,
        deadline: float,
        tier: str,
    ) -> Completion:
        """Ask candidates in order; raises BudgetExceeded, DeadlineExceeded or NoAnswer.

        Args:
            request: What every candidate is asked.
            candidates: First choice first.
            accept: Judges an answer; a refused one leads to the next candidate.
            budget: Held back before and settled after each attempt.
            deadline: `time.monotonic()` moment after which nothing is asked any more.
            tier: Path that pays, for the metrics.
        """
        attempts: list[Attempt] = []
        best: tuple[float, ChatAnswer, str] | None = None
        for position, entry in enumerate(candidates):
            asked = [attempt for attempt in attempts if attempt.outcome is not Outcome.SKIPPED]
            left = deadline - time.monotonic()
            if len(asked) >= self._most or left <= _LEAST_SECONDS:
                break
            admitted = self._admit(entry, request, budget)
            if isinstance(admitted, Attempt):
                attempts.append(admitted)
                continue
            alone = position == len(candidates) - 1 or len(asked) == self._most - 1
            timeout = min(admitted.line.endpoint.timeout_ms / 1000, left if alone else left * _SHARE_OF_TIME)
            attempt, answer, verdict = await self._ask(admitted, request, accept, budget, timeout)
            attempts.append(attempt)
            self._record(attempt, attempts, tier)
            if answer is not None and verdict is not None:
                if verdict.passed:
                    return _completion(answer, entry.name, attempts)
                if best is None or verdict.score > best[0]:
                    best = (verdict.score, answer, entry.name)
        refused = _completion(best[1], best[2], attempts) if best is not None else None
        raise _exhausted(attempts, deadline, budget, refused)

    async def stream(
        self,
        request: ChatRequest,
        candidates: Sequence[ModelEntry],
        *,
        budget: Budget,
        deadline: float,
        tier: str,
        attempts: list[Attempt],
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the chunks of the first candidate that begins to answer; one that breaks off later raises.

        `attempts` is filled as they happen, so that the caller can settle and audit whatever came of it.
        """
        for position, entry in enumerate(candidates):
            asked = [attempt for attempt in attempts if attempt.outcome is not Outcome.SKIPPED]
            left = deadline - time.monotonic()
            if len(asked) >= self._most or left <= _LEAST_SECONDS:
                break
            admitted = self._admit(entry, request, budget)
            if isinstance(admitted, Attempt):
                attempts.append(admitted)
                continue
            line = admitted.line
            alone = position == len(candidates) - 1
            timeout = min(line.endpoint.timeout_ms / 1000, left if alone else left * _SHARE_OF_TIME)
            begun = False
            call = _StreamedCall(admitted, request, budget)
            try:
                with line.busy():
                    async for chunk in self._upstream.stream(line.endpoint, entry.name, request, timeout=timeout):
                        begun = True
                        call.take(chunk)
                        yield chunk
            except UpstreamError as error:
                _blame(line, error)
                attempts.append(call.failed(error))
                self._record(attempts[-1], attempts, tier)
                if begun:
                    raise
                continue
            except BaseException:
                # The caller went away: what came so far is paid for, and says nothing about the endpoint.
                line.breaker.forget()
                attempts.append(call.finished(Outcome.ANSWERED, "the caller left"))
                self._record(attempts[-1], attempts, tier)
                raise
            line.breaker.succeed()
            attempts.append(call.finished(Outcome.ANSWERED, "answered"))
            self._record(attempts[-1], attempts, tier)
            return
        raise _exhausted(attempts, deadline, budget, None)

    def _admit(self, entry: ModelEntry, request: ChatRequest, budget: Budget) -> _Admitted | Attempt:
        """Pick an endpoint and hold the most it may cost back; an Attempt says why the model is not asked."""
        tokens = count_prompt(request.messages)
        if tokens + request.max_tokens > entry.context_length:
            return _skip(entry, f"{tokens} + {request.max_tokens} tokens exceed its {entry.context_length}")
        line = self._registry.pick(entry.name)
        if line is None:
            return _skip(entry, "breaker open")
        estimate = entry.price_at(line.endpoint).cost(tokens, request.max_tokens)
        if not budget.reaches(estimate):
            line.breaker.forget()
            return _skip(entry, f"budget: may cost {usd(estimate)}, {usd(budget.left_usd)} are left")
        budget.reserve(estimate, what=entry.name)
        return _Admitted(entry, line, estimate)

    async def _ask(
        self, admitted: _Admitted, request: ChatRequest, accept: Accept, budget: Budget, timeout: float
    ) -> tuple[Attempt, ChatAnswer | None, Verdict | None]:
        entry, line = admitted.entry, admitted.line
        started = time.monotonic()
        # Whatever goes wrong unforeseen, a cancelled caller too, the most is assumed to have been spent.
        spent = admitted.reserved_usd
        try:
            with line.busy():
                answer = await self._upstream.chat(line.endpoint, entry.name, request, timeout=timeout)
            spent = entry.price_at(line.endpoint).cost(answer.usage.input_tokens, answer.usage.output_tokens)
        except UpstreamError as error:
            _blame(line, error)
            # A server that was silent may have worked all the while, one that failed sells nothing.
            spent = admitted.reserved_usd if isinstance(error, UpstreamTimeout) else Decimal(0)
            return _failed(entry, error, spent, started), None, None
        except BaseException:
            line.breaker.forget()
            raise
        finally:
            budget.settle(admitted.reserved_usd, spent)
        line.breaker.succeed()
        verdict = accept(answer)
        outcome = Outcome.ANSWERED if verdict.passed else Outcome.REJECTED
        reason = "; ".join(verdict.faults) or "accepted"
        return Attempt(entry.name, outcome, reason, answer.usage, spent, answer.milliseconds), answer, verdict

    def _record(self, attempt: Attempt, attempts: Sequence[Attempt], tier: str) -> None:
        self._registry.note(attempt)
        self._telemetry.model_called(attempt, tier, self._registry.breaker_state(attempt.model))
        before = [one for one in attempts[:-1] if one.model != attempt.model]
        if before:
            self._telemetry.fell_back(before[-1], attempt.model)


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A candidate about to be asked, its cost held back."""

    entry: ModelEntry
    line: Line
    reserved_usd: Decimal


class _StreamedCall:
    """The money and the tokens of one streamed call."""

    def __init__(self, admitted: _Admitted, request: ChatRequest, budget: Budget) -> None:
        self._entry, self._line, self._reserved = admitted.entry, admitted.line, admitted.reserved_usd
        self._request, self._budget = request, budget
        self._started = time.monotonic()
        self._text: list[str] = []
        self._last: Mapping[str, Any] = {}

    def take(self, chunk: Mapping[str, Any]) -> None:
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            delta = choices[0].get("delta")
            if isinstance(delta, dict) and isinstance(delta.get("content"), str):
                self._text.append(delta["content"])
        if isinstance(chunk.get("usage"), dict):
            self._last = chunk

    def finished(self, outcome: Outcome, reason: str) -> Attempt:
        usage = usage_of(self._last, self._request, "".join(self._text))
        cost = self._entry.price_at(self._line.endpoint).cost(usage.input_tokens, usage.output_tokens)
        self._budget.settle(self._reserved, cost)
        return Attempt(self._entry.name, outcome, reason, usage, cost, self._milliseconds())

    def failed(self, error: UpstreamError) -> Attempt:
        if self._text:
            return self.finished(_outcome(error), str(error))
        spent = self._reserved if isinstance(error, UpstreamTimeout) else Decimal(0)
        self._budget.settle(self._reserved, spent)
        return Attempt(self._entry.name, _outcome(error), str(error), Usage(), spent, self._milliseconds())

    def _milliseconds(self) -> int:
        return int((time.monotonic() - self._started) * 1000)


def _after(error: ServingError, attempts: Sequence[Attempt]) -> ServingError:
    error.__cause__ = NoAnswer(str(error), attempts)
    return error


def attempts_of(error: ServingError) -> tuple[Attempt, ...]:
    """What was tried before an error of the chain."""
    found = error if isinstance(error, NoAnswer) else error.__cause__
    return found.attempts if isinstance(found, NoAnswer) else ()


def _blame(line: Line, error: UpstreamError) -> None:
    if error.blames_endpoint:
        line.breaker.fail()
    else:
        line.breaker.succeed()


def _skip(entry: ModelEntry, reason: str) -> Attempt:
    return Attempt(entry.name, Outcome.SKIPPED, reason)


def _failed(entry: ModelEntry, error: UpstreamError, spent: Decimal, started: float) -> Attempt:
    milliseconds = int((time.monotonic() - started) * 1000)
    return Attempt(entry.name, _outcome(error), str(error), Usage(), spent, milliseconds)


def _outcome(error: UpstreamError) -> Outcome:
    if isinstance(error, UpstreamTimeout):
        return Outcome.TIMED_OUT
    return Outcome.OVERLOADED if isinstance(error, UpstreamOverloaded) else Outcome.FAILED


def _completion(answer: ChatAnswer, model: str, attempts: Sequence[Attempt]) -> Completion:
    usage = sum((attempt.usage for attempt in attempts), Usage())
    cost = sum((attempt.cost_usd for attempt in attempts), Decimal(0))
    return Completion(answer.text, model, usage, cost, tuple(attempts), answer.message, answer.finish_reason)


def _exhausted(
    attempts: Sequence[Attempt], deadline: float, budget: Budget, refused: Completion | None
) -> ServingError:
    if attempts and all(one.outcome is Outcome.SKIPPED and one.reason.startswith("budget") for one in attempts):
        return _after(
            BudgetExceeded(
                f"budget does not reach: no model fits into {usd(budget.left_usd)}; {attempts[-1].model}: "
                f"{attempts[-1].reason}; raise budget_usd"
            ),
            attempts,
        )
    if refused is None and deadline - time.monotonic() <= _LEAST_SECONDS:
        tried = f"after {len(attempts)} attempts" if attempts else "before a model was asked"
        return _after(DeadlineExceeded(f"deadline passed: {tried}; raise deadline_ms or ask for less"), attempts)
    tried = "; ".join(f"{one.model}: {one.outcome.value}, {one.reason}" for one in attempts) or "there is none"
    return NoAnswer(f"no model answered usably: {tried}", attempts, refused)
