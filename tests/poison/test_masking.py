"""Masks, maps and windows against values by hand, with encoders that look at one thing."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.masking import (
    MaskConfig,
    activation_maps,
    best_windows,
    masked,
    painted,
    relative,
    squares,
    stamped,
    unit,
)

DRAW = np.random.default_rng(0)


def reddish(images: np.ndarray) -> np.ndarray:
    """Two features: how much pure red there is, and a constant."""
    red = (images == (255, 0, 0)).all(axis=3).mean(axis=(1, 2)) * 16
    return np.stack([red, np.ones(len(images))], axis=1)


@pytest.fixture
def images() -> np.ndarray:
    """Grey noise, (3, 16, 16, 3), with a red square of 4 at (left, top) = (9, 3) in the second one."""
    made = np.random.default_rng(1).integers(100, 150, (3, 16, 16, 3), dtype=np.uint8)
    made[1, 3:7, 9:13] = (255, 0, 0)
    return made


def test_a_grid_reaches_the_last_row_and_random_squares_stay_inside() -> None:
    grid = squares(10, 8, MaskConfig(edge_px=4, stride=3), rng=DRAW)
    assert sorted({(int(x), int(y)) for x, y, _, _ in grid}) == [(x, y) for x in (0, 3, 4) for y in (0, 3, 6)]
    drawn = squares(10, 8, MaskConfig(edge_px=4, stride=0, random=200), rng=np.random.default_rng(0))
    assert len(drawn) == 200 and drawn[:, 0].max() == 4 and drawn[:, 1].max() == 6 and drawn.min() == 0
    with pytest.raises(ConfigError, match="edge_px 9 does not fit images of 8 x 10"):
        squares(10, 8, MaskConfig(edge_px=9), rng=DRAW)


def test_what_is_hidden_has_the_mean_colour(images: np.ndarray) -> None:
    hidden = np.array([[0, 0, 2, 2], [14, 15, 2, 1]])
    found = masked(images, hidden, "mean")
    assert found.shape == (6, 16, 16, 3)
    assert (
        found[2, :2, :2].tolist() == [[np.rint(images[1].mean(axis=(0, 1))).tolist()] * 2] * 2
    )  # second image, first mask
    assert np.array_equal(found[3, :15], images[1, :15]) and np.array_equal(found[3, 15, :14], images[1, 15, :14])


def test_a_pixel_gets_the_mean_effect_of_the_masks_that_hide_it() -> None:
    hidden = np.array([[0, 0, 2, 2], [1, 0, 2, 2]])
    found = painted(np.array([[1.0, 3.0]]), stamped(hidden, 3, 4))
    assert found[0].tolist() == [[1, 2, 3, 0], [1, 2, 3, 0], [0, 0, 0, 0]]


def test_a_larger_pixel_gets_the_effects_of_what_covers_it_by_their_share() -> None:
    # pixels of 2 x 2, the last ones cut at 5: the first square hides a whole one, the second halves of two and all of the last column's
    hidden = np.array([[0, 0, 2, 2], [1, 0, 4, 2]])
    assert stamped(hidden, 2, 5, factor=2).tolist() == [[[1, 0, 0]], [[0.5, 1, 1]]]
    found = painted(np.array([[1.0, 4.0]]), stamped(hidden, 2, 5, factor=2))
    np.testing.assert_allclose(found[0], [[(1 + 0.5 * 4) / 1.5, 4, 4]])


def test_small_maps_are_the_large_ones_seen_from_afar(images: np.ndarray) -> None:
    """Squares on borders of the larger pixels: then each of these holds one value."""
    config = MaskConfig(edge_px=8, stride=4)
    large = activation_maps(reddish, images, config, rng=DRAW)
    small = activation_maps(reddish, images, config, rng=DRAW, factor=4)
    assert small.shape == (3, 4, 4) and small[1].max() > 0
    np.testing.assert_allclose(np.repeat(np.repeat(small, 4, axis=1), 4, axis=2), large, atol=1e-7)


@pytest.mark.parametrize("config", [MaskConfig(edge_px=32, stride=16, token_px=16), MaskConfig(edge_px=48, stride=32, token_px=16), MaskConfig(edge_px=16, stride=0, random=3_000, token_px=16)])  # fmt: skip
def test_squares_hide_whole_tokens(config: MaskConfig) -> None:
    found = squares(224, 224, config, rng=np.random.default_rng(0))
    sides = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    assert not (sides % 16).any() and sides.min() == 0 and sides.max() == 224
    hidden = stamped(found, 224, 224, factor=16)
    assert set(np.unique(hidden)) == {0.0, 1.0} and hidden.any(axis=0).all()  # whole or not at all, and each at times


def test_sides_that_cut_tokens_are_refused() -> None:
    for config, edge in ((MaskConfig(edge_px=40, stride=16, token_px=16), 224), (MaskConfig(edge_px=32, stride=3, token_px=16), 224), (MaskConfig(edge_px=32, stride=16, token_px=16), 220)):  # fmt: skip
        with pytest.raises(ConfigError, match="expected multiples of token_px 16"):
            squares(edge, edge, config, rng=DRAW)
    with pytest.raises(ConfigError, match="token_px is 0"):
        MaskConfig(token_px=0)


@pytest.mark.parametrize("effect", ["displacement", "soft", "hard"])
def test_the_patch_that_decides_is_located(effect: str, images: np.ndarray) -> None:
    config = MaskConfig(edge_px=4, stride=1, windows_px=(4,), effect=effect, batch=100)  # type: ignore[arg-type]
    centroids = np.array([[1.0, 1.0], [0.0, 1.0]])
    maps = activation_maps(reddish, images, config, rng=DRAW, centroids=centroids)
    assert not maps[[0, 2]].any()  # nothing that is hidden changes them
    assert best_windows(maps, (4,)).boxes[1].tolist() == [9, 3, 4, 4]
    again = activation_maps(reddish, images, MaskConfig(edge_px=4, stride=1, effect=effect, batch=10_000), rng=DRAW, centroids=centroids)  # type: ignore[arg-type]  # fmt: skip
    np.testing.assert_allclose(maps, again, atol=1e-6)  # batches change nothing


def test_effects_by_hand(images: np.ndarray) -> None:
    """One mask that hides the whole patch: features go from (1, 1) to (0, 1)."""
    config = MaskConfig(edge_px=16, stride=1, effect="displacement")
    moved = 1 - np.cos(np.pi / 4)
    np.testing.assert_allclose(activation_maps(reddish, images[1:2], config, rng=DRAW), np.full((1, 16, 16), moved), atol=1e-6)  # fmt: skip
    hard = activation_maps(reddish, images[1:2], MaskConfig(edge_px=16, stride=1, effect="hard"), rng=DRAW, centroids=np.eye(2)[:, ::-1])  # fmt: skip
    assert set(np.unique(hard)) <= {0.0, 1.0}
    with pytest.raises(ConfigError, match="effect soft needs the centroids"):
        activation_maps(reddish, images, MaskConfig(edge_px=4, effect="soft"), rng=DRAW)


def test_the_window_has_the_size_of_what_stands_out() -> None:
    maps = np.zeros((2, 20, 20), dtype=np.float32)
    maps[0, 5:10, 8:13] = 1
    maps[1, 2:12, 6:16] = 1
    found = best_windows(maps, (3, 5, 10))
    assert found.boxes.tolist() == [[8, 5, 5, 5], [6, 2, 10, 10]]
    np.testing.assert_allclose(found.strength, [400 / 25, 400 / 100])
    with pytest.raises(ConfigError, match="a window of 21 does not fit maps of 20 x 20"):
        best_windows(maps, (21,))


def test_settings_that_hide_nothing_are_faults() -> None:
    with pytest.raises(ConfigError, match="stride is 0 and random 0"):
        MaskConfig(stride=0, random=0)
    with pytest.raises(ConfigError, match="edge_px and windows_px are 0"):
        MaskConfig(edge_px=0)
    assert unit(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_a_hidden_square_goes_on_as_its_border_does() -> None:
    across = np.broadcast_to((np.arange(16) * 10)[None, None, :, None], (2, 16, 16, 3)).astype(np.uint8)
    for ground in (across, across.transpose(0, 2, 1, 3), np.full((2, 16, 16, 3), 77, dtype=np.uint8)):
        patched = ground.copy()
        patched[:, 5:9, 3:8] = 255
        assert np.array_equal(
            masked(patched, np.array([[3, 5, 5, 4]])), ground
        )  # slopes and plain ground come back whole
    corner = masked(across, np.array([[0, 0, 3, 4]]))[0]
    x, y = np.arange(1, 4) / 4, np.arange(1, 5) / 5
    x, y = np.minimum(x, 1 - x)[None], np.minimum(y, 1 - y)[:, None]
    mixed = (30 / x + across[0, 4, :3, 0] / y) / (1 / x + 1 / y)  # 30: the pixel to the right; the row below
    assert np.array_equal(corner[:4, :3, 0], np.rint(mixed)) and np.array_equal(corner[4:], across[0, 4:])
    assert np.array_equal(
        masked(across, np.array([[0, 0, 16, 2]]))[0, 0, :, 1], across[0, 2, :, 1]
    )  # nothing at the sides
    assert (masked(across, np.array([[0, 0, 16, 16]])) == 75).all()  # nothing around: the mean


def test_relative_maps_say_what_stands_out_against_other_images() -> None:
    usual = np.ones((40, 8, 8), dtype=np.float32)
    usual[:, 2:6, 2:6] = 10  # the middle of any image
    usual[7, :3, :3] = 5  # here a corner besides
    found = relative(usual)
    assert (best_windows(usual[7:8], (3,)).boxes[0, :2] >= 2).all()
    assert best_windows(found[7:8], (3,)).boxes[0].tolist() == [0, 0, 3, 3]
    assert found.mean(axis=0) == pytest.approx(np.ones((8, 8)), abs=1e-5)
    assert np.array_equal(relative(usual[:29]), usual[:29])
    assert np.array_equal(relative(np.zeros((30, 4, 4), dtype=np.float32)), np.zeros((30, 4, 4)))
