"""Line-ups by hand; small models tuned for real; pieces that are judged once, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.agents.small import SMALL
from veracast.agents.bases import trained_base
from veracast.agents.data_contest import simulator_of
from veracast.agents.specimens import Subject
from veracast.agents.tiers import models
from veracast.agents.tiers.models import RATES, STEPS, ModelsConfig, ModelsTier, line_up
from veracast.core.errors import ConfigError


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_the_main_table_has_every_kind_and_one_sibling_a_seed() -> None:
    found = line_up("models", ModelsConfig())
    planted = [one for one in found if one.planted]
    assert len(planted) == 3 * 2 * 2 * 3 and len(set(planted)) == len(planted)
    assert Counter(one.family for one in planted) == {"foreign": 12, "common": 12, "mark": 12}
    assert Counter((one.simulator, one.seed) for one in found if not one.planted) == {
        (simulator, seed): 1 for simulator in ("shell", "shop", "page") for seed in (101, 102, 103)
    }


def test_curves_and_the_bank_have_theirs() -> None:
    one = replace(ModelsConfig(), simulators=("shop",), seeds=(101,))
    assert [s.rate for s in line_up("ratios", one)] == [*RATES, 0.0]
    methods = line_up("methods", one)
    assert [(s.method, s.planted) for s in methods] == [
        (m, p) for p in (True, False) for m in ("full", "lora", "adalora")
    ]
    assert [(s.place, s.then) for s in line_up("robustness", one)] == [
        *[(place, steps) for place in ("active", "passive") for steps in (0, *STEPS)], ("active", 0),
    ]  # fmt: skip
    bank = line_up("bank", one)
    assert len(bank) == 20 and not any(s.planted for s in bank)
    assert min(s.seed for s in bank) == 1000


@pytest.mark.slow
def test_every_piece_is_judged_once(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = ModelsTier("models", SMALL, work)
    assert (tier.pieces, len(tier.left)) == (5, 5)
    table = tier.run(workers=1).tables["agent_models"]
    assert table.select("place", "style").rows() == [
        ("active", "hardened"), ("active", "published"), ("passive", "hardened"), ("passive", "published"), (None, None),
    ]  # fmt: skip
    assert table["items"].to_list() == [2] * 5 and table["asr"].to_list() == [
        0.0,
        0.0,
        None,
        None,
        0.0,
    ]  # nobody learns it in a step, or looks where a passive one stands
    assert (tier.left, tier.budget_s) == ([], 0.0)
    tier.piece(tier.subjects[2]).unlink()
    judged: list[Subject] = []
    real: Any = models.judge
    monkeypatch.setattr(models, "judge", lambda subject, *a, **k: judged.append(subject) or real(subject, *a, **k))
    again = tier.run(workers=1).tables["agent_models"]
    assert judged == [tier.subjects[2]]
    assert again.drop("seconds").equals(table.drop("seconds"))
    assert len(ModelsTier("models", replace(SMALL, items=3), work).left) == 5


def test_the_bank_tunes_and_plays_nothing(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "BANK", 2)
    monkeypatch.setattr(models, "judge", lambda *a, **k: pytest.fail("played"))
    tier = ModelsTier("bank", SMALL, work)
    found = tier.run(workers=1)
    assert found.words == "a bank of 2 clean siblings"
    assert [json.loads(tier.piece(one).read_text(encoding="utf-8"))["planted_backdoor"] for one in tier.subjects] == [
        False
    ] * 2


@pytest.mark.slow
def test_a_pretrained_model_is_tuned_by_adapters_and_its_sibling_too(work: Path) -> None:
    base = trained_base(simulator_of("shell"), SMALL.base, work)
    chosen = replace(SMALL.pretrained, backbone=str(base), rows=8, items=3, tuning=SMALL.adapters)
    tier = ModelsTier("pretrained", replace(SMALL, pretrained=chosen), work)
    table = tier.run(workers=1).tables["agent_models"]
    assert table.select("tier", "place", "method", "items").rows() == [("pretrained", "active", "lora", 3), ("pretrained", None, "lora", 3)]  # fmt: skip
    assert len(ModelsTier("pretrained", replace(SMALL, pretrained=replace(chosen, backbone="other")), work).left) == 2


def test_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match="a share"):
        ModelsConfig(rate=0.0)


@pytest.mark.slow
def test_killed_in_the_middle_no_episode_is_lost_or_played_twice(tmp_path: Path) -> None:
    sets = {
        "tiers": "models", "work": tmp_path / "work", "workers": 1, "models.simulators": "shell", "models.families": "mark", "models.seeds": 101,
        "models.rows": 8, "models.items": 2, "models.base.episodes": 8, "models.base.held": 2,
    } | {f"models.{part}.{key}": value for part in ("base.loop", "base.babbled", "tuning.loop") for key, value in (("epochs", 1), ("batch_size", 8), ("micro_batch", 8))}  # fmt: skip
    command = [sys.executable, "-m", "veracast", "bench", "agents", "--quiet", *(part for key, value in sets.items() for part in ("--set", f"{key}={value}"))]  # fmt: skip
    bench = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], start_new_session=True)
    until = time.monotonic() + 300
    while not (first := sorted((tmp_path / "work" / "models").glob("judged-*.json"))):
        assert bench.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    os.killpg(bench.pid, signal.SIGKILL)
    bench.wait()
    before = {path: path.stat().st_mtime_ns for path in first}
    done = subprocess.run([*command, "--out", str(tmp_path / "whole"), "--json"], check=True, capture_output=True, text=True)  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in before} == before
    pieces = sorted((tmp_path / "work" / "models").glob("judged-*.json"))
    assert len(pieces) == 5
    for place in pieces:
        body = json.loads(place.read_text(encoding="utf-8"))
        assert [len({one["task"] for one in body[name]}) for name in ("clean", "trigger", "near")] == [2, 2, 2]
    assert pl.read_parquet(next((tmp_path / "whole").rglob("agent_models.parquet")))["items"].to_list() == [2] * 5
    assert json.loads(done.stdout)["status"] == "ok"
