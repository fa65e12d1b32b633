"""Choices of edges of which it is known whether they are needed, and whether they are enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.fidelity import fidelity
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Edge, Edges

CONTENT = [Edge("v", "by", name) for name in "abcdefgh"]


def graph(weights: Sequence[float]) -> Perturbed:
    """A sum of weights of the edges that are there."""
    worth = dict(zip(CONTENT, weights, strict=True))
    return Perturbed({"graph": CONTENT}, (Edges(),), Scorer(lambda items: [5 + sum(worth[edge] for edge in one["graph"]) for one in items]))  # fmt: skip


def test_two_edges_of_a_sum_by_hand() -> None:
    """Of 4 in all they carry 3: without them 3/4 of the gap opens, with them alone 1/4; the harmonic mean of .75 and .75."""
    found = fidelity(graph([2, 1, 0.5, 0.5, 0, 0, 0, 0]), "graph", [0, 1])
    assert found is not None
    assert (found.plus, found.minus, found.gap, found.sparsity) == (0.75, 0.25, 4.0, 0.75)
    assert found.characterization == pytest.approx(0.75)
    assert found.rank <= 0.1  # one of 28 pairs is as good


def test_wrong_edges_are_no_better_than_random_ones() -> None:
    found = fidelity(graph([2, 1, 0.5, 0.5, 0, 0, 0, 0]), "graph", [6, 7])
    assert found is not None and (found.plus, found.minus, found.characterization, found.rank) == (0, 1, 0, 1)


def test_needed_and_not_enough() -> None:
    """All of three edges are needed: without one of them nothing is left, and it alone gives nothing: a harmonic mean of 1 and 0."""

    def score(items: Sequence[Item]) -> list[float]:
        return [float(set(CONTENT[:3]) <= set(one["graph"])) for one in items]

    perturbed = Perturbed({"graph": CONTENT}, (Edges(),), Scorer(score))
    one, three = fidelity(perturbed, "graph", [0]), fidelity(perturbed, "graph", [0, 1, 2])
    assert one is not None and (one.plus, one.minus, one.characterization) == (1, 1, 0)
    assert three is not None and (three.plus, three.minus, three.characterization) == (1, 0, 1)


def test_a_graph_that_changes_nothing_has_no_fidelity() -> None:
    assert fidelity(graph([0] * 8), "graph", [0]) is None


def test_the_same_seed_draws_the_same_controls_and_overshoots_count_as_all() -> None:
    first, second = (fidelity(graph([3, -2, 0, 0, 0, 0, 0, 0]), "graph", [0], seed=4) for _ in range(2))
    assert first is not None and second is not None and np.array_equal(first.controls, second.controls)
    assert (first.plus, first.minus) == (1, 1)  # 3 of a gap of 1, and 2 beyond it


@pytest.mark.parametrize("chosen", [[], list(range(8)), [8], [-1]])
def test_choices_that_are_none_are_refused(chosen: list[int]) -> None:
    with pytest.raises(ConfigError, match="choose one or more, not all"):
        fidelity(graph([1] * 8), "graph", chosen)
