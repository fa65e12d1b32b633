"""Tables, findings and pictures of an audit, from findings that are made by hand: 6 images of 8 x 8, one patch with an effect and one without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from veracast.core.statistics import Interval
from veracast.poison import evidence
from veracast.poison.clusters import Clusters
from veracast.poison.effect import Apart, Effect
from veracast.poison.evidence import cluster_map, finding, heat, in_shots, patch_table, suspicious, verdict_table
from veracast.poison.find import FoundPatch, PoisonFindings
from veracast.poison.matching import Patch, Threshold

N = 6
TABLE = pl.DataFrame({"name": [f"{k}.png" for k in range(N)], "source": ["set"] * N})


def patch(kind: Any, images: list[int], likeness: list[float]) -> FoundPatch:
    effect = Effect((1, 0), 0.8, Interval(0.7, 0.9), 0.1, 400, Apart(0.3, 0.02))
    by_image = np.full(N, 0.2)
    by_image[images] = likeness
    boxes = np.array([[k, 0, 2, 3] for k in images])
    held = Patch(np.full((3, 2, 3), 255.0), np.ones((3, 2), dtype=bool))
    return FoundPatch(
        kind, held, np.array(images), boxes, np.array(likeness), Threshold(0.75, len(images), 90), 2.5, effect, by_image
    )


def findings(*patches: FoundPatch) -> PoisonFindings:
    scores = np.zeros(N)
    for one in patches:
        scores[one.images] = one.likeness
    clusters = Clusters(np.array([1, 1, 0, 0, 1, 0]), np.ones(N), np.eye(2))
    looked_at = np.array([0, 1, 3, 5])
    maps = np.zeros((4, 4, 4))
    return PoisonFindings(
        patches,
        1.1,
        scores,
        looked_at,
        np.zeros((4, 4), dtype=int),
        np.array([0.1, 0.2, 0.9, 0.5]),
        maps,
        clusters,
        np.array([0, 1, 2, 2, 3, 4]),
    )


BACKDOOR, OVERLAY = patch("backdoor", [1, 0], [0.8, 0.95]), patch("overlay", [3], [0.9])


class Images:
    table = TABLE

    def __len__(self) -> int:
        return N


def test_a_row_per_image_says_which_patch_where_and_how_like() -> None:
    recurrence: Any = SimpleNamespace(images=np.array([0, 2, 0, 0, 0, 0]))
    rows = verdict_table(Images(), findings(BACKDOOR, OVERLAY), recurrence)  # type: ignore[arg-type]
    assert rows["patch"].to_list() == [1, 1, None, 2, None, None]
    assert rows["kind"].to_list() == ["backdoor", "backdoor", None, "overlay", None, None]
    assert rows["poisoned"].to_list() == [True, True, False, False, False, False]  # an overlay poisons nothing
    assert rows.row(0, named=True)["left"] == 0 and rows.row(1, named=True)["left"] == 1
    assert (rows["width"][0], rows["height"][0], rows["width"][2]) == (2, 3, None)
    assert rows["likeness"].to_list() == [0.95, 0.8, 0.2, 0.9, 0.2, 0.2]
    assert rows["masked"].to_list() == [True, True, False, True, False, True]
    assert rows["shot"].to_list() == [None, None, 2, 2, None, None]
    assert rows["recurring"].to_list() == [0, 2, 0, 0, 0, 0]


def test_without_a_patch_nothing_is_like_one() -> None:
    recurrence: Any = SimpleNamespace(images=np.zeros(N, dtype=int))
    rows = verdict_table(Images(), findings(), recurrence)  # type: ignore[arg-type]
    assert rows["likeness"].to_list() == [None] * N
    assert rows["patch"].null_count() == N and not rows["poisoned"].any()


def test_a_row_per_patch() -> None:
    first, second = patch_table(findings(BACKDOOR, OVERLAY)).iter_rows(named=True)
    assert (first["patch"], first["kind"], first["images"], first["share"]) == (1, "backdoor", 2, 2 / 6)
    assert (first["moved"], first["moved_low"], first["moved_by_windows"], first["effect_images"]) == (
        0.8,
        0.7,
        0.1,
        400,
    )
    assert (first["width_px"], first["height_px"], first["apart"], first["threshold"], first["decoys"]) == (
        2,
        3,
        0.3,
        0.75,
        90,
    )
    assert (second["patch"], second["kind"]) == (2, "overlay")


def test_frames_of_one_shot_are_those_that_share_a_number() -> None:
    assert in_shots(findings()).tolist() == [False, False, True, True, False, False]


def test_a_backdoor_is_a_finding_of_weight_and_an_overlay_is_told() -> None:
    bad, told = finding(1, BACKDOOR, TABLE), finding(2, OVERLAY, TABLE)
    assert (bad.id, bad.severity, bad.technique) == ("patch-1", "high", "AML.T0020")
    assert bad.title == "Backdoor patch of 2 x 3 pixels in 2 images"
    assert bad.where == {
        "file": "verdicts.parquet",
        "rows": ["0.png", "1.png"],
        "box": [0, 0, 2, 3],
    }  # the likeliest first
    assert "moves 80% (95 % interval 70% to 90%) of 400 other images" in bad.evidence
    assert (told.severity, told.technique) == ("info", None)
    assert told.title == "Recurring overlay, no backdoor effect, of 2 x 3 pixels in 1 image"


def test_a_finding_names_no_more_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "NAMED", 1)
    found = finding(1, BACKDOOR, TABLE)
    assert found.where["rows"] == ["0.png"]
    assert found.evidence.endswith("The first 1 images are named here, all of them in verdicts.parquet")


def test_the_most_suspicious_take_turns_by_patch_then_by_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 0 and 1 hold the backdoor, 3 the overlay; 5 stands out most of the rest. Places in looked_at (0, 1, 3, 5)."""
    assert suspicious(findings(OVERLAY, BACKDOOR)) == [0, 2, 1, 3]
    monkeypatch.setattr(evidence, "SHOWN", 2)
    assert suspicious(findings(OVERLAY, BACKDOOR)) == [0, 2]


def test_the_map_is_a_plane_of_principal_components() -> None:
    features = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1]])
    plane = cluster_map(features, findings(BACKDOOR), 0)
    assert plane["x"].abs().to_list() == pytest.approx([np.sqrt(0.5)] * 6)  # one direction tells them apart
    assert plane["y"].to_list() == pytest.approx([0.0] * 6)
    assert plane["cluster"].to_list() == [1, 1, 0, 0, 1, 0]
    assert cluster_map(np.array([[1.0], [-1], [1], [-1], [1], [1]]), findings(), 0)["y"].to_list() == [0.0] * 6


def test_heat_is_the_more_opaque_the_stronger() -> None:
    shown = heat(np.array([[0.0, 1.0], [2.0, 4.0]]), 2, 2)
    assert shown[..., 3].tolist() == [[0, 54], [108, 217]]
    assert shown[0, 0, :3].tolist() == [213, 94, 0]
    assert heat(np.ones((2, 2)), 2, 2)[..., 3].tolist() == [[0, 0], [0, 0]]  # a flat map shows nothing
    assert heat(np.eye(4), 8, 8).shape == (8, 8, 4)
