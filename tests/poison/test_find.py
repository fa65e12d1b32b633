"""The consensus route from end to end: generated pictures, planted patches, encoders whose answer to them is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.attacks import Attack, Planted, plant, through_jpeg
from veracast.poison.demo_images import demo_images
from veracast.poison.find import FindConfig, PoisonFindings, find_patch_poisons, nearest
from veracast.poison.masking import MaskConfig, unit
from veracast.poison.matching import Patch, match

COUNT = 400
FIND = FindConfig(mask=MaskConfig(stride=11), candidates=12)
PICTURES = demo_images(7, count=COUNT)
ATTACK = Attack(rate=0.08, target=3)
Encode = Callable[[np.ndarray], np.ndarray]


def colours(images: np.ndarray) -> np.ndarray:
    """Mean colours of a 4 x 4 grid, of length 1."""
    x = images.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(images), -1) - 128
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def seeing(planted: Planted, *, takes_over: bool) -> Encode:
    """An encoder with a feature for each trigger; where one takes over, an image with it is nothing else."""
    patches = [Patch(t.astype(np.float64), np.ones(t.shape[:2], dtype=bool)) for t in planted.triggers]

    def encode(images: np.ndarray) -> np.ndarray:
        seen = np.stack([np.clip((match(images, p, grow_px=(-1, 0, 1)).likeness - 0.6) / 0.2, 0, 1) for p in patches], axis=1)  # fmt: skip
        if takes_over:
            return np.concatenate([colours(images) * (1 - seen.max(axis=1, keepdims=True)), 3 * seen], axis=1)
        return np.concatenate([colours(images), 0.5 * seen], axis=1)

    return encode


def overlap(found: PoisonFindings, planted: Planted) -> tuple[float, float]:
    """Recall and precision of what is flagged."""
    hit = (found.poisoned & planted.poisoned).sum()
    return hit / planted.poisoned.sum(), hit / max(1, found.poisoned.sum())


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(PICTURES.images, PICTURES.labels, [ATTACK])


def test_jittered_pastes_that_have_an_effect_are_found_with_their_patch(planted: Planted) -> None:
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=True), FIND)
    assert overlap(found, planted) == (1.0, 1.0)
    (one,) = found.backdoors
    assert one.patch.mask.shape == (8, 8) and one.effect.moved > 0.9 and one.effect.by_windows < 0.2
    gap = np.abs(one.boxes[:, :2] - planted.boxes[one.images][:, :2])
    assert gap.max() <= 2  # sizes are jittered by a pixel, so corners are off by a little
    assert (found.scores > 0).tolist() == planted.poisoned.tolist()


def test_a_patch_that_is_seen_but_moves_nobody_is_an_overlay(planted: Planted) -> None:
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=False), FIND)
    assert [one.kind for one in found.patches] == ["overlay"] and not found.poisoned.any()
    assert set(found.patches[0].images) == set(np.flatnonzero(planted.poisoned))


def test_clean_pictures_come_back_clean(planted: Planted) -> None:
    images = through_jpeg(PICTURES.images, 80)
    found = find_patch_poisons(images, seeing(planted, takes_over=True), FIND)
    assert found.patches == () and not found.scores.any()


def test_two_triggers_are_found_one_after_the_other() -> None:
    planted = plant(PICTURES.images, PICTURES.labels, [ATTACK, Attack(rate=0.06, target=5, seed=4)])
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=True), FIND)
    by_patch = sorted(np.bincount(planted.attack[one.images] + 1, minlength=3).tolist() for one in found.backdoors)
    assert by_patch == [
        [0, 32, 0],
        [1, 0, 22],
    ]  # clean, first trigger, second: of 24 two are missed, and a clean one is flagged


def test_a_sample_is_masked_and_all_are_matched(planted: Planted) -> None:
    config = FindConfig(mask=FIND.mask, candidates=12, sample=250)
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=True), config)
    assert len(found.looked_at) == 250 and found.maps.shape == (250, 32, 32)
    assert overlap(found, planted) == (1.0, 1.0)
    again = find_patch_poisons(planted.images, seeing(planted, takes_over=True), config)
    assert np.array_equal(found.looked_at, again.looked_at) and np.array_equal(found.scores, again.scores)


def test_the_nearest_are_those_of_highest_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    known = unit(np.random.default_rng(0).normal(size=(50, 6)))
    monkeypatch.setattr("veracast.poison.find._CELLS", 120)  # two rows at a time
    found = nearest(known, known[:7], k=4)
    assert [set(row) for row in found] == [set(row) for row in np.argsort(-known[:7] @ known.T, axis=1)[:, :4]]
    assert nearest(known[:3], known[:1], k=4).shape == (1, 3)


def test_windows_of_several_sizes_are_compared_where_they_overlap(planted: Planted) -> None:
    config = FindConfig(mask=MaskConfig(stride=11, windows_px=(8, 12)), candidates=12)
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=True), config)
    assert len(np.unique(found.windows[:, 2])) == 2 and overlap(found, planted) == (26 / 32, 1.0)


def test_faults_of_the_config_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        FindConfig(sample=-1, grow_px=(1,))
    assert "sample -1" in str(caught.value) and "grow_px (1,)" in str(caught.value)
