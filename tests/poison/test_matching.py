"""Places, likeness and thresholds against patches that were put there, and against scipy-free arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.poison.matching import (
    Patch,
    best_of_groups,
    best_places,
    correlation,
    decoys,
    match,
    mirrored,
    scaled,
    threshold,
    thresholds,
)

DRAW = np.random.default_rng(3)
PATCH = Patch(DRAW.integers(0, 256, (6, 5, 3)).astype(np.float64), np.ones((6, 5), dtype=bool))


def images(n: int = 200, *, seed: int = 0) -> np.ndarray:
    """Smooth noise: neighbouring pixels are alike, as in pictures."""
    rough = np.random.default_rng(seed).normal(0, 1, (n, 24, 24, 3))
    for axis in (1, 2):
        rough = sum(np.roll(rough, shift, axis) for shift in (-1, 0, 1))
    return (127 + 18 * rough).clip(0, 255).astype(np.uint8)


def with_patch(shown: np.ndarray, which: np.ndarray, patch: Patch = PATCH) -> np.ndarray:
    """Gain, offset and noise differ from image to image; places are (i % 19, i % 18)."""
    found, draw = shown.copy(), np.random.default_rng(9)
    high, wide = patch.mask.shape
    for i in which:
        pasted = patch.pixels * draw.uniform(0.7, 1.0) + draw.uniform(0, 20) + draw.normal(0, 4, patch.pixels.shape)
        found[i, i % 18 : i % 18 + high, i % 19 : i % 19 + wide] = pasted.clip(0, 255).astype(np.uint8)
    return found


def by_hand(image: np.ndarray, patch: Patch) -> np.ndarray:
    """np.corrcoef at every place."""
    high, wide = patch.mask.shape
    places = [(y, x) for y in range(image.shape[0] - high + 1) for x in range(image.shape[1] - wide + 1)]
    wanted = patch.pixels[patch.mask].ravel()
    found = [np.corrcoef(image[y : y + high, x : x + wide][patch.mask].ravel(), wanted)[0, 1] for y, x in places]
    return np.reshape(found, (image.shape[0] - high + 1, -1))


def test_likeness_is_the_correlation_of_the_best_place() -> None:
    mask = DRAW.random((6, 5)) < 0.7
    shown = images(4)
    for patch in (PATCH, Patch(PATCH.pixels, mask)):
        found = match(shown, patch)
        for i in range(4):
            every = by_hand(shown[i], patch)
            top, left = np.unravel_index(every.argmax(), every.shape)
            assert found.likeness[i] == pytest.approx(every.max(), abs=1e-4)
            assert found.boxes[i].tolist() == [left, top, 5, 6]


def test_a_patch_is_found_where_it_is_whatever_its_gain() -> None:
    which = np.arange(0, 200, 9)
    found = match(with_patch(images(), which), PATCH)
    assert found.likeness[which].min() > 0.95 > np.delete(found.likeness, which).max()
    assert found.boxes[which].tolist() == [[i % 19, i % 18, 5, 6] for i in which]


def test_several_patches_at_once_are_as_one_by_one() -> None:
    shown, other = images(40), mirrored(Patch(PATCH.pixels[:4], DRAW.random((4, 5)) < 0.8))
    both = best_places(shown, [PATCH, other, mirrored(PATCH)])
    for k, patch in enumerate((PATCH, other, mirrored(PATCH))):
        np.testing.assert_allclose(both.likeness[:, k], best_places(shown, [patch]).likeness[:, 0], atol=1e-5)
    large = Patch(np.zeros((30, 30, 3)), np.ones((30, 30), dtype=bool))
    assert (best_places(shown, [large, PATCH]).likeness[:, 0] == -1).all()


def test_another_size_is_found_with_its_own_box() -> None:
    larger = scaled(PATCH, 1)
    assert larger.mask.shape == (7, 6)
    which = np.arange(0, 100, 11)
    shown = with_patch(images(100), which, larger)
    found = match(shown, PATCH, grow_px=(-1, 0, 1))
    assert (found.boxes[which, 2:] == (6, 7)).all() and found.likeness[which].min() > 0.95
    assert match(shown, PATCH).likeness[which].mean() < 0.9


def test_decoys_are_rearrangements_that_are_not_like_it() -> None:
    square = Patch(PATCH.pixels[:5], PATCH.mask[:5])
    found = decoys(square)
    assert len(found) > 30
    for decoy in found:
        assert sorted(decoy.pixels.ravel()) == sorted(square.pixels.ravel())
        assert correlation(square, decoy) < 0.5
    assert not any(np.array_equal(d.pixels, mirrored(square).pixels) for d in found)
    grey = Patch(np.repeat(square.pixels[:, :, :1], 3, axis=2), square.mask)
    assert len(decoys(grey)) < len(found)  # permuting equal channels gives the patch itself


def test_the_threshold_lies_between_what_holds_it_and_chance() -> None:
    which = np.arange(0, 200, 5)
    shown = with_patch(images(), which)
    found = match(shown, PATCH)
    least = threshold(shown, found, PATCH)
    assert least is not None and least.hits == 40
    assert np.array_equal(np.flatnonzero(found.likeness >= least.likeness), which)


def test_a_piece_of_a_picture_has_no_threshold() -> None:
    """Of a hundred pieces of pictures none is found more often than its mirror image."""
    shown = images(300, seed=2)
    pieces = [Patch(shown[k, 4:9, 6:11].astype(np.float64), np.ones((5, 5), dtype=bool)) for k in range(100)]
    assert thresholds(shown, pieces, decoys_each=4) == [None] * 100


def test_many_at_once_are_judged_as_one_by_one() -> None:
    which = np.arange(0, 200, 5)
    shown = with_patch(images(), which)
    piece = Patch(shown[1, 4:10, 6:11].astype(np.float64), PATCH.mask)
    found, none = thresholds(shown, [PATCH, piece], decoys_each=1000)
    assert found == threshold(shown, match(shown, PATCH), PATCH) and found is not None and none is None
    few = thresholds(shown, [PATCH], decoys_each=4)[0]
    assert few is not None and few.hits == 40 and few.decoys < found.decoys


def test_a_symmetric_patch_is_judged_by_its_other_decoys() -> None:
    half = np.random.default_rng(4).integers(0, 256, (6, 3, 3)).astype(np.float64)
    patch = Patch(np.concatenate([half, half[:, ::-1]], axis=1), np.ones((6, 6), dtype=bool))
    which = np.arange(0, 200, 5)
    shown = with_patch(images(), which, patch)
    least = threshold(shown, match(shown, patch), patch)
    assert least is not None and least.hits == 40
    flat = Patch(np.full((5, 5, 3), 80.0), np.ones((5, 5), dtype=bool))
    flat.pixels[2, 2] = 200  # the same whichever way it is turned
    assert threshold(shown, match(shown, flat), flat) is None


def test_images_of_one_group_are_one_hit_with_their_best_likeness() -> None:
    values = np.array([[0.1, 0.9], [0.5, 0.2], [0.3, 0.4]])
    assert best_of_groups(values, np.array([7, 2, 7])).tolist() == [[0.5, 0.2], [0.3, 0.9]]
    assert best_of_groups(values[:, 0], np.array([1, 1, 1])).tolist() == [0.5]
    which = np.arange(0, 200, 4)
    shown = with_patch(images(), which)
    alone = threshold(shown, match(shown, PATCH), PATCH)
    groups = np.arange(200)
    groups[which[:40]] = 1_000 + np.arange(40) // 2  # twenty shots of two frames
    grouped = threshold(shown, match(shown, PATCH), PATCH, groups=groups)
    assert alone is not None and grouped is not None
    assert (alone.hits, grouped.hits) == (50, 30)
    groups[which] = 1_000
    assert threshold(shown, match(shown, PATCH), PATCH, groups=groups) is None  # one shot is no recurrence
    assert thresholds(shown, [PATCH], decoys_each=4, groups=groups) == [None]
