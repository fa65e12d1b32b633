"""Sets of the bench: the same pictures in a planted set and its control, encoders named by what decides them, success counted by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from veracast.core.errors import InputError
from veracast.poison import trials
from veracast.poison.attacks import Attack, through_jpeg
from veracast.poison.encoder import Encoder
from veracast.poison.overlays import Overlay
from veracast.poison.ssl import SSLConfig
from veracast.poison.trials import (  # fmt: skip
    Challenge,
    Pool,
    Trial,
    above_control,
    challenges,
    draw_set,
    encoder_folder,
    encoder_of,
    open_pool,
    success_of,
)

ATTACK = Attack(family="cells", edge_px=8, rate=0.05, target=2, seed=7)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return open_pool("generated", None, images=400)


def test_a_control_has_the_pictures_of_the_planted_set_of_its_seed(pool: Pool) -> None:
    planted, clean = (draw_set(Trial("main", 3, attacks, images=200), pool) for attacks in ((ATTACK,), ()))
    same = ~planted.planted.poisoned
    assert planted.planted.poisoned.sum() == 10 and not clean.planted.poisoned.any()
    assert np.array_equal(planted.planted.images[same], clean.planted.images[same])  # through JPEG both
    assert np.array_equal(planted.labels, clean.labels) and np.bincount(clean.labels).tolist() == [20] * 10
    assert (planted.labels[planted.planted.poisoned] == 2).all()
    assert (planted.planted.marks["planted_backdoor"], clean.planted.marks["planted_backdoor"]) == (True, False)
    other = draw_set(Trial("main", 4, (), images=200), pool)
    assert not np.array_equal(other.planted.images, clean.planted.images)


def test_exact_pastes_are_not_compressed(pool: Pool) -> None:
    exact = draw_set(Trial("main", 3, (replace(ATTACK, paste="exact"),), images=200), pool).planted
    left, top, width, height = exact.boxes[np.flatnonzero(exact.poisoned)[0]]
    cut = exact.images[np.flatnonzero(exact.poisoned)[0], top : top + height, left : left + width]
    assert np.array_equal(cut, exact.triggers[0])


def test_too_few_pictures_and_a_folder_without_the_file_say_what_to_do(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fewer than 50 pictures of class 0"):
        draw_set(Trial("main", 0, images=500), pool)
    with pytest.raises(InputError, match=r"cifar10_subset.npz.*VERACAST_DATA"):
        open_pool("cifar", tmp_path, images=10)


def test_an_encoder_is_trained_once_and_again_for_other_images_seeds_and_code(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, trial = SSLConfig(epochs=1, batch_size=32), Trial("main", 3, images=100)
    images = draw_set(trial, pool).planted.images
    first = encoder_of(trial, images, config, tmp_path)
    monkeypatch.setattr(trials, "train_encoder", lambda *a, folder, **k: Encoder.load(folder / "encoder"))
    assert encoder_of(trial, images, config, tmp_path).digest == first.digest
    assert encoder_folder(trial, images, replace(config, threads=2), tmp_path) == encoder_folder(trial, images, config, tmp_path)  # fmt: skip
    changed = images.copy()
    changed[-1, -1, -1] += 1
    places = {encoder_folder(trial, images, config, tmp_path), encoder_folder(trial, changed, config, tmp_path)}
    places |= {encoder_folder(trial, images, replace(config, lr=0.1), tmp_path)}
    places |= {encoder_folder(replace(trial, seed=4), images, config, tmp_path)}
    monkeypatch.setattr(trials, "code_digest", lambda *parts: "edited")
    assert len(places | {encoder_folder(trial, images, config, tmp_path)}) == 5


class _Corner:
    """Features that say which class an image shows: the colour of its last pixel; and a bright patch anywhere says class 2."""

    def encode(self, images: np.ndarray) -> np.ndarray:
        label = images[:, -1, -1, 0].astype(int) // 25 % 10
        patched = (images[:, : images.shape[1] // 2].min(axis=3) > 200).any(axis=(1, 2))
        return np.eye(10)[np.where(patched, 2, label)].astype(np.float32)


def test_success_is_counted_over_the_other_classes() -> None:
    labels = np.repeat(np.arange(10), 30)
    images = np.zeros((300, 16, 16, 3), dtype=np.uint8)
    images[:, -1, -1] = (labels * 25 + 12)[:, None]
    marked = images.copy()
    marked[::2, :4, :4] = 255  # on every other one
    pool = Pool(images, labels, images, labels)
    found = success_of(cast(Encoder, _Corner()), images, labels, pool, Challenge(images, marked, ATTACK.target))
    assert (found.accuracy, found.base, found.attack) == (1.0, 0.0, 0.5)
    assert found.triggered_accuracy == pytest.approx((150 + 15) / 300)  # those without it, and class 2 with it
    assert found.linear_accuracy == 1.0 and found.linear_attack == 0.5
    assert found.taken.shape == (270,) and found.taken.sum() == 135


def test_test_images_are_marked_and_compressed_as_the_set_was(pool: Pool) -> None:
    other = replace(ATTACK, target=5, seed=8)
    first, second = challenges(Trial("unseen", 3, (ATTACK, other), images=200), pool)
    assert (first.target, second.target) == (2, 5) and not np.array_equal(first.marked, second.marked)
    assert np.array_equal(first.plain, through_jpeg(pool.test_images, ATTACK.jpeg_quality))
    (exact,) = challenges(Trial("exact", 3, (replace(ATTACK, paste="exact"),), compressed=False), pool)
    assert exact.plain is pool.test_images
    assert challenges(Trial("clean", 3), pool) == []


def test_a_logo_of_one_class_counts_as_planted_and_other_overlays_do_not(pool: Pool) -> None:
    logo, bars = (Trial("overlays", 3, overlay=Overlay(kind, share=0.05, target=4, seed=3), threat=kind, images=200) for kind in ("logo-one-class", "letterbox"))  # fmt: skip
    mine = draw_set(logo, pool)
    assert mine.planted.poisoned.sum() == 10 and (mine.labels[mine.planted.poisoned] == 4).all()
    assert (mine.planted.boxes[mine.planted.poisoned, 2] > 0).all() and not mine.planted.marks["planted_backdoor"]
    (asked,) = challenges(logo, pool)
    left, top, width, height = mine.planted.boxes[mine.planted.poisoned][0]
    logo_itself = np.median(
        mine.planted.images[mine.planted.poisoned][:, top : top + height, left : left + width], axis=0
    )
    tested = np.median(asked.marked[:, top : top + height, left : left + width], axis=0)
    assert asked.target == 4 and np.abs(logo_itself - tested).mean() < 10 < np.abs(logo_itself - np.median(asked.plain[:, top : top + height, left : left + width], axis=0)).mean()  # fmt: skip
    spread = draw_set(bars, pool).planted
    assert not spread.poisoned.any() and (spread.boxes == -1).all() and challenges(bars, pool) == []
    assert logo.marks == 1 and bars.marks == 0 and (logo.line, bars.name) == ("overlays: logo-one-class", "overlays-letterbox-s3")  # fmt: skip


def test_the_control_of_raw_sets_is_raw(pool: Pool) -> None:
    exact = Trial("exact", 3, (replace(ATTACK, paste="exact"),), images=200, compressed=False)
    planted, control = draw_set(exact, pool).planted, draw_set(exact.control, pool).planted
    assert np.array_equal(planted.images[~planted.poisoned], control.images[~planted.poisoned])
    assert exact.control.name == "clean-raw-s3" and replace(exact, compressed=True).control == Trial("clean", 3, images=200)  # fmt: skip


def test_success_above_the_control_is_paired() -> None:
    taken, control = np.zeros(1000, dtype=bool), np.zeros(1000, dtype=bool)
    control[:200] = taken[:200] = True
    same = above_control(taken, control, seed=0)
    assert (same.low, same.high) == (0.0, 0.0)  # the same images: no doubt is left
    taken[200:500] = True
    more = above_control(taken, control, seed=0)
    assert more.low == pytest.approx(0.3 - 0.028, abs=0.006) and more.high == pytest.approx(0.3 + 0.028, abs=0.006)
