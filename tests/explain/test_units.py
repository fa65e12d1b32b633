"""Parts by hand, what is left without some of them, and contents that are left as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.explain.units import Edge, Edges, Frames, Modality, Numbers, Texts, Whole, Words, edges, numbered


def kept(modality: Modality, content: Any, *places: int) -> Any:
    """With only the parts at these places."""
    return modality.kept(content, np.isin(np.arange(len(modality.units(content))), places))


def test_numbers_go_to_their_baselines_and_others_stay() -> None:
    modality = Numbers({"likes": 5.0, "age": 1.0})
    content = {"age": 9.0, "likes": 70.0, "id": 3.0}
    assert modality.units(content) == ["age", "likes"]
    assert kept(modality, content, 1) == {"age": 1.0, "likes": 70.0, "id": 3.0}
    assert content["age"] == 9.0


def test_words_are_cut_at_blanks_and_chinese_by_the_character() -> None:
    modality = Words()
    assert modality.units("the cat, the 猫が好き #fun") == ["the", "cat,", "the (2)", "猫", "が", "好", "き", "#fun"]
    assert kept(modality, "the cat, the 猫が好き #fun", 0, 1, 3, 5) == "the cat, 猫好"
    assert kept(modality, "ab猫cd", 0, 2) == "ab cd"
    assert (kept(modality, "a b"), kept(modality, " a  b\n", 0, 1)) == ("", " a  b\n")  # all of it is the very text
    assert modality.units("") == [] and modality.kept("", np.zeros(0, dtype=bool)) == ""


def test_texts_are_dropped_whole() -> None:
    assert Texts().units(["hi", "yo"]) == ["comments 1", "comments 2"]
    assert kept(Texts(), ["hi", "yo", "hm"], 0, 2) == ["hi", "hm"]


def test_a_cell_shows_the_mean_of_its_frame() -> None:
    content = np.arange(2 * 4 * 4 * 1, dtype=np.uint8).reshape(2, 4, 4, 1)
    modality = Frames(rows=2, columns=2)
    assert modality.units(content)[:2] == ["frame 1, cell 1.1", "frame 1, cell 1.2"] and len(modality.units(content)) == 8  # fmt: skip
    found = modality.kept(content, np.array([False] + [True] * 7))
    expected = content.copy()
    expected[0, :2, :2] = 7  # mean of 0..15, 7.5, as a byte
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8 and content[0, 0, 0, 0] == 0


def test_frames_by_another_picture_and_grids_that_do_not_divide() -> None:
    content, other = np.ones((1, 5, 5, 3)), np.zeros((5, 5, 3))
    found = Frames(rows=2, columns=3, baseline=other).kept(content, np.array([True, False, False, False, False, True]))
    np.testing.assert_array_equal(found[0, :, :, 0], [[1, 1, 0, 0, 0]] * 2 + [[0, 0, 0, 1, 1]] * 3)
    assert edges(5, 3).tolist() == [0, 2, 3, 5]
    assert Frames().units(content) == ["frame 1"]


def test_edges_are_deleted() -> None:
    content = [Edge("v", "by", "a"), Edge("v", "uses", "m"), Edge("v", "by", "a")]
    assert Edges().units(content) == ["v by a", "v uses m", "v by a (2)"]
    assert kept(Edges(), content, 1) == [Edge("v", "uses", "m")]


def test_a_whole_has_one_part() -> None:
    modality = Whole("sound", baseline=b"")
    assert modality.units(b"xyz") == ["sound"]
    assert (kept(modality, b"xyz", 0), kept(modality, b"xyz")) == (b"xyz", b"")


@pytest.mark.parametrize(("modality", "content"), [
    (Numbers({"a": 0.0}), {"a": 2.0, "b": 1.0}), (Texts(), ["x", "y"]), (Edges(), [Edge("a", "b", "c")]), (Whole("w"), 3), (Words(), " two\twords "),
])  # fmt: skip
def test_with_all_its_parts_content_is_as_it_was(modality: Modality, content: Any) -> None:
    assert modality.kept(content, np.ones(len(modality.units(content)), dtype=bool)) == content


@given(st.text(max_size=40), st.data())
def test_every_word_that_is_kept_is_there_in_order(text: str, data: st.DataObject) -> None:
    modality = Words()
    words = modality.units(text)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words))), dtype=bool)
    left = modality.units(modality.kept(text, keep))
    plain = [word for word, there in zip(words, keep, strict=True) if there]
    assert [one.partition(" (")[0] for one in left] == [one.partition(" (")[0] for one in plain]


@given(st.lists(st.sampled_from("abc"), max_size=8))
def test_numbered_names_are_told_apart(names: list[str]) -> None:
    found = numbered(names)
    assert len(set(found)) == len(names) and [one[0] for one in found] == names


def test_long_texts_are_cut_into_runs_of_neighbouring_words() -> None:
    runs = Words(most=3)
    text = "one two  three four five, six seven"
    assert runs.units(text) == ["one two", "three four five,", "six seven"]
    assert runs.kept(text, np.array([True, False, True])) == "one two  six seven"
    assert Words(blank="…", most=3).kept(text, np.array([False, True, True])) == "… …  three four five, six seven"
    assert runs.units("one two") == ["one", "two"] == Words().units("one two")
    assert runs.units("") == [] and runs.kept("", np.zeros(0, dtype=bool)) == ""
    assert Words(most=2).units("go go go go") == ["go go", "go go (2)"]
