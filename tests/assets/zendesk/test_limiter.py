"""The shared quota, on a real Valkey."""

import threading
import uuid
from collections.abc import Iterator

import pytest

from assets.settings import Settings
from assets.zendesk.limiter import LimitClass, Limiter, LimiterError, Stopped, Window, read_windows, retry_after

EXPORTS = LimitClass.EXPORTS


def told(total: int, remaining: int, resets: int) -> dict[str, str]:
    return {"Zendesk-RateLimit-incremental-exports": f"total={total}; remaining={remaining}; resets={resets}"}


@pytest.fixture
def account() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def limiter(stack: Settings, account: str) -> Iterator[Limiter]:
    opened = Limiter(stack.require("redis_url"), account, 0.8)
    yield opened
    opened.close()


def has_turn(limiter: Limiter, limit: LimitClass = EXPORTS) -> bool:
    """Whether a call may be sent at once; it counts as sent then."""
    stop = threading.Event()
    try:
        limiter.wait(limit, stop=stop, waiting=lambda _: stop.set())
    except Stopped:
        return False
    return True


def call(limiter: Limiter, headers: dict[str, str]) -> bool:
    if not has_turn(limiter):
        return False
    limiter.observe(EXPORTS, headers)
    return True


def test_before_any_answer_calls_go_one_by_one(limiter: Limiter) -> None:
    assert has_turn(limiter)
    assert not has_turn(limiter)
    limiter.observe(EXPORTS, {})
    assert has_turn(limiter)


def test_our_share_of_the_window_is_all_that_is_used(limiter: Limiter) -> None:
    sent = [call(limiter, told(10, 9 - number, 60)) for number in range(10)]

    assert sent == [True] * 8 + [False] * 2


def test_what_another_tool_uses_is_not_ours(limiter: Limiter) -> None:
    assert call(limiter, told(10, 1, 60))
    assert call(limiter, told(10, 0, 60))
    assert not call(limiter, told(10, 0, 60))


def test_calls_under_way_count_before_their_answers_come(limiter: Limiter) -> None:
    assert call(limiter, told(10, 3, 60))
    assert [has_turn(limiter) for _ in range(4)] == [True, True, True, False]


def test_a_window_begins_anew_when_its_header_said_so(limiter: Limiter) -> None:
    assert call(limiter, told(10, 0, 1))
    assert not has_turn(limiter)
    threading.Event().wait(1.05)
    assert has_turn(limiter)


def test_the_bucket_is_one_for_all_processes_of_an_account(stack: Settings, limiter: Limiter, account: str) -> None:
    other = Limiter(stack.require("redis_url"), account, 0.8)
    stranger = Limiter(stack.require("redis_url"), "another account", 0.8)
    assert call(limiter, told(10, 0, 60))

    assert not has_turn(other)
    assert has_turn(stranger)
    other.close()
    stranger.close()


def test_classes_have_buckets_of_their_own_within_the_account(limiter: Limiter) -> None:
    assert call(limiter, told(10, 0, 60))
    assert not has_turn(limiter, EXPORTS)
    assert has_turn(limiter, LimitClass.USER_EXPORT)

    limiter.observe(
        LimitClass.USER_EXPORT, {"ratelimit-limit": "700", "ratelimit-remaining": "0", "ratelimit-reset": "60"}
    )
    assert not has_turn(limiter, LimitClass.USER_EXPORT)
    assert not has_turn(limiter, LimitClass.ACCOUNT)


def test_a_refusal_that_does_not_say_which_limit_blocks_all(limiter: Limiter) -> None:
    assert has_turn(limiter)
    limiter.observe(EXPORTS, {}, blocked_seconds=30)

    assert not has_turn(limiter, EXPORTS)
    assert not has_turn(limiter, LimitClass.USER_EXPORT)


def test_an_answer_without_limits_sets_none(limiter: Limiter) -> None:
    assert [call(limiter, {}) for _ in range(50)] == [True] * 50
    assert limiter.used_share(EXPORTS) is None


def test_a_redis_that_is_away_is_named() -> None:
    away = Limiter("redis://127.0.0.1:9/0", "acme", 0.8)

    with pytest.raises(LimiterError, match="SWITCHDESK_REDIS_URL"):
        away.wait(EXPORTS, stop=threading.Event())


def test_headers_of_both_generations_are_read() -> None:
    both = {**told(10, 4, 42), "rate-limit-limit": "700", "Rate-Limit-Remaining": "699", "rate-limit-reset": "7"}

    assert read_windows(both) == {"incremental-exports": Window(10, 4, 42.0), "account": Window(700, 699, 7.0)}
    assert read_windows({"zendesk-ratelimit-x": "total=10; remaining=9", "x-rate-limit": "700"}) == {}


@pytest.mark.parametrize(
    ("value", "seconds"), [("17", 17.0), ("0.5", 0.5), ("soon", 5.0), ("-3", 0.0), ("1e9", 3600.0)]
)
def test_retry_after_is_obeyed_where_it_makes_sense(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}, default=5.0) == seconds
