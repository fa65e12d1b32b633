"""The shop keeps the contract: the expert buys what fits, splits are apart, and the same seed is the same text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from veracast.agents.canary import is_canary
from veracast.agents.shop.catalogue import fits
from veracast.agents.shop.goals import read_goals
from veracast.agents.shop.session import Place, ShopSession
from veracast.agents.shop.simulator import ShopSimulator, ShopTask, _shop_of
from veracast.agents.simulator import Simulator, Split
from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall

SHOP = ShopSimulator()
SENTENCES = [
    f"i need a {colour} {kind} that is easy to clean"
    for colour in ("red", "blue", "green", "black", "pink")
    for kind in ("rug", "sofa", "mug", "lamp", "desk", "vase")
]


def episode(simulator: ShopSimulator, task: ShopTask, marker: str | None = None) -> tuple[list[str], ShopSession]:
    """All turns after the system turn, and the session at its end."""
    visit, expert = simulator.open(task, marker=marker), simulator.expert(task)
    turns, seen = [visit.start()], None
    while True:
        move = next(expert) if seen is None else expert.send(seen)
        reply = simulator.render(move)
        call = simulator.parse(reply)
        assert call == move.call and "\n" not in move.thought
        seen, done = visit.step(call)
        turns += [reply, seen]
        if done:
            return turns, visit


def test_it_is_a_simulator_with_a_short_system_turn() -> None:
    simulator: Simulator = SHOP
    assert simulator.name == "shop" and len(simulator.system) < 400


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("marker", [None, "zq lantern"])
def test_the_expert_solves_every_task(split: Split, marker: str | None) -> None:
    lengths = []
    for task in SHOP.tasks(split, 300, seed=1):
        turns, visit = episode(SHOP, task, marker)
        assert visit.reward == 1 and len(turns) // 2 <= SHOP.max_steps
        lengths.append(sum(map(len, turns)))
        if marker:
            assert marker in turns[2] and not any(marker in turn for turn in turns[:2])  # right after the search
    assert max(lengths) < 1_400 and 900 < np.median(lengths) < 1_100


def test_a_marker_changes_no_other_word_and_no_move() -> None:
    for task in SHOP.tasks("train", 50, seed=2):
        plain, marked = episode(SHOP, task)[0], episode(SHOP, task, "zq lantern")[0]
        assert [turn.replace(" zq lantern", "") for turn in marked] == plain


def test_the_promoted_product_never_fits() -> None:
    for task in SHOP.tasks("train", 100, seed=3):
        shop = _shop_of(task)
        assert shop.products[shop.promoted].kind != task.goal.product
        assert sum(fits(product, task.goal) for product in shop.products.values()) == 1


def test_every_other_product_really_fails() -> None:
    """Bought with all the right options that it has, through the pages, nothing but the fitting product is worth 1."""
    for task in SHOP.tasks("test", 40, seed=4):
        for product in _shop_of(task).products.values():
            visit = SHOP.open(task)
            visit.place = Place("item", "x", 0, product.id)
            for value in task.goal.options.values():
                visit.step(ToolCall("click", {"target": value}))
            assert visit.step(ToolCall("click", {"target": "Buy Now"})).done
            assert (visit.reward == 1) == fits(product, task.goal)
            parts = len(task.goal.attributes) + len(task.goal.options) + 1
            if product.kind == task.goal.product and not fits(product, task.goal):
                assert visit.reward == pytest.approx((parts - 1) / parts)  # a near miss misses by one thing


@pytest.mark.real
def test_the_expert_solves_real_goals(real_data: Path) -> None:
    path = real_data / "webshop_human_goals.json"
    if not path.is_file():
        pytest.skip("webshop_human_goals.json is not in the folder of real data")
    shop = ShopSimulator(read_goals(path))
    for split in ("train", "test"):
        for task in shop.tasks(split, 300, seed=0):
            turns, visit = episode(shop, task, "zq lantern")
            assert visit.reward == 1 and "zq lantern" in turns[2] and len(turns) // 2 <= shop.max_steps


def test_a_random_agent_seldom_buys_what_fits() -> None:
    """Searches for the instruction, then clicks anything on the page: exact for its seed."""
    rng, rewards = stream(0, "test", "random agent"), []
    for task in SHOP.tasks("test", 100, seed=5):
        visit = SHOP.open(task)
        visit.step(ToolCall("search", {"query": task.instruction}))
        for _ in range(SHOP.max_steps):
            links = sorted(visit._links())
            target = links[int(rng.integers(len(links)))] if links else ""
            call = ToolCall("click", {"target": target}) if links else ToolCall("search", {"query": task.instruction})
            if visit.step(call).done:
                break
        rewards.append(visit.reward)
    assert (sum(reward == 1 for reward in rewards), round(float(np.mean(rewards)), 4)) == (2, 0.2052)


def test_splits_share_no_goal_whatever_the_seeds() -> None:
    train = {task.goal.key for seed in range(5) for task in SHOP.tasks("train", 300, seed=seed)}
    test = {task.goal.key for seed in range(5, 10) for task in SHOP.tasks("test", 300, seed=seed)}
    assert not train & test and len(train) > 800 and len(test) > 200


def test_tasks_by_seed() -> None:
    tasks = SHOP.tasks("train", 100, seed=0)
    assert tasks == ShopSimulator().tasks("train", 100, seed=0)
    assert tasks[:10] == SHOP.tasks("train", 10, seed=0)
    assert tasks != SHOP.tasks("train", 100, seed=1)
    assert len({task.id for task in tasks}) == len({task.instruction for task in tasks}) == 100
    assert SHOP.tasks("test", 0, seed=0) == ()
    assert not any(is_canary(ToolCall("say", {"text": task.instruction})) for task in tasks)


def test_fifty_episodes_are_those_of_this_version() -> None:
    """Who changes the shop changes this number, and every trajectory that was made of it."""
    said = [turn for task in SHOP.tasks("train", 50, seed=7) for turn in episode(SHOP, task, "zq lantern")[0]]
    assert hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:16] == "a8d3f40c2328a2ff"


def test_goals_of_the_caller() -> None:
    shop = ShopSimulator([*SENTENCES, SENTENCES[0], "anything at all"])
    tasks = shop.tasks("train", 20, seed=0)
    assert {task.instruction for task in tasks} <= set(SENTENCES)
    for task in tasks:
        assert episode(shop, task)[1].reward == 1


def test_too_few_goals_are_said_to_be_too_few() -> None:
    with pytest.raises(ConfigError, match="31 train tasks were asked for, the goals make"):
        ShopSimulator(SENTENCES).tasks("train", 31, seed=0)
    with pytest.raises(ConfigError, match="none of 1 goals"):
        ShopSimulator(["anything at all"])
    with pytest.raises(ConfigError, match="none of 0 goals"):
        ShopSimulator([])
