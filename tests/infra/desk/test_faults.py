from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from infra.local.desk.faults import RULES, Faults
from tests.fakes.desk import RunningDesk
from tests.infra.desk.client import Reader

TICKETS = "incremental/tickets/cursor.json"


@pytest.fixture(autouse=True)
def _no_faults_afterwards(desk: RunningDesk) -> Iterator[None]:
    yield
    desk.script([])


def only_first(kind: str, **values: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, "path": "incremental/*", "nth": [1], **values}]


def after_it(reader: Reader) -> None:
    answer = reader.get(TICKETS, start_time=1)
    assert answer.status_code == 200
    assert answer.json()["tickets"]


def test_a_status_with_a_page_of_html(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("status", status=502))
    answer = reader.get(TICKETS, start_time=1)
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert reader.get("groups.json").status_code == 200
    after_it(reader)


def test_a_connection_that_is_reset(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("reset"))
    with pytest.raises(httpx.TransportError):
        reader.get(TICKETS, start_time=1)
    after_it(reader)


def test_a_body_that_ends_too_early(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("truncated"))
    with pytest.raises(httpx.RemoteProtocolError):
        reader.get(TICKETS, start_time=1)
    after_it(reader)


def test_broken_json(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("broken_json"))
    answer = reader.get(TICKETS, start_time=1)
    assert answer.status_code == 200
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.content)
    after_it(reader)


def test_html_in_place_of_json(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("html"))
    answer = reader.get(TICKETS, start_time=1)
    assert answer.status_code == 200
    assert "maintenance" in answer.text
    after_it(reader)


def test_a_slow_answer(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("slow", seconds=5))
    with pytest.raises(httpx.ReadTimeout):
        reader.http.get(f"/api/v2/{TICKETS}?start_time=1", headers=reader.headers, timeout=0.3)
    after_it(reader)


def test_an_empty_page_that_is_not_the_end(desk: RunningDesk, reader: Reader) -> None:
    whole = [row["id"] for row in reader.rows(TICKETS, "tickets", start_time=1, per_page=40)]
    desk.script([{"kind": "empty_page", "path": "incremental/*", "nth": [1, 3]}])
    pages = list(reader.pages(TICKETS, start_time=1, per_page=40))
    assert [len(page["tickets"]) for page in pages][:4] == [0, 40, 0, 40]
    assert not pages[0]["end_of_stream"]
    assert [row["id"] for page in pages for row in page["tickets"]] == whole
    desk.script(only_first("empty_page"))
    events = reader.get("incremental/ticket_events.json", start_time=1).json()
    assert events["ticket_events"] == []
    assert (events["end_of_stream"], events["end_time"]) == (False, 1)


def test_a_link_to_another_host(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("foreign_link"))
    assert reader.get(TICKETS, start_time=1).json()["after_url"].startswith("http://elsewhere.example/")
    desk.script(only_first("foreign_link"))
    page = reader.get("incremental/ticket_events.json", start_time=1).json()
    assert page["next_page"].startswith("http://elsewhere.example/")
    after_it(reader)


def test_a_stream_that_is_not_on_this_plan(desk: RunningDesk, reader: Reader) -> None:
    desk.script([{"kind": "forbidden", "path": "slas/*"}])
    assert reader.get("slas/policies.json").status_code == 403
    assert reader.get("groups.json").status_code == 200


def test_a_user_who_is_no_admin(desk: RunningDesk, reader: Reader) -> None:
    desk.script([{"kind": "non_admin"}])
    assert reader.get("users/me.json").json()["user"]["role"] == "agent"
    assert reader.get(TICKETS, start_time=1).status_code == 403
    assert reader.get("groups.json").status_code == 200


def test_a_limit_that_comes_from_somebody_else(desk: RunningDesk, reader: Reader) -> None:
    desk.script(only_first("limited", seconds=7))
    answer = reader.get(TICKETS, start_time=1)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    after_it(reader)


def test_chances_come_from_the_seed() -> None:
    rules = RULES.validate_python([{"kind": "status", "probability": 0.3}])

    def strikes(seed: int) -> list[bool]:
        faults = Faults(rules, seed)
        return [faults.strike("groups") is not None for _ in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 < sum(strikes(1)) < 90


def test_rules_can_be_limited_in_number_and_set_over_http(desk: RunningDesk, reader: Reader) -> None:
    rules = [{"kind": "status", "times": 2}]
    assert reader.http.put("/_desk/faults", json=rules, headers=reader.door).status_code == 200
    assert [reader.get("groups.json").status_code for _ in range(3)] == [503, 503, 200]
    assert reader.http.get("/_desk/stats", headers=reader.door).json()["faults"] == {"status": 2}
    assert reader.http.put("/_desk/faults", json=[{"kind": "explode"}], headers=reader.door).status_code == 400
