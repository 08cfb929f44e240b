"""What happened to the company: how demand grew, which weeks went wrong, and what a week looks like."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from math import exp
from random import Random

from infra.local.desk.account import BILLING, DELIVERIES, TIER_2
from infra.local.desk.calendar import DAY, HOUR, WEEK, weekday

HISTORY = 548 * DAY

_WEEKDAYS = (1.25, 1.12, 1.05, 1.0, 0.92, 0.6, 0.5)
_HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 13, 11, 10, 11, 12, 12, 11, 10, 8, 8, 8, 7, 5, 3)
_HOUR_SUMS = list(accumulate(_HOURS))


@dataclass(frozen=True, slots=True)
class Surge:
    """Some days in which one cause brought many tickets."""

    name: str
    topics: tuple[str, ...]
    start: int
    end: int
    share: float
    """Tickets it brings, as a share of the whole history."""

    slowdown: float
    """Factor on the time to a first reply while it lasts, for the group that carries it."""

    group: int
    fixed: int | None = None
    """When the problem ticket is solved; None where there is no problem ticket."""

    subject: str = ""
    description: str = ""
    conclusion: str = ""
    parks: bool = False
    """Whether its tickets wait on hold, because what would solve them is not there."""


class Story:
    """The plot of one world, all of it relative to the moment at which the history ends."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.opened = now - HISTORY
        today = now // DAY * DAY
        monday = today - weekday(now) * DAY

        def at(weeks: int, day: int = 0, hour: int = 0) -> int:
            return monday - weeks * WEEK + day * DAY + hour * HOUR

        self.crash_release = at(6, 1, 9)
        self.price_change = at(30, 0, 8)
        self.surges = (
            Surge(
                "hub_offline",
                ("hub_offline", "hub_setup"),
                at(60, 2, 6),
                at(59, 3),
                0.022,
                2.2,
                TIER_2,
                at(59, 2, 15),
                "Hubs drop offline after firmware 3.4.0",
                "Since the roll-out of firmware 3.4.0 a share of the hubs loses the connection every night and only comes back after a power cycle. Roll-out stopped.",
                "Firmware 3.4.1 is out and keeps the connection. All affected hubs were updated over night.",
            ),
            Surge(
                "price_change",
                ("price_increase", "cancel_subscription", "unexpected_charge"),
                at(30, 0, 8),
                at(25),
                0.05,
                1.9,
                BILLING,
            ),
            Surge(
                "carrier_strike",
                ("late_delivery", "tracking_stuck", "cancel_order"),
                at(16, 0, 6),
                at(14),
                0.055,
                2.6,
                DELIVERIES,
            ),
            Surge(
                "app_crash",
                ("app_crash", "app_crash", "app_live_view"),
                self.crash_release,
                at(5, 2),
                0.05,
                3.0,
                TIER_2,
                at(5, 0, 14),
                "App 5.2.0 crashes on start when a room has no name",
                "The layout migration of 5.2.0 fails for homes with an unnamed room; the app quits about two seconds after start. Fix in progress, roll-back not possible in the stores.",
                "Version 5.2.1 corrects the migration and is live in both stores. Please tell the customers on the linked tickets.",
            ),
            Surge(
                "spare_parts",
                ("warranty_claim", "camera_water", "sensor_battery"),
                at(4, 1, 8),
                now - 2 * HOUR,
                0.014,
                1.4,
                DELIVERIES,
                parks=True,
            ),
            Surge(
                "card_payments",
                ("payment_declined", "unexpected_charge"),
                at(1, 3, 7),
                at(1, 5),
                0.018,
                1.6,
                BILLING,
                at(1, 4, 16),
                "Card payments fail at checkout and on renewals",
                "Our payment provider rejects about half of the card payments since Thursday morning; some customers see a reservation on their account and no order.",
                "The provider has restored the service. Reservations without an order are released within three working days.",
            ),
        )
        self._releases = self._release_plan()
        first = self.opened // DAY
        self._days = list(range(first, now // DAY + 1))
        self._day_sums = list(accumulate(self.demand(day * DAY) for day in self._days))

    def demand(self, at: int) -> float:
        """How many tickets a day brings, relative to the average day."""
        progress = (at - self.opened) / HISTORY
        month = int(at / DAY % 365.25 / 30.44)
        season = (1.1, 1.0, 1.0, 0.97, 0.95, 0.93, 0.88, 0.87, 0.98, 1.03, 1.1, 1.25)[min(month, 11)]
        return (0.62 + 0.76 * min(progress, 1.05)) * _WEEKDAYS[weekday(at)] * season

    def base_times(self, rng: Random, count: int) -> list[int]:
        """Moments of everyday tickets over the whole history."""
        total = self._day_sums[-1]
        times: list[int] = []
        while len(times) < count:
            day = self._days[bisect_right(self._day_sums, rng.random() * total)]
            moment = day * DAY + second_of_day(rng)
            if self.opened < moment < self.now:
                times.append(moment)
        return times

    def surge_times(self, rng: Random, surge: Surge, count: int) -> list[int]:
        """Moments of a surge's tickets: a steep start, then a slow ebb."""
        length = surge.end - surge.start
        times: list[int] = []
        while len(times) < count:
            part = min(rng.random(), rng.random())
            day = (surge.start + int(part * length)) // DAY * DAY
            moment = day + second_of_day(rng)
            if surge.start < moment < min(surge.end, self.now):
                times.append(moment)
        return times

    def daily_rate(self, tickets: int) -> float:
        """Everyday tickets of an average day, for a history of that many."""
        return tickets * (1 - sum(surge.share for surge in self.surges)) / (HISTORY / DAY)

    def slowdown(self, at: int, group: int) -> float:
        """How much longer than usual a first reply takes; it creeps up as the company grows faster than its team."""
        factor = 0.85 + 0.4 * min(1.0, (at - self.opened) / HISTORY)
        for surge in self.surges:
            if surge.start <= at < surge.end:
                factor *= surge.slowdown if surge.group == group else 1 + (surge.slowdown - 1) * 0.3
        return factor

    def _release_plan(self) -> list[tuple[int, str]]:
        plan = [(self.opened - 60 * DAY, "4.6.0")]
        step = (self.crash_release - self.opened) // 15
        names = [f"4.{minor}.{patch}" for minor in (7, 8, 9) for patch in (0, 1)] + [
            f"5.{minor}.{patch}" for minor in (0, 1) for patch in (0, 1, 2, 3)
        ]
        plan += [(self.opened + (i + 1) * step, name) for i, name in enumerate(names)]
        plan += [(self.crash_release, "5.2.0"), (self.crash_release + 6 * DAY, "5.2.1"), (self.now - 12 * DAY, "5.3.0")]
        return plan

    def versions(self, at: int) -> tuple[str, str]:
        """The app's version of that day and the one before it."""
        i = bisect_right(self._releases, (at, "~")) - 1
        return self._releases[max(i, 0)][1], self._releases[max(i - 1, 0)][1]


def second_of_day(rng: Random) -> int:
    """A second of a UTC day, busy in the morning and the afternoon."""
    hour = bisect_right(_HOUR_SUMS, rng.random() * _HOUR_SUMS[-1])
    return hour * HOUR + rng.randrange(HOUR)


def poisson(rng: Random, mean: float) -> int:
    """A count with that mean."""
    limit, product, count = exp(-min(mean, 500)), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
