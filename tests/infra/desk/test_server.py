import gzip
import json
from contextlib import closing

import httpx
import pytest

from infra.local.desk.limits import Limits
from tests.fakes.desk import RunningDesk, demo_desk
from tests.infra.desk.client import Reader

LISTS = (
    ("groups", "groups"),
    ("group_memberships", "group_memberships"),
    ("brands", "brands"),
    ("ticket_forms", "ticket_forms"),
    ("ticket_fields", "ticket_fields"),
    ("slas/policies", "sla_policies"),
    ("business_hours/schedules", "schedules"),
    ("satisfaction_ratings", "satisfaction_ratings"),
    ("custom_statuses", "custom_statuses"),
    ("macros", "macros"),
    ("tickets", "tickets"),
    ("users", "users"),
    ("organizations", "organizations"),
)
EMPTY = (("tags", "tags"), ("user_fields", "user_fields"), ("organization_fields", "organization_fields"))


@pytest.mark.parametrize(("path", "name"), LISTS)
def test_lists_answer_with_and_without_json(reader: Reader, path: str, name: str) -> None:
    rows = reader.get(f"{path}.json").json()[name]
    assert rows
    assert rows == reader.get(path).json()[name]


@pytest.mark.parametrize(("path", "name"), EMPTY)
def test_what_the_desk_lacks_is_an_empty_list(reader: Reader, path: str, name: str) -> None:
    assert reader.get(f"{path}.json").json()[name] == []


def test_cursor_lists_end_by_has_more_alone(desk: RunningDesk, reader: Reader) -> None:
    page = reader.get("satisfaction_ratings.json", **{"page[size]": 30}).json()
    rows = page["satisfaction_ratings"]
    while page["meta"]["has_more"]:
        page = reader.http.get(page["links"]["next"], headers=reader.headers).json()
        rows += page["satisfaction_ratings"]
    assert page["links"]["next"]
    assert [row["id"] for row in rows] == [rating.id for rating in desk.world.ratings]


def test_offset_lists_stop_at_page_100(desk: RunningDesk, reader: Reader) -> None:
    page = reader.get("tickets.json", per_page=10).json()
    assert page["next_page"].startswith(desk.url)
    assert reader.get("tickets.json", page=101).status_code == 400


def test_archived_tickets_are_left_out_of_the_list_but_can_be_shown(desk: RunningDesk, reader: Reader) -> None:
    listed = set()
    page = reader.get("tickets.json", **{"page[size]": 100}).json()
    listed |= {row["id"] for row in page["tickets"]}
    while page["meta"]["has_more"]:
        page = reader.http.get(page["links"]["next"], headers=reader.headers).json()
        listed |= {row["id"] for row in page["tickets"]}
    oldest = desk.world.tickets[1]
    assert oldest.status == "closed"
    assert oldest.id not in listed
    assert reader.get("tickets/1.json").json()["ticket"]["id"] == 1
    assert [row["id"] for row in reader.get("tickets/show_many.json", ids="1,2").json()["tickets"]] == [1, 2]
    alive = sum(1 for t in desk.world.tickets.values() if t.status != "deleted")
    assert reader.get("tickets/count.json").json()["count"]["value"] == alive


def test_a_ticket_shows_its_comments_and_audits(desk: RunningDesk, reader: Reader) -> None:
    ticket = max(desk.world.tickets.values(), key=lambda t: len(t.comments))
    comments = reader.get(f"tickets/{ticket.id}/comments.json").json()["comments"]
    assert [c["body"] for c in comments] == [c.body for c in ticket.comments]
    audits = reader.get(f"tickets/{ticket.id}/audits.json").json()["audits"]
    assert [a["id"] for a in audits] == [a.id for a in ticket.audits]
    created = [e for e in audits[0]["events"] if e.get("field_name") == "status"]
    assert created[0]["value"] == "new"


def test_schedules_have_two_zones_and_their_holidays(reader: Reader) -> None:
    schedules = reader.get("business_hours/schedules.json").json()["schedules"]
    assert {schedule["time_zone"] for schedule in schedules} == {"Berlin", "Eastern Time (US & Canada)"}
    for schedule in schedules:
        days = reader.get(f"business_hours/schedules/{schedule['id']}/holidays.json").json()["holidays"]
        assert "2026-12-25" in {day["start_date"] for day in days}


def test_unknown_paths_and_rows_are_told_apart(reader: Reader) -> None:
    assert reader.get("no_such_thing.json").json()["error"] == "InvalidEndpoint"
    assert reader.get("tickets/999999.json").json()["error"] == "RecordNotFound"
    assert reader.get("tickets/not-a-number.json").status_code == 404
    assert reader.http.post("/api/v2/tickets.json", headers=reader.headers).status_code == 404


def test_strangers_are_anonymous_and_see_nothing(desk: RunningDesk) -> None:
    with httpx.Client(base_url=desk.url, trust_env=False) as http:
        wrong = {"Authorization": "Bearer wrong"}
        assert http.get("/api/v2/groups.json", headers=wrong).status_code == 401
        assert http.get("/api/v2/groups.json").status_code == 401
        me = http.get("/api/v2/users/me.json", headers=wrong)
        assert me.status_code == 200
        assert (me.json()["user"]["id"], me.json()["user"]["name"]) == (None, "Anonymous user")
        grant = {"grant_type": "client_credentials", "client_id": desk.client_id, "client_secret": "wrong"}
        assert http.post("/oauth/tokens", json=grant).status_code == 401
        assert http.post("/oauth/tokens", content=b"\xff").status_code == 400
        assert http.get("/_desk/stats", headers=wrong).status_code == 401


def test_sign_in_by_form_by_basic_and_with_a_misspelt_scope(desk: RunningDesk) -> None:
    grant = {"grant_type": "client_credentials", "client_id": desk.client_id, "client_secret": desk.client_secret}
    with httpx.Client(base_url=desk.url, trust_env=False) as http:
        token = http.post("/oauth/tokens", data=grant | {"scope": "read", "expires_in": "600"}).json()
        assert (token["token_type"], token["expires_in"]) == ("bearer", 600)
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert http.get("/api/v2/users/me.json", headers=headers).json()["user"]["role"] == "admin"
        basic = ("admin@fernhollow.example/token", desk.client_secret)
        assert http.get("/api/v2/groups.json", auth=basic).status_code == 200
        assert http.get("/api/v2/groups.json", auth=("admin@fernhollow.example/token", "x")).status_code == 401
        other = http.post("/oauth/tokens", json=grant | {"scope": "raed"}).json()
        headers = {"Authorization": f"Bearer {other['access_token']}"}
        assert http.get("/api/v2/groups.json", headers=headers).status_code == 403


def test_large_answers_are_compressed_for_those_who_ask(desk: RunningDesk, reader: Reader) -> None:
    path = "/api/v2/incremental/tickets/cursor.json?start_time=1"
    plain = reader.http.get(path, headers=reader.headers | {"Accept-Encoding": "identity"})
    with reader.http.stream("GET", path, headers=reader.headers | {"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(raw)) == plain.json()
    assert len(raw) < len(plain.content) / 3


def test_links_name_the_host_that_was_called(desk: RunningDesk, reader: Reader) -> None:
    port = desk.url.rsplit(":", 1)[1]
    answer = httpx.get(
        f"http://localhost:{port}/api/v2/incremental/tickets/cursor.json?start_time=1&per_page=1",
        headers=reader.headers,
        trust_env=False,
    )
    assert answer.json()["after_url"].startswith(f"http://localhost:{port}/api/v2/incremental/tickets/cursor.json?")


def test_the_export_limit_is_one_bucket_and_users_have_their_own() -> None:
    with demo_desk(tickets=20, limit=(3, 600.0)) as desk, closing(Reader(desk)) as reader:
        first = reader.get("incremental/tickets/cursor.json", start_time=1)
        assert first.headers["zendesk-ratelimit-incremental-exports"] == "total=3; remaining=2; resets=600"
        assert first.headers["x-rate-limit"] == "210"
        reader.get("incremental/ticket_events.json", start_time=1)
        reader.get("incremental/organizations.json", start_time=1)
        bodies = []
        for _ in range(4):
            refused = reader.get("incremental/tickets/cursor.json", start_time=1)
            assert refused.status_code == 429
            assert 0 < int(refused.headers["retry-after"]) <= 600
            bodies.append(refused.text)
        assert len(set(bodies)) == 4
        users = reader.get("incremental/users/cursor.json", start_time=1)
        assert users.status_code == 200
        assert users.headers["zendesk-ratelimit-incremental-exports-cursor"].startswith("total=6; remaining=5; ")
        assert reader.get("groups.json").status_code == 200
        stats = reader.http.get("/_desk/stats", headers=reader.door).json()
        assert (stats["limited"], stats["while_blocked"]) == (4, 3)


def test_a_window_ends_after_its_length() -> None:
    now = 100.0
    limits = Limits(2, 60.0, clock=lambda: now)
    assert [limits.take("incremental/tickets")[1] for _ in range(3)] == [None, None, 60]
    now = 159.5
    assert limits.take("incremental/tickets")[1] == 1
    now = 160.0
    assert limits.take("incremental/tickets")[1] is None
    assert limits.while_blocked == 1


def test_the_account_has_a_limit_of_its_own() -> None:
    limits = Limits(1, 60.0, clock=lambda: 0.0)
    assert [limits.take("groups")[1] for _ in range(71)] == [None] * 70 + [60]


def test_truth_is_told_to_the_holder_of_the_secret(desk: RunningDesk, reader: Reader) -> None:
    assert reader.truth("open_now") == desk.truth.open_now()
    assert reader.truth("by", dimension="channel", priority="high") == desk.truth.by(
        "channel", 0, desk.server.clock.now(), priority="high"
    )
    assert reader.truth("satisfaction")["good"] == desk.truth.satisfaction(0, desk.server.clock.now()).good
    now = desk.server.clock.now()
    assert reader.truth("backlog") == desk.truth.backlog(now)
    assert reader.truth("escalated") == desk.truth.escalated(0, now)
    assert reader.truth("first_reply")["median"] == desk.truth.first_reply(0, now).median
    assert reader.truth("merged") == {str(id): target for id, target in desk.truth.merged().items()}
    problem, incidents = next(iter(desk.truth.problems().items()))
    assert len(reader.truth("incidents", problem=problem)) == incidents == reader.truth("problems")[str(problem)]
    assert {entry["topic"] for entry in reader.truth("topics")} == {t.topic for t in desk.truth.tickets()}
    assert "unknown dimension" in reader.truth("created", colour="red")["error"]
    assert "unknown truth" in reader.truth("everything")["error"]


def test_the_clock_is_moved_on_from_outside(changing_desk: RunningDesk, changing_reader: Reader) -> None:
    before = changing_reader.http.get("/_desk/stats", headers=changing_reader.door).json()
    changing_reader.http.post("/_desk/advance?seconds=3600&rate=120", headers=changing_reader.door)
    after = changing_reader.http.get("/_desk/stats", headers=changing_reader.door).json()
    assert after["now"] == before["now"] + 3600
    assert after["tickets"] > before["tickets"] + 50
    assert changing_reader.http.post("/_desk/advance?seconds=-5", headers=changing_reader.door).status_code == 400
