"""Tables of sums over edges, of which all is known by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval
from veracast.explain.fidelity import fidelity
from veracast.explain.metrics.graphs import edge_numbers, graph_metrics
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Scorer
from veracast.explain.units import Edge, Edges

CONTENT = [Edge("v", "by", name) for name in "abcd"]


def graph(weights: Sequence[float]) -> Perturbed:
    """A sum of weights of the edges that are there."""
    worth = dict(zip(CONTENT, weights, strict=True))
    return Perturbed({"graph": CONTENT}, (Edges(),), Scorer(lambda items: [5 + sum(worth[edge] for edge in one["graph"]) for one in items]))  # fmt: skip


def test_three_items_by_hand() -> None:
    """Of 4 in all the choices carry 3, 1 and 4: plus .75, .25, 1; minus .25, .75, 0; so characterizations .75, .25, 1. Chosen 2, 1, 1 of 4."""
    found = graph_metrics([graph([2, 1, 1, 0]), graph([1, 1, 1, 1]), graph([4, 0, 0, 0])], [[0, 1], [2], [0]])
    assert found.plus and found.minus and found.characterization and found.sparsity
    assert (found.plus.value, found.minus.value) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (found.characterization.value, found.of_means) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found.sparsity.value == pytest.approx((0.5 + 0.75 + 0.75) / 3)
    assert found.unmeasured == 0


def test_of_means_is_at_least_the_mean_over_items() -> None:
    """One edge of two, either of which is enough: plus 0, minus 0, nothing; and an AND: plus 1, minus 1, nothing. Means of a half: a half."""
    either = Perturbed({"graph": CONTENT}, (Edges(),), Scorer(lambda items: [float(bool({*CONTENT[:2]} & {*one["graph"]})) for one in items]))  # fmt: skip
    needed = Perturbed({"graph": CONTENT}, (Edges(),), Scorer(lambda items: [float({*CONTENT[:2]} <= {*one["graph"]}) for one in items]))  # fmt: skip
    found = graph_metrics([either, needed], [[0], [0]])
    assert found.characterization is not None
    assert (found.characterization.value, found.of_means) == (0, 0.5)


def test_the_control_is_the_mean_over_random_choices_of_as_many() -> None:
    """Two of four edges 3, 1, 0, 0: the pairs carry 1, .75 (twice), .25 (twice) and 0 of all, each one's characterization: mean 1/2, variance 1/8."""
    weights = np.array([3, 1, 0, 0])
    exact = np.mean([weights[list(pair)].sum() / 4 for pair in combinations(range(4), 2)])
    found = graph_metrics([graph(weights.tolist())] * 3, [[0, 1]] * 3, controls=400)
    assert found.control and found.gain and exact == 0.5
    assert abs(found.control.value - exact) < 4 * np.sqrt(1 / 8 / 1200)
    assert found.gain.value == pytest.approx(1 - found.control.value)
    draws = [one.controls for one in found.items if one]
    assert not np.array_equal(draws[0], draws[1])  # each item has its own


def test_means_have_the_bootstrap_of_their_values_and_groups_are_drawn_whole() -> None:
    rng = np.random.default_rng(0)
    table = [graph(rng.uniform(0, 1, 4).tolist()) for _ in range(30)]
    alone = graph_metrics(table, [[0]] * 30, controls=9, seed=4)
    values = np.array([one.plus for one in alone.items if one])
    assert alone.plus is not None and alone.plus.value == pytest.approx(values.mean())
    shuffled = np.unique([str(k) for k in range(30)], return_inverse=True)[1]
    assert alone.plus.interval == bootstrap_interval(values, rng=stream(4, "explain", "graphs", "plus"), groups=shuffled)  # fmt: skip
    again = [one for one in table for _ in range(4)]
    doubled = graph_metrics(again, [[0]] * 120, controls=9, groups=[str(k // 4) for k in range(120)], seed=4)
    loose = graph_metrics(again, [[0]] * 120, controls=9, seed=4)
    width = [one.plus.interval.high - one.plus.interval.low for one in (alone, doubled, loose) if one.plus and one.plus.interval]  # fmt: skip
    assert width[1] == pytest.approx(width[0]) and width[2] < 0.6 * width[0]


def test_an_item_whose_graph_changes_nothing_is_counted_and_left_out() -> None:
    found = graph_metrics([graph([0, 0, 0, 0]), graph([4, 0, 0, 0])], [[0], [0]])
    assert found.items[0] is None and found.unmeasured == 1
    assert found.plus is not None and found.plus.value == 1 and found.plus.interval is None  # of one
    nothing = graph_metrics([graph([0, 0, 0, 0])], [[0]])
    assert (nothing.plus, nothing.gain, nothing.of_means, nothing.unmeasured) == (None, None, None, 1)


def test_two_items_of_one_group_have_no_interval() -> None:
    found = graph_metrics([graph([4, 0, 0, 0])] * 2, [[0]] * 2, groups=["a", "a"])
    assert found.plus is not None and found.plus.interval is None


def test_an_item_is_measured_as_fidelity_measures_it() -> None:
    one = graph([2, 1, 0.5, 0.5])
    found, alone = graph_metrics([one, one], [[0], [1]], seed=7).items[1], fidelity(one, "graph", [1], seed=8)
    assert found is not None and alone is not None
    assert (found.plus, found.minus, found.gap) == (alone.plus, alone.minus, alone.gap)
    assert np.array_equal(found.controls, alone.controls)


def test_edges_are_found_by_what_they_are() -> None:
    content = [*CONTENT, CONTENT[0]]
    assert edge_numbers(content, [CONTENT[2], CONTENT[0], CONTENT[0]]) == [2, 0, 4]
    with pytest.raises(ConfigError) as found:
        edge_numbers(content, [Edge("v", "by", "z"), CONTENT[1], CONTENT[1]])
    assert found.value.faults == tuple(f"chosen edge v by {name}: the graph does not have it, or not so often" for name in "zb")  # fmt: skip


def test_all_faults_are_named() -> None:
    with pytest.raises(ConfigError) as found:
        graph_metrics([graph([1] * 4)] * 3, [[], [0], [0, 1, 2, 3]])
    assert [fault.split(":")[0] for fault in found.value.faults] == ["item 0", "item 2"]
    with pytest.raises(ConfigError, match="1 items, 2 choices, 1 groups"):
        graph_metrics([graph([1] * 4)], [[0], [0]])
    with pytest.raises(ConfigError, match="1 items, 1 choices, 2 groups"):
        graph_metrics([graph([1] * 4)], [[0]], groups=["a", "b"])
    with pytest.raises(ConfigError, match="0 items"):
        graph_metrics([], [])
    with pytest.raises(ConfigError, match="0 controls"):
        graph_metrics([graph([1] * 4)], [[0]], controls=0)
