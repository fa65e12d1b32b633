"""What found patches do in another encoder: the same where it follows them, nothing where it never saw them."""

from __future__ import annotations

import numpy as np

from tests.poison.test_find import ATTACK, FIND, PICTURES, content, seeing
from veracast.poison.attacks import plant
from veracast.poison.find import find_patch_poisons
from veracast.poison.retrained import effects_in


def test_a_patch_moves_as_many_images_as_before_or_none() -> None:
    planted = plant(PICTURES.images, PICTURES.labels, [ATTACK])
    follows = seeing(planted, takes_over=True)
    found = find_patch_poisons(planted.images, follows, FIND)
    (before,) = (one.effect for one in found.backdoors)
    (same,) = effects_in(follows, planted.images, found, FIND.effect)
    assert same == before and before.moved > 0.9
    (after,) = effects_in(content, planted.images, found, FIND.effect)
    assert (after.moved, after.by_windows) == (11 / 368, 11 / 368)  # as pieces of images do
    assert not after.holds(FIND.effect)
    assert after.apart.holds(FIND.effect.apart)  # its images are of one kind all the same


def test_of_a_set_without_a_backdoor_nothing_is_asked() -> None:
    planted = plant(PICTURES.images, PICTURES.labels, [ATTACK])
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=False), FIND)
    assert len(found.patches) == 1 and effects_in(content, planted.images, found) == []


def test_frames_of_one_shot_count_once() -> None:
    planted = plant(PICTURES.images, PICTURES.labels, [ATTACK])
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=True), FIND)
    found.groups[:] = np.where(planted.poisoned, -1, found.groups)  # all of them in one shot
    (after,) = effects_in(content, planted.images, found, FIND.effect)
    assert after.apart == (0.0, 0.0)  # one image is no kind
