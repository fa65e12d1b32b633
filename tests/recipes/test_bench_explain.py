"""The bench of explanations at its smallest: rows, aims, resume, and planted faults that it must notice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.core.records import read_table
from veracast.explain.item import Explanation
from veracast.explain.perturb import Unit
from veracast.explain.planted import plant
from veracast.recipes import bench_explain
from veracast.recipes.bench_explain import Config, known, network_game, planted, run


def test_closed_forms_are_met_and_a_wrong_value_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {(row.name, row.group): row for row in known(Config(games=30))}
    assert all(row.met for row in rows.values()) and rows["shapley_error", "random games"].n == 30
    assert (rows["interaction", "AND"].value, rows["interaction", "sum"].value) == (1.0, 0.0)
    real = bench_explain.modality_effects

    def wrong(perturbed: object) -> object:
        found = real(perturbed)  # type: ignore[arg-type]
        found.values[0] += 1e-3
        return found

    monkeypatch.setattr(bench_explain, "modality_effects", wrong)
    spoilt = {row.name: row.met for row in known(Config(games=5)) if row.group == "random games"}
    assert spoilt == {"shapley_error": False, "interaction_error": True, "completeness_error": False}


def test_exact_values_are_captums() -> None:
    attr = pytest.importorskip("captum.attr")
    small = network_game(3, players=5)
    theirs = attr.ShapleyValues(small.forward).attribute(small.item, baselines=small.base)[0].numpy()
    np.testing.assert_allclose(small.ours, theirs, atol=1e-6)


@pytest.fixture
def two_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two items of each case are explained, in place of five."""
    monkeypatch.setattr(bench_explain, "plant", partial(plant, tests=2))


def test_planted_cases_leave_pieces_and_are_not_made_again(
    two_tests: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(cases=2, orders=4, work=tmp_path)
    monkeypatch.setattr(bench_explain, "KINDS", ("link", "number"))
    first = planted(config)
    assert len(list(tmp_path.glob("planted-*.json"))) == 4
    rows = {(row.name, row.group): row for row in first}
    assert rows["top1_hit", "all"].n == 8 and rows["top1_hit", "link"].n == 4
    assert (
        rows["top1_hit", "all"].value >= 0.95
        and rows["told_apart", "all"].met
        and rows["decoy_above", "all"].value == 0.0
    )  # type: ignore[operator]

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(bench_explain, "plant", never)
    assert planted(config) == first


def _by_name(found: Explanation) -> list[tuple[Unit, float]]:
    """No effect decides the order."""
    units = sorted((unit for parts in found.parts.values() for unit in parts.units), key=lambda unit: unit.name)
    return [(unit, float(len(units) - k)) for k, unit in enumerate(units)]


def test_a_blind_explanation_misses_its_aims(two_tests: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts in the order of their names: the bench says so."""
    monkeypatch.setattr(bench_explain, "KINDS", ("number",))
    monkeypatch.setattr(bench_explain, "_ranked", _by_name)
    rows = {(row.name, row.group): row for row in planted(Config(cases=2, orders=4, work=tmp_path))}
    assert rows["top1_hit", "all"].met is False and rows["told_apart", "all"].met is False


def test_a_record_of_chosen_tiers_and_a_budget(tmp_path: Path) -> None:
    found = run(Config(tiers=("known",), games=10), tmp_path / "r")
    assert (found.status, found.verdict) == ("ok", "6 of 6 aims are met")
    table = read_table(found, "explain_bench")
    assert table["tier"].unique().to_list() == ["known"] and table.height == 6
    budget = run(Config(budget_only=True), tmp_path / "b")
    assert (budget.status, set(budget.counts)) == ("not_measured", {"known", "planted", "speed", "ratings"})
    with pytest.raises(ConfigError, match="cases 1"):
        Config(cases=1)
