"""The comparison: paired on shared samples, clustered by video, against the baseline with the least error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from veracast.rating.contest import ABLATIONS, compare, entries, errors_of, over_seeds
from veracast.rating.netgpt.config import NetGPTConfig

FAMILIES = {"a": "baseline", "b": "baseline", "c": "netgpt", "half": "baseline"}


def units(errors: dict[str, np.ndarray], *, seeds: tuple[int, ...] = (0,)) -> pl.DataFrame:
    """Four samples a video."""
    frames = []
    for row, values in errors.items():
        for seed in seeds:
            n = len(values)
            frames.append(
                pl.DataFrame(
                    {"row": [row] * n, "seed": [seed] * n, "video_id": [f"v{i // 4}" for i in range(n)], "at": list(range(n)), "target_at": [None] * n, "error": values},
                    schema={"row": pl.String, "seed": pl.Int64, "video_id": pl.String, "at": pl.Int64, "target_at": pl.Int64, "error": pl.Float64},
                )
            )  # fmt: skip
    return pl.concat(frames).with_columns(pl.col("error").fill_nan(None))


def test_every_row_stands_against_the_best_baseline() -> None:
    draw = np.random.default_rng(0)
    base = draw.uniform(0.5, 1.5, 160)
    found = {
        line["row"]: line
        for line in compare(units({"a": base + 0.2, "b": base, "c": base - 0.1}), FAMILIES, seed=0, where="x")
    }  # type: ignore[arg-type]
    assert found["b"]["against"] is None and found["b"]["p"] is None  # it is the best one itself
    assert found["a"]["against"] == found["c"]["against"] == "b"
    assert found["c"]["difference"] == pytest.approx(-0.1) and found["a"]["difference"] == pytest.approx(0.2)
    assert found["c"]["difference_low"] == pytest.approx(-0.1) == found["c"]["difference_high"]
    assert found["c"]["p"] < 0.001 and found["c"]["n"] == 160 and found["c"]["videos"] == 40
    assert found["b"]["mae"] == pytest.approx(base.mean()) and found["b"]["low"] < base.mean() < found["b"]["high"]


def test_rows_of_one_video_are_one_piece_of_evidence() -> None:
    """A difference carried by one of 40 videos is not clear, though 4 of its samples agree."""
    base = np.ones(160)
    better = base.copy()
    better[:4] = 0.0
    (line,) = [
        one for one in compare(units({"b": base, "c": better}), FAMILIES, seed=0, where="x") if one["row"] == "c"
    ]  # type: ignore[arg-type]
    assert line["difference"] == pytest.approx(-4 / 160) and line["p"] == pytest.approx(1.0)
    assert line["difference_high"] == pytest.approx(0.0)


def test_a_baseline_that_scores_half_of_the_rows_is_shown_but_is_no_opponent() -> None:
    base = np.ones(80)
    half = np.where(np.arange(80) < 40, 0.1, np.nan)
    found = {
        line["row"]: line
        for line in compare(units({"a": base, "half": half, "c": base * 0.9}), FAMILIES, seed=0, where="x")
    }  # type: ignore[arg-type]
    assert found["half"]["scored"] == 0.5 and found["half"]["n"] == 40
    assert found["c"]["against"] == "a"
    assert found["half"]["difference"] == pytest.approx(-0.9)  # on the samples that it scored


def test_errors_are_averaged_over_seeds_before_they_are_compared() -> None:
    one, two = units({"a": np.full(8, 1.0)}), units({"a": np.full(8, 3.0)}, seeds=(1,))
    found = over_seeds(pl.concat([one, two]))
    assert found["error"].to_list() == [2.0] * 8 and found["seeds"].to_list() == [2] * 8


def test_errors_of_a_test_set() -> None:
    test = pl.DataFrame(
        {"video_id": ["x", "y", "z"], "at": [1, 2, 3], "target_at": [4, 5, 6], "y_views": [2.0, None, 5.0]}
    )
    found = errors_of(test, np.array([2.5, 1.0, np.nan]), "views")
    assert found["video_id"].to_list() == ["x", "z"] and found["error"].to_list() == [0.5, None]


def test_an_ablation_changes_one_choice() -> None:
    base = NetGPTConfig()
    for name, change in ABLATIONS.items():
        changed = change(base)
        parts = [
            part
            for part in ("graph", "stage1", "stage2", "stage3", "backbone")
            if getattr(changed, part) != getattr(base, part)
        ]
        assert parts and changed != base, name
        assert len(parts) == (2 if name == "without the language model" else 1), name
    names = [entry.name for entry in entries(ablations=True)]
    assert len(names) == len(set(names)) and {"fans off", "fans lagged", "fans as-released"} <= set(names)
    assert [e.name for e in entries(ablations=False)][-6:] == [
        "lightgbm_strong",
        "rgcn",
        "rgcn committee",
        "effects",
        "lm",
        "netgpt",
    ]
    made = {e.name: e.make(replace(base, threads=1)) for e in entries(ablations=True)}
    assert made["8 graph tokens"].config.backbone.graph_tokens == 8  # type: ignore[attr-defined]
    assert made["compatible graph"].config.graph.schema == "compatible"  # type: ignore[attr-defined]
    recent = made["recent 10 members of a hub"].config.graph  # type: ignore[attr-defined]
    assert (recent.hub_reading, recent.recent_k) == ("recent", 10)
