"""The circuit breaker of one endpoint: leaves a dead server alone and probes it once in a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

from serving.policy import BreakerPolicy


class BreakerState(StrEnum):
    """closed: asks freely; open: asks not at all; half-open: one probe is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens after so many failures in a row; after `open_seconds` lets one probe through, which decides."""

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """The state at this moment."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    @property
    def would_allow(self) -> bool:
        """Whether a call would be let through now; changes nothing."""
        if self._opened_at is None:
            return True
        return not self._probing and self._clock() - self._opened_at >= self._policy.open_seconds

    def allow(self) -> bool:
        """Let a call through or not; a call let through must end in `succeed`, `fail` or `forget`."""
        if not self.would_allow:
            return False
        self._probing = self._opened_at is not None
        return True

    def succeed(self) -> None:
        """The endpoint answered: whole again."""
        self._failures = 0
        self._opened_at = None
        self._probing = False

    def fail(self) -> None:
        """The endpoint failed: opens at the limit, and again after a failed probe."""
        self._failures += 1
        if self._probing or self._failures >= self._policy.failures:
            self._opened_at = self._clock()
            self._probing = False

    def forget(self) -> None:
        """The call ended without a verdict on the endpoint, such as a caller that went away."""
        self._probing = False
