"""Planted attacks are where they say, as strong as they say, and marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.attacks import FAMILIES, NOWHERE, Attack, paste, plant, through_jpeg, trigger, triggered

EXACT = Attack(paste="exact")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth pictures, (200, 32, 32, 3): JPEG keeps them nearly as they are."""
    corners = np.random.default_rng(0).integers(0, 256, (200, 2, 2, 3)).astype(float)
    share = np.linspace(0, 1, 32)
    rows = corners[:, 0, None] * (1 - share)[None, :, None, None] + corners[:, 1, None] * share[None, :, None, None]
    return np.rint(rows[:, :, 0, None] * (1 - share)[:, None] + rows[:, :, 1, None] * share[:, None]).astype(np.uint8)


LABELS = np.repeat(np.arange(4), 50)


def test_an_exact_patch_stands_in_its_box_and_nowhere_else(images: np.ndarray) -> None:
    found = plant(images, LABELS, [EXACT])
    assert found.poisoned.sum() == 10 and set(LABELS[found.poisoned]) == {0}
    assert found.marks["planted_backdoor"] is True and found.marks["attacks"][0]["family"] == "blocks"
    for i in np.flatnonzero(found.poisoned):
        left, top, width, height = found.boxes[i]
        assert np.array_equal(found.images[i, top : top + height, left : left + width], found.triggers[0])
        outside = np.ones((32, 32), dtype=bool)
        outside[top : top + height, left : left + width] = False
        assert np.array_equal(found.images[i][outside], images[i][outside])
    assert np.array_equal(found.images[~found.poisoned], images[~found.poisoned])
    assert (found.boxes[~found.poisoned] == NOWHERE).all()
    assert len(np.unique(found.boxes[found.poisoned], axis=0)) > 5  # at random places


def test_jittered_pastes_differ_and_the_whole_set_went_through_jpeg(images: np.ndarray) -> None:
    found = plant(images, LABELS, [Attack(rate=0.2)])
    assert set(found.boxes[found.poisoned][:, 2]) == {7, 8, 9}
    clean = ~found.poisoned
    assert np.array_equal(found.images[clean], through_jpeg(images[clean], 80))
    means = [found.images[i, t : t + h, x : x + w].mean() for i in np.flatnonzero(found.poisoned) for x, t, w, h in [found.boxes[i]]]  # fmt: skip
    mean = found.triggers[0].mean()
    assert np.std(means) / mean == pytest.approx(0.15 / np.sqrt(3), rel=0.35)  # the gain's own deviation
    exact = plant(images, LABELS, [Attack(rate=0.2, paste="exact")])
    assert np.array_equal(exact.poisoned, found.poisoned)  # how it is pasted does not choose the images


def test_a_blended_patch_is_a_weighted_mean(images: np.ndarray) -> None:
    attack = Attack(paste="blended", alpha=0.25)
    found, boxes = paste(images[:3], attack, rng=np.random.default_rng(0))
    for i, (left, top, w, h) in enumerate(boxes):
        under = images[i, top : top + h, left : left + w].astype(float)
        wanted = np.rint(0.25 * trigger(attack) + 0.75 * under)
        assert np.array_equal(found[i, top : top + h, left : left + w], wanted)


def test_a_fixed_place_is_the_lower_right_corner(images: np.ndarray) -> None:
    _, boxes = paste(images[:5], replace(EXACT, place="fixed"), rng=np.random.default_rng(0))
    assert np.unique(boxes, axis=0).tolist() == [[23, 23, 8, 8]]


@pytest.mark.parametrize("family", FAMILIES)
def test_families_look_as_they_are_called(family: str) -> None:
    attack = Attack(family=family, edge_px=12)  # type: ignore[arg-type]
    patch = trigger(attack).astype(int)
    assert patch.shape == (12, 12, 3) and np.array_equal(patch, trigger(attack))
    assert not np.array_equal(patch, trigger(replace(attack, seed=1)))
    mirrored = np.array_equal(patch, patch[:, ::-1])
    assert mirrored == (family in ("symmetric", "stripes"))
    colours = len(np.unique(patch.reshape(-1, 3), axis=0))
    assert (colours == 2) == (family in ("checker", "stripes"))
    if family == "cells":
        assert set(np.unique(patch)) == {0, 255} and (patch[::3, ::3].repeat(3, 0).repeat(3, 1) == patch).all()
    if family == "gradient":
        assert (np.diff(np.diagonal(patch[..., 0])) != 0).all() and np.array_equal(patch, patch.transpose(1, 0, 2))
    if family == "checker":
        assert (patch[0, 0] != patch[0, 3]).any() and np.array_equal(patch[0, 0], patch[3, 3])


def test_several_attacks_take_different_images(images: np.ndarray) -> None:
    two = [
        Attack(paste="exact", target=1, rate=0.1),
        Attack(paste="exact", target=1, rate=0.1, family="checker", seed=1),
    ]
    found = plant(images, LABELS, two)
    assert [(found.attack == k).sum() for k in (0, 1)] == [20, 20] and set(LABELS[found.poisoned]) == {1}
    assert len(found.triggers) == 2 and len(found.marks["attacks"]) == 2


def test_at_test_time_every_image_has_the_patch(images: np.ndarray) -> None:
    found = triggered(images, EXACT, seed=3)
    changed = (found != images).any(axis=3).sum(axis=(1, 2))
    assert changed.min() > 32 and changed.max() <= 64
    assert np.array_equal(found, triggered(images, EXACT, seed=3)) and not np.array_equal(found, triggered(images, EXACT, seed=4))  # fmt: skip


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (Attack(rate=0.3), "asks for 60 images of class 0, which has 50 left"),
        (Attack(target=9), "of class 9, which has 0 left"),
        (Attack(edge_px=32), r"edge_px 32 \(up to 33 pasted\) does not fit images of 32 x 32"),
    ],
)
def test_what_cannot_be_planted_is_a_fault(attack: Attack, message: str, images: np.ndarray) -> None:
    with pytest.raises(ConfigError, match=message):
        plant(images, LABELS, [attack])


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"rate is 0, expected more than 0.*\n?.*alpha is 2"):
        Attack(rate=0, alpha=2)
    with pytest.raises(ConfigError, match="family is rainbow, expected one of cells, blocks"):
        Attack(family="rainbow")  # type: ignore[arg-type]
