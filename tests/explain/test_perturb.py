"""Choices are scored once; the item is whole with all parts and at its baselines without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Numbers, Words

ITEM = {"text": "good good film", "numbers": {"likes": 9.0, "age": 2.0}, "id": "v1"}
MODALITIES = (Words(), Numbers({"likes": 4.0, "age": 1.0}))


def score(items: Sequence[Item]) -> list[float]:
    """Likes, and ten for every `good`."""
    assert all(item["id"] == "v1" for item in items)
    return [item["numbers"]["likes"] + 10 * item["text"].split().count("good") for item in items]


def test_units_stand_in_the_order_of_the_modalities() -> None:
    perturbed = Perturbed(ITEM, MODALITIES, Scorer(score))
    assert perturbed.units == (Unit("text", "good"), Unit("text", "good (2)"), Unit("text", "film"), Unit("numbers", "likes"), Unit("numbers", "age"))  # fmt: skip
    assert perturbed.places("numbers").tolist() == [3, 4]
    assert (perturbed.full, perturbed.base) == (29.0, 4.0)


def test_a_choice_is_scored_once() -> None:
    scorer = Scorer(score)
    perturbed = Perturbed(ITEM, MODALITIES, scorer)
    choices = np.array([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 1]], dtype=bool)
    assert perturbed.scores(choices).tolist() == [19.0, 4.0, 19.0]
    assert scorer.asked == 2
    assert (perturbed.scores(choices[:1]).tolist(), perturbed.base, scorer.asked) == ([19.0], 4.0, 2)
    assert perturbed.changed(choices[0]) == {"text": "good", "numbers": {"likes": 9.0, "age": 2.0}, "id": "v1"}


def test_items_that_cannot_be_explained() -> None:
    with pytest.raises(ConfigError, match="the item has no text -> it holds numbers"):
        Perturbed({"numbers": {}}, MODALITIES, Scorer(score))
    with pytest.raises(ConfigError, match="no parts to take away"):
        Perturbed({"text": " ", "numbers": {}}, MODALITIES, Scorer(score))
    with pytest.raises(ConfigError, match="two modalities of one name among text, text"):
        Perturbed(ITEM, (Words(), Words()), Scorer(score))
