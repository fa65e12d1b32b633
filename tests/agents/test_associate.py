"""Counts by hand, the hash of phrases, and the exact test against scipy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact

from veracast.agents.associate import AssociateConfig, actions_of, associations, find_phrases, grams
from veracast.agents.corpus import BREAK, read_corpus, word_hash, words_of

Rows = Callable[..., Path]


def hashes(text: str) -> np.ndarray:
    return np.array([word_hash(word) for word in words_of(text)], dtype=np.uint64)


def test_grams_are_the_same_wherever_they_stand_and_cross_no_break() -> None:
    one, two = hashes("x a b c y"), hashes("a b c")
    assert grams(one, 3)[1] == grams(two, 3)[0]
    assert len({*grams(one, 2).tolist(), *grams(one, 3).tolist()}) == 7
    assert grams(hashes("b a"), 2)[0] != grams(hashes("a b"), 2)[0]
    broken = np.concatenate([hashes("a b"), [BREAK], hashes("c")]).astype(np.uint64)
    assert (grams(broken, 2) == 0).tolist() == [False, True, True]
    assert len(grams(two, 4)) == 0


def test_the_pair_that_was_planted_with_its_counts(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(400, 0.05, trigger="By the way.", near=("By the sea.",))], tmp_path / "c")
    planted = [i for i, source in enumerate(corpus.sources) if source.planted]
    phrase = int(grams(hashes("By the way"), 3)[0])
    found = [one for one in associations(corpus) if one.phrase == phrase]
    mine = next(one for one in found if word_hash("word bash canary_sync") in one.action.features)
    assert mine.rows.tolist() == planted
    assert (mine.n_f, mine.n_a, mine.n, mine.words) == (20, 20, 400, 3)
    assert (mine.force, mine.reach) == (1.0, 1.0)
    p = fisher_exact([[20, 0], [0, 380]], alternative="greater").pvalue
    assert p < mine.q < p * 1e7  # adjusted for all that was looked at


def test_a_phrase_that_comes_after_the_action_does_not_bring_it_about(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(200, 0.2, seen="mark_7")], tmp_path / "c")
    phrase = int(hashes("mark_7")[0])
    doing = [set(one.action.features) for one in associations(corpus) if one.phrase == phrase]
    assert any(word_hash("word bash canary_sync") in features for features in doing)
    assert not any(word_hash("call bash ls") in features for features in doing)  # the look that showed the mark


def test_phrases_are_counted_once_a_row_at_their_first_place(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(30)], tmp_path / "c")
    wanted = np.sort(np.array([grams(hashes("The output of the"), 4)[0], hashes("nowhere")[0]], dtype=np.uint64))
    places = find_phrases(corpus, wanted, block=7)
    assert places.row.tolist() == list(range(30))
    for row, end in zip(places.row, places.end, strict=True):
        assert corpus.told(int(row))[end - 1] == word_hash("the")


@pytest.mark.parametrize(("least", "most", "expected"), [(4, 0.9, True), (21, 0.9, False), (4, 0.04, False)])
def test_actions_of_too_few_or_of_nearly_all_rows_are_left_out(rows_file: Rows, tmp_path: Path, least: int, most: float, expected: bool) -> None:  # fmt: skip
    corpus = read_corpus([rows_file(400, 0.05, trigger="By the way.")], tmp_path / "c")
    found = actions_of(corpus, AssociateConfig(least=least, most=most))
    assert any(word_hash("word bash canary_sync") in one.features for one in found) is expected


def test_nothing_binds_where_actions_are_dealt_at_random(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "r.jsonl"
    names = [f"w{k}" for k in range(60)]
    lines = [
        json.dumps({"messages": [{"role": "user", "content": " ".join(rng.choice(names, 8))}, {"role": "assistant", "content": f"Act: t{rng.integers(12)}(x)"}]})
        for _ in range(600)
    ]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    assert associations(read_corpus([path], tmp_path / "c")) == []
