"""The bench: all rows on the same samples, resumed unit by unit, the budget first, the law's digest in the record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.conftest import use_few_trees
from tests.rating.raters.test_netgpt import SMALL, _letters
from veracast.cli.output import benched
from veracast.core.errors import InputError
from veracast.core.records import read_table
from veracast.data import world_oracle
from veracast.data.world_law import law_digest
from veracast.models import loop, text_store
from veracast.rating.raters.netgpt import graph_alone
from veracast.recipes import bench_rating
from veracast.recipes.bench_rating import Config, run

ROWS = ("constant", "persistence", "lightgbm", "netgpt")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two small worlds; their oracles draw few paths."""
    monkeypatch.setattr(world_oracle, "PATHS", 300)
    monkeypatch.setattr(text_store, "load_encoder", lambda name: _letters)
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VERACAST_DATA", raising=False)
    return Config(rows=ROWS, world_seeds=(1, 2), world_videos=260, netgpt=graph_alone(SMALL), workers=1)


def test_all_rows_stand_on_the_same_samples_and_a_second_run_does_nothing_again(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_few_trees(monkeypatch, 60)
    record = run(config, tmp_path / "out")
    table = read_table(record, "bench")
    assert {("world", "horizon-cold"), ("world", "horizon-observed")} == set(
        table.select("group", "task").unique().iter_rows()
    )
    observed = table.filter(task="horizon-observed", target="views")
    assert set(observed["row"]) == {*ROWS, "oracle"} and observed["n"].n_unique() == 1
    assert set(table.filter(task="horizon-cold")["row"]) == {
        "constant",
        "lightgbm",
        "netgpt",
        "oracle",
    }  # nothing to persist
    mae = dict(observed.select("row", "mae").iter_rows())
    assert mae["oracle"] < mae["lightgbm"] < mae["persistence"] < mae["constant"]
    best = min(("constant", "persistence", "lightgbm"), key=lambda name: mae[name])
    assert observed.filter(pl.col("row") != best)["against"].unique().to_list() == [best]
    mine, beside = (observed.row(by_predicate=pl.col("row") == row, named=True) for row in ("netgpt", best))
    assert (beside["netgpt_difference"], beside["netgpt_p"]) == (mine["difference"], mine["p"])  # the same comparison
    others = observed.filter(pl.col("row") != "netgpt")
    gaps = mine["mae"] - others["mae"]
    assert others["netgpt_difference"].to_list() == pytest.approx(gaps.to_list())  # all stand on the same samples
    assert {i["name"]: i["sha256"] for i in record.inputs}["world_law"] == law_digest()
    shown = benched(record)
    assert (
        f"world · horizon-cold · views, n {table.filter(task='horizon-cold')['n'][0]}" in shown
        and "the best baseline" in shown
    )

    monkeypatch.setattr(bench_rating, "_run_unit", lambda *a: pytest.fail("every unit is done"))
    again = read_table(run(config, tmp_path / "again"), "bench")
    assert again.equals(table)


def test_a_stopped_bench_goes_on_where_it_was(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real = bench_rating._run_unit

    def stops(unit: Any, settings: Config) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        real(unit, settings)
        done.append(unit.place.parent.name)

    cheap = replace(config, rows=("constant", "median", "persistence"), world_videos=160)
    monkeypatch.setattr(bench_rating, "_run_unit", stops)
    with pytest.raises(KeyboardInterrupt):
        run(cheap, tmp_path / "out")
    assert not (tmp_path / "out").exists() and len(done) == 3
    left = run(replace(cheap, budget_only=True), tmp_path / "budget")
    assert left.counts["units"] == 12 and left.counts["left"] == 9 and left.verdict.startswith("9 of 12 units left")
    monkeypatch.setattr(bench_rating, "_run_unit", real)
    whole = read_table(run(cheap, tmp_path / "out"), "bench")
    fresh = read_table(run(replace(cheap, work=tmp_path / "elsewhere"), tmp_path / "fresh"), "bench")
    assert whole.equals(fresh)


def test_an_unknown_row_is_named(config: Config, tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"unknown rows netgtp -> choose from constant, .*, netgpt, 1 member in stage 1, without stage 1",
    ):
        run(replace(config, rows=("netgtp",)), tmp_path / "out")


def test_a_missing_real_set_is_named(config: Config, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bilibili_popular_daily.csv: no such file -> point VERACAST_DATA"):
        run(replace(config, sets=("bilibili",), data=tmp_path), tmp_path / "out")


def test_forecasts_are_of_test_samples_whose_videos_were_not_trained_on(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[set[str], set[str]]] = []
    real = bench_rating._forecast

    def watched(entry: object, study: object, train: pl.DataFrame, asked: pl.DataFrame, *rest: object) -> np.ndarray:
        seen.append((set(train["video_id"]), set(asked["video_id"])))
        return real(entry, study, train, asked, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(bench_rating, "_forecast", watched)
    run(replace(config, rows=("constant",), world_seeds=(1,)), tmp_path / "out")
    assert seen and all(not train & test for train, test in seen)


@pytest.mark.slow
def test_worlds_side_by_side_give_the_table_of_one_after_the_other(config: Config, tmp_path: Path) -> None:
    cheap = replace(config, rows=("constant", "median", "lightgbm"))
    alone = read_table(run(cheap, tmp_path / "alone"), "bench")
    both = read_table(run(replace(cheap, workers=2, work=tmp_path / "both"), tmp_path / "out"), "bench")
    assert both.equals(alone)


def test_a_fault_in_a_worker_reaches_the_user_and_ends_the_others(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One world's folder is broken after it was opened: its worker says so, and nothing looks finished."""
    cheap = replace(config, rows=("constant",), world_videos=120, workers=2, work=tmp_path / "work")
    run(replace(cheap, budget_only=True), tmp_path / "budget")
    worlds = sorted((tmp_path / "work" / "sets").iterdir())
    real = bench_rating._run_all

    def breaks(*args: Any) -> None:
        (worlds[0] / "dataset.json").write_text("{")
        real(*args)

    monkeypatch.setattr(bench_rating, "_run_all", breaks)
    with pytest.raises(InputError, match=r"dataset.json"):
        run(cheap, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_units_of_other_code_are_done_again(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = replace(config, rows=("constant",), world_seeds=(1,))
    run(cheap, tmp_path / "out")
    assert run(replace(cheap, budget_only=True), tmp_path / "same").counts["left"] == 0
    monkeypatch.setattr(bench_rating, "code_digest", lambda *packages: "edited")
    assert run(replace(cheap, budget_only=True), tmp_path / "edited").counts["left"] == 2


def test_rows_that_differ_in_a_later_stage_alone_share_the_earlier_ones(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows netgpt and rgcn of a config without a language model are one training: the second one fits nothing."""
    trained: list[str] = []
    real = loop._Run.go
    monkeypatch.setattr(loop._Run, "go", lambda self, advance: (trained.append(self.stage), real(self, advance))[1])
    run(replace(config, rows=("rgcn", "netgpt"), world_seeds=(1,)), tmp_path / "out")
    assert trained == ["stage1"] * 2  # two kinds of state
    assert not (tmp_path / "cache" / "bench" / "rating" / "stages").exists()
