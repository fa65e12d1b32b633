"""Generated images: the same seed the same bytes; classes that can be told, but not easily; nothing that recurs by itself."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.attacks import Attack, plant
from veracast.poison.block_hash import recurring_blocks
from veracast.poison.demo_images import LOOKS, DemoImages, _frame, _inside, _rgb, demo_images
from veracast.poison.probe import accuracy, knn_predict

KNOWN = 2_000


@pytest.fixture(scope="module")
def drawn() -> DemoImages:
    return demo_images(0)


def colours(images: np.ndarray) -> np.ndarray:
    """Root of the histogram of 4 x 4 x 4 colours, (n, 64)."""
    codes = (images // 64).reshape(len(images), -1, 3).astype(np.int64) @ np.array([16, 4, 1])
    return np.sqrt(np.stack([np.bincount(row, minlength=64) for row in codes]))


def test_shapes_and_balanced_classes(drawn: DemoImages) -> None:
    assert drawn.images.shape == (3_000, 32, 32, 3) and drawn.images.dtype == np.uint8
    assert np.bincount(drawn.labels).tolist() == [300] * 10
    assert drawn.images.std(axis=(1, 2, 3)).min() > 5  # no empty picture


def test_same_seed_same_bytes_other_seed_other(drawn: DemoImages) -> None:
    again, other = demo_images(0, count=700), demo_images(1, count=700)
    assert again.images.tobytes() == drawn.images[:700].tobytes()  # a larger set begins with the smaller one
    assert again.labels.tolist() == drawn.labels[:700].tolist()
    assert not (other.images == again.images).all(axis=(1, 2, 3)).any()


def test_bytes_are_those_of_this_version() -> None:
    """What a demonstration finds stands on them: who changes the pictures changes these numbers too."""
    first = demo_images(0, count=1)
    assert (int(first.labels[0]), first.images.shape) == (1, (1, 32, 32, 3))
    assert abs(float(first.images.mean()) - 95.8) < 0.5


def test_pixels_tell_the_classes_better_than_chance_but_badly(drawn: DemoImages) -> None:
    flat = drawn.images.reshape(len(drawn.images), -1).astype(np.float32) - 128
    for features in (flat, colours(drawn.images)):
        found = knn_predict(features[:KNOWN], drawn.labels[:KNOWN], features[KNOWN:])
        told = accuracy(found, drawn.labels[KNOWN:])
        assert told.interval.low > 0.25 and told.interval.high < 0.95


def test_every_class_is_told_better_than_chance(drawn: DemoImages) -> None:
    features = colours(drawn.images)
    found, truth = knn_predict(features[:KNOWN], drawn.labels[:KNOWN], features[KNOWN:]), drawn.labels[KNOWN:]
    assert min(float((found[truth == k] == k).mean()) for k in range(10)) > 0.15


def test_shuffled_labels_are_not_told(drawn: DemoImages) -> None:
    """The measure itself: without a law it finds chance."""
    features, labels = colours(drawn.images), np.random.default_rng(0).permutation(drawn.labels)
    assert accuracy(knn_predict(features[:KNOWN], labels[:KNOWN], features[KNOWN:]), labels[KNOWN:]).interval.low < 0.1


def test_nothing_recurs_until_it_is_planted(drawn: DemoImages) -> None:
    assert recurring_blocks(drawn.images).flagged.mean() < 0.01
    planted = plant(drawn.images, drawn.labels, [Attack(paste="exact", rate=0.01)])
    flagged = recurring_blocks(planted.images).flagged
    assert flagged[planted.poisoned].all() and flagged[~planted.poisoned].mean() < 0.01


def test_classes_have_shapes_of_their_own() -> None:
    """Areas of the ten outlines on one frame; no two outlines overlap by more than 85 %."""
    u, v = _frame(np.zeros((1, 2)), np.zeros(1), np.full((1, 2), 0.7))
    masks = [look.outline(u, v)[0] < 0 for look in LOOKS]
    for i, one in enumerate(masks):
        assert 0.05 < one.mean() < 0.5
        for other in masks[:i]:
            assert (one & other).sum() / (one | other).sum() < 0.85


def test_a_frame_by_hand() -> None:
    """A thing in the middle, turned by 90 degrees, twice as wide as high: its own x axis points down."""
    u, v = _frame(np.zeros((1, 2)), np.array([np.pi / 2]), np.array([[1.0, 0.5]]))
    assert u[0, 31, 16] == pytest.approx(31 / 32, abs=1e-6)
    assert v[0, 16, 31] == pytest.approx(-2 * 31 / 32, abs=1e-6)
    assert _inside(np.array([-1.0, 0.0, 0.05, 1.0]), softness=0.2).tolist() == pytest.approx([1, 0.5, 0.25, 0])


def test_colours_are_those_of_the_standard_library() -> None:
    rng = np.random.default_rng(3)
    h, s, v = rng.random((3, 50))
    expected = [colorsys.hsv_to_rgb(*row) for row in zip(h, s, v, strict=True)]
    np.testing.assert_allclose(_rgb(h, s, v), expected, atol=1e-12)
    np.testing.assert_allclose(_rgb(h - 1, s, v), expected, atol=1e-9)  # hues wrap around


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_that_is_none_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match="expected 1 or more"):
        demo_images(0, count=count)
