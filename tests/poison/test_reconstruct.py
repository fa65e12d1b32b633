"""A patch comes back out of images that carry it, and nothing out of images that do not."""

from __future__ import annotations

import numpy as np

from veracast.poison.matching import Patch, correlation
from veracast.poison.reconstruct import median_under, pieces, reconstruct

DRAW = np.random.default_rng(4)
PIXELS = DRAW.integers(0, 256, (8, 7, 3)).astype(np.float64)


def carriers(n: int, *, pixels: np.ndarray = PIXELS) -> tuple[np.ndarray, np.ndarray]:
    """Images of noise with the patch somewhere, its gain, offset and noise its own; and the boxes of its 5 x 5 core at (1, 2)."""
    shown, boxes = DRAW.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.empty((n, 4), dtype=np.int64)
    for i in range(n):
        left, top = DRAW.integers(0, 32 - 7), DRAW.integers(0, 32 - 8)
        pasted = pixels * DRAW.uniform(0.8, 1.0) + DRAW.uniform(0, 25) + DRAW.normal(0, 5, pixels.shape)
        shown[i, top : top + 8, left : left + 7] = pasted.clip(0, 255).astype(np.uint8)
        boxes[i] = (left + 1, top + 2, 5, 5)
    return shown, boxes


def test_the_whole_patch_comes_back_from_a_core_with_its_size() -> None:
    found = reconstruct(*carriers(40), reach_px=8)
    assert found is not None and found.mask.shape == (8, 7) and found.mask.all()
    assert correlation(found, Patch(PIXELS, found.mask)) > 0.98


def test_pieces_are_cut_around_boxes_and_empty_outside() -> None:
    shown = np.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3).astype(np.uint8)
    found = pieces(shown, np.array([[0, 2, 2, 2], [3, 3, 2, 2]]), 1)
    assert found.shape == (2, 4, 4, 3)
    assert np.isnan(found[0, :, 0]).all() and np.array_equal(found[0, :, 1:], shown[0, 1:5, 0:3])
    assert np.array_equal(found[1], shown[1, 2:6, 2:6])


def test_nothing_comes_out_of_pictures_or_of_too_few() -> None:
    shown, boxes = carriers(40)
    elsewhere = np.column_stack([DRAW.integers(0, 27, 40), DRAW.integers(0, 27, 40), np.full((40, 2), 5)])
    noise = DRAW.integers(0, 256, shown.shape, dtype=np.uint8)
    found = reconstruct(noise, elsewhere, reach_px=8)
    assert found is None or found.mask.sum() < 12  # a pixel or two that vary less by chance
    assert reconstruct(shown[:3], boxes[:3], reach_px=8) is None


def test_an_edge_inside_that_wanders_does_not_part_a_patch_that_is_bridged() -> None:
    """Two halves whose common edge lies two pixels further right in every second image."""
    draw = np.random.default_rng(0)
    shown, boxes = draw.integers(0, 256, (60, 40, 40, 3), dtype=np.uint8), np.empty((60, 4), dtype=np.int64)
    for i in range(60):
        left, top = draw.integers(0, 40 - 14, 2)
        edge = 6 + 2 * (i % 2)
        shown[i, top : top + 14, left : left + edge] = (220, 30, 90)
        shown[i, top : top + 14, left + edge : left + 14] = (20, 160, 90)
        boxes[i] = (left + 1, top + 1, 5, 12)
    parted, bridged = (reconstruct(shown, boxes, 10, bridge_px=bridge) for bridge in (0, 1))
    assert parted is not None and parted.mask.shape == (14, 6)  # the left half, up to where the edge wanders
    assert bridged is not None and bridged.mask.shape == (14, 14) and bridged.mask.all()


def test_the_median_of_what_lies_under_boxes_has_no_gain_of_its_own() -> None:
    shown, boxes = carriers(41)
    whole = np.column_stack([boxes[:, 0] - 1, boxes[:, 1] - 2, np.full(41, 7), np.full(41, 8)])
    found = median_under(shown, whole)
    cut = np.stack([shown[i, y : y + 8, x : x + 7] for i, (x, y, _, _) in enumerate(whole)]).astype(float)
    levels, spreads = cut.mean(axis=(1, 2, 3)), cut.std(axis=(1, 2, 3))
    assert abs(found.mean() - np.median(levels)) < 2 and abs(found.std() - np.median(spreads)) < 2
    assert correlation(Patch(found, np.ones((8, 7), dtype=bool)), Patch(PIXELS, np.ones((8, 7), dtype=bool))) > 0.99
