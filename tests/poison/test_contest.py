"""Rows of the bench: what each flags is counted rightly, and every row sees the same scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from veracast.poison import contest
from veracast.poison.attacks import Attack
from veracast.poison.backbones import BackboneConfig
from veracast.poison.contest import (  # fmt: skip
    DISPLACEMENT,
    LAST,
    LOCATORS,
    ORACLE,
    RANDOM,
    ROWS,
    SHORT,
    Outcome,
    Row,
    Scene,
    localise,
    only_planted,
    outcome,
    scene,
)
from veracast.poison.encoder import Encoder
from veracast.poison.find import Agreed, FindConfig, Located
from veracast.poison.search import window_of
from veracast.poison.trials import Trial, TrialSet, draw_set, open_pool

ATTACK = Attack(family="cells", edge_px=8, rate=0.05, target=2, seed=7, paste="exact")


@pytest.fixture(scope="module")
def planted() -> TrialSet:
    return draw_set(Trial("main", 3, (ATTACK,), images=400), open_pool("generated", None, images=500))


@pytest.fixture(scope="module")
def given(planted: TrialSet) -> Scene:
    torch.manual_seed(0)
    encoder = Encoder(BackboneConfig(width=4).build().eval(), BackboneConfig(width=4))
    return scene(planted, encoder, replace(FindConfig(), sample=120), seed=3)


def test_the_table_has_the_audit_once_and_the_short_list_is_part_of_it() -> None:
    assert [row.name for row in ROWS if row.own] == [f"consensus · {DISPLACEMENT}"]
    assert set(SHORT) < set(ROWS) and any(row.own for row in SHORT)
    assert {row.locator for row in ROWS if row.locator} <= set(LOCATORS) and len({row.name for row in ROWS}) == len(
        ROWS
    )


def test_oracle_windows_meet_every_patch_and_random_ones_seldom(given: Scene) -> None:
    windows, met = localise(given, ORACLE)
    mine = given.poisoned[given.sample]
    assert (met.hit, met.n, len(windows.boxes)) == (1.0, int(mine.sum()), 120)
    assert met.iou == pytest.approx(64 / 144, abs=0.02)  # 8 x 8 inside 12 x 12
    assert localise(given, RANDOM)[1].hit < 0.5
    fewer = only_planted(given)
    assert fewer.sample.tolist() == given.sample[mine].tolist() and localise(fewer, ORACLE)[1].n == met.n
    clean = replace(given, truth=np.full_like(given.truth, -1), poisoned=np.zeros_like(given.poisoned))
    assert np.isnan(localise(clean, LAST)[1].hit) and localise(clean, LAST)[1].n == 0


def test_masks_differ_from_the_published_ones_in_fill_and_reference(given: Scene, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    asked: list[Any] = []

    def maps(encode: Any, images: np.ndarray, config: Any, **rest: Any) -> np.ndarray:
        asked.append((config.effect, config.fill, config.relative, config.stride))
        return np.random.default_rng(0).random(images.shape[:3])

    monkeypatch.setattr(contest, "activation_maps", maps)
    for name in (DISPLACEMENT, "masks, displacement, mean colour", "masks, soft", "masks at random, soft"):
        localise(given, name)
    stride = given.config.mask.stride
    assert asked == [
        ("displacement", "border", True, stride),
        ("displacement", "mean", False, stride),
        ("soft", "mean", False, stride),
        ("soft", "mean", False, 0),
    ]


def test_the_block_hash_finds_exact_pastes_and_ranks_them_first(given: Scene) -> None:
    found = outcome(given, Row("block hash"), None)
    assert found.flagged.tolist() == given.poisoned.tolist() and found.top == 1.0 and found.met(given) is None


def test_defences_for_labels_are_asked_with_the_scene(given: Scene) -> None:
    for name in ("activation clustering", "activation clustering, by silhouette", "spectral signatures"):
        found = outcome(given, next(row for row in ROWS if row.route == name), None)
        assert found.scores.shape == (400,) and found.flagged.dtype == bool
    default, silhouette = (outcome(given, row, None).flagged for row in ROWS if row.route.startswith("activation"))
    assert (
        default.sum() > 40 and not (silhouette & ~default).any()
    )  # a smaller side of every cluster, or of the clear ones


class _Patch(NamedTuple):
    kind: str
    images: np.ndarray
    boxes: np.ndarray
    likeness: np.ndarray


def test_a_consensus_flags_backdoors_alone(given: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Located] = []
    mine = np.flatnonzero(given.poisoned)
    half = mine[: len(mine) // 2]
    backdoor = _Patch("backdoor", half, given.truth[half], np.linspace(0.9, 0.8, len(half)))
    overlay = _Patch("overlay", np.array([0, 1]), np.array([[0, 0, 5, 5]] * 2), np.array([0.99, 0.99]))

    def agreed(images: Any, encode: Any, features: Any, own: Any, located: Located, config: Any, *, groups: Any, seed: int) -> Agreed:  # fmt: skip
        seen.append(located)
        return Agreed((backdoor, overlay), 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(contest, "find_in_windows", agreed)
    windows, _ = localise(given, ORACLE)
    found = outcome(given, Row("consensus", ORACLE), windows)
    assert np.array_equal(seen[0].images, given.sample) and np.array_equal(seen[0].boxes, windows.boxes)
    assert np.flatnonzero(found.flagged).tolist() == half.tolist() and (found.patches, found.overlays) == (1, 1)
    assert found.met(given) == (0.5, 0.5) and found.top == pytest.approx(len(half) / 20)


def test_boxes_that_miss_count_as_nothing(given: Scene) -> None:
    boxes = np.full((400, 4), -1)
    first, second = np.flatnonzero(given.poisoned)[:2]
    boxes[first] = given.truth[first] + (4, 0, 0, 0)  # half of the patch
    boxes[second] = given.truth[second] + (5, 0, 0, 0)  # less
    n = int(given.poisoned.sum())
    met = Outcome(given.poisoned, given.poisoned.astype(float), 1.0, boxes=boxes).met(given)
    assert met == (pytest.approx(1 / n), pytest.approx((32 / 96 + 24 / 104) / n))


def test_classifiers_get_windows_of_the_sample_and_keep_images_of_the_set_out(given: Scene, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    seen: dict[str, Any] = {}

    class _Suspicion(NamedTuple):
        flagged: np.ndarray
        probability: np.ndarray

    def classify(images: np.ndarray, candidates: Any, out: np.ndarray, config: Any, *, seed: int) -> _Suspicion:
        seen.update(images=images, candidates=candidates, out=out)
        return _Suspicion(given.poisoned, given.poisoned.astype(float))

    def kept_out(found: Any, clusters: Any) -> np.ndarray:
        return np.asarray(found.images)

    monkeypatch.setattr(contest, "classify", classify)
    monkeypatch.setattr(contest, "kept_out", kept_out)
    windows, _ = localise(given, ORACLE)
    found = outcome(given, Row("classifiers", ORACLE), windows)
    assert len(seen["images"]) == 400 and len(seen["candidates"]) == 12 and found.flagged.sum() == 20
    assert np.isin(seen["out"], given.sample).all() and seen["out"].max() > 120  # numbers in the set, not in the sample
    cut = [window_of(given.images[given.sample], windows, k).tobytes() for k in range(120)]
    assert all(one.tobytes() in cut for one in seen["candidates"])
