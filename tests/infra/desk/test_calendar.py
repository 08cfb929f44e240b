from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.desk.account import SCHEDULE_AMERICA, SCHEDULE_EUROPE, SCHEDULES, holidays, opening_hours
from infra.local.desk.calendar import HOUR, iso, seconds

HOURS = opening_hours(2026)
MOMENTS = st.integers(seconds(datetime(2025, 1, 1, tzinfo=UTC)), seconds(datetime(2027, 6, 1, tzinfo=UTC)))


def at(zone: str, *parts: int) -> int:
    return seconds(datetime(*parts, tzinfo=ZoneInfo(zone)))  # pyright: ignore[reportArgumentType]


def test_a_day_is_ten_hours_in_europe_on_both_sides_of_the_clock_change() -> None:
    for day in (date(2026, 3, 27), date(2026, 3, 30), date(2026, 10, 23), date(2026, 10, 26)):
        opens = at("Europe/Berlin", day.year, day.month, day.day)
        assert HOURS[SCHEDULE_EUROPE].between(opens, opens + 25 * HOUR) == 10 * HOUR


def test_holidays_and_weekends_are_closed() -> None:
    christmas = at("Europe/Berlin", 2026, 12, 25)
    assert HOURS[SCHEDULE_EUROPE].between(christmas, christmas + 24 * HOUR) == 0
    thanksgiving = at("America/New_York", 2026, 11, 26)
    assert HOURS[SCHEDULE_AMERICA].between(thanksgiving, thanksgiving + 24 * HOUR) == 0
    saturday = at("America/New_York", 2026, 11, 21)
    assert HOURS[SCHEDULE_AMERICA].between(saturday, saturday + 24 * HOUR) == 4 * HOUR


@given(MOMENTS, st.integers(1, 30 * 86400))
def test_adding_open_time_is_the_inverse_of_measuring_it(moment: int, wanted: int) -> None:
    for hours in HOURS.values():
        then = hours.add(moment, wanted)
        assert hours.between(moment, then) == wanted
        assert hours.between(then - 1, then) == 1


@given(MOMENTS)
@pytest.mark.parametrize("schedule", [SCHEDULE_EUROPE, SCHEDULE_AMERICA])
def test_open_moments_are_those_of_the_weekly_plan(schedule: int, moment: int) -> None:
    plan = SCHEDULES[schedule]
    local = datetime.fromtimestamp(moment, ZoneInfo(plan.zone))
    minute = (local.weekday() + 1) % 7 * 1440 + local.hour * 60 + local.minute
    closed = {day for _, _, day in holidays(schedule, range(2022, 2031))}
    expected = local.date() not in closed and any(start <= minute < end for start, end in plan.intervals)
    assert HOURS[schedule].between(moment, moment + 1) == expected


@given(MOMENTS)
def test_moments_are_written_as_zendesk_writes_them(moment: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    assert iso(moment) == expected.strftime("%Y-%m-%dT%H:%M:%SZ")
