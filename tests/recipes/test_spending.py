"""How much is asked of a scorer follows from what it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from veracast.recipes.spending import FULL, LARGE, LIGHT, SLOW, Spending, spending


def scorer(*, words: bool, language: int) -> SimpleNamespace:
    """What `spending` asks a scorer for."""
    return SimpleNamespace(reads_words=words, reads_by_language=language > 0, language_parameters=language)


@pytest.mark.parametrize(
    ("words", "language", "cheap", "whole"),
    [(False, 0, FULL, FULL), (True, 0, LIGHT, FULL), (True, LARGE, None, FULL), (True, LARGE + 1, SLOW, SLOW)],
    ids=["trees", "a network of the graph", "a small language model", "a large one"],
)
def test_the_cheap_part_and_the_whole(words: bool, language: int, cheap: Spending | None, whole: Spending) -> None:
    one = scorer(words=words, language=language)
    assert spending(one, whole=True) == whole  # type: ignore[arg-type]
    found = spending(one, whole=False)  # type: ignore[arg-type]
    if cheap is not None:
        assert found == cheap
    else:
        assert found.least == SLOW.least > LIGHT.least and found.runs == LIGHT.runs


def test_runs_of_words_are_so_few_that_all_choices_of_them_are_scored() -> None:
    assert LIGHT.runs == LIGHT.rungs.exact == SLOW.runs == SLOW.rungs.exact
