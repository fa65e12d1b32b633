"""The poison classifier: finds what it was shown, and nothing when it was shown something else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from veracast.core.errors import ConfigError
from veracast.poison.attacks import Attack, Planted, plant
from veracast.poison.backbones import BackboneConfig
from veracast.poison.classifier import ClassifierConfig, Suspicion, classify, kept_out, pasted
from veracast.poison.clusters import Clusters
from veracast.poison.search import Search

LEARNS = ClassifierConfig(members=2, backbone=BackboneConfig(width=4), epochs=8, images=512, batch=32)
TINY = replace(LEARNS, backbone=BackboneConfig(width=2), epochs=1, images=64)
KEPT_OUT = 20


@pytest.fixture(scope="module")
def planted() -> Planted:
    """600 images of noise, (24, 24), 48 of which have a patch as it is."""
    noise = np.random.default_rng(0).normal(128, 40, (600, 24, 24, 3)).clip(0, 255).astype(np.uint8)
    return plant(noise, np.repeat(np.arange(4), 150), [Attack(paste="exact", rate=0.08)])


def windows(planted: Planted, chosen: np.ndarray) -> list[np.ndarray]:
    """What stands in a patch's box, or at a place that has none."""
    boxes = np.where(planted.boxes < 0, [9, 5, 8, 8], planted.boxes)[chosen]
    return [planted.images[i, t : t + h, x : x + w] for i, (x, t, w, h) in zip(chosen, boxes, strict=True)]


def precision(planted: Planted, candidates: list[np.ndarray]) -> tuple[float, Suspicion]:
    """Average precision among images that were trained on or never shown a patch, without those kept out."""
    out = np.flatnonzero(planted.poisoned)[:KEPT_OUT]
    found = classify(planted.images, candidates, out, LEARNS, seed=0)
    rest = np.setdiff1d(np.arange(len(planted.images)), out)
    return float(average_precision_score(planted.poisoned[rest], found.probability[rest])), found


def test_true_patches_find_the_rest_and_wrong_ones_do_not(planted: Planted) -> None:
    poisoned, clean = np.flatnonzero(planted.poisoned), np.flatnonzero(~planted.poisoned)
    right, found = precision(planted, windows(planted, poisoned[:10]))
    assert right > 0.9
    assert found.flagged[poisoned].mean() > 0.85 and found.flagged[clean].mean() < 0.05
    wrong, _ = precision(planted, windows(planted, clean[:10]))
    assert wrong < 0.2  # 28 of 580 by chance


def test_the_seed_decides_and_torchs_generator_is_left_alone(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates, out = windows(planted, np.arange(3)), np.arange(5)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = classify(planted.images[:100], candidates, out, TINY, seed=0)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    again = classify(planted.images[:100], candidates, out, TINY, seed=0)
    assert np.array_equal(one.by_member, again.by_member)
    assert not np.array_equal(one.by_member[0], one.by_member[1])
    other = classify(planted.images[:100], candidates, out, TINY, seed=1)
    assert not np.array_equal(one.by_member, other.by_member)
    fewer = classify(planted.images[:100], candidates, out, replace(TINY, members=1), seed=0)
    assert np.array_equal(fewer.by_member[0], one.by_member[0])  # a member knows nothing of the others
    monkeypatch.setattr("veracast.poison.classifier._train", lambda *given: None)
    fresh = classify(planted.images[:100], candidates, out, TINY, seed=0)
    assert not np.array_equal(fresh.by_member[0], fresh.by_member[1])  # they begin apart


def test_what_is_kept_out_teaches_nothing(planted: Planted) -> None:
    images, candidates, out = planted.images[:100], windows(planted, np.arange(3)), np.array([3, 50])
    config = replace(TINY, images=200)
    plain = classify(images, candidates, out, config, seed=0).probability
    for changed, same in ((out, True), (np.array([4, 51]), False)):
        other = images.copy()
        other[changed] = 255
        rest = np.setdiff1d(np.arange(100), changed)
        found = classify(other, candidates, out, config, seed=0).probability
        assert np.array_equal(found[rest], plain[rest]) == same


def test_candidates_are_pasted_at_any_place_and_about_their_size() -> None:
    shown, red = np.zeros((400, 12, 16, 3), dtype=np.uint8), np.full((8, 8, 3), (255, 0, 0), dtype=np.uint8)
    found = pasted(shown, [red], 0.25, np.random.default_rng(0))[..., 0] == 255
    assert not shown.any()
    high, wide = found.any(axis=2).sum(axis=1), found.any(axis=1).sum(axis=1)
    assert np.array_equal(high, wide) and set(high) == {6, 7, 8, 9, 10}
    assert np.array_equal(found.sum(axis=(1, 2)), high * wide)  # a whole rectangle
    assert set(found.any(axis=2).argmax(axis=1)) == set(range(7)) and set(found.any(axis=1).argmax(axis=1)) == set(range(11))  # fmt: skip
    exact = np.random.default_rng(1).integers(0, 256, (12, 5, 3), dtype=np.uint8)
    as_it_is = pasted(shown[:50], [exact], 0.0, np.random.default_rng(0))
    lefts = (as_it_is.any(axis=(1, 3))).argmax(axis=1)
    assert all(np.array_equal(one[:, x : x + 5], exact) for one, x in zip(as_it_is, lefts, strict=True))
    cut_off = pasted(shown[:50], [exact], 0.25, np.random.default_rng(0)).any(axis=3)  # up to 15 high, images have 12
    assert cut_off.any(axis=2).sum(axis=1).max() == 12
    two = pasted(shown, [red, red // 2], 0.0, np.random.default_rng(0)).max(axis=(1, 2, 3))
    assert 150 < (two == 255).sum() < 250


def test_half_of_the_images_are_pasted_on(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, float]] = []

    def spy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append((len(labels), float(labels.mean())))
        return (logits * 0).sum()

    monkeypatch.setattr("torch.nn.functional.binary_cross_entropy_with_logits", spy)
    classify(planted.images, windows(planted, np.arange(3)), np.zeros(0, dtype=int), replace(TINY, images=520), seed=0)
    assert [n for n, _ in seen] == [32] * 16 * 2  # whole batches, two members
    assert np.mean([share for _, share in seen]) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1024))


def test_the_best_scored_are_kept_out_and_then_the_best_cluster() -> None:
    own = np.array([0] * 5 + [1] * 15)
    clusters = Clusters(own, np.linspace(1, 0, 20), np.eye(2))
    found = Search(np.array([6, 2, 9, 1]), np.array([3, 5, 0, 1]), np.zeros(4, dtype=int), 10)
    assert kept_out(found, clusters, 0.1).tolist() == [2, 6]
    assert kept_out(found, clusters, 0.25).tolist() == [2, 6, 1, 0, 3]
    assert kept_out(found, clusters, 0.9).tolist() == [2, 6, 1, 0, 3, 4]  # 9 drew nothing
    nothing = Search(*[np.zeros(0, dtype=int)] * 3, 0)
    assert kept_out(nothing, clusters).tolist() == []


def test_members_are_averaged_and_half_is_flagged() -> None:
    found = Suspicion(np.array([[0.2, 0.9, 0.4], [0.6, 0.1, 0.5]]))
    np.testing.assert_allclose(found.probability, [0.4, 0.5, 0.45])
    assert found.flagged.tolist() == [False, True, False]


def test_faults_are_named(planted: Planted) -> None:
    with pytest.raises(ConfigError, match=r"members is 0 and epochs 0.*batch is 1 and images 0.*lr is 0.*grow is 1"):
        ClassifierConfig(members=0, epochs=0, batch=1, images=0, lr=0, grow=1)
    with pytest.raises(ConfigError, match="0 candidates and 600 images"):
        classify(planted.images, [], np.zeros(0, dtype=int), TINY, seed=0)
    with pytest.raises(ConfigError, match="1 candidates and 31 images to train on, expected 1 and 32 or more"):
        classify(planted.images[:40], windows(planted, np.arange(1)), np.arange(9), TINY, seed=0)
