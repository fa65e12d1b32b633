"""What found patches do in another encoder: the same where it follows them, nothing where it never saw them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.poison.known import FIND, content, seeing
from veracast.poison.attacks import Planted
from veracast.poison.find import PoisonFindings
from veracast.poison.retrained import effects_in


def test_a_patch_moves_as_many_images_as_before_or_none(one_trigger: Planted, followed: PoisonFindings) -> None:
    (before,) = (one.effect for one in followed.backdoors)
    (same,) = effects_in(seeing(one_trigger, takes_over=True), one_trigger.images, followed, FIND.effect)
    assert same == before and before.moved > 0.9
    (after,) = effects_in(content, one_trigger.images, followed, FIND.effect)
    assert (after.moved, after.by_windows) == (0.0, 0.0)  # nobody, as pieces of images do
    assert not after.holds(FIND.effect)
    assert after.apart.holds(FIND.effect.apart)  # its images are of one kind all the same


def test_of_a_set_without_a_backdoor_nothing_is_asked(one_trigger: Planted, seen: PoisonFindings) -> None:
    assert len(seen.patches) == 1 and effects_in(content, one_trigger.images, seen) == []


def test_frames_of_one_shot_count_once(one_trigger: Planted, followed: PoisonFindings) -> None:
    one_shot = replace(followed, groups=np.where(one_trigger.poisoned, -1, followed.groups))  # all of them
    (after,) = effects_in(content, one_trigger.images, one_shot, FIND.effect)
    assert after.apart == (0.0, 0.0)  # one image is no kind
