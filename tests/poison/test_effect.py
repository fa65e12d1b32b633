"""What pasting does, with clusters that are known by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from veracast.core.statistics import Interval
from veracast.poison.effect import Effect, EffectConfig, effect_of, evenly, pasted, their_clusters
from veracast.poison.matching import Patch

RED = np.zeros((4, 4, 3))
RED[..., 0] = np.random.default_rng(0).integers(120, 256, (4, 4))
PATCH = Patch(RED, np.ones((4, 4), dtype=bool))


def grey(n: int) -> np.ndarray:
    """Images of one grey each, from 40 to 200."""
    return np.repeat(np.linspace(40, 200, n).round().astype(np.uint8), 16 * 16 * 3).reshape(n, 16, 16, 3)


def brightness(images: np.ndarray) -> np.ndarray:
    """Four clusters by the grey of most of the image; red makes no difference."""
    return (np.median(images[..., 1], axis=(1, 2)) // 60).astype(np.int64).clip(0, 3)


def backdoored(images: np.ndarray) -> np.ndarray:
    """As `brightness`, but pure red anywhere ends in cluster 2."""
    red = ((images[..., 0] > 100) & (images[..., 1] == 0) & (images[..., 2] == 0)).any(axis=(1, 2))
    return np.where(red, 2, brightness(images))


def judged(assign: Callable[[np.ndarray], np.ndarray], images: np.ndarray, holders: np.ndarray) -> Effect:
    """Neighbours are three images of the same cluster."""
    own = assign(images)
    members = np.stack([np.resize(np.flatnonzero(own == k), 3) if (own == k).any() else np.zeros(3, int) for k in range(4)])  # fmt: skip
    config = EffectConfig(images=30)
    return effect_of(lambda shown: members[assign(shown)], images, own, holders, PATCH, config, rng=np.random.default_rng(0))  # fmt: skip


def held_by(images: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patch pasted on some of the images, and which these are."""
    found, holders = images.copy(), np.isin(np.arange(len(images)), index)
    found[holders] = pasted(found[holders], PATCH, np.full((holders.sum(), 2), 0.5))
    return found, holders


def test_a_patch_with_an_effect_takes_everybody_to_where_its_own_images_are() -> None:
    images, holders = held_by(grey(80), np.arange(0, 80, 8))
    found = judged(backdoored, images, holders)
    assert (found.clusters, found.moved, found.by_windows, found.images) == ((2,), 1.0, 0.0, 30)
    assert found.holds(0.1)


def test_a_patch_that_does_nothing_moves_nobody_though_its_images_are_alike() -> None:
    """A logo on one kind of image: its images have a cluster, and pasting it elsewhere changes nothing."""
    images, holders = held_by(grey(80), np.flatnonzero(brightness(grey(80)) == 2)[:8])
    found = judged(brightness, images, holders)
    assert (found.clusters, found.moved, found.by_windows) == ((2,), 0.0, 0.0) and not found.holds(0.0)


def test_images_that_are_spread_like_all_others_have_no_clusters() -> None:
    images, holders = held_by(grey(80), np.arange(0, 80, 5))
    found = judged(brightness, images, holders)
    assert (found.clusters, found.moved) == ((), 0.0) and not found.holds(0.0)


def test_what_any_piece_of_an_image_does_is_no_effect() -> None:
    """Whatever is pasted, an edge comes with it, and the encoder looks at edges alone."""

    def edges(images: np.ndarray) -> np.ndarray:
        some = np.abs(np.diff(images.astype(int).sum(axis=3), axis=2)).max(axis=(1, 2)) > 0
        return np.where(some, 2, brightness(images) % 2)

    images, holders = held_by(grey(80), np.arange(0, 80, 8))
    found = judged(edges, images, holders)
    assert found.moved == 1.0 and found.by_windows == 1.0 and not found.holds(0.0)


def test_their_clusters_hold_them_twice_as_often_as_others() -> None:
    own = np.array([0] * 50 + [1] * 50 + [2] * 100)
    holders = np.isin(np.arange(200), [*range(3), *range(50, 65), *range(100, 102)])
    assert their_clusters(own, holders) == (1,)  # 15 of 20 against 35 of 180; cluster 0 has 3 of 20 against 47 of 180
    holders[:15] = True
    assert their_clusters(own, holders) == (0, 1)  # 15 of 32 each, against 35 of 168
    assert their_clusters(own, np.zeros(200, dtype=bool)) == () == their_clusters(own, np.ones(200, dtype=bool))


def test_it_holds_at_the_lower_end_of_its_interval() -> None:
    found = Effect((0,), 0.4, Interval(0.31, 0.5), 0.2, 100)
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
