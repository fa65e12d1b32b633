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
from veracast.poison.ssl import SSLConfig
from veracast.poison.trials import (  # fmt: skip
    Pool,
    Trial,
    above_control,
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
    planted, clean = (draw_set(Trial("any", 3, attacks, images=200), pool) for attacks in ((ATTACK,), ()))
    same = ~planted.planted.poisoned
    assert planted.planted.poisoned.sum() == 10 and not clean.planted.poisoned.any()
    assert np.array_equal(planted.planted.images[same], clean.planted.images[same])  # through JPEG both
    assert np.array_equal(planted.labels, clean.labels) and np.bincount(clean.labels).tolist() == [20] * 10
    assert (planted.labels[planted.planted.poisoned] == 2).all()
    assert (planted.planted.marks["planted_backdoor"], clean.planted.marks["planted_backdoor"]) == (True, False)
    other = draw_set(Trial("any", 4, (), images=200), pool)
    assert not np.array_equal(other.planted.images, clean.planted.images)


def test_exact_pastes_are_not_compressed(pool: Pool) -> None:
    exact = draw_set(Trial("any", 3, (replace(ATTACK, paste="exact"),), images=200), pool).planted
    left, top, width, height = exact.boxes[np.flatnonzero(exact.poisoned)[0]]
    cut = exact.images[np.flatnonzero(exact.poisoned)[0], top : top + height, left : left + width]
    assert np.array_equal(cut, exact.triggers[0])


def test_too_few_pictures_and_a_folder_without_the_file_say_what_to_do(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fewer than 50 pictures of class 0"):
        draw_set(Trial("any", 0, images=500), pool)
    with pytest.raises(InputError, match=r"cifar10_subset.npz.*VERACAST_DATA"):
        open_pool("cifar", tmp_path, images=10)


def test_an_encoder_is_trained_once_and_again_for_other_images_seeds_and_code(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, trial = SSLConfig(epochs=1, batch_size=32), Trial("any", 3, images=100)
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


def test_success_is_counted_over_the_other_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat(np.arange(10), 30)
    images = np.zeros((300, 16, 16, 3), dtype=np.uint8)
    images[:, -1, -1] = (labels * 25 + 12)[:, None]
    half = np.arange(300) % 2 == 0  # of the test images, the patch shows on every other one

    def shows(shown: np.ndarray, attack: Attack, *, seed: int) -> np.ndarray:
        found = shown.copy()
        found[half, :4, :4] = 255
        return found

    monkeypatch.setattr(trials, "triggered", shows)
    found = success_of(cast(Encoder, _Corner()), images, labels, Pool(images, labels, images, labels), replace(ATTACK, paste="exact"))  # fmt: skip
    assert (found.accuracy, found.base, found.attack) == (1.0, 0.0, 0.5)
    assert found.triggered_accuracy == pytest.approx((150 + 15) / 300)  # those without it, and class 2 with it
    assert found.linear_accuracy == 1.0 and found.linear_attack == 0.5
    assert found.taken.shape == (270,) and found.taken.sum() == 135


def test_test_images_of_jittered_attacks_go_through_jpeg_too(pool: Pool) -> None:
    seen: list[np.ndarray] = []

    class _Sees(_Corner):
        def encode(self, images: np.ndarray) -> np.ndarray:
            seen.append(images)
            return super().encode(images)

    success_of(cast(Encoder, _Sees()), pool.images[:100], pool.labels[:100], pool, ATTACK)
    assert np.array_equal(seen[1], through_jpeg(pool.test_images, ATTACK.jpeg_quality))


def test_success_above_the_control_is_paired() -> None:
    taken, control = np.zeros(1000, dtype=bool), np.zeros(1000, dtype=bool)
    control[:200] = taken[:200] = True
    same = above_control(taken, control, seed=0)
    assert (same.low, same.high) == (0.0, 0.0)  # the same images: no doubt is left
    taken[200:500] = True
    more = above_control(taken, control, seed=0)
    assert more.low == pytest.approx(0.3 - 0.028, abs=0.006) and more.high == pytest.approx(0.3 + 0.028, abs=0.006)
