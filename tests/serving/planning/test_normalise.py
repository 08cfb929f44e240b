"""Questions as tokens: folded alike, with their places in the original text kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.planning.normalise import Kind, phrase, tokenise


def texts(text: str) -> list[str]:
    return [token.text for token in tokenise(text)]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's the CSAT?", ["what", "is", "the", "csat", "?"]),
        ("Don’t show", ["do", "not", "show"]),
        ("twenty-five tickets", ["25", "tickets"]),
        ("two hundred tickets", ["200", "tickets"]),
        ("1,200 tickets", ["1,200", "tickets"]),
        ("last 7d", ["last", "7", "days"]),
        ("first-reply e-mail re-opened", ["first", "reply", "email", "reopened"]),
        ("Zoë's ÉCLAIR", ["zoe", "eclair"]),
        ("2026-05-01 5/6/2026 2026-W20", ["2026-05-01", "5/6/2026", "2026-w20"]),
        ("avg prio tix", ["average", "priority", "tickets"]),
        ("tickets_created", ["tickets", "created"]),
        ("“quoted words”", ['"', "quoted", "words", '"']),
        ("bob@acme.com", ["bob@acme.com"]),
        ("#123", ["#", "123"]),
        ("ＦＵＬＬ ｗｉｄｔｈ", ["full", "width"]),
        ("", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert texts(text) == tokens


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=200))
def test_offsets_lie_in_the_text_and_grow(text: str) -> None:
    start = 0
    for token in tokenise(text):
        assert 0 <= token.start <= token.end <= len(text)
        assert token.start >= start - 1
        start = token.start


def test_offsets_point_at_the_written_word() -> None:
    text = "How many \u200bUrgent tickets?"
    found = {token.text: text[token.start : token.end] for token in tokenise(text)}
    assert found["urgent"] == "Urgent"
    assert found["tickets"] == "tickets"


def test_capitals_count_only_after_the_first_word() -> None:
    assert [token.capital for token in tokenise("Show Acme tickets")] == [False, True, False]


def test_quoted_words_are_marked_and_apostrophes_quote_nothing() -> None:
    assert [token.text for token in tokenise('find "late parcel" today') if token.quoted] == ["late", "parcel"]
    assert not any(token.quoted for token in tokenise("Acme's and Globex's tickets"))


def test_both_sides_of_a_match_are_stemmed_alike() -> None:
    assert phrase("First replies") == phrase("first reply")
    assert phrase("one-touch") == phrase("One touch")
    assert phrase("Shop & Deliveries") == ("shop", "delivery")


def test_numbers_keep_their_values() -> None:
    assert [token.value for token in tokenise("5k 2.5 seven 3rd") if token.kind is Kind.NUMBER] == [5000, 2.5, 7, 3]
