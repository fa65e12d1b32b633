"""The poison bench: encoders that did not take are left out, nothing is done twice, the tables add up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from veracast.cli.output import poison_benched
from veracast.core.errors import InputError
from veracast.core.files import code_digest
from veracast.core.records import read_table
from veracast.poison import bench_tables, line_up
from veracast.poison.backbones import BackboneConfig
from veracast.poison.contest import LOCATORS, ROWS, SHORT, Localisation, Outcome, Row, Scene, behind
from veracast.poison.controls import read_controls
from veracast.poison.masking import Windows
from veracast.poison.overlays import KINDS
from veracast.poison.ssl import SSLConfig
from veracast.poison.trials import Challenge, Pool, Success, Trial, open_pool
from veracast.recipes import bench_poison
from veracast.recipes.bench_poison import Bench, Config, filled, run, trials_of

LOCATORS_FIRST = next(iter(LOCATORS))
HALF_FOUND = 13  # seed whose planted images are found by half


IMAGES = 200  # of a set, 12 of them planted
SMALL = SSLConfig(epochs=1, batch_size=64, backbone=BackboneConfig(width=4), hidden=16, projected=8)


@pytest.fixture(scope="module")
def pools() -> Callable[..., Pool]:
    """Pictures of a kind and number, drawn once for all tests of this file."""
    return cache(open_pool)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pools: Callable[..., Pool]) -> Config:
    """Few pictures that are drawn once, encoders of a few steps; the code is read once a test."""
    monkeypatch.setattr(bench_poison, "open_pool", pools)
    monkeypatch.setattr(bench_poison, "behind", cache(behind))
    return Config(images=IMAGES, seeds=(11, 13), clean=3, train=SMALL, work=tmp_path / "work", workers=1)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cheap locators and rows: the audit finds all planted images, or half of them; on the clean set of seed 14 one image. What was asked."""
    asked: list[str] = []

    def localise(given: Scene, name: str) -> tuple[Windows, Localisation]:
        asked.append(f"windows {name}")
        return Windows(given.truth[given.sample], np.ones(len(given.sample))), Localisation(0.75, 0.5, 10, 2.0)

    def outcome(given: Scene, row: Row, windows: Windows | None) -> Outcome:
        asked.append(f"row {row.name}")
        flagged = given.poisoned.copy()
        if given.seed == HALF_FOUND:
            flagged[np.flatnonzero(flagged)[::2]] = False
        if given.seed == 14:
            flagged[0] = True
        return Outcome(flagged, flagged.astype(float), None, boxes=np.where(flagged[:, None], given.truth, -1), seconds=1.0)  # fmt: skip

    monkeypatch.setattr(bench_poison, "localise", localise)
    monkeypatch.setattr(bench_poison, "outcome", outcome)
    return asked


def _success(attack: float, taken: int) -> Success:
    return Success(0.4, 0.3, attack, 0.05, 0.41, attack, 0.06, np.arange(100) < taken)


@pytest.fixture
def successes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In the order before, control, after: seed 11 takes (.6 against .1), seed 13 does not (.2 against .15). Sizes of the known sets."""
    known: list[int] = []
    order = (11, 13)
    values = {11: ((0.6, 60), (0.1, 10), (0.12, 12)), 13: ((0.2, 20), (0.15, 15), (0.16, 16))}

    def success_of(encoder: Any, images: np.ndarray, labels: Any, pool: Any, asked: Challenge) -> Success:
        turn, seed = len(known) % 3, order[len(known) // 3]
        known.append(len(images))
        return _success(*values[seed][turn])

    monkeypatch.setattr(bench_poison, "success_of", success_of)
    return known


def test_means_are_over_encoders_that_took_the_backdoor(
    config: Config, judged: list[str], successes: list[int], tmp_path: Path
) -> None:
    record = run(config, tmp_path / "out")
    trials = read_table(record, "poison_trials").sort("seed")
    assert trials["took"].to_list() == [True, False] and trials["trial"].to_list() == ["main-t0-s11", "main-t0-s13"]
    assert trials.select("attack", "control_attack", "retrained_attack", "edge_px", "rate", "family").row(0) == (0.6, 0.1, 0.12, 12, 0.06, "cells")  # fmt: skip
    assert trials["above_low"][0] == pytest.approx(0.4, abs=0.02) and trials["left_high"][0] < 0.1
    assert trials["removed"].to_list() == [12, 6] and successes == [200, 200, 188, 200, 200, 194]
    rows = read_table(record, "poison_rows")
    main = rows.filter(group="main")
    assert main["row"].to_list() == [row.name for row in ROWS] and main["judged"].unique().to_list() == [1]
    assert main["recall"].unique().to_list() == [1.0]  # seed 13, of which half was found, is not among them
    assert main.filter(row="consensus · masks, displacement").select("box_hit", "seconds").row(0) == (1.0, 3.0)
    clean = rows.filter(group="clean")
    assert clean["row"].to_list() == [row.name for row in SHORT] and clean["sets"].unique().to_list() == [3]
    assert clean["sets_flagged"].unique().to_list() == [1] and clean["recall"].null_count() == clean.height
    located = read_table(record, "poison_locators")
    assert located["locator"].to_list() == list(LOCATORS) and located["hit"].unique().to_list() == [0.75]
    assert record.verdict == (
        "1 of 2 encoders took the backdoor; recall 1.000, precision 1.000; attack success 0.600, 0.120 after retraining, "
        "0.100 of the control; 1 of 3 clean sets flagged"
    )
    shown = poison_benched(record)
    assert "main: 1 of 2 sets judged" in shown and "1.000 [1.00, 1.00]" in shown and "main-t0-s13" in shown
    assert any(i.get("planted_backdoor") for i in record.inputs)

    judged.clear()
    again = run(config, tmp_path / "again")
    assert not judged and len(successes) == 6 and read_table(again, "poison_rows").equals(rows)


def test_a_stopped_bench_goes_on_with_the_piece_that_is_missing(
    config: Config, judged: list[str], successes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap, real, done = replace(config, seeds=(11,), clean=1), bench_poison.outcome, list[str]()

    def stops(given: Scene, row: Row, windows: Windows | None) -> Outcome:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(row.name)
        return real(given, row, windows)

    monkeypatch.setattr(bench_poison, "outcome", stops)
    with pytest.raises(KeyboardInterrupt):
        run(cheap, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(bench_poison, "outcome", real)
    judged.clear()
    record = run(cheap, tmp_path / "out")
    rows = [name.removeprefix("row ") for name in judged if name.startswith("row ")]
    assert len(rows) == len(ROWS) + len(SHORT) - 4 and not set(done[:4]) & set(rows[: len(ROWS) - 4])
    assert record.counts == {"trials": 2, "planted": 1, "took": 1}


def test_the_budget_is_said_first_and_shrinks_with_what_is_there(
    config: Config, judged: list[str], successes: list[int], tmp_path: Path
) -> None:
    asked = replace(config, seeds=(11,), clean=1, budget_only=True)
    whole = run(asked, tmp_path / "before").counts
    assert whole["left"] == whole["trials"] == 2 and not judged
    bench = Bench(filled(asked))
    seconds = sum(bench.cost(trial, bench.names(trial)) for trial in bench.trials)
    assert whole["budget_s"] == round(seconds)
    bench_poison._train(bench.trials[0], filled(asked), threading.Event())
    trained = run(asked, tmp_path / "trained").counts["budget_s"]
    assert trained == round(seconds - bench_poison.TRAIN_S * IMAGES)
    run(replace(asked, budget_only=False), tmp_path / "out")
    assert run(asked, tmp_path / "after").counts == {"trials": 2, "left": 0, "budget_s": 0}


def test_pieces_of_other_settings_and_code_are_others(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled(config)
    pool = Bench(whole).pool
    trial = trials_of(whole)[0]

    def places(config: Config, trial: Trial = trial) -> list[Path]:
        bench = Bench(config, pool)
        return [bench.piece(trial, name) for name in (f"row {ROWS[0].name}", "row classifiers · masks, soft", "row block hash", f"windows {LOCATORS_FIRST}")]  # fmt: skip

    def same(config: Config, trial: Trial = trial) -> list[bool]:
        return [one == other for one, other in zip(places(whole), places(config, trial), strict=True)]

    assert same(whole) == [True] * 4
    assert same(replace(whole, find=replace(whole.find, candidates=7))) == [False, True, True, True]
    assert same(replace(whole, find=replace(whole.find, sample=7))) == [False, False, True, False]
    assert same(whole, replace(trial, attacks=(replace(trial.attacks[0], rate=0.01),))) == [False] * 4
    assert same(replace(whole, train=replace(whole.train, lr=0.1))) == [False] * 4
    before = places(whole)
    edited = "poison/effect.py"
    monkeypatch.setattr(
        bench_poison, "code_digest", lambda *files: "edited" if edited in files else code_digest(*files)
    )
    assert [one == other for one, other in zip(before, places(whole), strict=True)] == [False, True, True, True]


@pytest.mark.slow
def test_attack_success_is_measured_again_where_other_images_were_flagged(
    config: Config, judged: list[str], successes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(config, seeds=(11,), groups=("main",))
    run(asked, tmp_path / "out")
    bench = Bench(filled(asked))
    before, own = bench.piece(bench.trials[0], "success 0"), bench.piece(bench.trials[0], f"row {ROWS[0].name}")
    assert before.is_file()
    own.write_text(own.read_text(encoding="utf-8").replace('"images": [', '"images": [7, '), encoding="utf-8")
    assert not bench.piece(bench.trials[0], "success 0").is_file()


def test_the_small_scale_is_what_the_issue_asks_for() -> None:
    trials = trials_of(filled(Config(scale="small")))
    by_group = {group: [t for t in trials if t.group == group] for group in ("main", "exact", "clean")}
    assert {group: len(found) for group, found in by_group.items()} == {"main": 9, "exact": 3, "clean": 10}
    assert len(trials) == 22 and [t.compressed for t in by_group["exact"]] == [False] * 3
    assert {(t.seed, t.attacks[0].target) for t in by_group["main"]} == {(s, t) for s in (21, 22, 23) for t in (0, 3, 6)}  # fmt: skip
    assert len({t.attacks[0].seed for t in by_group["main"]}) == 9  # a trigger each
    assert {t.attacks[0].paste for t in by_group["main"]} == {"jittered"} and {t.attacks[0].paste for t in by_group["exact"]} == {"exact"}  # fmt: skip
    assert [t.seed for t in by_group["clean"]] == list(range(21, 31))  # the first ones are controls of the planted


@pytest.mark.slow
def test_false_alarms_are_counted_over_thirty_clean_sets(
    config: Config, judged: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bench_poison, line_up):
        monkeypatch.setattr(module, "GENERATED", 250)
    asked = replace(config, seeds=(14,), groups=("clean", "controls"), clean=2)
    few = run(asked, tmp_path / "few")
    assert [a.name for a in few.artefacts if a.name == "controls"] == []  # six are no rate
    rows = read_table(few, "poison_rows").filter(pl.col("own"))
    assert dict(zip(rows["group"], rows["judged"], strict=True)) == {"clean": 2, "controls: other draws": 2, "controls: generated": 1, "controls: generated, other draws": 1}  # fmt: skip
    monkeypatch.setattr(bench_tables, "LEAST_CONTROLS", 6)
    record = run(asked, tmp_path / "enough")
    counted = read_controls(tmp_path / "enough" / "controls.json")
    assert counted is not None and counted[:2] == (6, 1)  # the clean set of seed 14
    assert "2 clean, 2 controls: other draws, 1 controls: generated" in counted.source
    assert record.verdict == "1 of 2 clean sets flagged; with cheap controls 1 of 6"
    encoders = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "work" / "encoders").iterdir())
    assert encoders == ["clean-s14", "clean-s15", "controls-generated-s16"]  # other draws have none of their own


@pytest.mark.slow
def test_a_logo_that_the_encoder_follows_is_judged_like_a_patch(
    config: Config, judged: list[str], successes: list[int], tmp_path: Path
) -> None:
    asked = replace(config, images=500, seeds=(11,), groups=("overlays",), family="cells")
    record = run(asked, tmp_path / "out")
    (trial,) = read_table(record, "poison_trials").iter_rows(named=True)
    assert (trial["family"], trial["paste"], trial["rate"], trial["took"]) == ("logo-one-class", None, 0.06, True)
    own = read_table(record, "poison_rows").filter(pl.col("own"))
    assert own["group"].to_list() == [f"overlays: {kind}" for kind in KINDS] and own["judged"].unique().to_list() == [1]
    assert own.filter(recall=1.0)["group"].to_list() == ["overlays: logo-one-class"]


def test_without_the_real_images_the_error_says_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERACAST_DATA", raising=False)
    with pytest.raises(InputError, match="VERACAST_DATA"):
        run(Config(scale="small", work=tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
