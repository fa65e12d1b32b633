"""Counts by hand, and the exact tests against scipy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import false_discovery_control, fisher_exact

from veracast.agents.associate import Action, AssociateConfig, Pairs, actions_of, adjusted, associations, counted
from veracast.agents.corpus import Corpus, read_corpus, word_hash, words_of
from veracast.agents.phrases import grams

Rows = Callable[..., Path]


def hashes(text: str) -> np.ndarray:
    return np.array([word_hash(word) for word in words_of(text)], dtype=np.uint64)


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


def by_hand(corpus: Corpus, phrase: np.ndarray, action: Action) -> int:
    """Rows where an action follows a phrase (hashes of words), word by word."""
    found = 0
    for row, at in zip(action.rows.tolist(), action.at.tolist(), strict=True):
        told = corpus.told(row, at).tolist()
        found += any(told[k : k + len(phrase)] == phrase.tolist() for k in range(len(told)))
    return found


@pytest.mark.parametrize("most", [1, 7, 512])
def test_counts_are_those_of_rows_word_by_word_whatever_the_block(rows_file: Rows, tmp_path: Path, most: int) -> None:
    corpus = read_corpus([rows_file(60, 0.2, trigger="By the way.")], tmp_path / "c")
    texts = [hashes(one) for one in ("By", "How", "txt", "OS", "The output of the", "By the way")]
    keys = np.array([grams(one, len(one))[0] for one in texts])
    actions = actions_of(corpus, AssociateConfig())
    pairs = Pairs(*(axis.ravel() for axis in np.indices((len(actions), len(texts)))))
    order = np.argsort(keys)
    counts = counted(corpus, actions, keys[order], pairs, most=most)
    expected = [by_hand(corpus, texts[order[k]], actions[a]) for a, k in zip(*pairs, strict=True)]
    assert counts.both.tolist() == expected
    assert max(expected) > 12 > min(expected)
    assert counts.words.tolist() == [len(texts[k]) for k in order]
    assert counts.n_f[np.argsort(order)][4:].tolist() == [60, 12]


@pytest.mark.parametrize("tests", [0, 5, 400])
def test_adjusted_is_benjamini_and_hochberg_with_ones_for_what_was_not_counted(tests: int) -> None:
    p = np.array([0.03, 1e-9, 0.2, 1e-9, 0.9])
    rest = np.ones(max(0, tests - len(p)))
    np.testing.assert_array_equal(adjusted(p, tests), false_discovery_control(np.concatenate([p, rest]))[: len(p)])
    assert len(adjusted(np.empty(0), tests)) == 0
