"""Comments are found by meaning and words, quoted verbatim, and never beyond what the asker may see."""

from datetime import timedelta

import pytest
from psycopg_pool import ConnectionPool

from assets.comment_index import CommentIndex
from assets.embedder import Embedder, Precision
from assets.stores.milvus import Milvus
from serving.errors import Invalid, StoreUnavailable
from serving.planning.plan import Filter, Operator, SearchPlan, TimeRange
from serving.tiers.search import Hit, Mode, Search
from tests.fakes.copied import NOON, Copied

pytestmark = pytest.mark.stack


def found(search: Search, query: str, *filters: Filter, rows: tuple[Filter, ...] = (), limit: int = 10) -> list[Hit]:
    return list(search.search(SearchPlan(query=query, filters=filters, limit=limit), rows=rows).hits)


def ids(hits: list[Hit]) -> list[int]:
    return [hit.comment_id for hit in hits]


def test_what_means_the_same_is_found_without_sharing_a_word(search: Search) -> None:
    assert ids(found(search, "shipment lost in the mail"))[0] in {11, 41}
    assert ids(found(search, "software quits on startup"))[0] == 21
    assert ids(found(search, "duplicate billing"))[0] == 31


def test_a_hit_says_who_wrote_it_when_and_where(search: Search) -> None:
    hit = found(search, "carrier strike do not promise dates")[0]
    assert (hit.comment_id, hit.ticket_id, hit.author_role, hit.is_public) == (13, 1, "agent", False)
    assert hit.created_at == NOON + timedelta(days=1, minutes=13)


def test_hits_are_ordered_by_a_score_between_0_and_1(search: Search) -> None:
    scores = [hit.score for hit in found(search, "parcel late")]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    "query", ["parcel late", "nobody answers the phone", "charged twice", "strike", "crash", "refund"]
)
def test_every_quote_stands_in_its_comment_word_for_word(search: Search, copied: Copied, query: str) -> None:
    hits = found(search, query)
    assert hits
    for hit in hits:
        row = copied.connection.execute(
            "select body from zendesk.ticket_comments where id = %s", (hit.comment_id,)
        ).fetchone()
        assert row is not None
        assert hit.quote.strip()
        assert row[0].find(hit.quote) >= 0


def test_the_quote_is_the_sentence_that_answers(search: Search) -> None:
    quotes = {hit.comment_id: hit.quote for hit in found(search, "error code LV-31")}
    assert quotes[21] == "Error code LV-31 is on the screen."


def test_exact_words_are_found_where_meaning_is_far(search: Search, embed: CommentIndex, desk: Copied) -> None:
    desk.comment(91, 2, "Ref QZ7741-B. Regards, Jo", author_id=502)
    embed.update()
    result = search.search(SearchPlan(query="QZ7741-B"))
    assert result.hits[0].comment_id == 91
    assert result.mode is Mode.HYBRID


def test_a_query_of_common_words_is_searched_by_meaning_alone(search: Search) -> None:
    assert search.search(SearchPlan(query="what is it about?")).mode is Mode.SEMANTIC


def test_nothing_alike_gives_no_hit_rather_than_the_least_bad(search: Search) -> None:
    assert found(search, "recipe for a chocolate cake") == []


def test_a_text_that_was_sent_many_times_is_shown_once(search: Search) -> None:
    hits = [hit for hit in found(search, "thank you for writing, we answer within a day") if hit.comment_id in {32, 42}]
    assert len(hits) == 1


def test_many_copies_of_a_macro_do_not_hide_other_comments(search: Search, embed: CommentIndex, desk: Copied) -> None:
    for number in range(300):
        desk.comment(5_000 + number, 1, "All deliveries are late because of the strike.", author_id=601)
    embed.update()
    hits = found(search, "all deliveries are late because of the strike", limit=3)
    assert {12, 13} & set(ids(hits))


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        (Filter(dimension="author_role", values=("end_user",)), {11, 41}),
        (Filter(dimension="author_role", op=Operator.NE, values=("agent",)), {11, 41}),
        (Filter(dimension="author_role", values=("customer",)), {11, 41}),
        (Filter(dimension="is_public", values=(False,)), {13}),
        (Filter(dimension="group", values=("billing",)), set()),
        (Filter(dimension="status", values=("pending",)), {41}),
        (Filter(dimension="tag", values=("vip",)), {11, 12, 13}),
        (Filter(dimension="tag", op=Operator.NE, values=("vip",)), {41}),
        (Filter(dimension="ticket_id", op=Operator.GE, values=(4,)), {41}),
    ],
)
def test_filters_narrow_the_search(search: Search, condition: Filter, allowed: set[int]) -> None:
    hits = found(search, "parcel late, carrier strike", condition)
    assert set(ids(hits)) <= allowed
    assert bool(hits) == bool(allowed)


def test_a_time_range_is_that_of_the_comment(search: Search) -> None:
    time = TimeRange(**{"from": NOON + timedelta(days=3, hours=12), "to": NOON + timedelta(days=5)})
    plan = SearchPlan(query="parcel did not arrive", time=time)
    assert {hit.ticket_id for hit in search.search(plan).hits} == {4}


def test_an_askers_rows_hold_whatever_the_plan_says(search: Search) -> None:
    mine = (Filter(dimension="group", values=("Billing",)),)
    assert ids(found(search, "parcel late", rows=mine)) == []
    assert found(search, "parcel late", Filter(dimension="ticket_id", values=(1,)), rows=mine) == []
    public = (Filter(dimension="is_public", values=(True,)),)
    assert found(search, "carrier strike", Filter(dimension="is_public", values=(False,)), rows=public) == []
    assert 13 not in ids(found(search, "carrier strike do not promise dates", rows=public))


def test_many_allowed_tickets_are_sifted_beyond_what_a_filter_can_list(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.tiers.search._LISTED_TICKETS", 0)
    hits = found(search, "parcel late, carrier strike", Filter(dimension="status", values=("pending", "solved")))
    assert ids(hits) == [41]


def test_a_note_that_became_private_is_not_shown_from_an_old_vector(search: Search, desk: Copied) -> None:
    desk.connection.execute("update zendesk.ticket_comments set is_public = false where id = 11")
    public = Filter(dimension="is_public", values=(True,))
    assert 11 not in ids(found(search, "my parcel is two weeks late", public))


def test_erased_text_is_not_shown_from_an_old_vector(search: Search, desk: Copied) -> None:
    desk.connection.execute("delete from zendesk.ticket_comments where ticket_id = 1")
    desk.connection.execute("update zendesk.ticket_comments set body = '▇▇▇ arrived ▇▇' where id = 41")
    hits = {hit.comment_id: hit for hit in found(search, "the package never arrived")}
    assert not {11, 12, 13} & set(hits)
    if 41 in hits:
        assert "courier" not in hits[41].quote


def test_an_unknown_dimension_is_refused_with_the_nearest(search: Search) -> None:
    with pytest.raises(Invalid, match="filter dimension unknown: 'grup'") as caught:
        found(search, "parcel", Filter(dimension="grup", values=("x",)))
    assert "group" in caught.value.nearest
    with pytest.raises(Invalid, match="author_role 'robot'"):
        found(search, "parcel", Filter(dimension="author_role", values=("robot",)))
    with pytest.raises(Invalid, match="does not fit"):
        found(search, "parcel", Filter(dimension="created_at", op=Operator.GE, values=("yesterday-ish",)))


@pytest.mark.parametrize("query", ["", "   \n", "\x00"])
def test_an_empty_search_is_refused(search: Search, query: str) -> None:
    with pytest.raises(Invalid, match="search text empty"):
        found(search, query)


@pytest.mark.parametrize(
    "query",
    [
        "parcel " * 15_000,
        "x" * 100_000,
        "🎉🎉",
        "لم يصل الطرد",
        "'; drop table zendesk.tickets; --",
        "% _ \\ & | ! ( : *",
        "\ud800",
    ],
    ids=["100 KB of words", "100 KB word", "emoji", "right to left", "sql", "operators", "surrogate"],
)
def test_hostile_queries_are_answered(search: Search, copied: Copied, query: str) -> None:
    result = search.search(SearchPlan(query=query))
    assert result.coverage == 1.0
    assert copied.connection.execute("select count(*) from zendesk.tickets").fetchone() == (4,)
    if len(query) > 2_000:
        assert "2,000" in result.warnings[0]


def test_hostile_values_are_only_values(search: Search) -> None:
    assert found(search, "parcel", Filter(dimension="subject", values=("' or true --",))) == []
    assert found(search, "parcel", Filter(dimension="tag", op=Operator.CONTAINS, values=("%' or '1'='1",))) == []


def test_a_partly_embedded_desk_says_so(search: Search, desk: Copied) -> None:
    desk.connection.execute("update catalog.datasets set coverage = 0.5 where dataset = 'milvus.comment_embeddings'")
    result = search.search(SearchPlan(query="parcel late"))
    assert result.coverage == 0.5
    assert "50.0% of the comments are embedded" in result.warnings[0]


def test_a_search_before_the_first_build_says_what_to_do(questions: ConnectionPool, milvus: Milvus) -> None:
    with pytest.raises(StoreUnavailable, match="run `switchdesk build embeddings`"):
        Search(questions, milvus).search(SearchPlan(query="parcel"))


def test_a_filter_without_marts_says_what_to_do(search: Search, desk: Copied) -> None:
    desk.connection.execute("drop table analytics.fct_tickets")
    with pytest.raises(StoreUnavailable, match="run `switchdesk build analytics`"):
        found(search, "parcel", Filter(dimension="status", values=("open",)))


def test_the_query_is_embedded_by_the_model_that_the_catalogue_names(
    search: Search, desk: Copied, milvus: Milvus, embedder: Embedder
) -> None:
    other = Embedder(Precision.F32 if embedder.precision is Precision.BF16 else Precision.BF16)
    assert search.search(SearchPlan(query="parcel late")).model_id == embedder.model_id
    CommentIndex(desk.connection, milvus, other).update()
    result = search.search(SearchPlan(query="parcel late"))
    assert result.model_id == other.model_id
    assert result.hits


def test_a_milvus_that_is_away_is_a_store_that_is_away(embed: CommentIndex, questions: ConnectionPool) -> None:
    del embed
    with pytest.raises(StoreUnavailable, match="Milvus does not answer"):
        Search(questions, Milvus("http://127.0.0.1:1", timeout=1)).search(SearchPlan(query="parcel"))


def test_a_comment_of_endless_space_is_found_and_quoted(search: Search, embed: CommentIndex, desk: Copied) -> None:
    desk.comment(96, 2, "My hamster" + " " * 200_000 + "chewed the cable.", author_id=502)
    embed.update()
    hit = found(search, "hamster chewed cable")[0]
    assert hit.comment_id == 96
    assert len(hit.quote) <= 400


def test_a_long_comment_is_quoted_from_where_it_matches(search: Search, embed: CommentIndex, desk: Copied) -> None:
    filler = "The weather was fine and we went for a walk along the river. " * 200
    desk.comment(95, 2, f"{filler}My hamster chewed through the charging cable of the tablet. {filler}", author_id=502)
    embed.update()
    hit = found(search, "hamster chewed charging cable")[0]
    assert (hit.comment_id, hit.quote) == (95, "My hamster chewed through the charging cable of the tablet.")
