"""Selection, fallback, breaker and budget against a real model server with scripted faults."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from assets.settings import Settings
from serving.errors import BudgetExceeded, DeadlineExceeded, Invalid, ModelsUnavailable, NotFound
from serving.policy import BreakerPolicy, PolicyError, TaskClass, load_policy
from serving.routing import ModelSelector, classify_task
from serving.routing.breaker import Breaker, BreakerState
from serving.routing.budget import Budget, usd
from serving.routing.completion import Outcome
from serving.routing.fallback import NoAnswer
from serving.vllm import ChatRequest
from tests.fakes.models import Drops, Fails, Garbage, Hangs, ModelServer, Says, running_models

PHI, MISTRAL, LLAMA = "phi-3.5-mini", "mistral-7b", "llama-3.1-70b"


@pytest.fixture
def models() -> Iterator[ModelServer]:
    with running_models() as server:
        yield server


@pytest.fixture
def selector(models: ModelServer, tmp_path: Path) -> ModelSelector:
    return ModelSelector(Settings(dir=tmp_path, models_url=models.url))


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("How many tickets were created last week?", TaskClass.SIMPLE),
        ("What do customers complain about most?", TaskClass.MEDIUM),
        ("Why did resolution time rise in March?", TaskClass.COMPLEX),
        ("Summarize the feedback on billing", TaskClass.MEDIUM),
        ("What is behind the spike, and should we hire?", TaskClass.COMPLEX),
        ("", TaskClass.SIMPLE),
        ("word " * 200, TaskClass.MEDIUM),
    ],
)
async def test_a_task_is_classed_by_what_it_asks_for(text: str, task: TaskClass) -> None:
    assert await classify_task(text) is task


@pytest.mark.parametrize(("task", "model"), [("simple", PHI), ("medium", MISTRAL), ("complex", LLAMA)])
async def test_each_class_goes_to_its_model(selector: ModelSelector, task: str, model: str) -> None:
    assert await selector.select_model(task, 1.0) == model


async def test_a_budget_below_the_tier_buys_a_cheaper_model_and_none_buys_none(selector: ModelSelector) -> None:
    assert await selector.select_model("complex", 0.001) == MISTRAL
    with pytest.raises(BudgetExceeded, match="cheapest call"):
        await selector.select_model("complex", 0)
    with pytest.raises(Invalid):
        await selector.select_model("simple", -1)
    with pytest.raises(Invalid):
        await selector.select_model("simple", float("nan"))


async def test_a_text_may_stand_for_its_class(selector: ModelSelector) -> None:
    assert await selector.select_model("Why do customers leave?", 1.0) == LLAMA


def test_prices_are_the_specifications() -> None:
    assert {PHI: 0.0001, MISTRAL: 0.0002, LLAMA: 0.0008} == ModelSelector.PRICING


def test_a_selector_is_built_outside_an_event_loop_and_works_in_several(
    selector: ModelSelector, models: ModelServer
) -> None:
    models.script(PHI, Says("Ten tickets."))
    for _ in range(2):
        assert str(asyncio.run(selector.execute_with_fallback(prompt="How many?", task="simple"))) == "Ten tickets."


async def test_an_answer_prints_as_its_text_and_carries_what_it_cost(
    selector: ModelSelector, models: ModelServer
) -> None:
    models.script(PHI, Says("Ten tickets."))
    answer = await selector.execute_with_fallback(prompt="How many?", task="simple")
    assert f"{answer}" == "Ten tickets."
    assert answer.model == PHI
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 20)
    assert answer.cost_usd == Decimal("0.000012")
    assert [one.outcome for one in answer.attempts] == [Outcome.ANSWERED]


@pytest.mark.parametrize(
    "fault",
    [Fails(500), Fails(429, "1"), Fails(400), Drops(), Garbage(), Garbage(b"{}"), Says(""), Says("I'm sorry, no")],
)
async def test_the_next_model_answers_where_one_does_not(
    selector: ModelSelector, models: ModelServer, fault: object
) -> None:
    models.script(PHI, fault)  # pyright: ignore[reportArgumentType]
    models.script(MISTRAL, Says("Ten tickets."))
    answer = await selector.execute_with_fallback(prompt="How many?", task="simple")
    assert answer.model == MISTRAL
    assert [one.model for one in answer.attempts] == [PHI, MISTRAL]


async def test_a_hanging_model_leaves_the_next_one_time(selector: ModelSelector, models: ModelServer) -> None:
    models.script(PHI, Hangs())
    models.script(MISTRAL, Says("Ten tickets."))
    answer = await selector.execute_with_fallback(prompt="How many?", task="simple", deadline_ms=1500)
    assert answer.model == MISTRAL
    assert answer.attempts[0].outcome is Outcome.TIMED_OUT
    assert answer.attempts[0].cost_usd > 0, "a silent server may have worked: the most is assumed"


async def test_one_deadline_holds_over_all_attempts(selector: ModelSelector, models: ModelServer) -> None:
    for model in (PHI, MISTRAL, LLAMA):
        models.script(model, Hangs())
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await selector.execute_with_fallback(prompt="How many?", task="simple", deadline_ms=600)
    assert time.monotonic() - started < 5


async def test_at_most_the_allowed_attempts_are_made(models: ModelServer, tmp_path: Path) -> None:
    selector = ModelSelector(Settings(dir=tmp_path, models_url=models.url, max_fallback_attempts=1))
    for model in (PHI, MISTRAL, LLAMA):
        models.script(model, Fails(500))
    with pytest.raises(ModelsUnavailable, match=r"phi-3\.5-mini: failed"):
        await selector.execute_with_fallback(prompt="How many?", task="simple")
    assert models.calls() == 2


async def test_a_dead_model_is_left_alone_after_three_failures(selector: ModelSelector, models: ModelServer) -> None:
    models.script(PHI, Fails(500))
    models.script(MISTRAL, Says("Ten tickets."))
    for _ in range(12):
        assert (await selector.execute_with_fallback(prompt="How many?", task="simple")).model == MISTRAL
    assert models.calls(PHI) == 3
    assert selector.registry.breaker_state(PHI) is BreakerState.OPEN
    assert await selector.select_model("simple", 1.0) == MISTRAL


async def test_a_request_the_server_refuses_does_not_open_its_breaker(
    selector: ModelSelector, models: ModelServer
) -> None:
    models.script(PHI, Fails(400))
    for _ in range(5):
        await selector.execute_with_fallback(prompt="How many?", task="simple")
    assert selector.registry.breaker_state(PHI) is BreakerState.CLOSED


async def test_a_call_that_may_cost_more_than_the_budget_is_not_made(
    selector: ModelSelector, models: ModelServer
) -> None:
    with pytest.raises(BudgetExceeded, match="no model fits"):
        await selector.execute_with_fallback(prompt="How many?", task="complex", budget=0.000001)
    assert models.calls() == 0


async def test_the_budget_is_checked_again_before_each_attempt(selector: ModelSelector, models: ModelServer) -> None:
    models.script(LLAMA, Fails(500))
    budget = Decimal("0.0002")
    answer = await selector.execute_with_fallback(prompt="Why?", task="complex", budget=budget)
    assert answer.attempts[0].outcome is Outcome.SKIPPED
    assert "budget" in answer.attempts[0].reason
    assert answer.model in {MISTRAL, PHI}
    assert answer.cost_usd <= budget


async def test_where_every_answer_is_refused_the_best_comes_back_and_says_so(
    selector: ModelSelector, models: ModelServer
) -> None:
    for model in (PHI, MISTRAL, LLAMA):
        models.script(model, Says("I'm sorry, I cannot."))
    answer = await selector.execute_with_fallback(prompt="How many?", task="simple")
    assert str(answer).startswith("I'm sorry")
    assert {one.outcome for one in answer.attempts} == {Outcome.REJECTED}


async def test_a_server_without_usage_is_never_free(selector: ModelSelector, models: ModelServer) -> None:
    models.script(PHI, Says("Ten tickets.", usage=False))
    answer = await selector.execute_with_fallback(prompt="How many?", task="simple")
    assert answer.usage.input_tokens > 0
    assert answer.cost_usd > 0


async def test_an_empty_prompt_is_refused_in_a_sentence(selector: ModelSelector, models: ModelServer) -> None:
    with pytest.raises(Invalid, match="prompt empty"):
        await selector.execute_with_fallback(prompt="  ", task="simple")
    assert models.calls() == 0


async def test_a_prompt_longer_than_every_context_says_so(selector: ModelSelector) -> None:
    with pytest.raises(NoAnswer, match="exceed its 8192"):
        await selector.execute_with_fallback(prompt="word " * 20_000, task="simple", budget=1)


async def test_a_stream_that_fails_before_its_first_piece_is_taken_over_unseen(
    selector: ModelSelector, models: ModelServer
) -> None:
    models.script(PHI, Fails(503))
    models.script(MISTRAL, Says("Ten tickets."))
    chunks, attempts = await _streamed(selector)
    assert "".join(chunks).strip() == "Ten tickets."
    assert [one.model for one in attempts] == [PHI, MISTRAL]


async def test_a_stream_that_breaks_off_raises_and_is_paid_for(selector: ModelSelector, models: ModelServer) -> None:
    models.script(PHI, Drops(after=3))
    budget = Budget(Decimal("0.01"))
    with pytest.raises(ModelsUnavailable.__mro__[1]):
        await _streamed(selector, budget)
    assert budget.spent_usd > 0
    assert budget.reserved_usd == 0


async def _streamed(selector: ModelSelector, budget: Budget | None = None):
    attempts = []
    chunks = []
    request = ChatRequest([{"role": "user", "content": "How many?"}], max_tokens=50)
    async for chunk in selector.fallback.stream(
        request,
        selector.registry.candidates(TaskClass.SIMPLE),
        budget=budget or Budget(Decimal("0.01")),
        deadline=time.monotonic() + 10,
        tier="simple",
        attempts=attempts,
    ):
        chunks += [choice["delta"].get("content", "") for choice in chunk["choices"]]
    return chunks, attempts


def test_an_unknown_model_is_named_with_those_there_are(selector: ModelSelector) -> None:
    with pytest.raises(NotFound, match=r"known are phi-3\.5-mini"):
        selector.registry.get("gpt-9")


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_probes_once_after_its_time_and_the_probe_decides() -> None:
    clock = _Clock()
    breaker = Breaker(BreakerPolicy(failures=2, open_seconds=30), clock)
    for _ in range(2):
        assert breaker.allow()
        breaker.fail()
    assert breaker.state is BreakerState.OPEN
    clock.now = 29.9
    assert not breaker.allow()
    clock.now = 30
    assert breaker.allow()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.allow(), "one probe at a time"
    breaker.fail()
    assert not breaker.allow()
    clock.now = 60
    assert breaker.allow()
    breaker.succeed()
    assert breaker.state is BreakerState.CLOSED


def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    breaker = Breaker(BreakerPolicy(failures=2, open_seconds=30), _Clock())
    for _ in range(5):
        breaker.fail()
        breaker.succeed()
    assert breaker.state is BreakerState.CLOSED


def test_a_budget_never_lends_more_than_it_has() -> None:
    budget = Budget(Decimal("0.01"))
    budget.reserve(Decimal("0.006"), what="a call")
    with pytest.raises(BudgetExceeded, match=r"\$0\.004 of \$0\.01 are left"):
        budget.reserve(Decimal("0.0041"), what="a call")
    budget.settle(Decimal("0.006"), Decimal("0.002"))
    assert budget.left_usd == Decimal("0.008")


def test_amounts_are_shown_without_exponents() -> None:
    assert usd(Decimal("0.0000100")) == "$0.00001"
    assert usd(Decimal("1E+1")) == "$10"


@pytest.mark.parametrize(
    "content",
    ["", "models: []", "models: [", "- 1", "models: 5\ntasks: {}", "version: x"],
)
def test_a_broken_policy_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(PolicyError, match="policy malformed"):
        load_policy(Settings(dir=tmp_path, policy=path))


def test_a_missing_policy_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="SWITCHDESK_POLICY"):
        load_policy(Settings(dir=tmp_path, policy=tmp_path / "nowhere.yaml"))
