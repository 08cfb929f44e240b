from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from assets.catalog import DatasetVersion, Snapshot
from orchestration.sensors import BUILDS, REFRESH, Decision, decide

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANALYTICS, EMBEDDINGS, GRAPH = BUILDS


def dataset(name: str, version: int = 1, *, age_minutes: float = 1, failed: tuple[str, ...] = ()) -> DatasetVersion:
    moment = NOW - timedelta(minutes=age_minutes)
    return DatasetVersion(name, version, moment, 10, failed_checks=failed, published_at=moment)


def snapshot(*datasets: DatasetVersion) -> Snapshot:
    return Snapshot(len(datasets), {each.dataset: each for each in datasets}, {})


def remembered(minutes_ago: float = 5, **versions: int) -> Mapping[str, object]:
    return {
        "versions": {f"zendesk.{name}": version for name, version in versions.items()},
        "at": (NOW - timedelta(minutes=minutes_ago)).isoformat(),
    }


def decide_analytics(
    *datasets: DatasetVersion, seen: Mapping[str, object] | None, busy: set[str] | None = None
) -> Decision:
    return decide(ANALYTICS, snapshot(*datasets), seen, busy or set(), NOW)


def test_nothing_is_built_before_anything_was_copied() -> None:
    assert not decide_analytics(seen=None).launch


def test_a_copied_help_desk_without_marts_is_built() -> None:
    decision = decide_analytics(dataset("zendesk.tickets"), seen=None)
    assert decision.launch
    assert decision.seen is not None
    assert decision.seen["versions"] == {"zendesk.tickets": 1}


def test_what_an_initial_load_built_is_not_built_again() -> None:
    marts = dataset("analytics.fct_tickets", age_minutes=0.5)
    first = decide_analytics(dataset("zendesk.tickets"), marts, seen=None)
    assert not first.launch
    assert first.seen is not None
    assert decide_analytics(dataset("zendesk.tickets", 2), marts, seen=first.seen).launch


def test_a_new_version_of_any_table_starts_a_build_and_the_same_version_does_not() -> None:
    marts = dataset("analytics.fct_tickets", age_minutes=2)
    tickets, users = dataset("zendesk.tickets", 3), dataset("zendesk.users", 4)
    assert not decide_analytics(tickets, users, marts, seen=remembered(tickets=3, users=4)).launch
    decision = decide_analytics(tickets, users, marts, seen=remembered(tickets=3, users=3))
    assert decision.launch
    assert "zendesk.users" in decision.reason


def test_an_unchanged_copy_is_refreshed_once_its_marts_look_old() -> None:
    tickets = dataset("zendesk.tickets", 3, age_minutes=0)
    old = dataset("analytics.fct_tickets", age_minutes=REFRESH.total_seconds() / 60 + 1)
    assert decide_analytics(tickets, old, seen=remembered(20, tickets=3)).launch
    assert not decide_analytics(tickets, old, seen=remembered(10, tickets=3)).launch, "a failing build is not hammered"


def test_a_build_waits_for_failed_checks_of_what_it_reads() -> None:
    decision = decide_analytics(dataset("zendesk.tickets", 2, failed=("offsets_are_contiguous",)), seen=None)
    assert not decision.launch
    assert "zendesk.tickets" in decision.reason
    assert decision.seen is None, "the change is still to be built once the check holds"


def test_a_build_waits_for_itself_and_for_an_initial_load() -> None:
    for busy in ("analytics_build", "initial_load"):
        decision = decide_analytics(dataset("zendesk.tickets", 2), seen=remembered(tickets=1), busy={busy})
        assert not decision.launch
        assert decision.seen == remembered(tickets=1)


def test_the_graph_waits_for_embeddings_that_are_due_with_it() -> None:
    there = snapshot(dataset("zendesk.tickets", 2), dataset("milvus.comment_embeddings"))
    assert decide(GRAPH, there, None, set(), NOW).launch
    assert not decide(GRAPH, there, None, {EMBEDDINGS.job}, NOW).launch


def test_embeddings_do_not_follow_tables_they_do_not_read() -> None:
    there = snapshot(dataset("zendesk.users", 9))
    assert not decide(EMBEDDINGS, there, None, set(), NOW).launch
