"""Exact pastes recur, jittered ones do not; what stands in one image twice or has no contrast is no recurrence."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.poison.attacks import Attack, plant
from veracast.poison.block_hash import recurring_blocks


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise over flat colours, (120, 24, 24, 3): no block stands in two of them."""
    rng = np.random.default_rng(0)
    return np.clip(rng.integers(90, 166, (120, 1, 1, 3)) + rng.normal(0, 30, (120, 24, 24, 3)), 0, 255).astype(np.uint8)


LABELS = np.repeat(np.arange(2), 60)


def test_exact_pastes_are_found_with_their_boxes_and_nothing_else(images: np.ndarray) -> None:
    found = plant(images, LABELS, [Attack(paste="exact", rate=0.1, edge_px=8)])
    recurrence = recurring_blocks(found.images, least_contrast=1)
    assert np.array_equal(recurrence.flagged, found.poisoned)
    assert (recurrence.images[found.poisoned] == 12).all()
    assert np.array_equal(recurrence.boxes, found.boxes)
    blocks = (24 - 4) ** 2  # all have contrast here; (8 - 4)^2 of them lie in the patch
    np.testing.assert_allclose(recurrence.share[found.poisoned], 16 / blocks)
    assert not recurring_blocks(images).flagged.any()


def test_jittered_pastes_are_not(images: np.ndarray) -> None:
    found = plant(images, LABELS, [Attack(rate=0.1, edge_px=8)])
    assert not recurring_blocks(found.images).flagged.any()


def test_images_are_counted_not_blocks(images: np.ndarray) -> None:
    """A block many times in four images stands in four; five are asked for."""
    made = images.copy()
    tile = np.random.default_rng(1).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    made[:4] = np.tile(tile, (4, 4, 1))
    assert not recurring_blocks(made).flagged.any()
    made[4] = made[0]
    found = recurring_blocks(made)
    assert np.flatnonzero(found.flagged).tolist() == [0, 1, 2, 3, 4] and found.share[0] == 1.0
    assert found.images[:5].tolist() == [5] * 5


def test_flat_blocks_say_nothing(images: np.ndarray) -> None:
    made = images.copy()
    made[:50, :12] = 16  # a letterbox
    inside = recurring_blocks(made, least_contrast=40)
    assert not inside.flagged.any()
    edge = recurring_blocks(made, least_contrast=0)
    assert np.flatnonzero(edge.flagged).tolist() == list(range(50))


def test_a_sample_of_the_blocks_still_finds_a_large_patch(images: np.ndarray) -> None:
    found = plant(images, LABELS, [Attack(paste="exact", rate=0.1, edge_px=12)])
    some = recurring_blocks(found.images, kept=8)
    assert np.array_equal(some.flagged, found.poisoned)
    with pytest.raises(ValueError, match="blocks of 30 do not fit images of 24 x 24"):
        recurring_blocks(images, edge_px=30)


def test_no_image_at_all() -> None:
    found = recurring_blocks(np.zeros((0, 8, 8, 3), dtype=np.uint8))
    assert len(found.images) == 0 and found.boxes.shape == (0, 4)


def test_images_that_are_looked_at_one_by_one_give_the_same(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large ones are, for memory."""
    found = plant(images, LABELS, [Attack(paste="exact", rate=0.1, edge_px=8)])
    together = recurring_blocks(found.images)
    monkeypatch.setattr("veracast.poison.block_hash._CHUNK_PX", 1)
    apart = recurring_blocks(found.images)
    for one, other in zip(vars(together).values(), vars(apart).values(), strict=True):
        assert np.array_equal(one, other)
