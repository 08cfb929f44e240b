# ruff: noqa: E501  (the table reads best with one question a line)
"""Questions and the plans they must give, in the asker's own wording."""

from __future__ import annotations

import pytest

from serving.planning.plan import GraphPlan, Plan, SearchPlan, TemplatePlan
from serving.planning.planner import read
from tests.serving.planning.catalogue import catalogue
from tests.serving.planning.expected import NOW, ZONE, during, number, same, where

LAST_WEEK, THIS_WEEK = "2026-11-16/2026-11-23", "2026-11-23/now"
LAST_MONTH, THIS_MONTH = "2026-10-01/2026-11-01", "2026-11-01/now"
LAST_QUARTER, THIS_QUARTER = "2026-07-01/2026-10-01", "2026-10-01/now"
YESTERDAY, TODAY = "2026-11-24/2026-11-25", "2026-11-25/now"
THIS_YEAR, LAST_YEAR = "2026-01-01/now", "2025-01-01/2026-01-01"
SOLVED = ("in", "solved", "closed")
ASSIGNED = ("is_not_null",)


def tickets(template: str = "ticket_list", *, time: str = "", dated: str | None = None, limit: int = 20, **filters: object) -> TemplatePlan:  # fmt: skip
    return TemplatePlan.model_validate(
        {"template": template, "filters": where(**filters), "time": during(time, dimension=dated), "limit": limit}
    )


def ticket(number: int) -> TemplatePlan:
    return TemplatePlan(template="ticket", ticket_id=number)


def comments(query: str, *, time: str = "", limit: int = 10, **filters: object) -> SearchPlan:
    return SearchPlan(query=query, filters=where(**filters), time=during(time), limit=limit)


def links(relation: str, number: int | None = None, *, time: str = "", **filters: object) -> GraphPlan:
    return GraphPlan.model_validate(
        {"relation": relation, "ticket_id": number, "time": during(time), "filters": where(**filters), "limit": 20}
    )


QUESTIONS: list[tuple[str, Plan]] = [
    # counts
    ("How many tickets were created last week?", number("tickets_created", time=LAST_WEEK)),
    ("how many tickets did we get yesterday", number("tickets_created", time=YESTERDAY)),
    ("Number of tickets raised this month", number("tickets_created", time=THIS_MONTH)),
    ("tickets last 30 days", number("tickets_created", time="2026-10-26/2026-11-25")),
    ("ticket volume in the past 7 days", number("tickets_created", time="2026-11-18/2026-11-25")),
    ("How many support requests came in today?", number("tickets_created", time=TODAY)),
    ("count of new tickets since Monday", number("tickets_created", time="2026-11-23/now")),
    ("how many tickets were submitted in October", number("tickets_created", time=LAST_MONTH)),
    ("how many tickets were opened last month", number("tickets_created", time=LAST_MONTH)),
    ("How many tickets have been created in total?", number("tickets_created")),
    ("tickets created between 1 May and 15 May 2026", number("tickets_created", time="2026-05-01/2026-05-16")),
    ("tickets created from 2026-05-01 to 2026-05-31", number("tickets_created", time="2026-05-01/2026-06-01")),
    ("tickets created in Q1 2026", number("tickets_created", time="2026-01-01/2026-04-01")),
    ("How many tickets were solved last week?", number("tickets_solved", time=LAST_WEEK)),
    ("tickets solved last week", number("tickets_solved", time=LAST_WEEK)),
    ("how many tickets did we close yesterday", number("tickets_solved", time=YESTERDAY)),
    ("how many tickets have we resolved so far this month", number("tickets_solved", time=THIS_MONTH)),
    ("tickets resolved year to date", number("tickets_solved", time=THIS_YEAR)),
    ("Created and solved tickets last week", number("tickets_created", "tickets_solved", time=LAST_WEEK)),
    ("tickets created vs solved by week this quarter", number("tickets_created", "tickets_solved", time=THIS_QUARTER, grain="week")),
    ("how many customers contacted us last month", number("requesters", time=LAST_MONTH)),
    ("how many comments were written yesterday", number("comments", time=YESTERDAY)),
    ("number of internal notes last week", number("internal_notes", time=LAST_WEEK)),
    ("net tickets this month", number("net_tickets", time=THIS_MONTH)),
    # state now
    ("How many tickets are open right now?", number("open_tickets")),
    ("how many tickets are open", number("open_tickets")),
    ("open tickets", number("open_tickets")),
    ("What is the current backlog?", number("open_tickets")),
    ("how many tickets are unsolved at the moment", number("open_tickets")),
    ("how many tickets are still open today", number("open_tickets")),
    ("open tickets by priority", number("open_tickets", by=("priority",))),
    ("How many open tickets does each group have?", number("open_tickets", by=("group",))),
    ("how many urgent tickets are open", number("open_tickets", priority="urgent")),
    ("how many tickets are unassigned", number("unassigned_tickets")),
    ("unassigned tickets in Billing", number("unassigned_tickets", group="Billing")),
    ("how many tickets have no assignee", number("unassigned_tickets")),
    ("tickets without a reply", number("unreplied_tickets")),
    ("average age of open tickets", number("avg_open_age_minutes")),
    ("open tickets older than 3 days", number("open_tickets", time="/2026-11-22T15:30")),
    ("how many open tickets are older than 2 weeks", number("open_tickets", time="/2026-11-11T15:30")),
    # backlog over time
    ("backlog by week this quarter", number("backlog", time=THIS_QUARTER, grain="week")),
    ("how many tickets were open yesterday", number("backlog", time=YESTERDAY)),
    ("backlog at the end of last month", number("backlog", time=LAST_MONTH)),
    ("daily backlog last week", number("backlog", time=LAST_WEEK, grain="day")),
    ("email vs chat last month", number("tickets_created", time=LAST_MONTH, by=("channel",), channel=("in", "email", "chat"))),
    ("what percent of tickets last month came from email or chat", number("tickets_created", time=LAST_MONTH, by=("channel",), share_of=("email", "chat"))),
    ("how many different customers contacted us last month", number("requesters", time=LAST_MONTH)),
    ("how long do customers wait for a first answer on average last month", number("avg_first_reply_minutes", time=LAST_MONTH)),
    ("what percentage of open tickets are unassigned", number("open_tickets", by=("is_assigned",), share_of=(False,))),
    ("how many public comments did agents write last week", number("public_comments", time=LAST_WEEK, author_role="agent")),
    ("how many comments did customers write last week", number("comments", time=LAST_WEEK, author_role="customer")),
    # averages, medians, percentiles
    ("average first reply time last week", number("avg_first_reply_minutes", time=LAST_WEEK)),
    ("What's the median first reply time this month?", number("median_first_reply_minutes", time=THIS_MONTH)),
    ("p90 first reply time in May", number("p90_first_reply_minutes", time="2026-05-01/2026-06-01")),
    ("90th percentile of first reply time last quarter", number("p90_first_reply_minutes", time=LAST_QUARTER)),
    ("how quickly do we reply", number("avg_first_reply_minutes")),
    ("how long does it take to solve a ticket", number("avg_full_resolution_minutes")),
    ("median resolution time by channel last month", number("median_full_resolution_minutes", time=LAST_MONTH, by=("channel",))),
    ("mean time to resolution for Billing last month", number("avg_full_resolution_minutes", time=LAST_MONTH, group="Billing")),
    ("median time to first reply by group", number("median_first_reply_minutes", by=("group",))),
    ("First response time for urgent tickets this week", number("avg_first_reply_minutes", time=THIS_WEEK, priority="urgent")),
    ("first reply time of reopened tickets last month", number("avg_first_reply_minutes", time=LAST_MONTH, is_reopened=True)),
    ("average number of replies per ticket last month", number("avg_agent_replies", time=LAST_MONTH)),
    ("p90 resolution time by month in 2026", number("p90_full_resolution_minutes", time=THIS_YEAR, grain="month")),
    ("average requester wait time in Tier 2 Support", number("avg_requester_wait_minutes", group="Tier 2 Support")),
    ("average on hold time last month", number("avg_on_hold_minutes", time=LAST_MONTH)),
    # rates and shares
    ("What is our CSAT this quarter?", number("csat", time=THIS_QUARTER)),
    ("customer satisfaction by agent last month", number("csat", time=LAST_MONTH, by=("assignee",), assignee=ASSIGNED)),
    ("reopen rate last quarter", number("reopen_rate", time=LAST_QUARTER)),
    ("what percentage of tickets were reopened last month", number("reopen_rate", time=LAST_MONTH)),
    ("share of tickets escalated in October", number("escalation_rate", time=LAST_MONTH)),
    ("one-touch rate by month in 2026", number("one_touch_rate", time=THIS_YEAR, grain="month")),
    ("first contact resolution rate last week", number("one_touch_rate", time=LAST_WEEK)),
    ("how many tickets were reopened last week", number("reopened_tickets", time=LAST_WEEK)),
    ("bad ratings last month by group", number("bad_ratings", time=LAST_MONTH, by=("group",))),
    ("what share of tickets created this month are urgent", number("tickets_created", time=THIS_MONTH, by=("priority",), share_of=("urgent",))),
    # filters by value
    ("urgent tickets yesterday", number("tickets_created", time=YESTERDAY, priority="urgent")),
    ("high priority tickets created last week", number("tickets_created", time=LAST_WEEK, priority="high")),
    ("how many tickets with priority low were solved last week", number("tickets_solved", time=LAST_WEEK, priority="low")),
    ("how many tickets came in via chat yesterday", number("tickets_created", time=YESTERDAY, channel="chat")),
    ("email tickets last month", number("tickets_created", time=LAST_MONTH, channel="email")),
    ("how many phone tickets this week", number("tickets_created", time=THIS_WEEK, channel="voice")),
    ("tickets from Acme last month", number("tickets_created", time=LAST_MONTH, organization="Acme")),
    ("Acme's tickets last month", number("tickets_created", time=LAST_MONTH, organization="Acme")),
    ("tickets from Acme and Globex last month", number("tickets_created", time=LAST_MONTH, organization=("in", "Acme", "Globex"))),
    ("how many tickets did Ada solve last week", number("tickets_solved", time=LAST_WEEK, assignee="Ada Lovelace")),
    ("tickets solved by Bao Nguyen yesterday", number("tickets_solved", time=YESTERDAY, assignee="Bao Nguyen")),
    ("tickets assigned to Zoe Kraus created this month", number("tickets_created", time=THIS_MONTH, assignee="Zoë Kraus")),
    ("incidents last week", number("tickets_created", time=LAST_WEEK, type="incident")),
    ("how many incidents did we have in October", number("tickets_created", time=LAST_MONTH, type="incident")),
    ("tickets tagged vip this month", number("tickets_created", time=THIS_MONTH, tag="vip")),
    ("tickets with the tag firmware_4_2 last month", number("tickets_created", time=LAST_MONTH, tag="firmware_4_2")),
    ("tickets for the Sparrow Camera last week", number("tickets_created", time=LAST_WEEK, product="Sparrow Camera")),
    ("tickets of brand Fernhollow Pro this year", number("tickets_created", time=THIS_YEAR, brand="Fernhollow Pro")),
    ("pending tickets by group", number("tickets_created", by=("group",), status="pending")),
    ("tickets not from email last week", number("tickets_created", time=LAST_WEEK, channel=("!=", "email"))),
    ("tickets last week excluding chat and email", number("tickets_created", time=LAST_WEEK, channel=("not_in", "chat", "email"))),
    ("non-urgent tickets created yesterday", number("tickets_created", time=YESTERDAY, priority=("!=", "urgent"))),
    ("tickets without an organization last month", number("tickets_created", time=LAST_MONTH, organization=("is_null",))),
    ("tickets created last week that are not solved", number("tickets_created", time=LAST_WEEK, is_open=True)),
    ("tickets created last week that are still open", number("tickets_created", time=LAST_WEEK, is_open=True)),
    ("tickets with more than 5 replies last month", number("tickets_created", time=LAST_MONTH, reply_count=(">", 5))),
    ("tickets with at least two reopens this year", number("tickets_created", time=THIS_YEAR, reopen_count=(">=", 2))),
    # groups, orders, series
    ("tickets by channel last month", number("tickets_created", time=LAST_MONTH, by=("channel",))),
    ("tickets per priority and channel this month", number("tickets_created", time=THIS_MONTH, by=("priority", "channel"))),
    ("break down last week's tickets by contact reason", number("tickets_created", time=LAST_WEEK, by=("reason",))),
    ("top 5 organizations by tickets last month", number("tickets_created", time=LAST_MONTH, by=("organization",), limit=5, organization=("is_not_null",))),
    ("Which agent solved the most tickets last month?", number("tickets_solved", time=LAST_MONTH, by=("assignee",), limit=5, assignee=ASSIGNED)),
    ("which channel had the fewest tickets in October", number("tickets_created", time=LAST_MONTH, by=("channel",), order=("tickets_created",), limit=5)),
    ("3 groups with the highest reopen rate last quarter", number("reopen_rate", time=LAST_QUARTER, by=("group",), limit=3)),
    ("which group has the slowest first reply time this month", number("avg_first_reply_minutes", time=THIS_MONTH, by=("group",), limit=5)),
    ("agent with the best csat last month", number("csat", time=LAST_MONTH, by=("assignee",), limit=5, assignee=ASSIGNED)),
    ("group with the worst median resolution time", number("median_full_resolution_minutes", by=("group",), limit=5)),
    ("busiest day last month", number("tickets_created", time=LAST_MONTH, grain="day", order=("-tickets_created",), limit=5)),
    ("tickets per day last week", number("tickets_created", time=LAST_WEEK, grain="day")),
    ("daily tickets solved last month", number("tickets_solved", time=LAST_MONTH, grain="day")),
    ("weekly ticket volume by channel this quarter", number("tickets_created", time=THIS_QUARTER, grain="week", by=("channel",))),
    ("tickets by month in 2025", number("tickets_created", time=LAST_YEAR, grain="month")),
    ("csat trend this year", number("csat", time=THIS_YEAR, grain="month")),
    ("average tickets per day last month", number("tickets_created", time=LAST_MONTH, grain="day", is_mean=True)),
    ("hourly tickets yesterday", number("tickets_created", time=YESTERDAY, grain="hour")),
    # comparisons
    ("email vs chat tickets last month", number("tickets_created", time=LAST_MONTH, by=("channel",), channel=("in", "email", "chat"))),
    ("compare Acme and Globex tickets this quarter", number("tickets_created", time=THIS_QUARTER, by=("organization",), organization=("in", "Acme", "Globex"))),
    ("tickets this week vs last week", number("tickets_created", time="2026-11-16/now", grain="week")),
    ("tickets solved this month compared with last month", number("tickets_solved", time="2026-10-01/now", grain="month")),
    ("tickets created last week compared to the week before", number("tickets_created", time="2026-11-09/2026-11-23", grain="week")),
    ("did we solve more tickets this week than last week", number("tickets_solved", time="2026-11-16/now", grain="week")),
    # lists and single tickets
    ("list open urgent tickets", tickets(is_open=True, priority="urgent")),
    ("show me tickets from Globex created yesterday", tickets(time=YESTERDAY, dated="created_at", organization="Globex")),
    ("Which tickets are pending?", tickets(status="pending")),
    ("which tickets were solved yesterday", tickets(time=YESTERDAY, dated="solved_at", status=SOLVED)),
    ("list 10 tickets tagged vip", tickets(limit=10, tag="vip")),
    ("show unassigned tickets", tickets(is_open=True, is_assigned=False)),
    ("list reopened tickets from last week", tickets(time=LAST_WEEK, dated="solved_at", is_reopened=True)),
    ("status of ticket 123", ticket(123)),
    ("#55", ticket(55)),
    ("Who is ticket #99 assigned to?", ticket(99)),
    ("when was ticket 12 solved", ticket(12)),
    ("oldest open tickets", tickets("oldest_open")),
    ("what is the oldest open ticket in the Billing group", tickets("oldest_open", limit=1, group="Billing")),
    ("10 oldest open tickets", tickets("oldest_open", limit=10)),
    ("tickets with the most replies last month", tickets("most_replies", time=LAST_MONTH, dated="created_at")),
    # what people say
    ("What do customers say about late deliveries?", comments("late deliveries", author_role="customer")),
    ("complaints about the mobile app last week", comments("the mobile app", time=LAST_WEEK, author_role="customer")),
    ("examples of tickets mentioning refund", comments("refund")),
    ("find comments about login problems from Acme", comments("login problems", organization="Acme")),
    ("show tickets about broken cameras", comments("broken cameras")),
    ("what are people saying about the new firmware this month", comments("the new firmware", time=THIS_MONTH, author_role="customer")),
    ("what do customers from Acme say about billing", comments("billing", organization="Acme", author_role="customer")),
    ("what do agents write about the firmware", comments("the firmware", author_role="agent")),
    ("what do customers think of our agents", comments("our agents", author_role="customer")),
    ("find comments about damaged parcels", comments("damaged parcels")),
    ("search for password reset trouble", comments("password reset trouble")),
    # links
    ("which tickets are related to ticket 12", links("related", 12)),
    ("who else has the same problem as #12", links("related", 12)),
    ("incidents of problem 55", links("incidents", 55)),
    ("Which tickets are incidents of a problem?", links("incidents")),
    ("incidents linked to a problem ticket last month", links("incidents", time=LAST_MONTH)),
    ("which tickets were merged last month", links("merged", time=LAST_MONTH)),
    ("what was merged into ticket 8", links("merged", 8)),
    ("follow-ups of ticket 31", links("follow_ups", 31)),
    ("customers who contacted us again", links("repeat_contacts")),
    ("escalation path of ticket 7", links("escalations", 7)),
    ("which problems have the most incidents", links("problems")),
    # typing as people type
    ("how mny tikets were creatd last week", number("tickets_created", time=LAST_WEEK)),
    ("avg frist reply time yesterday", number("avg_first_reply_minutes", time=YESTERDAY)),
    ("HOW MANY URGENT TICKETS WERE SOLVED LAST WEEK???", number("tickets_solved", time=LAST_WEEK, priority="urgent")),
    ("pls show me open tix by prio", number("open_tickets", by=("priority",))),
    ("tickets from Globx last month", number("tickets_created", time=LAST_MONTH, organization="Globex")),
    ("medain resolution time last mnth", number("median_full_resolution_minutes", time=LAST_MONTH)),
]  # fmt: skip


@pytest.mark.parametrize(("question", "plan"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_a_question_gives_its_plan(question: str, plan: Plan) -> None:
    reading = read(question, semantics=catalogue(), now=NOW, zone=ZONE)
    assert same(reading.plan, plan), f"{reading.plan!r}\n{reading.unknown_words} {reading.assumptions}"
    assert reading.unknown_words == ()
    assert reading.confidence >= 0.85
    assert reading.echo
