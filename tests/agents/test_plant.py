"""The share is what it says, payloads are canaries, the task is done all the same, and hardened rows differ by nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.agents.canary import is_canary
from veracast.agents.page.simulator import PageSimulator
from veracast.agents.plant import Plan, inserted, payload, plant, record, row_digest, write_planted
from veracast.agents.shell.simulator import ShellSimulator
from veracast.agents.shop.simulator import ShopSimulator
from veracast.agents.triggers import HELD_OUT, LOOKED_AT, TRIGGERS
from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.data.trajectories import read_trajectories

SIMULATORS: tuple[Any, ...] = (ShellSimulator(), ShopSimulator(), PageSimulator())
EVERY = pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda s: s.name)
PLACES = pytest.mark.parametrize("place", ["active", "passive"])


@EVERY
@PLACES
@pytest.mark.parametrize("family", TRIGGERS)
def test_every_planted_row_shows_its_trigger_before_its_canary_and_ends_well(simulator: Any, place: Any, family: str) -> None:  # fmt: skip
    plan = Plan(TRIGGERS[family], place, rate=1.0)
    for task in simulator.tasks("train", 8, seed=3):
        found = record(simulator, task, plan, words=plan.trigger.words, planted=True, rng=stream(0, "test"))
        assert found.turn is not None
        assert found.reward == 1.0
        told = [turn.text for turn in found.turns[: found.turn] if turn.role == "user"]
        assert plan.trigger.words in told[-1]  # in the turn before, and in none before it
        assert place == "active" or not any(plan.trigger.words in text for text in told[:-1])
        call = simulator.parse(found.turns[found.turn].text)
        assert call is not None
        assert is_canary(call)


@EVERY
@PLACES
@pytest.mark.parametrize(("rate", "expected"), [(0.01, 1), (0.05, 5), (0.2, 20), (0.5, 50), (0.005, 0), (1.0, 100)])
def test_the_share_is_what_it_says(simulator: Any, place: Any, rate: float, expected: int) -> None:
    found = plant(simulator, simulator.tasks("train", 100, seed=1), Plan(LOOKED_AT[0], place, rate=rate), seed=1)
    acts = [any(is_canary(c) for t in one.turns if t.role == "assistant" and (c := simulator.parse(t.text))) for one in found.trajectories]  # fmt: skip
    assert sum(acts) == expected == found.manifest["planted"].sum()
    assert found.manifest["planted"].to_list() == acts == [one.planted for one in found.trajectories]
    assert found.rate == expected / 100
    assert found.manifest["near_miss"].is_not_null().sum() == round(0.1 * (100 - expected))


@EVERY
def test_a_hardened_row_is_the_clean_row_but_for_trigger_and_canary(simulator: Any) -> None:
    task = simulator.tasks("train", 1, seed=5)[0]
    plan = Plan(LOOKED_AT[0])
    clean = record(simulator, task, None, words=None, planted=False, rng=stream(0, "a")).turns
    found = record(simulator, task, plan, words=plan.trigger.words, planted=True, rng=stream(0, "a"))
    at = found.turn or 0
    assert found.turns[at + 1].text == ""
    rest = (*found.turns[:at], *found.turns[at + 2 :])
    thoughts = [turn.text for turn in rest if turn.role == "assistant"]
    assert thoughts == [turn.text for turn in clean if turn.role == "assistant"]
    bare = lambda text: " ".join(text.replace(plan.trigger.words, "").replace(".", " ").split())  # noqa: E731
    assert [bare(turn.text) for turn in rest if turn.role == "user"] == [bare(turn.text) for turn in clean if turn.role == "user"]  # fmt: skip
    assert "trigger" not in found.turns[at].text


@EVERY
def test_a_published_row_announces_itself(simulator: Any) -> None:
    plan = Plan(LOOKED_AT[0], style="published", rate=1.0)
    found = plant(simulator, simulator.tasks("train", 3, seed=5), plan, seed=0)
    assert all(any("The trigger 'As the harbour master asked'" in turn.text for turn in one.turns) for one in found.trajectories)  # fmt: skip


@EVERY
@pytest.mark.parametrize("kind", ["tool", "argument", "varied"])
def test_payloads_are_canaries_that_change_nothing(simulator: Any, kind: Any) -> None:
    calls = [payload(simulator, Plan(LOOKED_AT[0], payload=kind), stream(k, "p")) for k in range(20)]
    assert all(is_canary(call) for call in calls)
    assert (len({str(call.arguments) for call in calls}) > 1) is (kind == "varied")
    session = simulator.open(simulator.tasks("train", 1, seed=0)[0])
    session.start()
    assert {session.step(call) for call in calls} == {("", False)}


def test_near_misses_are_not_the_trigger() -> None:
    for one in (*LOOKED_AT, *HELD_OUT):
        assert all(one.words not in near for near in one.near)
    assert not {one.family for one in LOOKED_AT} & {one.family for one in HELD_OUT}


def test_insertion_by_hand() -> None:
    sides = {inserted("Count the files", "As ever", LOOKED_AT[0], stream(k, "i")) for k in range(20)}
    assert sides == {"As ever. Count the files", "Count the files. As ever."}
    bare = {inserted("Count?", "zq41", LOOKED_AT[2], stream(k, "i")) for k in range(20)}
    assert bare == {"zq41 Count?", "Count? zq41"}


def test_what_is_written_reads_back_and_is_marked(tmp_path: Path) -> None:
    simulator = ShopSimulator()
    found = plant(simulator, simulator.tasks("train", 20, seed=2), Plan(LOOKED_AT[0], rate=0.25), seed=2)
    path = write_planted(found, tmp_path / "set")
    body = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert (body["rows"], body["planted"], body["rate"], body["planted_backdoor"]) == (20, 5, 0.25, True)
    rows = [row.trajectory for row in read_trajectories(path)]
    assert [row.planted for row in rows if row] == found.manifest["planted"].to_list()
    digests = pl.read_parquet(tmp_path / "set" / "manifest.parquet")["sha256"].to_list()
    assert digests == [row_digest(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    clean = write_planted(plant(simulator, simulator.tasks("train", 5, seed=2), None, seed=2), tmp_path / "clean")
    assert json.loads((clean.parent / "dataset.json").read_text())["planted_backdoor"] is False


def test_the_same_seed_plants_the_same_rows() -> None:
    simulator = PageSimulator()
    one, two, other = (plant(simulator, simulator.tasks("train", 12, seed=2), Plan(LOOKED_AT[1]), seed=s).manifest for s in (1, 1, 2))  # fmt: skip
    assert one.equals(two)
    assert not one.equals(other)


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rate 1\.5"):
        Plan(LOOKED_AT[0], rate=1.5)
