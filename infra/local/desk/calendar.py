"""Moments as whole seconds since 1970 UTC, and opening hours that can be measured and added to."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = 60
HOUR = 3600
DAY = 86400
WEEK = 7 * DAY


@lru_cache(maxsize=4096)
def _day_prefix(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def iso(at: int) -> str:
    """A moment as Zendesk writes it, such as `2026-03-01T09:30:00Z`."""
    day, rest = divmod(at, DAY)
    hour, rest = divmod(rest, HOUR)
    minute, second = divmod(rest, MINUTE)
    return f"{_day_prefix(day)}T{hour:02}:{minute:02}:{second:02}Z"


def seconds(moment: datetime) -> int:
    """An aware time as whole seconds, rounded down."""
    return int(moment.timestamp())


def weekday(at: int) -> int:
    """The UTC weekday, Monday 0."""
    return (at // DAY + 3) % 7


class OpeningHours:
    """A weekly plan in one zone, closed on whole local days for holidays.

    Intervals are minutes of the week from Sunday 00:00, as Zendesk gives them.
    """

    def __init__(
        self, zone: str, intervals: Iterable[tuple[int, int]], holidays: Iterable[date], first: date, last: date
    ) -> None:
        tz = ZoneInfo(zone)
        closed = set(holidays)
        by_weekday: dict[int, list[tuple[int, int]]] = {}
        for start, end in intervals:
            sunday_based, minute = divmod(start, 1440)
            by_weekday.setdefault((sunday_based - 1) % 7, []).append((minute, minute + end - start))
        self.starts: list[int] = []
        self.ends: list[int] = []
        self._open_before: list[int] = []
        total = 0
        day = first
        while day <= last:
            if day not in closed:
                for begin, end in by_weekday.get(day.weekday(), ()):
                    opens = _local(day, begin, tz)
                    closes = _local(day, end, tz)
                    self.starts.append(opens)
                    self.ends.append(closes)
                    self._open_before.append(total)
                    total += closes - opens
            day += timedelta(days=1)

    def _open_until(self, at: int) -> int:
        i = bisect_right(self.starts, at) - 1
        if i < 0:
            return 0
        return self._open_before[i] + min(at, self.ends[i]) - self.starts[i]

    def between(self, start: int, end: int) -> int:
        """Open seconds in [start, end)."""
        return self._open_until(end) - self._open_until(start)

    def add(self, start: int, open_seconds: int) -> int:
        """The moment by which that many open seconds have passed."""
        wanted = self._open_until(start) + max(1, open_seconds)
        i = bisect_right(self._open_before, wanted - 1) - 1
        return self.starts[i] + wanted - self._open_before[i]


def _local(day: date, minute: int, tz: ZoneInfo) -> int:
    moment = datetime(day.year, day.month, day.day, tzinfo=tz) + timedelta(minutes=minute)
    return int(moment.astimezone(UTC).timestamp())
