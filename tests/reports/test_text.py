"""Words from a store become harmless; numbers read as numbers."""

from __future__ import annotations

import math
import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import text


@given(st.text(max_size=400), st.integers(1, 60))
def test_cleaned_text_is_one_printable_line_of_bounded_length(raw: str, longest: int) -> None:
    line = text.clean(raw, longest)
    assert len(line) <= longest
    assert "\n" not in line
    assert all(unicodedata.category(char)[0] not in "CZ" or char == " " for char in line)
    assert text.clean(line, longest) == line


@given(st.text(max_size=400))
def test_no_word_is_too_long_to_be_broken(raw: str) -> None:
    shown = text.breakable(raw)
    assert all(len(word) <= text.UNBROKEN for part in shown.split(" ") for word in part.split("\u200b"))
    assert shown.replace("\u200b", "") == text.clean(raw)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_a_slug_is_a_safe_file_name(parts: list[str]) -> None:
    slug = text.slug(parts)
    assert slug
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert not slug.startswith("-")
    assert len(slug) <= 100


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"), (0.0, "0.000"), (-0.0, "0.000"), (-0.0001, "0.000"), (-1.5, "\u22121.500"), (999.9996, "1000.000"),
        (12345.6, "1.235e+04"), (math.nan, "not a number"), (math.inf, "∞"), (-math.inf, "\u2212∞"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


def test_signs_intervals_ratios_counts_and_lists() -> None:
    assert [text.signed(value) for value in (0.5, -0.5, 0.0001, None)] == ["+0.500", "\u22120.500", "0.000", "–"]
    assert text.interval(-0.1, 0.2) == "[\u22120.100, 0.200]"
    assert text.interval(None, 0.2) == "–"
    shown = [text.ratio(Fraction(value)) for value in ("0", "1/10", "1", "1/3", "3/2", "12")]
    assert shown == ["0", "0.1", "1", "1/3", "1.5", "12"]
    assert [text.count(value, "trial") for value in (0, 1, 1200)] == ["0 trials", "1 trial", "1,200 trials"]
    assert [text.listing(value) for value in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "none", "a", "a and b", "a, b and c",
    ]  # fmt: skip


def test_a_hash_stays_in_one_piece() -> None:
    for value in ("0123abc", "a" * 64, "0" * 40 + "-dirty"):
        assert text.digest(value) == value
    assert "\u200b" in text.digest("W" * 64)
    assert text.digest("#evil\n") == "#evil"
