"""Similar past rows: by hand, against brute force, and with values that are missing or wild."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.seeds import stream
from veracast.explain.retrieved import CLIP, nearest


def test_by_hand_in_standard_deviations() -> None:
    reference = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 20.0], [2.0, 20.0]])  # spread 1 and 10
    found = nearest(np.array([[2.0, 2.0]]), reference, k=2)
    assert found.index.tolist() == [[1, 3]]
    assert found.distance[0] == pytest.approx([0.2, 1.8])


def test_the_same_as_brute_force() -> None:
    rng = stream(0, "retrieved")
    reference, query = rng.normal(size=(200, 4)) * [1, 5, 0.1, 100], rng.normal(size=(7, 4)) * [1, 5, 0.1, 100]
    found = nearest(query, reference, k=3)
    mean, spread = reference.mean(axis=0), reference.std(axis=0)
    a, b = (np.clip((x - mean) / spread, -CLIP, CLIP) for x in (query, reference))
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    order = np.argsort(distance, axis=1)[:, :3]
    assert found.index.tolist() == order.tolist()
    assert np.allclose(found.distance, np.take_along_axis(distance, order, axis=1))


def test_an_unknown_value_counts_as_the_mean_and_an_unknown_column_not_at_all() -> None:
    reference = np.array([[-1.0, np.nan], [1.0, np.nan], [0.1, np.nan]])
    assert nearest(np.array([[np.nan, 5.0]]), reference, k=1).index.tolist() == [[2]]


def test_one_wild_value_does_not_decide_alone() -> None:
    reference = np.vstack([np.zeros((98, 2)), [[1e9, 0.0]], [[0.0, 3.0]]])
    far = nearest(np.array([[1e12, 0.0]]), reference, k=1).distance[0, 0]
    assert far <= CLIP


def test_a_short_reference_gives_what_it_has() -> None:
    found = nearest(np.zeros((2, 1)), np.array([[0.0], [1.0]]), k=5)
    assert found.index.shape == (2, 2)
