"""The quota of an account: one bucket per class of endpoint in Redis, shared by every process, learned from headers."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import redis

from assets.zendesk.errors import ZendeskError


class LimitClass(StrEnum):
    """Endpoints that Zendesk counts together."""

    ACCOUNT = "account"
    """Every call counts here."""
    EXPORTS = "incremental-exports"
    """All incremental exports but the users'."""
    USER_EXPORT = "incremental-exports-cursor"
    """The users' cursor export."""


class LimiterError(ZendeskError):
    """The limiter's store does not answer."""


class Stopped(ZendeskError):
    """The caller asked to stop while a call was waiting for its turn."""


# A bucket is a hash: total, remaining, reset (ms), used (by us in this window), inflight, blocked (ms), at (last
# call, ms). Only the server's headers set total and reset, so no window length is assumed anywhere. A process killed in
# mid-call leaves its call in flight; where no reset would clear that, ten silent seconds do.
_ACQUIRE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local share = tonumber(ARGV[1])
local wait = 0
for _, key in ipairs(KEYS) do
  local b = redis.call('HMGET', key, 'total', 'remaining', 'reset', 'used', 'inflight', 'blocked', 'at')
  local total, remaining, reset = tonumber(b[1]), tonumber(b[2]), tonumber(b[3])
  local used, inflight, blocked = tonumber(b[4]) or 0, tonumber(b[5]) or 0, tonumber(b[6])
  if blocked and blocked > now then wait = math.max(wait, blocked - now) end
  local silent = now - (tonumber(b[7]) or now)
  if (reset and now >= reset) or (not reset and silent > 10000) then
    redis.call('HDEL', key, 'reset')
    redis.call('HSET', key, 'used', 0, 'inflight', 0)
    if total then redis.call('HSET', key, 'remaining', total) end
    reset, remaining, used, inflight = nil, total, 0, 0
  end
  if total == nil then
    -- Nothing is known yet: one call at a time until its headers say more.
    if inflight > 0 then wait = math.max(wait, 50) end
  elseif total > 0 then
    local allowed = math.max(1, math.floor(total * share))
    if used >= allowed or remaining < 1 then
      if reset then wait = math.max(wait, reset - now) else wait = math.max(wait, 100) end
    end
  end
end
if wait > 0 then return wait end
for _, key in ipairs(KEYS) do
  redis.call('HINCRBY', key, 'used', 1)
  redis.call('HINCRBY', key, 'inflight', 1)
  redis.call('HSET', key, 'at', now)
  if redis.call('HEXISTS', key, 'remaining') == 1 then redis.call('HINCRBY', key, 'remaining', -1) end
  redis.call('PEXPIRE', key, 7200000)
end
return 0
"""

# ARGV for each key: total (-1: an answer without that header, -2: no answer at all), remaining, resets in ms,
# block in ms.
_OBSERVE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i, key in ipairs(KEYS) do
  local total, left = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local resets, block = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local inflight = math.max(0, (tonumber(redis.call('HGET', key, 'inflight')) or 0) - 1)
  redis.call('HSET', key, 'inflight', inflight)
  if total >= 0 then
    local reset = tonumber(redis.call('HGET', key, 'reset'))
    local held = tonumber(redis.call('HGET', key, 'remaining'))
    local ends = now + resets
    -- More is left than we believed: a new window has begun.
    if held and left > held + inflight + 1 then redis.call('HSET', key, 'used', inflight + 1) end
    -- An answer of a window that ended meanwhile must not speak for the new one.
    if reset == nil or ends > reset - 1500 then
      redis.call('HSET', key, 'total', total, 'remaining', left - inflight, 'reset', ends)
    end
  elseif total == -1 and redis.call('HEXISTS', key, 'total') == 0 then
    -- An answer without limits: there are none until a header says so.
    redis.call('HSET', key, 'total', 0, 'remaining', 0)
  elseif redis.call('HEXISTS', key, 'reset') == 0 then
    redis.call('HSET', key, 'used', inflight, 'remaining', (tonumber(redis.call('HGET', key, 'total')) or 0) - inflight)
  end
  if block > 0 then
    local blocked = tonumber(redis.call('HGET', key, 'blocked')) or 0
    redis.call('HSET', key, 'blocked', math.max(blocked, now + block))
  end
  redis.call('PEXPIRE', key, 7200000)
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Window:
    """What a response's headers say about one bucket."""

    total: int
    remaining: int
    resets_seconds: float


class Limiter:
    """Waits for the turn of a call and learns from its answer."""

    def __init__(self, url: str, account: str, share: float) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._account = account
        self._share = share
        self._acquire = self._redis.register_script(_ACQUIRE)
        self._observe = self._redis.register_script(_OBSERVE)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def wait(self, limit: LimitClass, *, stop: threading.Event, waiting: Callable[[float], None] | None = None) -> None:
        """Return when a call of that class may be sent; raises Stopped where `stop` is set first."""
        while True:
            if stop.is_set():
                raise Stopped("sync stopped: a call was still waiting for its turn")
            milliseconds = int(self._run(self._acquire, self._keys(limit), [self._share]))
            if milliseconds <= 0:
                return
            if waiting is not None:
                waiting(milliseconds / 1000)
            # Jitter keeps many processes from waking in the same instant; five seconds bound the reaction to `stop`.
            stop.wait(min(milliseconds / 1000, 5.0) + random.uniform(0.005, 0.1))

    def observe(self, limit: LimitClass, headers: Mapping[str, str], *, blocked_seconds: float = 0.0) -> None:
        """Take over what the answer's headers say; a 429 blocks the bucket that ran empty."""
        windows = read_windows(headers)
        endpoint = windows.get(limit)
        blocks = {limit: blocked_seconds}
        if endpoint is None or endpoint.remaining > 0:
            # The answer does not say which limit was hit, so everything on the account waits.
            blocks[LimitClass.ACCOUNT] = blocked_seconds
        self._observe_windows(limit, windows, blocks, missing=-1)

    def release(self, limit: LimitClass) -> None:
        """Account for a call that got no answer."""
        self._observe_windows(limit, {}, {}, missing=-2)

    def used_share(self, limit: LimitClass) -> float | None:
        """Share (0-1) of the current window's total that is spent, by whomever; None where no limit is known."""
        try:
            values = self._redis.hmget(self._key(limit), ["total", "remaining"])
        except redis.RedisError:
            return None
        total, remaining = (int(value) if value is not None else 0 for value in values)  # pyright: ignore
        return min(1.0, max(0.0, 1 - remaining / total)) if total else None

    def _observe_windows(
        self, limit: LimitClass, windows: Mapping[str, Window], blocks: Mapping[LimitClass, float], *, missing: int
    ) -> None:
        arguments: list[float] = []
        for name in _classes(limit):
            window = windows.get(name)
            if window is None:
                arguments += [missing, 0, 0]
            else:
                arguments += [window.total, max(0, window.remaining), int(window.resets_seconds * 1000)]
            arguments.append(int(blocks.get(name, 0.0) * 1000))
        self._run(self._observe, self._keys(limit), arguments)

    def _run(self, script: Callable[..., object], keys: list[str], arguments: list[float]) -> int:
        try:
            return int(script(keys=keys, args=arguments))  # pyright: ignore[reportArgumentType]
        except redis.RedisError as error:
            raise LimiterError(
                f"Redis does not answer: the shared quota cannot be kept without it ({type(error).__name__}); "
                "check SWITCHDESK_REDIS_URL or run `switchdesk up`"
            ) from None

    def _keys(self, limit: LimitClass) -> list[str]:
        return [self._key(name) for name in _classes(limit)]

    def _key(self, limit: LimitClass) -> str:
        return f"switchdesk:{{zendesk:{self._account}}}:quota:{limit}"


def _classes(limit: LimitClass) -> list[LimitClass]:
    return [limit] if limit is LimitClass.ACCOUNT else [limit, LimitClass.ACCOUNT]


_ENDPOINT_HEADER = "zendesk-ratelimit-"
_ENDPOINT_VALUE = re.compile(r"(total|remaining|resets)\s*=\s*(\d+)")


def read_windows(headers: Mapping[str, str]) -> dict[str, Window]:
    """Windows by class, from the endpoint headers and the account's; half a header counts as none."""
    windows: dict[str, Window] = {}
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, value in lowered.items():
        if name.startswith(_ENDPOINT_HEADER):
            found = dict(_ENDPOINT_VALUE.findall(value))
            if {"total", "remaining", "resets"} <= found.keys():
                window = Window(int(found["total"]), int(found["remaining"]), float(found["resets"]))
                windows[name.removeprefix(_ENDPOINT_HEADER)] = window
    for prefix in ("ratelimit-", "rate-limit-"):
        limit, left = lowered.get(f"{prefix}limit"), lowered.get(f"{prefix}remaining")
        resets = lowered.get(f"{prefix}reset")
        if limit and left and resets and limit.isdigit() and left.isdigit() and resets.isdigit():
            windows[LimitClass.ACCOUNT] = Window(int(limit), int(left), float(resets))
            break
    return windows


def retry_after(headers: Mapping[str, str], default: float) -> float:
    """Seconds that a 429 asks to wait; the default where that is unreadable, at most an hour."""
    value = headers.get("retry-after", "")
    try:
        return min(3600.0, max(0.0, float(value)))
    except ValueError:
        return default
