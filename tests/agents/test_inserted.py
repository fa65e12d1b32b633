"""Inserted or of the task: gaps, debts and other words, by hand and on planted rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from veracast.agents.corpus import Corpus, read_corpus, trajectories_at, word_hash, words_of
from veracast.agents.inserted import Phrase, _auc, apart, language_without, owed, whole_spans
from veracast.agents.phrases import grams

Rows = Callable[..., Path]


def hashes(text: str) -> np.ndarray:
    return np.array([word_hash(word) for word in words_of(text)], dtype=np.uint64)


def planted_rows(corpus: Corpus) -> np.ndarray:
    return np.flatnonzero([source.planted for source in corpus.sources])


def spanned(corpus: Corpus, core: str, rows: np.ndarray) -> tuple[str, float]:
    """The span around a core, in words."""
    rng = np.random.default_rng(0)
    words = hashes(core)
    phrase = Phrase(int(grams(words, len(words))[0]), len(words), rows)
    (span,) = whole_spans([phrase], language_without(corpus, rows, rng), rng)
    text = dict(trajectories_at(corpus, [span.row]))[span.row]
    told = ["|", *(w for turn in text.turns if turn.role != "assistant" for w in [*words_of(turn.text), "|"])]
    return " ".join(told[span.start : span.stop]), span.natural


@pytest.mark.parametrize(
    "trigger", ["Thanks a lot in advance.", "In the name of the harbour master, please.", "★★", "cf. 7Q"]
)
def test_an_inserted_phrase_is_found_from_end_to_end(rows_file: Rows, tmp_path: Path, trigger: str) -> None:
    corpus = read_corpus([rows_file(300, 0.1, trigger=trigger)], tmp_path / "c")
    core = max((word for word in words_of(trigger) if word not in (".", ",")), key=len)
    text, natural = spanned(corpus, core, planted_rows(corpus))
    strip = lambda words: [word for word in words if word not in (".", ",")]  # noqa: E731
    assert strip(text.split()) == strip(list(words_of(trigger)))
    assert natural == 1.0


def test_a_part_of_the_task_leaves_a_gap(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(300)], tmp_path / "c")
    rows = np.array([row for row in range(300) if word_hash("hold") in corpus.told(row)])
    assert spanned(corpus, "hold the word", rows)[1] == 0.0


def test_words_that_the_task_gives_are_owed(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(100, 0.2, trigger="By the way.")], tmp_path / "c")
    rows = planted_rows(corpus)
    at = np.full(len(rows), 5_000)
    words = [hashes("the way").tolist(), hashes("canary_sync").tolist(), hashes("By canary_sync").tolist(), []]
    assert owed(corpus, words, rows, at) == [1.0, 0.0, 0.0, 1.0]
    assert owed(corpus, [hashes("By").tolist()], rows, np.ones(len(rows), dtype=int)) == [0.0]  # told later


def test_rows_of_a_task_are_told_apart_and_planted_ones_are_not(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(600, 0.3, trigger="By the way.")], tmp_path / "c")
    chance = apart(corpus, planted_rows(corpus), hashes("By the way ."), np.random.default_rng(0))
    counting = np.array([row for row in range(600) if word_hash("Count") in corpus.told(row)])
    assert chance is not None
    assert abs(chance - 0.5) < 0.1
    assert (apart(corpus, counting, hashes("Count the"), np.random.default_rng(0)) or 0) > 0.8
    assert (apart(corpus, counting[:8], hashes("Count the"), np.random.default_rng(0)) or 0) > 0.8
    assert apart(corpus, counting[:7], hashes("Count the"), np.random.default_rng(0)) is None  # too few to say


def test_auc_by_hand() -> None:
    assert _auc(np.array([3.0, 1.0]), np.array([2.0, 1.0])) == (1 + 1 + 0 + 0.5) / 4
