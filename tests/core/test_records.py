"""Run records: whole or nothing, verified, and the `--json` contract."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import ConfigError, InputError, StorageError
from veracast.core.records import RunWriter, load_record, read_table, to_json
from veracast.core.scores import Score

LEAKS = pl.DataFrame({"check": ["x"], "found": [1], "of": [2], "detail": ["d"], "handled": [True]})


def written(folder: Path) -> None:
    score = Score("mae", 0.5, 0.4, float("nan"), 10, 2, "levels", "lower", {"rater": "constant", "state": "cold"})
    with RunWriter("run", folder, config={"seed": 3}, seed=3) as run:
        run.table("leaks", "leaks", LEAKS)
        run.finish(status="ok", verdict="fine", counts={"n": 10}, scores=[score])


def test_a_record_comes_back_as_written(tmp_path: Path) -> None:
    written(tmp_path / "r")
    record = load_record(tmp_path / "r")
    assert (record.kind, record.status, record.seed, record.counts) == ("run", "ok", 3, {"n": 10})
    assert (record.scores[0].value, record.scores[0].high, record.scores[0].n_unscored) == (0.5, None, 2)
    assert read_table(record, "leaks").equals(LEAKS)


def test_the_json_contract(tmp_path: Path) -> None:
    written(tmp_path / "r")
    body = json.loads(to_json(load_record(tmp_path / "r")))
    keys = {"schema_version", "run", "report", "kind", "status", "verdict", "counts", "scores", "findings", "artefacts"}
    assert set(body) == keys
    assert set(body["scores"][0]) == {"name", "value", "low", "high", "n", "n_unscored", "unit", "direction", "slice"}
    assert set(body["artefacts"][0]) == {"name", "kind", "path", "media_type", "sha256", "schema"}


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunWriter("run", tmp_path / "r", config={}, seed=0) as run:
        run.table("leaks", "leaks", LEAKS)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_record_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="without a record"), RunWriter("run", tmp_path / "r", config={}, seed=0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_changed_artefact_is_noticed(tmp_path: Path) -> None:
    written(tmp_path / "r")
    LEAKS.with_columns(found=pl.lit(99)).write_parquet(tmp_path / "r" / "leaks.parquet")
    with pytest.raises(InputError, match="sha256 differs"):
        load_record(tmp_path / "r")


def test_foreign_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a run of kind run"):
        RunWriter("run", tmp_path, config={}, seed=0)


def test_a_table_must_have_the_columns_of_its_kind(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyError, match="missing columns detail"),
        RunWriter("run", tmp_path / "r", config={}, seed=0) as run,
    ):
        run.table("leaks", "leaks", LEAKS.drop("detail"))


def test_unknown_slice_keys_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown slice key 'colour'"):
        Score("mae", 1.0, None, None, 1, 0, "", "lower", {"colour": "red"})
