"""Effects of parts by hand: sums, parts of which either is enough, parts that only work together, and many parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.effects import UnitEffects, unit_effects
from veracast.explain.games import EXACT
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Edge, Edges, Numbers, Texts


def effects(of: Callable[[Mapping[str, float]], float], count: int = 3, *, orders: int = 32) -> UnitEffects:
    """Of numbers a, b, c ... that are 1 and have the baseline 0, beside a text that stays."""
    names = [chr(ord("a") + k) for k in range(count)]
    item = {"numbers": dict.fromkeys(names, 1.0), "comments": ["x"]}

    def score(items: Sequence[Item]) -> list[float]:
        assert all(one["comments"] == ["x"] for one in items)
        return [of(one["numbers"]) for one in items]

    perturbed = Perturbed(item, (Numbers(dict.fromkeys(names, 0.0)), Texts()), Scorer(score))
    return unit_effects(perturbed, "numbers", orders=orders)


def test_of_a_sum_all_three_say_the_term() -> None:
    found = effects(lambda x: 5 + 3 * x["a"] - 2 * x["b"] + x["c"])
    for values in (found.without, found.alone, found.shapley):
        np.testing.assert_allclose(values, [3, -2, 1], atol=1e-12)
    assert (found.full, found.bare, found.completeness_error, found.ranked()) == (7, 5, 0, [0, 1, 2])
    assert [unit.name for unit in found.units] == ["a", "b", "c"] and found.errors.tolist() == [0, 0, 0]


def test_where_either_is_enough_nothing_is_missed_without_one() -> None:
    found = effects(lambda x: max(x["a"], x["b"]))
    np.testing.assert_allclose([found.without, found.alone, found.shapley], [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0]], atol=1e-12)  # fmt: skip


def test_where_both_are_needed_one_alone_does_nothing() -> None:
    found = effects(lambda x: x["a"] * x["b"])
    np.testing.assert_allclose([found.without, found.alone, found.shapley], [[1, 1, 0], [0, 0, 0], [0.5, 0.5, 0]], atol=1e-12)  # fmt: skip


def test_many_parts_are_sampled_sum_up_and_come_within_their_errors() -> None:
    """v = sum k x_k + 9 x_0 x_1 x_2: Shapley k, and 3 more for each of the first three."""
    count = EXACT + 2
    found = effects(lambda x: sum(k * v for k, v in enumerate(x.values())) + 9 * x["a"] * x["b"] * x["c"], count, orders=64)  # fmt: skip
    exact = np.arange(count) + 3.0 * (np.arange(count) < 3)
    assert found.completeness_error < 1e-9
    np.testing.assert_allclose(found.shapley[3:], exact[3:], atol=1e-9)
    assert (np.abs(found.shapley[:3] - exact[:3]) < 4 * found.errors[:3]).all() and found.errors[:3].min() > 0
    np.testing.assert_array_equal(found.shapley, effects(lambda x: sum(k * v for k, v in enumerate(x.values())) + 9 * x["a"] * x["b"] * x["c"], count, orders=64).shapley)  # fmt: skip


def test_parts_of_a_group_come_and_go_together() -> None:
    """Edges by relation: two by the author are needed together, one by music adds 2."""
    content = [Edge("v", "by", "a"), Edge("v", "uses", "m"), Edge("w", "by", "a")]

    def score(items: Sequence[Item]) -> list[float]:
        return [3.0 * (content[0] in one["graph"] and content[2] in one["graph"]) + 2 * (content[1] in one["graph"]) for one in items]  # fmt: skip

    perturbed = Perturbed({"graph": content}, (Edges(),), Scorer(score))
    found = unit_effects(perturbed, "graph", groups=[one.kind for one in content])
    assert [unit.name for unit in found.units] == ["by", "uses"]
    np.testing.assert_allclose([found.without, found.alone, found.shapley], [[3, 2]] * 3, atol=1e-12)
    np.testing.assert_allclose(unit_effects(perturbed, "graph").shapley, [1.5, 2, 1.5], atol=1e-12)
    with pytest.raises(ConfigError, match="1 groups for 3 parts of graph"):
        unit_effects(perturbed, "graph", groups=["by"])


def test_a_modality_without_parts_is_refused() -> None:
    perturbed = Perturbed({"numbers": {"a": 1.0}, "comments": []}, (Numbers({"a": 0.0}), Texts()), Scorer(lambda items: [0.0] * len(items)))  # fmt: skip
    with pytest.raises(ConfigError, match="comments has no parts here"):
        unit_effects(perturbed, "comments")


def test_exact_values_are_captums_on_the_same_network() -> None:
    """captum's are float32."""
    torch, attr = pytest.importorskip("torch"), pytest.importorskip("captum.attr")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
    inputs, baselines = (torch.tensor(np.random.default_rng(k).normal(size=(1, 5))) for k in (1, 2))
    theirs = attr.ShapleyValues(lambda x: network(x)[:, 0]).attribute(inputs, baselines=baselines)[0].numpy()

    def score(items: Sequence[Item]) -> np.ndarray:
        rows = torch.tensor([list(one["numbers"].values()) for one in items], dtype=torch.float64).reshape(-1, 5)
        with torch.no_grad():
            return np.asarray(network(rows)[:, 0].numpy())

    item, base = (dict(zip("abcde", one[0].tolist(), strict=True)) for one in (inputs, baselines))
    ours = unit_effects(Perturbed({"numbers": item}, (Numbers(base),), Scorer(score)), "numbers").shapley
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.abs(theirs).min() > 1e-3
