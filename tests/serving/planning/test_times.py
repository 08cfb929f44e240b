# ruff: noqa: E501  (tables read best with one case a line)
"""The time grammar: every range is well formed, aligned and counted from the moment asked in the asker's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.planning.normalise import tokenise
from serving.planning.plan import ComplexPlan, Grain
from serving.planning.planner import read
from serving.planning.times import Means, TimeSpan, earlier, find_times, local
from tests.serving.planning.catalogue import catalogue
from tests.serving.planning.expected import NOW, ZONE, moment

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Apia", "Asia/Beirut"]  # fmt: skip
MONTHS = ["January", "Feb", "March", "Apr", "May", "June", "jul", "August", "Sept", "October", "Nov", "december"]
DAYS = ["Monday", "tue", "Wednesday", "Thu", "Friday", "Saturday", "sunday"]
UNITS = ["hour", "day", "week", "month", "quarter", "year"]

_counts = st.integers(1, 40)
_words = st.one_of(
    st.sampled_from(["today", "yesterday", "this week", "last week", "this month so far", "last quarter", "this year",
                     "last year", "past week", "the past month", "year to date", "ytd", "last weekend", "last fortnight",
                     "the week before last", "the day before yesterday", "since yesterday", "since the start of the year",
                     "H1 2026", "first quarter of 2025", "Q3", "in 2025", "last couple of weeks", "past few days"]),
    st.builds("last {} {}s".format, _counts, st.sampled_from(UNITS)),
    st.builds("in the past {} full {}s".format, _counts, st.sampled_from(UNITS[1:])),
    st.builds("{} {}s ago".format, _counts, st.sampled_from(UNITS)),
    st.builds("in {}".format, st.sampled_from(MONTHS)),
    st.builds("{} {}".format, st.sampled_from(MONTHS), st.integers(2015, 2023)),
    st.builds("since {}".format, st.sampled_from(MONTHS + DAYS)),
    st.builds("from {} to {} 2023".format, st.sampled_from(MONTHS), st.sampled_from(MONTHS)),
    st.builds("on {} {}".format, st.integers(1, 28), st.sampled_from(MONTHS)),
    st.builds("{} {}th, {}".format, st.sampled_from(MONTHS), st.integers(4, 20), st.integers(2015, 2023)),
    st.builds("last {}".format, st.sampled_from(DAYS + MONTHS)),
    st.builds("week {} of 2023".format, st.integers(1, 52)),
    st.builds("week of {} {} 2022".format, st.integers(1, 28), st.sampled_from(MONTHS)),
    st.builds("before {} 2024".format, st.sampled_from(MONTHS)),
    st.builds("after {} 2020".format, st.sampled_from(MONTHS)),
    st.builds("between {}-{:02d}-{:02d} and 2023-12-31".format, st.integers(2015, 2022), st.integers(1, 12), st.integers(1, 28)),
)  # fmt: skip
_moments = st.datetimes(datetime(2026, 7, 2), datetime(2030, 12, 30), timezones=st.just(UTC))


def only(text: str, now: datetime = NOW, zone: ZoneInfo = ZONE) -> TimeSpan:
    spans = find_times(tokenise(text), now=now, zone=zone)
    assert len(spans) == 1, spans
    return spans[0]


@settings(max_examples=600, deadline=None)
@given(words=_words, now=_moments, zone=st.sampled_from(ZONES))
def test_every_range_is_well_formed_and_not_after_the_moment_asked(words: str, now: datetime, zone: str) -> None:
    span = only(f"tickets {words}", now, ZoneInfo(zone))
    assert span.means is Means.RANGE, span
    assert span.start is not None or span.end is not None
    for end in (span.start, span.end):
        assert end is None or end.tzinfo is not None
    if span.start is not None and span.end is not None:
        assert earlier(span.start, span.end)
    if span.start is not None:
        assert not earlier(now, span.start)
    if span.end is not None:
        assert not earlier(now + timedelta(minutes=1), span.end)


@settings(max_examples=400, deadline=None)
@given(count=st.integers(1, 50), unit=st.sampled_from(UNITS[1:]), now=_moments, zone=st.sampled_from(ZONES))
def test_counted_ranges_are_whole_periods_before_the_running_one(
    count: int, unit: str, now: datetime, zone: str
) -> None:
    there = ZoneInfo(zone)
    span = only(f"last {count} {unit}s", now, there)
    assert span.start is not None
    assert span.end is not None
    first, after, today = (at.astimezone(there).date() for at in (span.start, span.end, now))
    assert local(first, there) == span.start
    assert local(after, there) == span.end
    assert after <= today
    match Grain(unit):
        case Grain.DAY:
            assert (today - after).days == 0
            assert (after - first).days == count
        case Grain.WEEK:
            assert first.weekday() == after.weekday() == 0
            assert (after - first).days == 7 * count
            assert 0 <= (today - after).days < 7
        case Grain.MONTH:
            assert first.day == after.day == 1
            assert (after.year - first.year) * 12 + after.month - first.month == count
        case Grain.QUARTER:
            assert {first.month, after.month} <= {1, 4, 7, 10}
            assert (after.year - first.year) * 12 + after.month - first.month == 3 * count
        case _:
            assert (first.month, first.day, after.month, after.day) == (1, 1, 1, 1)
            assert after.year - first.year == count


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=300), now=_moments)
def test_any_text_is_read_without_an_error(text: str, now: datetime) -> None:
    for span in find_times(tokenise(text), now=now, zone=ZONE):
        assert 0 <= span.first <= span.last


@settings(max_examples=300, deadline=None)
@given(parts=st.lists(st.sampled_from([*UNITS, *MONTHS, *DAYS, "last", "this", "next", "since", "between", "and", "to", "from",
       "7", "31", "2026", "99999", "0", "of", "ago", "the", "week", "q9", "2026-02-31", "5/6/2026", "before", "until", "vs",
       "previous", "a", "per", "by", "so", "far", "-", "1st", "half", "end", "at"]), max_size=9))  # fmt: skip
def test_time_words_in_any_order_are_read_without_an_error(parts: list[str]) -> None:
    for span in find_times(tokenise(" ".join(parts)), now=NOW, zone=ZONE):
        if span.start is not None and span.end is not None:
            assert earlier(span.start, span.end)


@pytest.mark.parametrize(
    ("words", "start", "end"),
    [
        ("last week", "2026-11-16", "2026-11-23"),
        ("last 30 days", "2026-10-26", "2026-11-25"),
        ("last 7 days", "2026-11-18", "2026-11-25"),
        ("last 7 days including today", "2026-11-19", "now"),
        ("this month", "2026-11-01", "now"),
        ("since Monday", "2026-11-23", "now"),
        ("since Wednesday", "2026-11-25", "now"),
        ("last Monday", "2026-11-23", "2026-11-24"),
        ("last Wednesday", "2026-11-18", "2026-11-19"),
        ("Monday last week", "2026-11-16", "2026-11-17"),
        ("in May", "2026-05-01", "2026-06-01"),
        ("in December", "2025-12-01", "2026-01-01"),
        ("in November", "2026-11-01", "now"),
        ("last November", "2025-11-01", "2025-12-01"),
        ("May last year", "2025-05-01", "2025-06-01"),
        ("from November to February", "2025-11-01", "2026-03-01"),
        ("March to May 2025", "2025-03-01", "2025-06-01"),
        ("Jan–Mar", "2026-01-01", "2026-04-01"),
        ("between 1 and 15 May", "2026-05-01", "2026-05-16"),
        ("May 1-15", "2026-05-01", "2026-05-16"),
        ("on 26 November", "2025-11-26", "2025-11-27"),
        ("on 29 February", "2024-02-29", "2024-03-01"),
        ("week of 4 May", "2026-05-04", "2026-05-11"),
        ("2026-W01", "2025-12-29", "2026-01-05"),
        ("week 50", "2025-12-08", "2025-12-15"),
        ("Q1 2026", "2026-01-01", "2026-04-01"),
        ("the second quarter of 2025", "2025-04-01", "2025-07-01"),
        ("until Friday", "", "2026-11-21"),
        ("before May", "", "2026-05-01"),
        ("after 5 May", "2026-05-06", "now"),
        ("last 24 hours", "2026-11-24T15:30", "now"),
        ("2 weeks ago", "2026-11-09", "2026-11-16"),
        ("past week", "2026-11-18", "2026-11-25"),
        ("last weekend", "2026-11-21", "2026-11-23"),
        ("01.05.2026", "2026-05-01", "2026-05-02"),
        ("13/05/2026", "2026-05-13", "2026-05-14"),
        ("since the beginning of the year", "2026-01-01", "now"),
        ("since 2024", "2024-01-01", "now"),
        ("at the end of last month", "2026-10-01", "2026-11-01"),
    ],
)
def test_words_name_their_range(words: str, start: str, end: str) -> None:
    span = only(words)
    assert (span.start, span.end) == (moment(start), moment(end))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("next week", "future"),
        ("tomorrow", "future"),
        ("in the next 3 days", "future"),
        ("on 2027-01-01", "future"),
        ("31 February", "no 31 February"),
        ("2026-02-30", "no such date"),
        ("03/04/2026", "can be 2026-04-03 or 2026-03-04"),
        ("between 2026-05-10 and 2026-05-01", "ends before it starts"),
        ("this fiscal year", "fiscal"),
        ("last 0 days", "at least one"),
        ("last 900000 years", "too long"),
        ("week 60 of 2026", "no week 60"),
        ("early May", "no exact range"),
    ],
)
def test_a_time_that_cannot_be_read_says_why(words: str, why: str) -> None:
    span = only(words)
    assert span.means is Means.PROBLEM
    assert why in span.note


@pytest.mark.parametrize(
    "words", ["may I see the tickets", "tickets may be late", "a march on support", "the sun camera", "ticket 2025x"]
)
def test_month_and_day_names_that_are_words_are_no_times(words: str) -> None:
    assert find_times(tokenise(words), now=NOW, zone=ZONE) == []


def test_last_two_hours_cross_the_hour_that_comes_twice() -> None:
    now = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    span = only("last 2 hours", now)
    assert span.start is not None
    assert span.end is not None
    assert span.end.astimezone(UTC) - span.start.astimezone(UTC) == timedelta(hours=2)


def test_the_hours_before_the_last_ones_are_as_many() -> None:
    now = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    reading = read("tickets last 3 hours vs the previous 3 hours", semantics=catalogue(), now=now, zone=ZONE)
    assert isinstance(reading.plan, ComplexPlan)
    lengths = [(plan.time.from_, plan.time.to) for plan in reading.plan.metrics]
    assert [end.astimezone(UTC) - start.astimezone(UTC) for start, end in lengths if start and end] == [
        timedelta(hours=3)
    ] * 2


def test_a_day_without_midnight_starts_at_its_first_moment() -> None:
    zone = ZoneInfo("America/Santiago")
    span = only("on 2026-09-06", datetime(2026, 10, 1, tzinfo=UTC), zone)
    assert span.start == datetime(2026, 9, 6, 4, tzinfo=UTC)
    assert span.end == datetime(2026, 9, 7, 3, tzinfo=UTC)


def test_the_day_is_that_of_the_asker_not_of_utc() -> None:
    now = datetime(2026, 11, 25, 2, tzinfo=UTC)
    assert only("yesterday", now, ZoneInfo("America/New_York")).start == datetime(2026, 11, 23, 5, tzinfo=UTC)
    assert only("yesterday", now, ZoneInfo("Asia/Tokyo")).start == datetime(2026, 11, 23, 15, tzinfo=UTC)


def test_this_month_at_its_first_moment_is_not_empty() -> None:
    span = only("this month", datetime(2026, 11, 1, tzinfo=UTC), ZoneInfo("UTC"))
    assert span.start is not None
    assert span.end is not None
    assert earlier(span.start, span.end)


@pytest.mark.parametrize(
    ("words", "unit"),
    [("by day", Grain.DAY), ("weekly", Grain.WEEK), ("per month", Grain.MONTH), ("each quarter", Grain.QUARTER),
     ("year by year", Grain.YEAR), ("hourly", Grain.HOUR), ("month over month", Grain.MONTH), ("over time", None)],
)  # fmt: skip
def test_grains(words: str, unit: Grain | None) -> None:
    span = only(words)
    assert span.means is Means.GRAIN
    assert span.unit is unit


@pytest.mark.parametrize(
    ("words", "means"),
    [("vs the previous month", Means.PREVIOUS), ("compared to the week before", Means.PREVIOUS), ("yoy", Means.YEAR_BEFORE),
     ("compared with the same month last year", Means.YEAR_BEFORE), ("right now", Means.NOW), ("of all time", Means.ALL)],
)  # fmt: skip
def test_other_words_of_time(words: str, means: Means) -> None:
    assert only(words).means is means
