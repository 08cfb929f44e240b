"""What the exports promise: nothing lost, pages that repeat their last second, the newest minute withheld."""

from collections import Counter
from contextlib import closing
from typing import Any

import pytest

from infra.local.desk.exports import decode_cursor, encode_cursor
from infra.local.desk.lifecycle import Step, Verb
from tests.fakes.desk import RunningDesk, demo_desk
from tests.infra.desk.client import Reader

EVENTS = {"start_time": 1, "include": "comment_events"}


@pytest.mark.parametrize("size", [1000, 100, 7])
def test_tickets_come_in_order_each_once(desk: RunningDesk, reader: Reader, size: int) -> None:
    rows = reader.rows("incremental/tickets/cursor.json", "tickets", start_time=1, per_page=size)
    keys = [(row["generated_timestamp"], row["id"]) for row in rows]
    assert keys == sorted(keys)
    assert Counter(row["id"] for row in rows) == Counter(list(desk.world.tickets))


@pytest.mark.parametrize("size", [1000, 53, 1])
def test_events_lose_nothing_and_repeat_only_the_last_second_of_a_page(
    desk: RunningDesk, reader: Reader, size: int
) -> None:
    expected = [a.id for a in desk.world.audits if not desk.world.tickets[a.ticket].scrubbed]
    pages = list(reader.pages("incremental/ticket_events.json", per_page=size, **EVENTS))
    seen: list[int] = []
    for page, following in zip(pages, [*pages[1:], None], strict=True):
        rows = page["ticket_events"]
        seconds = {row["timestamp"] for row in rows}
        last = rows[-1]["timestamp"]
        assert page["end_time"] == (last + 1 if len(seconds) == 1 else last)
        assert len(rows) <= size or len(seconds) == 1
        assert page["count"] == len(rows)
        assert page["next_page"] is not None
        assert page["end_of_stream"] == (following is None)
        seen += [row["id"] for row in rows]
    assert set(seen) == set(expected)


def test_reading_on_at_the_end_repeats_the_last_second_for_ever(desk: RunningDesk, reader: Reader) -> None:
    last = list(reader.pages("incremental/ticket_events.json", **EVENTS))[-1]
    again = reader.http.get(last["next_page"], headers=reader.headers).json()
    assert again["end_of_stream"]
    assert again["next_page"]
    assert [row["id"] for row in again["ticket_events"]] == [
        row["id"] for row in last["ticket_events"] if row["timestamp"] >= last["end_time"]
    ]


def test_comments_are_there_in_full_only_where_asked_for(desk: RunningDesk, reader: Reader) -> None:
    bare = reader.get("incremental/ticket_events.json", start_time=1, per_page=50).json()["ticket_events"]
    full = reader.get("incremental/ticket_events.json", per_page=50, **EVENTS).json()["ticket_events"]
    comment = next(c for c in full[0]["child_events"] if c["event_type"] == "Comment")
    ticket = desk.world.tickets[full[0]["ticket_id"]]
    assert comment["body"] == ticket.comments[0].body
    assert "ticket_id" not in comment
    assert all("body" not in child for row in bare for child in row["child_events"])
    assert any(child.get("comment_present") for row in bare for child in row["child_events"])


def test_rows_of_the_newest_minute_are_withheld_and_then_given(
    changing_desk: RunningDesk, changing_reader: Reader
) -> None:
    before = changing_reader.get("incremental/tickets/cursor.json", start_time=1).json()
    ticket = next(t for t in changing_desk.world.tickets.values() if t.status == "closed" and not t.scrubbed)
    changing_desk.advance(0)
    now = changing_desk.server.clock.now()
    changing_desk.call(lambda: changing_desk.world.act(ticket.id, Step(now, Verb.TOUCH)))

    during = changing_reader.http.get(before["after_url"], headers=changing_reader.headers).json()
    assert during["tickets"] == []
    assert during["end_of_stream"]
    assert during["after_cursor"] == before["after_cursor"]
    changing_desk.advance(64)
    after = changing_reader.http.get(during["after_url"], headers=changing_reader.headers).json()
    assert ticket.id in [row["id"] for row in after["tickets"]]


def test_a_system_change_moves_the_generated_timestamp_alone(
    changing_desk: RunningDesk, changing_reader: Reader
) -> None:
    ticket = next(t for t in changing_desk.world.tickets.values() if t.status == "closed" and not t.scrubbed)
    updated = ticket.updated
    changing_desk.call(lambda: changing_desk.world.act(ticket.id, Step(changing_desk.world.now, Verb.TOUCH)))
    assert ticket.generated >= changing_desk.world.now
    assert ticket.updated == updated


def test_a_start_time_of_the_last_minute_is_refused(desk: RunningDesk, reader: Reader) -> None:
    now = desk.server.clock.now()
    for path in ("tickets/cursor", "ticket_events", "users/cursor", "organizations", "ticket_metric_events"):
        answer = reader.get(f"incremental/{path}.json", start_time=now - 30)
        assert answer.status_code == 422
        assert "Too recent" in answer.json()["description"]
        assert reader.get(f"incremental/{path}.json", start_time=now - 61).status_code == 200
        assert reader.get(f"incremental/{path}.json").status_code == 400
    assert reader.get("incremental/tickets/cursor.json", cursor="nonsense").status_code == 400


def test_cursors_name_a_second_and_an_id() -> None:
    assert decode_cursor(encode_cursor((1700000000, 42))) == (1700000000, 42)
    for broken in ("", "MTIz", "\u00e9", "MTc0NTY3NDkyMC4wfHx8"):
        assert decode_cursor(broken) is None


def test_metric_sets_users_and_groups_ride_along(desk: RunningDesk, reader: Reader) -> None:
    page = reader.get(
        "incremental/tickets/cursor.json", start_time=1, per_page=20, include="metric_sets,users,groups,organizations"
    ).json()
    assert all(row["metric_set"]["ticket_id"] == row["id"] for row in page["tickets"])
    assert {row["group_id"] for row in page["tickets"]} <= {group["id"] for group in page["groups"]}
    assert page["users"]
    assert "organizations" in page
    assert reader.get("incremental/tickets/cursor.json", start_time=1, include="last_audits").status_code == 400


def test_deleted_tickets_stay_in_the_export_with_their_text_until_scrubbed(
    changing_desk: RunningDesk, changing_reader: Reader
) -> None:
    ticket = next(t for t in changing_desk.world.tickets.values() if t.status == "open")
    subject, id = ticket.subject, ticket.id
    changing_desk.call(
        lambda: changing_desk.world.act(
            id, Step(changing_desk.world.now, Verb.DELETE, changing_desk.world.people.admin, detail=False)
        )
    )
    changing_desk.advance(120)

    def exported() -> dict[str, Any]:
        rows = changing_reader.rows("incremental/tickets/cursor.json", "tickets", start_time=1)
        return next(row for row in rows if row["id"] == id)

    assert (exported()["status"], exported()["subject"]) == ("deleted", subject)
    assert changing_reader.get(f"tickets/{id}.json").status_code == 404
    kept = changing_reader.rows("incremental/tickets/cursor.json", "tickets", start_time=1, exclude_deleted="true")
    assert id not in [row["id"] for row in kept]

    before = exported()
    changing_desk.call(lambda: changing_desk.world.act(id, Step(changing_desk.world.now, Verb.SCRUB)))
    changing_desk.advance(120)
    after = exported()
    assert (after["subject"], after["description"], after["status"]) == ("SCRUBBED", "X", "deleted")
    assert after["updated_at"] == before["updated_at"]
    assert after["generated_timestamp"] > before["generated_timestamp"]
    events = changing_reader.rows("incremental/ticket_events.json", "ticket_events", **EVENTS)
    assert id not in {row["ticket_id"] for row in events}


def test_a_redaction_changes_every_later_read_and_is_told_as_an_event(
    changing_desk: RunningDesk, changing_reader: Reader
) -> None:
    ticket = next(t for t in changing_desk.world.tickets.values() if t.status == "open")
    secret = ticket.comments[0].body[5:25]
    changing_reader.rows("incremental/ticket_events.json", "ticket_events", **EVENTS)
    changing_desk.call(
        lambda: changing_desk.world.act(
            ticket.id, Step(changing_desk.world.now, Verb.REDACT, changing_desk.world.people.admin, detail=secret)
        )
    )
    changing_desk.advance(120)
    events = [
        row
        for row in changing_reader.rows("incremental/ticket_events.json", "ticket_events", **EVENTS)
        if row["ticket_id"] == ticket.id
    ]
    children = [child for row in events for child in row["child_events"]]
    redaction = next(child for child in children if child["event_type"] == "CommentRedactEvent")
    redacted = next(child for child in children if child["id"] == redaction["comment_id"])
    assert secret not in redacted["body"] + redacted["html_body"] + redacted["plain_body"]
    assert "▇" in redacted["body"]
    assert secret not in changing_reader.get(f"tickets/{ticket.id}/comments.json").text
    assert secret not in changing_reader.get(f"tickets/{ticket.id}.json").json()["ticket"]["description"]


def test_exports_hold_exactly_the_rows_of_the_world_after_days_of_change(
    changing_desk: RunningDesk, changing_reader: Reader
) -> None:
    changing_reader.rows("incremental/tickets/cursor.json", "tickets", start_time=1)
    changing_desk.advance(3600, per_hour=200)
    changing_desk.advance(9 * 86400)
    changing_desk.advance(120)
    for path, name, stream in (
        ("incremental/tickets/cursor.json", "tickets", "tickets"),
        ("incremental/ticket_events.json", "ticket_events", "ticket_events"),
        ("incremental/users/cursor.json", "users", "users"),
        ("incremental/organizations.json", "organizations", "organizations"),
        ("incremental/ticket_metric_events.json", "ticket_metric_events", "ticket_metric_events"),
    ):
        include = {"tickets": "metric_sets", "ticket_events": "comment_events"}.get(name, "")
        read = {row["id"]: row for row in changing_reader.rows(path, name, start_time=1, include=include)}
        shown = changing_reader.http.get(f"/_desk/rows/{stream}", headers=changing_reader.door).json()
        assert read == {row["id"]: row for row in shown}, stream


def test_an_empty_desk_has_ends_but_no_cursor() -> None:
    with demo_desk(tickets=0) as empty, closing(Reader(empty)) as reading:
        tickets = reading.get("incremental/tickets/cursor.json", start_time=1).json()
        assert (tickets["tickets"], tickets["end_of_stream"], tickets["after_cursor"]) == ([], True, None)
        events = reading.get("incremental/ticket_events.json", start_time=1).json()
        assert (events["count"], events["end_of_stream"], events["end_time"]) == (0, True, 1)
        assert events["next_page"].endswith("start_time=1")
        assert reading.rows("incremental/users/cursor.json", "users", start_time=1)
