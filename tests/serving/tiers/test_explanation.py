"""A cause planted into figures is found with the right share, parts add up, and chance is named."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.planning.plan import Filter, MetricPlan, SearchPlan, TimeRange
from serving.tiers.explanation import Explanation, Part, contributions, explain
from serving.tiers.table import Column, Table

COUNT = Column("tickets_created", "integer", "tickets", "metric", "Tickets created")
REPLY = Column("avg_first_reply_minutes", "number", "minutes", "metric", "Average first reply time")
THEN = TimeRange.model_validate({"from": datetime(2026, 10, 5, tzinfo=UTC), "to": datetime(2026, 10, 12, tzinfo=UTC)})
NOW = TimeRange.model_validate({"from": datetime(2026, 10, 12, tzinfo=UTC), "to": datetime(2026, 10, 19, tzinfo=UTC)})

Counts = Mapping[Any, int]


def dimension(name: str) -> Column:
    return Column(name, "text", None, "dimension", name.capitalize())


def total(value: float | None, time: TimeRange, metric: Column = COUNT) -> Part:
    return MetricPlan(metrics=(metric.name,), time=time), Table((metric,), ((value,),))


def cut(name: str, counts: Counts, time: TimeRange) -> Part:
    rows = tuple(counts.items())
    return MetricPlan(metrics=(COUNT.name,), group_by=(name,), time=time), Table((dimension(name), COUNT), rows)


def counts(then: Mapping[str, Counts], now: Mapping[str, Counts]) -> list[Part]:
    """Totals of both weeks and their slices, as the plan of a why has them."""
    first = next(iter(then))
    parts = [total(sum(now[first].values()), NOW), total(sum(then[first].values()), THEN)]
    for name in then:
        parts += [cut(name, now[name], NOW), cut(name, then[name], THEN)]
    return parts


def explained(parts: list[Part], *, is_additive: bool = True) -> Explanation:
    found = explain(parts, is_additive=is_additive, zone=ZoneInfo("UTC"), as_of=datetime(2026, 11, 25, tzinfo=UTC))
    assert found is not None
    return found


def test_a_planted_cause_is_named_first_with_its_share_and_base() -> None:
    then = {"product": {"App": 10, "Hub": 60, "Shop": 30}, "channel": {"email": 50, "web": 50}}
    now = {"product": {"App": 110, "Hub": 65, "Shop": 25}, "channel": {"email": 100, "web": 100}}
    found = explained(counts(then, now))
    first, *rest = found.text.splitlines()
    assert first == (
        "Tickets created rose by 100 tickets (+100 %): 200 tickets from 2026-10-12 to 2026-10-18 (UTC), 100 tickets "
        "from 2026-10-05 to 2026-10-11 (UTC); product App brought 100 % of the rise (10 to 110 tickets, "
        "10 % of all before)."
    )
    assert "- by product: App +100 (100 %), Hub +5 (5 %), Shop −5 (−5 %)" in rest
    assert "- by channel: email +50 (50 %), web +50 (50 %)" in rest
    assert found.leading is not None
    assert (found.leading.member, found.leading.contribution) == ("App", 1.0)


def test_quotes_are_looked_for_where_the_change_came_from() -> None:
    then = {"product": {"App": 10, "Hub": 90}, "group": {"Support": 90, "Billing": 10}}
    now = {"product": {"App": 110, "Hub": 90}, "group": {"Support": 90, "Billing": 110}}
    customers = Filter(dimension="author_role", values=("customer",))
    search = explained(counts(then, now)).search(SearchPlan(query="why more tickets", filters=(customers,)))
    assert search.query == "App"
    assert search.filters == (customers, Filter(dimension="product", values=("App",)))


def test_a_rise_in_proportion_is_no_slice_s_doing() -> None:
    then = {"product": {"App": 60, "Hub": 30, "Shop": 10}}
    now = {"product": {"App": 120, "Hub": 60, "Shop": 20}}
    found = explained(counts(then, now))
    assert "no slice stands out, the rise is spread over them" in found.text.splitlines()[0]
    assert found.leading is None
    search = SearchPlan(query="why more tickets")
    assert found.search(search) == search


def test_a_fall_has_contributions_of_both_signs() -> None:
    then, now = {"product": {"App": 90, "Hub": 10}}, {"product": {"App": 30, "Hub": 30}}
    text = explained(counts(then, now)).text
    assert "fell by 40 tickets (−40 %)" in text
    assert "- by product: App −60 (150 %), Hub +20 (−50 %)" in text


def test_slices_that_cancel_out_are_told_without_shares() -> None:
    then, now = {"product": {"App": 130, "Hub": 10}}, {"product": {"App": 30, "Hub": 105}}
    first, *rest = explained(counts(then, now)).text.splitlines()
    assert "slices moved both ways and largely cancel out" in first
    assert "- by product: App −100, Hub +95" in rest


def test_the_limits_of_the_figures_are_in_the_first_sentence() -> None:
    found = explain(
        [total(9, NOW), total(7, THEN)],
        is_additive=True,
        zone=ZoneInfo("UTC"),
        as_of=datetime(2026, 11, 25, tzinfo=UTC),
        limits=", where priority is urgent",
    )
    assert found is not None
    assert found.text.startswith("Tickets created, where priority is urgent, rose by 2 tickets")


def test_a_slice_that_is_new_or_unnamed_counts_too() -> None:
    then, now = {"product": {"Hub": 20}}, {"product": {"Hub": 20, None: 30, "App": 50}}
    text = explained(counts(then, now)).text
    assert "product App brought 62 % of the rise (0 to 50 tickets, 0 % of all before)" in text
    assert "- by product: App +50 (62 %), no product +30 (38 %)" in text


def test_a_small_difference_is_told_from_chance() -> None:
    small = explained(counts({"product": {"App": 20}}, {"product": {"App": 26}})).text
    large = explained(counts({"product": {"App": 20}}, {"product": {"App": 90}})).text
    assert "also comes about by chance" in small
    assert "chance" not in large


def test_the_same_number_twice_is_no_change() -> None:
    text = explained([total(7, NOW), total(7, THEN)]).text
    assert text.startswith("Tickets created did not change: 7 tickets")


def test_a_range_without_value_is_said_and_compared_with_nothing() -> None:
    text = explained([total(None, NOW, REPLY), total(90, THEN, REPLY)], is_additive=False).text
    assert text.startswith("Average first reply time: 1 h 30 min from 2026-10-05")
    assert "no value from 2026-10-12" in text


def test_slices_of_an_average_stand_side_by_side_with_their_cases() -> None:
    columns = (dimension("group"), REPLY, COUNT)
    plans = [MetricPlan(metrics=(REPLY.name, COUNT.name), group_by=("group",), time=time) for time in (NOW, THEN)]
    tables = [
        Table(columns, (("Tier 1", 300.0, 80), ("Billing", 60.0, 10), ("Tiny", 9_000.0, 2))),
        Table(columns, (("Tier 1", 100.0, 40), ("Billing", 50.0, 10), ("Tiny", 10.0, 2))),
    ]
    parts = [total(270, NOW, REPLY), total(90, THEN, REPLY), *zip(plans, tables, strict=True)]
    text = explained(parts, is_additive=False).text
    assert text.startswith("Average first reply time rose by 3 h (+200 %): 4 h 30 min from 2026-10-12")
    assert "Tier 1 1 h 40 min to 5 h (40 to 80 tickets), Billing 50 min to 1 h (10 to 10 tickets)" in text
    assert "Tiny" not in text
    assert "brought" not in text


def test_figures_without_two_totals_are_not_explained() -> None:
    parts = [cut("product", {"App": 1}, NOW), cut("product", {"App": 2}, THEN)]
    assert explain(parts, is_additive=True, zone=ZoneInfo("UTC"), as_of=datetime(2026, 11, 25, tzinfo=UTC)) is None


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_ranges_are_told_in_the_asker_s_zone(zone: str) -> None:
    found = explain(
        [total(9, NOW), total(7, THEN)], is_additive=True, zone=ZoneInfo(zone), as_of=datetime(2026, 11, 25, tzinfo=UTC)
    )
    assert found is not None
    assert zone in found.text


_members = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 500), min_size=1)


@given(_members, _members)
def test_parts_of_a_dimension_always_add_up(then: dict[str, int], now: dict[str, int]) -> None:
    was, became = sum(then.values()), sum(now.values())
    if was == became:
        return
    before, after = cut("product", then, THEN)[1], cut("product", now, NOW)[1]
    slices = contributions(before, after, was, became)
    assert sum(one.change for one in slices) == became - was
    assert sum(one.contribution for one in slices) == pytest.approx(1)
    line = explained(counts({"product": then}, {"product": now})).text.splitlines()[-1]
    said = [
        int(sign.replace("−", "-") + digits.replace(",", "")) for sign, digits in re.findall(r" ([+−])([\d,]+)", line)
    ]
    assert sum(said) == became - was
