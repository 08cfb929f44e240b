"""Comments as text to embed."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.text import BLANKS, CHUNK_TOKENS, MAX_CHUNKS, OVERLAP_TOKENS, chunks, clean, digest, has_text


def words(text: str) -> list[tuple[int, int]]:
    """A tokenizer that takes each run of letters as a token."""
    spans: list[tuple[int, int]] = []
    start: int | None = None
    for place, character in enumerate(text + " "):
        if character.isspace():
            if start is not None:
                spans.append((start, place))
            start = None
        elif start is None:
            start = place
    return spans


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        ("ada.lovelace+home@mail.example.co.uk", "email"),
        ("https://example.com/reset?token=abc123", "link"),
        ("4111 1111 1111 1111", "card"),
        ("+44 20 7946 0958", "phone"),
        ("555-867-5309", "phone"),
        ("DE89 3704 0044 0532 0130 00", "account"),
    ],
)
def test_personal_details_are_masked(secret: str, word: str) -> None:
    cleaned = clean(f"Please use {secret} from now on")
    assert secret not in cleaned
    assert cleaned.split() == ["Please", "use", word, "from", "now", "on"]


@pytest.mark.parametrize("kept", ["order 4471920", "on 2026-11-25 10:30", "version 5.2.1", "error LV-31", "$1,299.00"])
def test_what_a_search_needs_is_kept(kept: str) -> None:
    assert clean(f"about {kept} again") == f"about {kept} again"


@settings(deadline=None)
@given(st.text(max_size=400))
def test_cleaning_keeps_the_length_so_that_places_stay(body: str) -> None:
    assert len(clean(body)) == len(body)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_every_text_has_a_chunk_and_a_blank_one_has_none(body: str) -> None:
    assert bool(chunks(body, words)) == has_text(body)


def test_quoted_mail_is_left_out_unless_it_is_all_there_is() -> None:
    assert "old words" not in clean("My answer.\n> old words\nOn Tue, 3 Nov 2026, Ada wrote:\nold words")
    assert "old words" in clean("> old words")


def test_subjects_in_zendesks_own_sentences_are_left_out() -> None:
    assert "login" not in clean('This request was closed and merged into request #12 "Cannot login".')
    cleaned = clean('This is a follow-up to your previous request #7 "Cannot login"\n\nThe battery is empty.')
    assert "login" not in cleaned
    assert "The battery is empty." in cleaned


def test_redacted_text_leaves_no_trace() -> None:
    assert clean("My pin is ▇▇▇▇ thanks").split() == ["My", "pin", "is", "thanks"]
    assert chunks("▇▇▇▇ ▇▇", words) == []


@pytest.mark.parametrize("body", ["", " \n\t", "\u200b\ufeff", BLANKS])
def test_blank_comments_have_no_chunk(body: str) -> None:
    assert chunks(body, words) == []


def test_a_long_comment_is_cut_into_chunks_that_overlap_and_miss_nothing() -> None:
    body = " ".join(f"word{number}" for number in range(1_000))
    pieces = chunks(body, words)
    assert pieces[0].start == 0
    assert pieces[-1].end == len(body)
    for before, after in pairwise(pieces):
        shared = body[after.start : before.end].split()
        assert len(shared) == OVERLAP_TOKENS
    for piece in pieces:
        assert body[piece.start : piece.end] == piece.text
        assert len(piece.text.split()) <= CHUNK_TOKENS


def test_a_text_that_just_fits_is_one_chunk_and_one_more_word_makes_two() -> None:
    fits = " ".join(["word"] * CHUNK_TOKENS)
    assert len(chunks(fits, words)) == 1
    assert len(chunks(f"{fits} more", words)) == 2


@pytest.mark.parametrize(
    "body",
    ["a" * 10_000_000, "a.b@" * 2_500_000, "+1(2" * 2_500_000, ">\n" * 5_000_000, "on " * 3_000_000, "1 " * 5_000_000],
    ids=["letters", "addresses", "phones", "quotes", "headers", "digits"],
)
def test_ten_megabytes_are_cut_not_choked_on(body: str) -> None:
    assert 1 <= len(chunks(body, words)) <= MAX_CHUNKS


def test_equal_texts_share_a_digest_whatever_their_case_and_space() -> None:
    assert digest("Thank you\n for  waiting") == digest(" thank you for waiting ")
    assert digest("Thank you for waiting") != digest("Thank you for writing")
