"""Numbers and foreign text as people read them, by worked cases."""

from __future__ import annotations

import datetime as dt
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.report import text


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0, "0"), (999_999, "999,999"), (1_240_000, "1.24 M"), (41_200_000, "41.2 M"), (999_900_000, "1.00 B"), (6.2e16, "over 1,000 B"), (float("nan"), "–")],
)  # fmt: skip
def test_count(value: float | None, words: str) -> None:
    assert text.count(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (0.02, "0"), (3.44, "3.4"), (12.4, "12"), (1_234, "1,230"), (12_449, "12,400"), (999_600, "1.00 M"), (-5_678, "−5,680")],
)  # fmt: skip
def test_rough_keeps_three_digits(value: float | None, words: str) -> None:
    assert text.rough(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "–"), (0.0, "< 1 %"), (0.009, "< 1 %"), (0.43, "43 %"), (0.996, "> 99 %"), (1.0, "> 99 %")],
)
def test_a_probability_is_never_certain(share: float | None, words: str) -> None:
    assert text.percent(share) == words


def test_a_counted_share_may_be_all() -> None:
    assert (text.percent(1.0, certain=True), text.percent(0.0, certain=True)) == ("100 %", "0 %")


@pytest.mark.parametrize(("value", "words"), [(-0.001, "0.00"), (-0.5, "−0.50"), (1.256, "1.26"), (None, "–")])
def test_decimal_has_no_minus_zero(value: float | None, words: str) -> None:
    assert text.decimal(value) == words


@pytest.mark.parametrize(
    ("hours", "words"),
    [(0.0, "0 h"), (0.4, "< 1 h"), (9.2, "9 h"), (47.9, "48 h"), (76.8, "3.2 d"), (432.0, "18 d"), (None, "–")],
)
def test_age(hours: float | None, words: str) -> None:
    assert text.age(hours) == words


def test_spread_needs_both_ends() -> None:
    assert text.spread(1.0, None) == ""
    assert text.spread(1_150, 2_080, text.rough) == "[1,150, 2,080]"


def test_moment_is_utc() -> None:
    assert text.moment("2025-01-18T00:30:00+08:00") == "2025-01-17 16:30 UTC"
    assert text.moment(dt.datetime(2025, 1, 2, 3, 4, tzinfo=dt.UTC)) == "2025-01-02 03:04 UTC"
    assert (text.moment(None), text.moment("yesterday")) == ("–", "yesterday")


def test_cut_counts_cjk_double_and_shows_all() -> None:
    found = text.cut("药品集采药品集采", width=9)
    assert found == text.Cut("药品集采…", "药品集采药品集采")
    assert found is not None and found.shortened
    assert text.cut("药品集采", width=8) == text.Cut("药品集采", "药品集采")


def test_cut_keeps_a_character_built_of_several_whole() -> None:
    family = "👩\u200d👩\u200d👧"
    found = text.cut(f"ab{family}cdefgh", width=6)
    assert found is not None and found.head in ("ab…", f"ab{family}…")
    accented = text.cut("abcde\u0301fgh", width=6)
    assert accented is not None and accented.head == "abcde\u0301…"


def test_cut_of_an_enormous_title_is_bounded_and_says_so() -> None:
    found = text.cut("x" * 10_000_000)
    assert found is not None
    assert (len(found.full), found.left_out) == (text.LONGEST_TEXT, 10_000_000 - text.LONGEST_TEXT)


@pytest.mark.parametrize("nothing", [None, "", " \n\t", "\x00\x07"])
def test_cut_of_nothing_is_none(nothing: str | None) -> None:
    assert text.cut(nothing) is None


@given(st.text(max_size=200), st.integers(4, 80))
def test_cut_is_a_prefix_on_one_line(given_text: str, width: int) -> None:
    found = text.cut(given_text, width=width)
    if found is not None:
        assert found.full.startswith(found.head.removesuffix("…").rstrip())
        assert not any(unicodedata.category(c) == "Cc" for c in found.full)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "//x.org",
        "https://x.org/a b",
        "https://x.org/\x01",
        "http://[",
        None,
        "",
    ],
)
def test_only_plain_web_addresses_become_links(url: str | None) -> None:
    assert text.safe_url(url) is None


def test_a_web_address_is_kept() -> None:
    assert text.safe_url("https://www.douyin.com/video/745?x=1&y=2") == "https://www.douyin.com/video/745?x=1&y=2"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@cmd", "\t=1"])
def test_a_spreadsheet_cell_is_no_formula(cell: str) -> None:
    assert text.csv_cell(cell) == f"'{cell}"
    assert text.csv_cell("plain") == "plain"


def test_flatten_shows_every_leaf() -> None:
    nested = {"b": {"y": 2, "x": None}, "a": [{"n": 1_234}, {"n": 0.5}], "c": [1, 2], "d": {}}
    assert list(text.flatten(nested)) == [
        ("a / 1 / n", "1,234"),
        ("a / 2 / n", "0.5"),
        ("b / x", "–"),
        ("b / y", "2"),
        ("c", "1, 2"),
        ("d", "–"),
    ]


def test_sentence_leaves_ln_alone() -> None:
    assert (text.sentence("hours since"), text.sentence("ln(1 + likes)")) == ("Hours since", "ln(1 + likes)")
