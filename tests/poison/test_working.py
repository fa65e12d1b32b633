"""The working copy against means and boxes by hand, and a patch that is brought back to where it was pasted, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from veracast.poison.matching import Patch, correlation
from veracast.poison.working import at_full_size, enlarged, factor_for, full_boxes, shrunk

FACTOR, EDGE_PX = 4, 30


def test_factors_come_nearest_to_the_edge_that_is_asked_for() -> None:
    edges = {32: 1, 64: 1, 95: 1, 96: 2, 128: 2, 159: 2, 160: 3, 224: 4, 256: 4, 299: 5}
    assert {edge: factor_for(edge, 64) for edge in edges} == edges


def test_pixels_are_means_and_the_last_ones_of_what_is_left() -> None:
    image = np.zeros((1, 5, 6, 3), dtype=np.uint8)
    image[0, :4, :4], image[0, 4, :4, 1], image[0, 0, 4:] = 10, 200, (8, 0, 4)
    found = shrunk(image, 4)
    assert found.tolist() == [[[[10, 10, 10], [2, 0, 1]], [[0, 200, 0], [0, 0, 0]]]]
    assert shrunk(image, 1) is image
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    expected = many.reshape(3, 2, 4, 3, 4, 3).mean(axis=(2, 4))
    assert np.abs(shrunk(many, 4) - expected).max() <= 0.5


def test_boxes_are_cut_at_the_border() -> None:
    boxes = np.array([[1, 2, 3, 3], [5, 6, 3, 2]])
    assert full_boxes(boxes, 4, 30, 29).tolist() == [[4, 8, 12, 12], [20, 24, 9, 6]]
    assert full_boxes(boxes, 1, 8, 8).tolist() == boxes.tolist()


def test_an_enlarged_patch_seen_from_afar_is_the_patch() -> None:
    y, x = np.mgrid[:10, :9]
    smooth = np.stack([90 + 8 * x, 160 - 9 * y, 60 + 5 * x + 4 * y], axis=2).astype(np.float64)
    mask = (x + y) % 4 > 0
    found = enlarged(Patch(smooth, mask), FACTOR)
    back = found.pixels.reshape(10, 4, 9, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(
        back[2:-2, 2:-2], smooth[2:-2, 2:-2], atol=0.2
    )  # of 255; beyond the border there is nothing
    assert np.array_equal(found.mask[::4, ::4], mask) and found.mask.sum() == 16 * mask.sum()


def pasted(count: int, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clouds of 30 x 4 pixels with a striped square at random places, its boxes, and the square at 40 px."""
    rng = np.random.default_rng(0)
    grids = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    size = EDGE_PX * FACTOR
    images = np.stack([np.asarray(Image.fromarray(g).resize((size, size), Image.Resampling.BICUBIC)) for g in grids]).copy()  # fmt: skip
    stripes = np.where(np.arange(40)[:, None] // 10 % 2 == 0, 230, 30)[..., None] * np.array([1.0, 0.2, 0.6])
    square = np.broadcast_to(stripes, (40, 40, 3)).astype(np.uint8).copy()
    square[:20, 20:] = (20, 220, 20)
    boxes = np.empty((count, 4), dtype=np.int64)
    for image, box, edge in zip(images, boxes, edges, strict=True):
        left, top = rng.integers(0, size - edge + 1, 2)
        image[top : top + edge, left : left + edge] = np.asarray(Image.fromarray(square).resize((edge, edge), Image.Resampling.BILINEAR))  # fmt: skip
        box[:] = (left, top, edge, edge)
    return images, boxes, square


def nearby(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes of the working copy as matching gives them, up to a pixel beside the truth."""
    low = np.clip(boxes[:, :2] // FACTOR, 0, EDGE_PX - sizes[:, None])
    return np.concatenate([low, sizes[:, None], sizes[:, None]], axis=1)


def test_a_patch_comes_back_in_the_pixels_of_the_images_at_the_very_places() -> None:
    images, boxes, square = pasted(30, np.full(30, 40))
    blurred = Patch(shrunk(square[None], FACTOR)[0].astype(np.float64), np.ones((10, 10), dtype=bool))
    chosen = np.arange(3, 30)
    found = at_full_size(
        images, blurred, chosen, nearby(boxes, np.full(30, 10))[chosen], np.linspace(0.9, 1, 27), FACTOR
    )
    assert found.patch.mask.shape == (40, 40) and found.patch.mask.mean() > 0.97
    assert correlation(found.patch, Patch(square.astype(np.float64), found.patch.mask)) > 0.999
    assert correlation(enlarged(blurred, FACTOR), found.patch) < 0.98  # it is sharper than what the working copy knew
    assert np.array_equal(found.boxes, boxes[chosen])


def test_images_that_had_it_larger_get_larger_boxes() -> None:
    edges = np.where(np.arange(30) % 3 == 0, 44, 40)
    images, boxes, square = pasted(30, edges)
    blurred = Patch(shrunk(square[None], FACTOR)[0].astype(np.float64), np.ones((10, 10), dtype=bool))
    found = at_full_size(images, blurred, np.arange(30), nearby(boxes, edges // FACTOR), np.ones(30), FACTOR)
    assert np.abs(found.boxes - boxes).max() <= 1
    assert found.boxes[:, 2].tolist() == edges.tolist()


def test_without_enough_images_the_patch_is_the_median_under_the_enlarged_mask() -> None:
    images, boxes, square = pasted(3, np.full(3, 40))  # a reconstruction takes four
    blurred = Patch(shrunk(square[None], FACTOR)[0].astype(np.float64), np.ones((10, 10), dtype=bool))
    found = at_full_size(images, blurred, np.arange(3), nearby(boxes, np.full(3, 10)), np.ones(3), FACTOR)
    assert np.array_equal(found.boxes, boxes)
    np.testing.assert_allclose(found.patch.pixels, square, atol=0.5)


@pytest.mark.parametrize("boxes", [np.array([[1, 1, 3, 3]]), np.zeros((0, 4), dtype=np.int64)])
def test_with_factor_1_nothing_changes(boxes: np.ndarray) -> None:
    patch = Patch(np.ones((3, 3, 3)), np.ones((3, 3), dtype=bool))
    found = at_full_size(np.zeros((2, 9, 9, 3), dtype=np.uint8), patch, np.arange(len(boxes)), boxes, np.ones(len(boxes)), 1)  # fmt: skip
    assert found.patch is patch and found.boxes is boxes
