"""The time grammar: which stretch of time a question names, in the asker's zone.

From is inclusive and to exclusive; weeks start on Monday; "last week" is the previous full week, "last 30 days" the
30 full days before today, "this month" runs up to the moment asked. A month, quarter or day without a year is the
most recent one that has begun.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from serving.planning.normalise import Kind, Token
from serving.planning.plan import Grain


class Means(StrEnum):
    """What a stretch of words about time says."""

    RANGE = "range"
    NOW = "now"
    ALL = "all"
    AS_OF = "as_of"
    GRAIN = "grain"
    PREVIOUS = "previous"
    """Compared with the period before."""
    YEAR_BEFORE = "year_before"
    """Compared with the same period a year earlier."""
    PROBLEM = "problem"
    """Cannot be read as it stands; `note` says why."""


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Words first..last (token numbers, inclusive) and the time they name."""

    first: int
    last: int
    means: Means
    start: datetime | None = None
    """Inclusive; None: open."""
    end: datetime | None = None
    """Exclusive; None: open."""
    unit: Grain | None = None
    """Calendar unit of one period, or the grain asked for; None: no single unit."""
    count: int = 1
    """Periods of the unit in the range."""
    rolling: bool = False
    """Counted back from today, not a calendar period."""
    per: bool = False
    """A grain said as "per day" or "a day", which also asks for an average."""
    compared: bool = False
    """Stands after "vs" or "compared with"."""
    solo: bool = False
    """No word of time but the range itself; a bare number or name that could also be something else."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Period:
    first: date | datetime
    end: date | datetime
    unit: Grain | None
    count: int = 1
    rolling: bool = False
    note: str = ""


class _Unreadable(Exception):
    """The words name a time that does not exist or is not known here."""


_UNITS = {
    "hour": Grain.HOUR, "day": Grain.DAY, "week": Grain.WEEK, "month": Grain.MONTH, "quarter": Grain.QUARTER,
    "year": Grain.YEAR,
}  # fmt: skip
_ADVERBS = {
    "hourly": Grain.HOUR, "daily": Grain.DAY, "weekly": Grain.WEEK, "monthly": Grain.MONTH,
    "quarterly": Grain.QUARTER, "yearly": Grain.YEAR, "annually": Grain.YEAR, "annual": Grain.YEAR,
}  # fmt: skip
_TO_DATE = {"ytd": Grain.YEAR, "qtd": Grain.QUARTER, "mtd": Grain.MONTH, "wtd": Grain.WEEK}
_OVER = {"yoy": Means.YEAR_BEFORE, "mom": Grain.MONTH, "wow": Grain.WEEK, "qoq": Grain.QUARTER, "dod": Grain.DAY}
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name} | {
    name.lower(): number for number, name in enumerate(calendar.month_abbr) if name
}
_MONTHS["sept"] = 9
_WEEKDAYS = {name.lower(): number for number, name in enumerate(calendar.day_name)} | {
    "mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4, "sat": 5, "sun": 6,
}  # fmt: skip
_ALSO_WORDS = {"may", "march", "mar", "sun", "sat", "wed", "mon", "dec", "august"}
"""Month and day names that are words or names too: read as time only beside a word that asks for one."""
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4}
_PREVIOUS = {"last", "previous", "prior", "past", "preceding"}
_ROLLING = {"last", "previous", "prior", "past", "preceding", "latest", "trailing", "recent"}
_THIS = {"this", "current"}
_NEXT = {"next", "coming", "upcoming", "following"}
_LEADING = {"in", "on", "during", "for", "over", "within", "throughout", "of", "at", "across", "through", "from", "the"}
_DEVELOPING = {
    "develop",
    "developed",
    "developing",
    "evolve",
    "evolved",
    "evolving",
    "progress",
    "progressed",
    "growing",
    "shrinking",
    "rising",
    "falling",
    "increasing",
    "decreasing",
    "improving",
    "worsening",
}
_VERSUS = {"vs", "against"}
_YEARS = range(1990, 2101)
_LARGEST = {
    Grain.HOUR: 100_000,
    Grain.DAY: 20_000,
    Grain.WEEK: 3_000,
    Grain.MONTH: 600,
    Grain.QUARTER: 200,
    Grain.YEAR: 50,
}
_QUARTER = re.compile(r"(?:q([1-4])|h([12]))")
_SLASHED = re.compile(r"(\d{1,4})[/.](\d{1,2})[/.](\d{2,4})")


def local(moment: date | datetime, zone: tzinfo) -> datetime:
    """The first existing moment of a local day, or the moment itself; clock changes skip no midnight silently."""
    if isinstance(moment, datetime):
        return moment.astimezone(zone)
    midnight = datetime.combine(moment, time.min, zone)
    return midnight.astimezone(UTC).astimezone(zone)


def earlier(first: datetime, second: datetime) -> bool:
    """Whether the first moment lies before the second; two times of one zone would compare by their wall clocks."""
    return first.astimezone(UTC) < second.astimezone(UTC)


def begin(unit: Grain, day: date) -> date:
    """First day of the period that holds the day."""
    match unit:
        case Grain.WEEK:
            return day - timedelta(days=day.weekday())
        case Grain.MONTH:
            return day.replace(day=1)
        case Grain.QUARTER:
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case Grain.YEAR:
            return day.replace(month=1, day=1)
        case _:
            return day


def shift(unit: Grain, day: date, count: int) -> date:
    """The day so many periods later; the day of the month is kept where the month has it."""
    if unit in (Grain.DAY, Grain.HOUR):
        return day + timedelta(days=count)
    if unit is Grain.WEEK:
        return day + timedelta(weeks=count)
    months = count * {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}[unit]
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if not 1 <= year <= 9998:
        raise _Unreadable(f"a time {abs(count)} {unit.value}s away is outside the calendar")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _whole(unit: Grain, start: date, count: int = 1, note: str = "") -> _Period:
    return _Period(start, shift(unit, start, count), unit, count, note=note)


class _Grammar:
    """Recursive descent over the tokens; every rule returns the next position or None."""

    def __init__(self, tokens: Sequence[Token], now: datetime, zone: tzinfo) -> None:
        self.tokens = tokens
        self.zone = zone
        self.now = now.astimezone(zone)
        self.today = self.now.date()

    # Looking at tokens

    def stem(self, at: int) -> str:
        return self.tokens[at].stem if 0 <= at < len(self.tokens) else ""

    def text(self, at: int) -> str:
        return self.tokens[at].text if 0 <= at < len(self.tokens) else ""

    def words(self, first: int, following: int) -> str:
        return " ".join(token.text for token in self.tokens[first:following])

    def are(self, at: int, *words: str) -> bool:
        return all(self.text(at + offset) == word for offset, word in enumerate(words))

    def number(self, at: int) -> int | None:
        """A whole number at the position, small enough to count with."""
        if not 0 <= at < len(self.tokens):
            return None
        value = self.tokens[at].value
        return int(value) if value is not None and value == int(value) and value < 1_000_000 else None

    def unit(self, at: int) -> Grain | None:
        return _UNITS.get(self.stem(at))

    def month(self, at: int) -> int | None:
        return _MONTHS.get(self.text(at))

    def year(self, at: int) -> int | None:
        value = self.number(at)
        if value is None or value not in _YEARS or len(self.text(at)) != 4 or self.tokens[at].spelled:
            return None
        return value

    def day_number(self, at: int) -> int | None:
        value = self.number(at)
        return value if value is not None and 1 <= value <= 31 and not self.tokens[at].spelled else None

    # Periods

    def earlier_by(self, *, hours: int = 0, minutes: int = 0) -> datetime:
        """That much time ago, whatever the clocks did in between."""
        return (self.now.astimezone(UTC) - timedelta(hours=hours, minutes=minutes)).astimezone(self.zone)

    def on(self, year: int, month: int, day: int) -> date:
        try:
            return date(year, month, day)
        except ValueError:
            name = calendar.month_name[month] if 1 <= month <= 12 else f"month {month}"
            raise _Unreadable(f"there is no {day} {name} {year}") from None

    def named_day(self, month: int, day: int, year: int | None) -> _Period:
        if year is None:
            if day == 29 and month == 2:
                year = next(
                    y for y in range(self.today.year, 0, -1) if calendar.isleap(y) and date(y, 2, 29) <= self.today
                )
            else:
                year = self.today.year - int(self.on(self.today.year, month, day) > self.today)
            note = f"the most recent {day} {calendar.month_name[month]} is meant: {year}"
            return _whole(Grain.DAY, self.on(year, month, day), note=note)
        return _whole(Grain.DAY, self.on(year, month, day))

    def named_month(self, month: int, year: int | None) -> _Period:
        if year is None:
            year = self.today.year if month <= self.today.month else self.today.year - 1
            return _whole(
                Grain.MONTH, date(year, month, 1), note=f"the most recent {calendar.month_name[month]} is meant: {year}"
            )
        return _whole(Grain.MONTH, date(year, month, 1))

    def year_after(self, at: int) -> tuple[int | None, int]:
        """An optional year: "2026", "of 2026", ", 2026", "last year", "this year"."""
        ahead = at + 1 if self.text(at) in ("of", ",", "in", "-", "/") else at
        year = self.year(ahead)
        if year is not None:
            return year, ahead + 1
        if self.text(ahead) in _PREVIOUS and self.unit(ahead + 1) is Grain.YEAR:
            return self.today.year - 1, ahead + 2
        if self.text(ahead) in _THIS and self.unit(ahead + 1) is Grain.YEAR:
            return self.today.year, ahead + 2
        return None, at

    def period(self, at: int) -> tuple[_Period, int] | None:
        """A day, week, month, quarter, year or counted stretch that starts at the position."""
        if self.text(at) == "the":
            at += 1
        for rule in (
            self.relative_day, self.counted, self.ago, self.calendar_unit, self.to_date, self.weekend, self.weekday,
            self.iso, self.numbered_week, self.quarter, self.dated, self.monthly, self.yearly,
        ):  # fmt: skip
            found = rule(at)
            if found is not None:
                return found
        return None

    def relative_day(self, at: int) -> tuple[_Period, int] | None:
        if self.text(at) == "today":
            return _whole(Grain.DAY, self.today), at + 1
        if self.text(at) == "yesterday":
            return _whole(Grain.DAY, self.today - timedelta(days=1)), at + 1
        if self.are(at, "day", "before", "yesterday"):
            return _whole(Grain.DAY, self.today - timedelta(days=2)), at + 3
        unit = self.unit(at)
        if unit is not None and self.text(at + 1) == "before" and self.text(at + 2) == "last":
            return _whole(unit, shift(unit, begin(unit, self.today), -2)), at + 3
        if self.text(at) == "tomorrow":
            raise _Unreadable("the future is not in the data: tomorrow")
        if self.text(at) in _NEXT and (
            self.unit(at + 1) is not None or (self.number(at + 1) is not None and self.unit(at + 2))
        ):
            raise _Unreadable(f"the future is not in the data: {self.text(at)} {self.text(at + 1)}")
        if self.text(at) == "fiscal" or (
            self.text(at) in _THIS | _PREVIOUS and self.text(at + 1) in ("fiscal", "financial")
        ):
            raise _Unreadable("a fiscal calendar is not known here: name the months or dates")
        return None

    def counted(self, at: int) -> tuple[_Period, int] | None:
        """Such as "last 30 days", "past 3 full weeks", "last couple of months"."""
        if self.text(at) not in _ROLLING:
            return None
        word = self.text(at)
        ahead = at + 1
        note = ""
        count = self.number(ahead)
        if count is not None:
            ahead += 1
        elif self.text(ahead) in ("couple", "few") or self.are(ahead, "a", "couple") or self.are(ahead, "a", "few"):
            ahead += 1 if self.text(ahead) == "a" else 0
            count = 2 if self.text(ahead) == "couple" else 3
            note = f"{self.text(ahead)} is read as {count}"
            ahead += 2 if self.text(ahead + 1) == "of" else 1
        elif word in ("past", "trailing") and self.unit(ahead) is not None:
            count = 1
        elif self.text(ahead) == "fortnight":
            return self.days_back(14, ahead + 1)
        else:
            return None
        if self.text(ahead) in ("full", "complete", "calendar", "whole"):
            ahead += 1
        unit = self.unit(ahead)
        if unit is None:
            if self.stem(ahead) == "minute":
                return _Period(self.earlier_by(minutes=count), self.now, None, rolling=True), ahead + 1
            return None
        if count < 1:
            raise _Unreadable(f"a range needs at least one {unit.value}: {count}")
        if count > _LARGEST[unit]:
            raise _Unreadable(f"the range is too long: {count} {unit.value}s, at most {_LARGEST[unit]}")
        ahead += 1
        if unit is Grain.HOUR:
            return _Period(self.earlier_by(hours=count), self.now, unit, count, rolling=True), ahead
        if unit is Grain.DAY:
            return self.days_back(count, ahead, note)
        if count == 1 and word in ("past", "trailing"):
            days = {Grain.WEEK: 7, Grain.MONTH: 30, Grain.QUARTER: 91, Grain.YEAR: 365}[unit]
            return self.days_back(days, ahead, f"the {word} {unit.value} is read as the {days} full days before today")
        end = begin(unit, self.today)
        note = note or (f"the {count} full {unit.value}s before this one" if count > 1 else "")
        return _Period(shift(unit, end, -count), end, unit, count, rolling=True, note=note), ahead

    def days_back(self, count: int, ahead: int, note: str = "") -> tuple[_Period, int]:
        if self.are(ahead, "including", "today") or self.are(ahead, "incl", "today"):
            start = self.today - timedelta(days=count - 1)
            return _Period(start, self.today + timedelta(days=1), Grain.DAY, count, rolling=True, note=note), ahead + 2
        note = note or (f"the {count} full days before today" if count > 1 else "")
        return _Period(self.today - timedelta(days=count), self.today, Grain.DAY, count, rolling=True, note=note), ahead

    def ago(self, at: int) -> tuple[_Period, int] | None:
        """Such as "3 days ago", "a week ago", "2 months earlier": that whole day, week or month."""
        count = 1 if self.text(at) in ("a", "an") else self.number(at)
        unit = self.unit(at + 1)
        if count is None or unit is None or self.text(at + 2) != "ago":
            return None
        if count > _LARGEST[unit]:
            raise _Unreadable(f"{count} {unit.value}s ago is too far back")
        if unit is Grain.HOUR:
            return _Period(self.earlier_by(hours=count + 1), self.earlier_by(hours=count), unit), at + 3
        note = (
            ""
            if unit is Grain.DAY
            else f"{count} {unit.value}{'s' if count > 1 else ''} ago is read as that whole {unit.value}"
        )
        return _whole(unit, shift(unit, begin(unit, self.today), -count), note=note), at + 3

    def calendar_unit(self, at: int) -> tuple[_Period, int] | None:
        """Such as "this month", "last week"."""
        word = self.text(at)
        if word in ("full", "whole", "entire"):
            return None
        unit = self.unit(at + 1)
        if unit is None:
            return None
        if word in _THIS:
            if unit is Grain.HOUR:
                return _Period(self.now.replace(minute=0, second=0, microsecond=0), self.now, unit), at + 2
            return _whole(unit, begin(unit, self.today)), at + 2
        if word in _PREVIOUS:
            if unit is Grain.HOUR:
                return _Period(self.earlier_by(hours=1), self.now, unit, rolling=True), at + 2
            return _whole(unit, shift(unit, begin(unit, self.today), -1)), at + 2
        return None

    def to_date(self, at: int) -> tuple[_Period, int] | None:
        if self.text(at) in _TO_DATE:
            unit = _TO_DATE[self.text(at)]
            return _whole(unit, begin(unit, self.today)), at + 1
        unit = self.unit(at)
        if unit is not None and self.are(at + 1, "to", "date"):
            return _whole(unit, begin(unit, self.today)), at + 3
        return None

    def weekend(self, at: int) -> tuple[_Period, int] | None:
        word = self.text(at)
        if word in _PREVIOUS | _THIS and self.stem(at + 1) == "weekend":
            saturday = begin(Grain.WEEK, self.today) + timedelta(days=5)
            if word in _PREVIOUS and saturday + timedelta(days=2) > self.today:
                saturday -= timedelta(days=7)
            return _Period(saturday, saturday + timedelta(days=2), Grain.DAY, 2), at + 2
        return None

    def weekday(self, at: int) -> tuple[_Period, int] | None:
        word, ahead = "", at
        if self.text(at) in _PREVIOUS | _THIS:
            word, ahead = self.text(at), at + 1
        number = _WEEKDAYS.get(self.text(ahead))
        if number is None:
            return None
        monday = begin(Grain.WEEK, self.today)
        following = ahead + 1 if self.text(ahead + 1) != "of" else ahead + 2
        if self.text(following) in _PREVIOUS and self.unit(following + 1) is Grain.WEEK:
            return _whole(Grain.DAY, monday + timedelta(days=number - 7)), following + 2
        if word in _THIS:
            return _whole(Grain.DAY, monday + timedelta(days=number)), ahead + 1
        back = (self.today.weekday() - number) % 7
        if word in _PREVIOUS and back == 0:
            back = 7
        day = self.today - timedelta(days=back)
        return _whole(Grain.DAY, day, note=f"the most recent {calendar.day_name[number]} is meant: {day}"), ahead + 1

    def iso(self, at: int) -> tuple[_Period, int] | None:
        if not 0 <= at < len(self.tokens) or self.tokens[at].kind is not Kind.DATE:
            return None
        text = self.tokens[at].text
        if "w" in text:
            year, week = text.split("-w")
            try:
                return _whole(Grain.WEEK, date.fromisocalendar(int(year), int(week), 1)), at + 1
            except ValueError:
                raise _Unreadable(f"there is no week {week} in {year}") from None
        slashed = _SLASHED.fullmatch(text)
        if slashed is not None:
            return self.slashed(slashed), at + 1
        if ":" in text and "t" not in text:
            raise _Unreadable(f"a time of day cannot be read here: {text}")
        parts = text.split("t")[0].split("-")
        if len(parts) == 2:
            if not 1 <= int(parts[1]) <= 12 or int(parts[0]) not in _YEARS:
                raise _Unreadable(f"there is no month {text}")
            return _whole(Grain.MONTH, date(int(parts[0]), int(parts[1]), 1)), at + 1
        try:
            day = date(int(parts[0]), int(parts[1]), int(parts[2]))
        except ValueError:
            raise _Unreadable(f"there is no such date: {text}") from None
        if day.year not in _YEARS:
            raise _Unreadable(f"the year is outside {_YEARS.start} to {_YEARS.stop - 1}: {day}")
        if "t" in text:
            try:
                moment = datetime.fromisoformat(text.upper())
            except ValueError:
                raise _Unreadable(f"there is no such time: {text}") from None
            moment = moment.replace(tzinfo=self.zone) if moment.tzinfo is None else moment
            return _Period(moment, moment + timedelta(minutes=1), None), at + 1
        return _whole(Grain.DAY, day), at + 1

    def slashed(self, found: re.Match[str]) -> _Period:
        first, second, third = (int(part) for part in found.groups())
        if first > 31:
            return _whole(Grain.DAY, self.on(first, second, third))
        year = third + 2000 if third < 100 else third
        if year not in _YEARS:
            raise _Unreadable(f"the year is outside {_YEARS.start} to {_YEARS.stop - 1}: {found[0]}")
        if "." in found[0] or first > 12:
            return _whole(Grain.DAY, self.on(year, second, first))
        if second > 12:
            return _whole(Grain.DAY, self.on(year, first, second))
        if first == second:
            return _whole(Grain.DAY, self.on(year, first, second))
        one, other = date(year, second, first), date(year, first, second)
        raise _Unreadable(f"{found[0]} can be {one} or {other}: write the date as {one}")

    def numbered_week(self, at: int) -> tuple[_Period, int] | None:
        if self.text(at) not in ("week", "cw"):
            return None
        number = self.number(at + 1)
        if number is not None and self.month(at + 2) is None:
            year, ahead = self.year_after(at + 2)
            note = ""
            if year is None:
                this_year, this_week, _ = self.today.isocalendar()
                year = this_year if number <= this_week else this_year - 1
                note = f"the most recent week {number} is meant: {year}"
            try:
                return _whole(Grain.WEEK, date.fromisocalendar(year, number, 1), note=note), ahead
            except ValueError:
                raise _Unreadable(f"there is no week {number} in {year}") from None
        if self.text(at + 1) == "of":
            found = self.period(at + 2)
            if found is not None and found[0].unit is Grain.DAY and not isinstance(found[0].first, datetime):
                return _whole(Grain.WEEK, begin(Grain.WEEK, found[0].first), note=found[0].note), found[1]
        return None

    def quarter(self, at: int) -> tuple[_Period, int] | None:
        found = _QUARTER.fullmatch(self.text(at))
        ahead = at + 1
        if found is not None:
            number, half = (int(found[1]), None) if found[1] else (None, int(found[2]))
        else:
            ordinal = _ORDINALS.get(self.text(at))
            if ordinal is None and self.text(at).endswith(("st", "nd", "rd", "th")):
                ordinal = self.number(at)
            if ordinal is None or not 1 <= ordinal <= 4:
                return None
            if self.unit(at + 1) is Grain.QUARTER:
                number, half = ordinal, None
            elif self.text(at + 1) == "half" and ordinal <= 2 and self.year_after(at + 2)[0] is not None:
                number, half = None, ordinal
            else:
                return None
            ahead = at + 2
        year, ahead = self.year_after(ahead)
        month = number * 3 - 2 if number is not None else (half or 1) * 6 - 5
        note = ""
        if year is None:
            year = self.today.year if date(self.today.year, month, 1) <= self.today else self.today.year - 1
            note = f"the most recent {self.text(at).upper()} is meant: {year}"
        start = date(year, month, 1)
        if number is not None:
            return _whole(Grain.QUARTER, start, note=note), ahead
        return _Period(start, shift(Grain.MONTH, start, 6), Grain.MONTH, 6, note=note), ahead

    def dated(self, at: int) -> tuple[_Period, int] | None:
        """Such as "5 May 2026", "May 5th", "5th of May", "1-15 May", "May 1 to 15"."""
        if self.text(at) in _WEEKDAYS and self.text(at + 1) in (",", "the"):
            at += 2
        day = self.day_number(at)
        if day is not None:
            ahead = at + 2 if self.text(at + 1) == "of" else at + 1
            month = self.month(ahead)
            if month is not None:
                year, following = self.year_after(ahead + 1)
                return self.named_day(month, day, year), following
            dash = self.text(at + 1) in ("-", "to", "and", "until", "through") or (
                at + 1 < len(self.tokens) and self.tokens[at + 1].glued
            )
            last_at = at + 1 if at + 1 < len(self.tokens) and self.tokens[at + 1].glued else at + 2
            last = self.day_number(last_at)
            if dash and last is not None:
                ahead = last_at + 2 if self.text(last_at + 1) == "of" else last_at + 1
                month = self.month(ahead)
                if month is not None:
                    year, following = self.year_after(ahead + 1)
                    return self.day_range(month, day, last, year), following
            return None
        month = self.month(at)
        if month is None:
            return None
        first_at = at + 2 if self.text(at + 1) == "the" else at + 1
        day = self.day_number(first_at)
        if day is None or self.stem(first_at + 1) in ("ticket", "agent", "customer"):
            return None
        glued = first_at + 1 < len(self.tokens) and self.tokens[first_at + 1].glued
        last_at = first_at + 1 if glued else first_at + 2
        last = self.day_number(last_at)
        if last is not None and (glued or self.text(first_at + 1) in ("-", "to", "until", "through")):
            year, following = self.year_after(last_at + 1)
            return self.day_range(month, day, last, year), following
        year, following = self.year_after(first_at + 1)
        return self.named_day(month, day, year), following

    def day_range(self, month: int, first: int, last: int, year: int | None) -> _Period:
        start = self.named_day(month, first, year)
        assert isinstance(start.first, date)  # a named day is a date
        end = self.on(start.first.year, month, last)
        if end < start.first:
            raise _Unreadable(f"the range ends before it starts: {start.first} to {end}")
        count = (end - start.first).days + 1
        return _Period(start.first, end + timedelta(days=1), Grain.DAY, count, note=start.note)

    def monthly(self, at: int) -> tuple[_Period, int] | None:
        word, ahead = "", at
        if self.text(at) in _PREVIOUS | _THIS:
            word, ahead = self.text(at), at + 1
        elif self.text(at) in ("early", "mid", "late") and self.month(at + 1) is not None:
            raise _Unreadable(f"{self.text(at)} {self.text(at + 1)} is no exact range: name the dates")
        month = self.month(ahead)
        if month is None:
            return None
        if word in _PREVIOUS:
            year = self.today.year if month < self.today.month else self.today.year - 1
            return _whole(
                Grain.MONTH, date(year, month, 1), note=f"the last full {calendar.month_name[month]} is meant: {year}"
            ), ahead + 1
        if word in _THIS:
            return _whole(Grain.MONTH, date(self.today.year, month, 1)), ahead + 1
        year, following = self.year_after(ahead + 1)
        return self.named_month(month, year), following

    def yearly(self, at: int) -> tuple[_Period, int] | None:
        year = self.year(at)
        return None if year is None else (_whole(Grain.YEAR, date(year, 1, 1)), at + 1)

    # Spans

    def clip(
        self, start: date | datetime | None, end: date | datetime | None
    ) -> tuple[datetime | None, datetime | None, str]:
        """Both ends as moments, the end not after the moment asked."""
        first = None if start is None else local(start, self.zone)
        last = None if end is None else local(end, self.zone)
        note = ""
        if first is not None and earlier(self.now, first):
            raise _Unreadable(f"the future is not in the data: {first.date()}")
        if last is not None and earlier(self.now, last):
            last, note = self.now, "up to the moment asked"
        if first is not None and last is not None and not earlier(first, last):
            if not earlier(last, first):
                return first, first + timedelta(minutes=1), note
            shown = (last - timedelta(microseconds=1)).date()
            raise _Unreadable(f"the range ends before it starts: {first.date()} to {shown}")
        return first, last, note

    def range(self, at: int, following: int, period: _Period) -> TimeSpan:
        start, end, running = self.clip(period.first, period.end)
        if self.text(following) == "so" and self.text(following + 1) == "far":
            following += 2
        note = "; ".join(part for part in (period.note, running) if part)
        return TimeSpan(
            at, following - 1, Means.RANGE, start, end, period.unit, period.count, period.rolling, note=note
        )

    def open_ended(self, at: int) -> TimeSpan | None:
        word = self.text(at)
        ahead = at + 1
        if word == "ever" and self.text(ahead) == "since":
            word, ahead = "since", at + 2
        if word in ("since", "after", "starting", "following", "before", "until", "till", "through") or (
            word == "prior" and self.text(ahead) == "to"
        ) or (word == "up" and self.text(ahead) in ("to", "until")):  # fmt: skip
            if word in ("prior", "up"):
                ahead += 1
            if word == "starting" and self.text(ahead) in ("from", "on", "in"):
                ahead += 1
            edge = ahead + 1 if self.text(ahead) == "the" else ahead
            if self.text(edge) in ("beginning", "start"):
                if self.text(edge + 1) != "of":
                    return TimeSpan(at, edge, Means.ALL) if word == "since" else None
                ahead = edge + 2
                named = ahead + 1 if self.text(ahead) == "the" else ahead
                unit = self.unit(named)
                if word == "since" and unit is not None and unit is not Grain.HOUR and self.text(named + 1) != "before":
                    start, end, _ = self.clip(begin(unit, self.today), self.now)
                    return TimeSpan(at, named, Means.RANGE, start, end, None)
            if word == "up" and self.text(ahead) == "now":
                return TimeSpan(at, ahead, Means.ALL)
            if self.text(ahead) == "now":
                return None
            found = self.period(ahead)
            if found is None:
                return None
            period, following = found
            if word in ("since", "starting"):
                start, end, _ = self.clip(period.first, self.now)
                note = period.note
            elif word in ("after", "following"):
                start, end, _ = self.clip(period.end, self.now)
                note = "; ".join(
                    part for part in (period.note, f"{self.words(ahead, following)} itself is not included") if part
                )
            elif word in ("before", "prior"):
                start, end, note = self.clip(None, period.first)
                note = "; ".join(part for part in (period.note, note) if part)
            else:
                start, end, note = self.clip(None, period.end)
                note = "; ".join(part for part in (period.note, note, "the last day named is included") if part)
            return TimeSpan(at, following - 1, Means.RANGE, start, end, None, note=note)
        return None

    def between(self, at: int) -> TimeSpan | None:
        """Such as "between X and Y", "from X to Y", "X to Y", "X - Y"."""
        word = self.text(at)
        ahead = at + 1 if word in ("between", "from") else at
        if word == "from" and self.text(ahead) == "the":
            ahead += 1
        if word in ("in", "during"):
            ahead = at + 1
        first = self.period(ahead)
        if first is None:
            return None
        period, following = first
        joiners = {"to", "until", "till", "through", "thru", "-"} | ({"and"} if word == "between" else set())
        glued = following < len(self.tokens) and self.tokens[following].glued
        if self.text(following) in joiners:
            following += 1
        elif not (glued and self.month(following)):
            if word == "from" and self.text(following) in ("on", "onward", "onwards"):
                start, end, _ = self.clip(period.first, self.now)
                return TimeSpan(at, following, Means.RANGE, start, end, None, note=period.note)
            return None
        if self.text(following) in ("now", "today", "date", "present") and not glued:
            start, end, _ = self.clip(period.first, self.now)
            return TimeSpan(
                at,
                following,
                Means.RANGE,
                start,
                end,
                None,
                note="; ".join(filter(None, (period.note, "up to the moment asked"))),
            )
        second = self.period(following)
        if second is None:
            return None
        last, following = second
        period = self.before(period, last, ahead)
        start, end, running = self.clip(period.first, last.end)
        note = "; ".join(
            dict.fromkeys(part for part in (period.note, last.note, running, "both ends are included") if part)
        )
        return TimeSpan(at, following - 1, Means.RANGE, start, end, None, note=note)

    def before(self, first: _Period, last: _Period, at: int) -> _Period:
        """The start of a range, moved to the year of its end where its own year was a guess."""
        if (
            not first.note
            or isinstance(first.first, datetime)
            or isinstance(last.first, datetime)
            or first.unit not in (Grain.DAY, Grain.MONTH)
        ):
            return first
        if _WEEKDAYS.get(self.text(at)) is not None:
            if first.first > last.first:
                return replace(first, first=first.first - timedelta(days=7), note="")
            return first
        year = last.first.year
        moved = first.first.replace(
            year=year, day=min(first.first.day, calendar.monthrange(year, first.first.month)[1])
        )
        if moved > last.first:
            moved = moved.replace(year=year - 1, day=min(moved.day, calendar.monthrange(year - 1, moved.month)[1]))
        return replace(first, first=moved, note=f"the range starts in {moved.year}" if last.note else "")

    def now_words(self, at: int) -> TimeSpan | None:
        for words in (
            ("right", "now"), ("just", "now"), ("as", "of", "now"), ("as", "of", "today"), ("at", "the", "moment"),
            ("at", "this", "moment"),
            ("at", "present"), ("for", "now"), ("as", "we", "speak"), ("now",), ("currently",), ("presently",),
        ):  # fmt: skip
            if self.are(at, *words):
                return TimeSpan(at, at + len(words) - 1, Means.NOW, end=self.now)
        for words in (
            ("of", "all", "time"), ("all", "time"),
            ("so", "far"),
            ("until", "now"), ("till", "now"), ("to", "date"), ("ever",), ("in", "total"), ("alltime",),
            ("in", "the", "data"),
        ):  # fmt: skip
            if self.are(at, *words):
                return TimeSpan(at, at + len(words) - 1, Means.ALL)
        return None

    def as_of(self, at: int) -> TimeSpan | None:
        for words in (("as", "of"), ("as", "at"), ("at", "the", "end", "of"), ("at", "end", "of"), ("end", "of")):
            if self.are(at, *words):
                found = self.period(at + len(words))
                if found is None:
                    return None
                period, following = found
                start, end, note = self.clip(period.first, period.end)
                note = "; ".join(part for part in (period.note, note) if part)
                return TimeSpan(at, following - 1, Means.AS_OF, start, end, period.unit, note=note)
        for words in (("at", "the", "start", "of"), ("at", "the", "beginning", "of"), ("at", "start", "of")):
            if self.are(at, *words):
                found = self.period(at + len(words))
                if found is None:
                    return None
                period, following = found
                if isinstance(period.first, datetime):
                    return None
                eve = period.first - timedelta(days=1)
                start, end, _ = self.clip(eve, period.first)
                note = f"the start of the {period.unit.value if period.unit else 'range'} is the end of the day before"
                return TimeSpan(at, following - 1, Means.AS_OF, start, end, Grain.DAY, note=note)
        return None

    def grain(self, at: int) -> TimeSpan | None:
        word = self.text(at)
        if word in _ADVERBS:
            return TimeSpan(at, at, Means.GRAIN, unit=_ADVERBS[word])
        if word in ("by", "per", "each", "every", "a", "an", "for"):
            ahead = at + 1
            if word == "for" and self.text(ahead) not in ("each", "every"):
                return None
            if self.text(ahead) in ("calendar", "each", "every", "the"):
                ahead += 1
            unit = self.unit(ahead)
            if unit is None or self.text(ahead + 1) in ("ago", "of"):
                return None
            if self.stem(ahead) != self.text(ahead) and word in ("a", "an"):
                return None
            if word == "by" and self.text(ahead) == "day" and self.are(ahead + 1, "of", "the", "week"):
                return None
            return TimeSpan(at, ahead, Means.GRAIN, unit=unit, per=word in ("per", "a", "an"))
        unit = self.unit(at)
        if unit is not None and self.text(at + 1) in ("by", "on", "over", "after") and self.unit(at + 2) is unit:
            over = self.text(at + 1) in ("on", "over")
            if over and unit is Grain.YEAR:
                return TimeSpan(at, at + 2, Means.YEAR_BEFORE, unit=unit)
            return TimeSpan(at, at + 2, Means.GRAIN, unit=unit)
        if word in _OVER:
            meant = _OVER[word]
            if isinstance(meant, Means):
                return TimeSpan(at, at, Means.YEAR_BEFORE, unit=Grain.YEAR)
            return TimeSpan(at, at, Means.GRAIN, unit=meant)
        if self.are(at, "over", "time") or self.are(at, "through", "time"):
            return TimeSpan(at, at + 1, Means.GRAIN)
        if word in _DEVELOPING or (word in ("change", "changed") and self.text(0) == "how" and at > 1):
            return TimeSpan(at, at, Means.GRAIN)
        if word in ("trend", "trends", "trending", "evolution", "timeline", "history") and not self.are(
            at, "history", "of", "ticket"
        ):
            return TimeSpan(at, at, Means.GRAIN)
        return None

    def compared(self, at: int) -> TimeSpan | None:
        """Such as "vs the previous week", "compared with last month", "than the week before"."""
        if self.text(at) in _VERSUS or self.text(at) == "than":
            ahead = at + 1
        elif self.text(at) in ("compared", "relative", "versus", "comparison") and self.text(at + 1) in ("to", "with"):
            ahead = at + 2
        elif self.are(at, "in", "comparison", "to") or self.are(at, "in", "comparison", "with"):
            ahead = at + 3
        else:
            return None
        bare = ahead
        if self.text(ahead) == "the":
            ahead += 1
        if self.text(ahead) in ("same",):
            return self.year_before(at, ahead)
        if (
            self.are(ahead, "a", "year", "ago")
            or self.are(ahead, "year", "before")
            or self.are(ahead, "a", "year", "earlier")
        ):
            return TimeSpan(at, ahead + (2 if self.text(ahead) == "a" else 1), Means.YEAR_BEFORE)
        if self.text(ahead) in ("previous", "prior", "preceding", "last", "earlier") and self.text(ahead + 1) in (
            "period",
            "one",
            "1",
        ):
            return TimeSpan(at, ahead + 1, Means.PREVIOUS)
        unit = self.unit(ahead)
        if (
            unit is not None
            and self.text(ahead + 1) in ("before", "prior", "earlier")
            and self.text(ahead + 2) != "last"
        ):
            return TimeSpan(at, ahead + 1, Means.PREVIOUS)
        if self.text(ahead) == "previous" and self.unit(ahead + 1) is not None:
            return TimeSpan(at, ahead + 1, Means.PREVIOUS)
        if self.text(ahead) == "previous" and self.number(ahead + 1) is not None and self.unit(ahead + 2) is not None:
            return TimeSpan(at, ahead + 2, Means.PREVIOUS)
        if self.text(ahead) in ("before", "previously"):
            return TimeSpan(at, ahead, Means.PREVIOUS)
        found = self.period(bare)
        if found is None:
            return None
        span = self.range(at, found[1], found[0])
        return replace(span, compared=True)

    def year_before(self, at: int, ahead: int) -> TimeSpan | None:
        """Such as "the same month last year", "same period a year ago"."""
        following = ahead + 2
        if self.text(ahead + 1) in ("period", "time", "range") or self.unit(ahead + 1) is not None:
            if self.text(following) in _PREVIOUS and self.unit(following + 1) is Grain.YEAR:
                return TimeSpan(at, following + 1, Means.YEAR_BEFORE)
            if self.are(following, "of", "last", "year") or self.are(following, "a", "year", "ago"):
                return TimeSpan(at, following + 2, Means.YEAR_BEFORE)
            if self.are(following, "the", "year", "before"):
                return TimeSpan(at, following + 2, Means.YEAR_BEFORE)
            if self.text(following) in ("before", "previously"):
                return TimeSpan(at, following, Means.PREVIOUS)
        return None

    def span(self, at: int) -> TimeSpan | None:
        """The longest reading that starts at the position."""
        for rule in (self.compared, self.now_words, self.as_of, self.open_ended, self.between, self.grain):
            found = rule(at)
            if found is not None:
                return found
        if self.are(at, "this", "time", "last", "year"):
            found = self.year_before(at, at - 1)
            return found or TimeSpan(at, at + 3, Means.YEAR_BEFORE)
        ahead = at
        if self.text(ahead) in _LEADING and self.text(ahead) != "the":
            ahead += 1
            if self.text(ahead) == "all" and self.text(ahead + 1) == "of":
                ahead += 2
        found = self.period(ahead)
        if found is None:
            return None
        asked = ahead > at or self.text(ahead) in _PREVIOUS | _THIS
        named = ahead + 1 if self.text(ahead) == "the" else ahead
        if not (asked and named == ahead) and found[1] == named + 1 and self.text(named) in _ALSO_WORDS:
            return None
        if self.text(ahead) in _PREVIOUS | _THIS or self.text(at) in (
            "in",
            "on",
            "during",
            "throughout",
            "within",
            "over",
            "since",
        ):
            solo = False
        else:
            solo = found[1] == ahead + 1 and (self.year(ahead) is not None or self.text(ahead) in _ALSO_WORDS)
        return replace(self.range(at, found[1], found[0]), solo=solo)


def find_times(
    tokens: Sequence[Token], *, now: datetime, zone: tzinfo, taken: frozenset[int] = frozenset()
) -> list[TimeSpan]:
    """Every stretch of words about time, left to right, none overlapping.

    Args:
        tokens: Of the question.
        now: The moment asked (aware).
        zone: Zone in which days are cut.
        taken: Token numbers that are something else, such as the number of a ticket or a quoted text.
    """
    grammar = _Grammar(tokens, now, zone)
    spans: list[TimeSpan] = []
    at = 0
    while at < len(tokens):
        if at in taken or (tokens[at].quoted and tokens[at].kind is not Kind.DATE):
            at += 1
            continue
        try:
            found = grammar.span(at)
        except _Unreadable as error:
            found = TimeSpan(at, at + _length(grammar, at), Means.PROBLEM, note=str(error))
        except OverflowError:
            found = TimeSpan(at, at + _length(grammar, at), Means.PROBLEM, note="that time is outside the calendar")
        if found is None or any(position in taken for position in range(found.first, found.last + 1)):
            at += 1
            continue
        spans.append(found)
        at = found.last + 1
    return spans


def _length(grammar: _Grammar, at: int) -> int:
    """How many further words belong to a time that could not be read."""
    last = at
    for position in range(at, min(at + 6, len(grammar.tokens))):
        token = grammar.tokens[position]
        timely = token.value is not None or token.kind is Kind.DATE or token.stem in _UNITS or token.text in _MONTHS
        if timely or token.text in _ROLLING | _THIS | _NEXT | {
            "tomorrow",
            "fiscal",
            "financial",
            "early",
            "mid",
            "late",
        }:
            last = position
    return last - at
