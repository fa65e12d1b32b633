"""What pasting does, with clusters that are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.statistics import Interval
from veracast.poison.effect import Effect, EffectConfig, effect_of, evenly, pasted
from veracast.poison.matching import Patch, decoys

RED = np.zeros((4, 4, 3))
RED[..., 0] = np.random.default_rng(0).integers(120, 256, (4, 4))
PATCH = Patch(RED, np.ones((4, 4), dtype=bool))


def grey(n: int) -> np.ndarray:
    """Images of one grey each, from 40 to 200."""
    return np.repeat(np.linspace(40, 200, n).round().astype(np.uint8), 16 * 16 * 3).reshape(n, 16, 16, 3)


def brightness(images: np.ndarray) -> np.ndarray:
    """Four clusters by the corner pixel's grey; red makes no difference."""
    return (np.median(images[..., 1], axis=(1, 2)) // 60).astype(np.int64).clip(0, 3)


def backdoored(images: np.ndarray) -> np.ndarray:
    """As `brightness`, but pure red anywhere ends in cluster 2."""
    red = ((images[..., 0] > 100) & (images[..., 1] == 0) & (images[..., 2] == 0)).any(axis=(1, 2))
    return np.where(red, 2, brightness(images))


def test_a_patch_with_an_effect_moves_everybody_and_its_decoys_nobody() -> None:
    found = effect_of(backdoored, grey(80), PATCH, decoys(PATCH), EffectConfig(images=40), rng=np.random.default_rng(0))
    assert (found.cluster, found.moved, found.by_decoys) == (2, 1.0, 0.0)
    assert found.images == 30  # of 40 images, ten of each cluster, those not in cluster 2 already
    assert found.holds(0.1)


def test_a_patch_without_one_moves_nobody() -> None:
    found = effect_of(brightness, grey(80), PATCH, decoys(PATCH), EffectConfig(images=40), rng=np.random.default_rng(0))
    assert (found.moved, found.by_decoys) == (0.0, 0.0) and not found.holds(0.0)


def test_what_decoys_do_as_well_is_no_effect() -> None:
    """A cluster of whatever has a strong channel somewhere, whichever it is."""

    def coloured(images: np.ndarray) -> np.ndarray:
        strong = (images.max(axis=3).astype(int) - images.min(axis=3) > 100).any(axis=(1, 2))
        return np.where(strong, 2, brightness(images))

    found = effect_of(coloured, grey(80), PATCH, decoys(PATCH), EffectConfig(images=40), rng=np.random.default_rng(0))
    assert found.moved == 1.0 and found.by_decoys == 1.0 and not found.holds(0.0)


def test_it_holds_at_the_lower_end_of_its_interval() -> None:
    found = Effect(0, 0.4, Interval(0.31, 0.5), 0.2, 100)
    assert found.holds(0.1) and not found.holds(0.12)


def test_rows_are_drawn_evenly_from_groups() -> None:
    groups = np.array([0] * 50 + [1] * 3 + [2] * 50)
    drawn = groups[evenly(groups, 23, rng=np.random.default_rng(0))]
    assert np.bincount(drawn).tolist() == [10, 3, 10]
    with_few = evenly(np.arange(5), 2, rng=np.random.default_rng(0))
    assert sorted(with_few) == [0, 1, 2, 3, 4]  # one of each at least


@pytest.mark.parametrize(("place", "corner"), [((0.0, 0.0), (0, 0)), ((0.999, 0.5), (12, 6))])
def test_pasting_reaches_the_borders_and_leaves_what_the_mask_leaves(place: tuple[float, float], corner: tuple[int, int]) -> None:  # fmt: skip
    mask = np.ones((4, 4), dtype=bool)
    mask[0, 0] = False
    before = grey(1)
    after = pasted(before, Patch(RED, mask), np.array([place]))
    left, top = corner
    assert np.array_equal(after[0, top : top + 4, left : left + 4][mask], RED[mask].astype(np.uint8))
    assert (after != before).any(axis=3).sum() == 15 and (before == grey(1)).all()
