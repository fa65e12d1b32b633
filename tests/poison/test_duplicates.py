"""Frames of one shot are one group; what images merely share, a patch, bars, a logo, makes no group."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.attacks import Attack, plant
from veracast.poison.demo_images import demo_images
from veracast.poison.duplicates import (
    MOST_PX,
    NEIGHBOURS,
    TABLES,
    Pairs,
    candidates,
    likeliest_of_each,
    likeness,
    near_duplicates,
    one_of_each,
    picture_box,
    thumbnails,
)
from veracast.poison.overlays import Overlay, lay, overlay

IMAGES, LABELS = demo_images(3, count=600)
ALONE = np.arange(600)


def pairs_of(groups: np.ndarray) -> set[tuple[int, int]]:
    """All pairs of one group."""
    same = np.triu(groups[:, None] == groups[None], 1)
    return set(zip(*(side.tolist() for side in np.nonzero(same)), strict=True))


def merged(groups: np.ndarray, truth: np.ndarray) -> int:
    """Groups that hold more than one true group."""
    return sum(len(set(truth[groups == group].tolist())) > 1 for group in np.unique(groups))


def moved(pixels: np.ndarray, down: int, across: int) -> np.ndarray:
    """By so many pixels, what comes in at the border mirrored."""
    return np.pad(pixels, [(8, 8), (8, 8), (0, 0)], mode="reflect")[8 + down : 40 + down, 8 + across : 40 + across]


def test_groups_by_hand() -> None:
    a, b, c = IMAGES[:3]
    shown = [a, moved(a, 2, -1), b, (a * 0.85).astype(np.uint8), c, moved(b, -2, 2), a]
    assert near_duplicates(np.stack(shown)).tolist() == [0, 0, 1, 0, 2, 1, 0]


def test_other_images_are_alone() -> None:
    assert near_duplicates(IMAGES).tolist() == ALONE.tolist()


def test_planted_videos_are_found_again() -> None:
    planted = overlay(IMAGES, LABELS, Overlay("duplicates", share=0.4, group_images=4))
    groups = near_duplicates(planted.images)
    truth, found = pairs_of(planted.groups), pairs_of(groups)
    assert len(truth) == 60 * 6 and len(truth & found) >= 0.97 * len(truth)
    assert merged(groups, planted.groups) == 0


@pytest.mark.parametrize(("px", "share"), [(MOST_PX, 1.0), (3 * MOST_PX // 2 + 2, 0.0)])
def test_how_far_a_frame_may_move(px: int, share: float) -> None:
    pairs = [near_duplicates(np.stack([pixels, moved(pixels, px, 0)]))[1] == 0 for pixels in IMAGES[:40]]
    assert np.mean(pairs) == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize(("with_contrast", "spared"), [(16, 2), (6, 1), (5, 0)])
def test_likeness_is_the_correlation_of_the_worst_tile_but_one_in_six(with_contrast: int, spared: int) -> None:
    """A picture and itself, of whose 16 tiles some are flat, with one tile after another turned to other noise."""
    rng, grey = np.random.default_rng(0), np.array([0.299, 0.587, 0.114])
    one, places = np.full((32, 32, 3), 90, dtype=np.uint8), [(4 + 6 * (k // 4), 4 + 6 * (k % 4)) for k in range(16)]
    for top, left in places[:with_contrast]:
        one[top : top + 6, left : left + 6] = rng.integers(0, 256, (6, 6, 3))
    other, by_noise, seen = one.copy(), [], []
    for top, left in places[: spared + 2]:
        seen.append(float(likeness(np.stack([one, other]), Pairs(np.array([0]), np.array([1])))[0]))
        tile = (slice(top, top + 6), slice(left, left + 6))
        other[tile] = rng.integers(0, 256, (6, 6, 3))
        by_noise.append(np.corrcoef((one[tile] @ grey).ravel(), (other[tile] @ grey).ravel())[0, 1])
    assert seen[: spared + 1] == pytest.approx([1] * (spared + 1), abs=1e-5)
    assert seen[spared + 1] == pytest.approx(max(by_noise[: spared + 1]), abs=1e-4)


@pytest.mark.parametrize("place", ["random", "fixed"])
def test_a_shared_patch_makes_no_group(place: str) -> None:
    poisoned = plant(IMAGES, LABELS, [Attack(edge_px=10, paste="exact", place=place, rate=0.1)])  # type: ignore[arg-type]
    assert poisoned.poisoned.sum() == 60
    assert near_duplicates(poisoned.images).tolist() == ALONE.tolist()


@pytest.mark.parametrize(
    "laid",
    [Overlay("logo", share=1), Overlay("watermark", share=1), Overlay("watermark", share=1, across=True, alpha=0.3),
     Overlay("subtitle", share=1), Overlay("letterbox", share=1), Overlay("letterbox", share=1, scale=2)],
    ids=["logo", "watermark", "watermark across", "subtitle", "letterbox", "wide letterbox"],
)  # fmt: skip
def test_a_shared_overlay_makes_next_to_no_group(laid: Overlay) -> None:
    found = near_duplicates(overlay(IMAGES[:400], LABELS[:400], laid).images)
    assert len(pairs_of(found)) <= 1


def test_half_a_shared_picture_makes_no_group() -> None:
    shown = IMAGES[:60].copy()
    shown[:, :, :16] = IMAGES[0, :, :16]
    assert near_duplicates(shown).tolist() == list(range(60))


def test_frames_between_bars_are_a_group_all_the_same() -> None:
    planted = overlay(IMAGES, LABELS, Overlay("duplicates", share=0.4, group_images=4))
    boxed = np.concatenate([lay(planted.images[k : k + 1], Overlay("letterbox"), rng=np.random.default_rng(int(group))).images for k, group in enumerate(planted.groups)])  # fmt: skip
    groups = near_duplicates(boxed)
    truth, found = pairs_of(planted.groups), pairs_of(groups)
    assert len(truth & found) >= 0.9 * len(truth) and merged(groups, planted.groups) <= 1


def test_the_picture_between_bars_by_hand() -> None:
    pixels = np.full((20, 30, 3), 10, dtype=np.uint8)
    pixels[4:15, 6:26] = 200
    assert picture_box(pixels) == (6, 4, 26, 15)
    pixels[4:15, 6:26] = 31  # a dark picture is none, and stays whole
    assert picture_box(pixels) == (0, 0, 30, 20)


def test_flat_images_are_alone_even_equal_ones() -> None:
    grey = np.full((4, 32, 32, 3), 120, dtype=np.uint8)
    noisy = np.clip(120 + np.random.default_rng(0).normal(0, 3, (4, 32, 32, 3)), 0, 255).astype(np.uint8)
    black = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    slope = np.broadcast_to(np.linspace(100, 130, 32).astype(np.uint8)[:, None, None], (2, 32, 32, 3))  # an empty sky
    assert near_duplicates(np.concatenate([grey, noisy, black, slope])).tolist() == list(range(12))


def test_size_of_the_images_does_not_matter() -> None:
    planted = overlay(IMAGES[:200], LABELS[:200], Overlay("duplicates", share=0.5))
    large = planted.images.repeat(3, axis=1).repeat(3, axis=2)
    assert near_duplicates(large).tolist() == near_duplicates(planted.images).tolist()


def test_many_copies_are_one_group_and_compared_a_few_times_each() -> None:
    rng = np.random.default_rng(0)
    shown = np.clip(IMAGES[0] + rng.normal(0, 4, (500, 32, 32, 3)), 0, 255).astype(np.uint8)
    assert not near_duplicates(shown).any()
    pairs = candidates(thumbnails(shown))
    assert len(pairs.first) <= 500 * 9 * TABLES * NEIGHBOURS and (pairs.first < pairs.second).all()
    assert len(pairs.first) < 500 * 499 / 4  # not everybody with everybody


def test_order_hardly_matters_and_groups_are_numbered_as_they_come() -> None:
    planted = overlay(IMAGES, LABELS, Overlay("duplicates"))
    found, order = near_duplicates(planted.images), np.random.default_rng(0).permutation(600)
    again = near_duplicates(planted.images[order])
    back = np.empty(600, dtype=np.int64)
    back[order] = again
    assert len(pairs_of(back) ^ pairs_of(found)) <= 0.03 * len(pairs_of(found))  # images that are nearly flat
    for groups in (found, again):
        first = np.unique(groups, return_index=True)[1]
        assert (np.diff(first) > 0).all() and groups.max() == len(first) - 1


def test_one_of_each_group_by_hand() -> None:
    assert one_of_each(np.array([0, 1, 0, 2, 2, 1])).tolist() == [True, True, False, True, False, False]


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_no_images(count: int) -> None:
    assert near_duplicates(IMAGES[:count]).tolist() == list(range(count))


@pytest.mark.parametrize("least", [0, 1, -0.5])
def test_a_likeness_that_is_none_is_refused(least: float) -> None:
    with pytest.raises(ConfigError, match="expected between 0 and 1"):
        near_duplicates(IMAGES[:2], least=least)


def test_the_likeliest_stands_for_its_group_the_first_at_a_tie() -> None:
    groups = np.array([5, 5, 7, 5, 9, 7])
    index, alike = np.array([0, 1, 2, 3, 5]), np.array([0.7, 0.9, 0.4, 0.9, 0.8])
    assert index[likeliest_of_each(index, alike, groups)].tolist() == [1, 5]
    assert likeliest_of_each(index[:0], alike[:0], groups).tolist() == []
