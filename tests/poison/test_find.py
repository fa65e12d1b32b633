"""The consensus route from end to end: generated pictures, planted patches, encoders whose answer to them is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.poison.known import ATTACK, COUNT, FIND, PICTURES, content, seeing
from veracast.core.errors import ConfigError
from veracast.poison.attacks import Attack, Planted, paste, plant, through_jpeg, trigger
from veracast.poison.consensus import Agreement, ConsensusConfig
from veracast.poison.find import (
    FindConfig,
    Fitted,
    Located,
    PoisonFindings,
    find_config_for,
    find_in_windows,
    find_patch_poisons,
    nearest,
)
from veracast.poison.locate import iou
from veracast.poison.masking import MaskConfig, squares, stamped, unit
from veracast.poison.matching import Patch, match
from veracast.poison.overlays import Overlay, overlay
from veracast.poison.working import shrunk


def overlap(found: PoisonFindings, planted: Planted) -> tuple[float, float]:
    """Recall and precision of what is flagged."""
    hit = (found.poisoned & planted.poisoned).sum()
    return hit / planted.poisoned.sum(), hit / max(1, found.poisoned.sum())


def test_jittered_pastes_that_have_an_effect_are_found_with_their_patch(
    one_trigger: Planted, followed: PoisonFindings
) -> None:
    assert overlap(followed, one_trigger) == (1.0, 1.0)
    (one,) = followed.backdoors
    assert one.patch.mask.shape == (8, 8) and one.effect.moved > 0.9 and one.effect.by_windows < 0.2
    gap = np.abs(one.boxes[:, :2] - one_trigger.boxes[one.images][:, :2])
    assert gap.max() <= 2  # sizes are jittered by a pixel, so corners are off by a little
    assert (followed.scores > 0).tolist() == one_trigger.poisoned.tolist()


def test_a_patch_that_is_seen_but_moves_nobody_is_an_overlay(one_trigger: Planted, seen: PoisonFindings) -> None:
    assert [one.kind for one in seen.patches] == ["overlay"] and not seen.poisoned.any()
    assert set(seen.patches[0].images) == set(np.flatnonzero(one_trigger.poisoned))


def test_clean_pictures_come_back_clean(one_trigger: Planted) -> None:
    images = through_jpeg(PICTURES.images, 80)
    found = find_patch_poisons(images, seeing(one_trigger, takes_over=True), FIND)
    assert found.patches == () and not found.scores.any()


def test_two_triggers_are_found_one_after_the_other() -> None:
    planted = plant(PICTURES.images, PICTURES.labels, [ATTACK, Attack(rate=0.06, target=5, seed=4)])
    found = find_patch_poisons(planted.images, seeing(planted, takes_over=True), FIND)
    by_patch = sorted(np.bincount(planted.attack[one.images] + 1, minlength=3).tolist() for one in found.backdoors)
    assert by_patch == [[0, 0, 15], [0, 25, 0]]  # clean, first trigger, second


@pytest.mark.slow
def test_a_sample_is_masked_and_all_are_matched(one_trigger: Planted) -> None:
    config = FindConfig(mask=FIND.mask, effect=FIND.effect, candidates=12, sample=180)
    found = find_patch_poisons(one_trigger.images, seeing(one_trigger, takes_over=True), config)
    assert len(found.looked_at) == 180 and found.maps.shape == (180, 32, 32)
    assert overlap(found, one_trigger) == (1.0, 1.0)
    again = find_patch_poisons(one_trigger.images, seeing(one_trigger, takes_over=True), config)
    assert np.array_equal(found.looked_at, again.looked_at) and np.array_equal(found.scores, again.scores)


def test_the_nearest_are_those_of_highest_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    known = unit(np.random.default_rng(0).normal(size=(50, 6)))
    monkeypatch.setattr("veracast.poison.find._CELLS", 120)  # two rows at a time
    found = nearest(known, known[:7], k=4)
    assert [set(row) for row in found] == [set(row) for row in np.argsort(-known[:7] @ known.T, axis=1)[:, :4]]
    assert nearest(known[:3], known[:1], k=4).shape == (1, 3)


@pytest.mark.slow
def test_windows_of_several_sizes_are_compared_where_they_overlap(one_trigger: Planted) -> None:
    config = FindConfig(mask=MaskConfig(stride=7, windows_px=(8, 12)), effect=FIND.effect, candidates=12)
    found = find_patch_poisons(one_trigger.images, seeing(one_trigger, takes_over=True), config)
    assert len(np.unique(found.windows[:, 2])) == 2 and overlap(found, one_trigger) == (1.0, 1.0)


def test_faults_of_the_config_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        FindConfig(sample=-1, grow_px=(1,))
    assert "sample -1" in str(caught.value) and "grow_px (1,)" in str(caught.value)


def test_sizes_are_the_same_share_of_larger_images_and_stay_in_smaller_ones() -> None:
    for edge in (24, 32):
        assert find_config_for(edge, FIND) == Fitted(FIND, 1)
    found = find_config_for(224)  # the working copy has 56 px, 1.75 times 32
    mask, blocks = found.config.mask, found.config.consensus
    assert (found.factor, mask.edge_px, mask.stride, mask.windows_px) == (4, 49, 21, (21,))
    assert (blocks.block_px, blocks.step, found.config.reach_px, found.config.grow_px) == (9, 5, 14, (-2, 0, 2))
    unscaled = (FIND.sample, FIND.effect, FIND.consensus.likeness, FIND.mask.effect)
    fitted = find_config_for(224, FIND).config
    assert (fitted.sample, fitted.effect, fitted.consensus.likeness, fitted.mask.effect) == unscaled
    blocks = ConsensusConfig(block_px=32, step=12)
    own = FindConfig(
        mask=MaskConfig(edge_px=60, stride=20, windows_px=(48,)), consensus=blocks, reach_px=40, for_px=224
    )
    fitted = find_config_for(224, own).config
    assert (fitted.mask.edge_px, fitted.mask.stride, fitted.mask.windows_px, fitted.reach_px) == (60, 20, (12,), 10)
    assert (fitted.consensus.block_px, fitted.consensus.step) == (8, 3)
    assert find_config_for(224, FindConfig(grow_px=(0,), mask=MaskConfig(stride=0))).config.mask.stride == 0


@pytest.mark.parametrize(("edge", "token", "wide", "stride"), [(224, 16, 64, 16), (224, 14, 56, 14), (224, 8, 56, 16), (224, 32, 64, 32), (32, 4, 8, 4), (384, 16, 96, 32)])  # fmt: skip
def test_masks_of_a_vision_transformer_hide_whole_tokens(edge: int, token: int, wide: int, stride: int) -> None:
    mask = find_config_for(edge, FindConfig(mask=MaskConfig(token_px=token))).config.mask
    assert (mask.edge_px, mask.stride) == (wide, stride)
    hidden = squares(edge, edge, mask, rng=np.random.default_rng(0))
    assert not (np.concatenate([hidden[:, :2], hidden[:, :2] + hidden[:, 2:]]) % token).any()
    covered = stamped(hidden, edge, edge)
    assert covered.any(axis=0).all()


def test_a_patch_on_large_images_is_found_on_their_working_copy_and_told_in_their_pixels() -> None:
    """96 px, of which a working copy of 48 is searched; pastes differ in size by an eighth."""
    large = np.stack([np.asarray(Image.fromarray(one).resize((96, 96), Image.Resampling.BICUBIC)) for one in PICTURES.images[:240]])  # fmt: skip
    noisy = np.clip(large + np.random.default_rng(0).normal(0, 5, large.shape), 0, 255).astype(np.uint8)
    labels = PICTURES.labels[:240]
    attack = Attack(family="cells", edge_px=22, rate=0.1, target=3)
    mine = np.flatnonzero(labels == 3)[:24]
    boxes = np.full((240, 4), -1)
    for k, image in enumerate(mine):
        one = replace(attack, edge_px=(20, 22, 24)[k % 3])
        noisy[image : image + 1], boxes[image] = paste(noisy[image : image + 1], one, rng=np.random.default_rng(k))
    images = through_jpeg(noisy, 80)
    seen = Patch(shrunk(trigger(attack)[None], 3)[0].astype(np.float64), np.ones((8, 8), dtype=bool))

    def encode(shown: np.ndarray) -> np.ndarray:
        assert shown.shape[1:] == (96, 96, 3)  # at full size, whatever is asked
        small = shrunk(shown, 3)
        carries = np.clip((match(small, seen, grow_px=(-1, 0, 1)).likeness - 0.6) / 0.2, 0, 1)[:, None]
        return np.concatenate([content(small) * (1 - carries), 3 * carries], axis=1)

    found = find_patch_poisons(images, encode, FIND)
    assert found.maps.shape == (240, 48, 48) and found.windows[:, 2].tolist() == [36] * 240
    (one,) = found.backdoors
    assert overlap(found, Planted(images, boxes[:, 0], boxes, (), {})) == (1.0, 1.0)
    assert one.by_image[mine].min() > np.delete(one.by_image, mine).max()
    assert np.abs(np.array(one.patch.mask.shape) - 22).max() <= 2
    assert iou(one.boxes, boxes[one.images]).mean() > 0.8
    assert one.effect.moved > 0.9


def test_frames_of_one_shot_recur_and_are_no_recurrence(one_trigger: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture in 25 frames, each moved and compressed: all that is in it recurs, and counts once wherever recurrences are counted."""
    shot = overlay(PICTURES.images, None, Overlay(kind="duplicates", share=0.1, group_images=25))
    seen: list[np.ndarray] = []

    def agree(windows: np.ndarray, config: ConsensusConfig, *, groups: np.ndarray) -> Agreement:
        seen.append(groups)
        return Agreement(windows, config, groups=groups)

    monkeypatch.setattr("veracast.poison.find.Agreement", agree)
    found = find_patch_poisons(shot.images, seeing(one_trigger, takes_over=True), FIND)
    assert found.patches == () and np.bincount(found.groups).max() == 25
    assert len(np.unique(found.groups[shot.carries])) == 1
    assert np.array_equal(seen[0], found.groups[found.looked_at])


def test_hits_are_counted_group_by_group_and_flagged_image_by_image(
    one_trigger: Planted, followed: PoisonFindings
) -> None:
    encode, found = seeing(one_trigger, takes_over=True), followed
    mine = np.flatnonzero(one_trigger.poisoned)
    groups = np.arange(COUNT)
    groups[mine[:3]] = COUNT  # say that three of them are one shot
    located = Located(found.looked_at, found.windows)
    features = unit(encode(one_trigger.images))
    agreed = find_in_windows(one_trigger.images, encode, features, found.clusters.own, located, Fitted(FIND, 1), groups=groups, seed=0)  # fmt: skip
    (one,), (before,) = agreed.patches, found.patches
    assert set(one.images) <= set(before.images) == set(mine) and before.threshold.hits == len(mine)
    assert one.threshold.hits == len(np.unique(groups[one.images])) < len(one.images)
    groups[mine] = COUNT  # all of them one shot: no recurrence at all
    alone = find_in_windows(one_trigger.images, encode, features, found.clusters.own, located, Fitted(FIND, 1), groups=groups, seed=0)  # fmt: skip
    assert alone.patches == ()
