"""Call limits as Zendesk keeps them: one for the account, one for all exports, one for the users export."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import ceil
from time import monotonic

ACCOUNT_FACTOR = 70
"""Calls of the account per export call: 700 to 10, as on an Enterprise plan."""


@dataclass(slots=True)
class Bucket:
    """A fixed window that begins with its first call."""

    calls: int
    window: float
    began: float = -1e9
    used: int = 0
    told: bool = False
    """Whether somebody has been told to wait until this window ends."""

    def take(self, now: float) -> bool:
        """Count a call; False where it is one too many."""
        if now >= self.began + self.window:
            self.began, self.used, self.told = now, 0, False
        self.used += 1
        return self.used <= self.calls

    @property
    def remaining(self) -> int:
        """Calls left in this window."""
        return max(0, self.calls - self.used)

    def resets(self, now: float) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, ceil(self.window - (now - self.began)))


@dataclass(slots=True)
class Limits:
    """All buckets of the account, and what was counted."""

    calls: int
    seconds: float
    clock: Callable[[], float] = monotonic
    limited: int = 0
    while_blocked: int = 0
    buckets: dict[str, Bucket] = field(default_factory=dict[str, Bucket])

    def __post_init__(self) -> None:
        self.set(self.calls, self.seconds)
        self._bodies = count()

    def set(self, calls: int, seconds: float) -> None:
        """Begin anew with other limits."""
        self.buckets = {
            "account": Bucket(calls * ACCOUNT_FACTOR, seconds),
            "incremental-exports": Bucket(calls, seconds),
            "incremental-exports-cursor": Bucket(calls * 2, seconds),
        }

    def take(self, path: str) -> tuple[dict[str, str], int | None]:
        """Count a call; the headers to send, and the seconds to wait where it is refused."""
        now = self.clock()
        names = ["account"]
        if path.startswith("incremental/"):
            names.append("incremental-exports-cursor" if path == "incremental/users/cursor" else "incremental-exports")
        wait = None
        for name in names:
            bucket = self.buckets[name]
            if not bucket.take(now):
                wait = max(wait or 0, bucket.resets(now))
                self.limited += 1
                # The first refusal tells the client; what comes later in this window it could have known.
                self.while_blocked += bucket.told
                bucket.told = True
        return self._headers(names, now), wait

    def _headers(self, names: list[str], now: float) -> dict[str, str]:
        account = self.buckets["account"]
        headers = {
            "x-rate-limit": str(account.calls),
            "x-rate-limit-remaining": str(account.remaining),
            "ratelimit-limit": str(account.calls),
            "ratelimit-remaining": str(account.remaining),
            "ratelimit-reset": str(account.resets(now)),
        }
        for name in names[1:]:
            bucket = self.buckets[name]
            value = f"total={bucket.calls}; remaining={bucket.remaining}; resets={bucket.resets(now)}"
            headers[f"zendesk-ratelimit-{name}"] = value
        return headers

    def refusal(self) -> tuple[str, bytes]:
        """The body of a 429, which is of a different kind every time."""
        return _BODIES[next(self._bodies) % len(_BODIES)]

    _bodies: "count[int]" = field(init=False, repr=False)


_BODIES = (
    ("text/plain", b"Number of allowed incremental ticket export API requests per minute exceeded"),
    (
        "application/json",
        b'{"error":"APIRateLimitExceeded","description":"Number of allowed API requests per minute exceeded"}',
    ),
    (
        "application/json",
        b'{"type":"about:blank","title":"Error 1015: You are being rate limited","status":429,'
        b'"cloudflare_error":true,"retryable":true}',
    ),
    ("text/html", b"<html><body><h1>429 Too Many Requests</h1></body></html>"),
)
