"""The most similar past rows: by hand, against a search of all pairs, and on rows of which little is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veracast.core.seeds import stream
from veracast.explain.retrieved import CLIP, nearest

NAN = np.nan


def test_distances_by_hand() -> None:
    """Feature 1: 0 2 4 6, mean 3, spread sqrt 5. Feature 2: 0 0 8 8, mean 4, spread 4."""
    reference = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 8.0], [6.0, 8.0]])
    found = nearest(np.array([[2.0, 4.0]]), reference, k=4)
    # differences in spreads: (2, 4), (0, 4), (2, 4), (4, 4) over (sqrt 5, 4)
    expected = {1: 1.0, 0: np.sqrt(4 / 5 + 1), 2: np.sqrt(4 / 5 + 1), 3: np.sqrt(16 / 5 + 1)}
    assert found.index[0, 0] == 1
    assert set(found.index[0, 1:3]) == {0, 2}
    assert found.index[0, 3] == 3
    assert found.distance[0] == pytest.approx([expected[i] for i in found.index[0]], abs=1e-12)


def test_a_row_of_the_reference_is_its_own_neighbour() -> None:
    reference = stream(0, "retrieved").standard_normal((50, 3))
    found = nearest(reference, reference, k=1)
    assert found.index[:, 0].tolist() == list(range(50))
    assert found.distance.max() == 0.0


def brute_force(query: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """All distances, shape (queries, references), written a second time with plain loops over columns."""
    total = np.zeros((len(query), len(reference)))
    for j in range(reference.shape[1]):
        column = reference[:, j][~np.isnan(reference[:, j])]
        if len(column) == 0:
            continue
        spread = column.std() if column.max() > column.min() else 1.0
        a, b = ((rows[:, j] - column.mean()) / spread for rows in (query, reference))
        a, b = (np.clip(np.where(np.isnan(rows), 0.0, rows), -5.0, 5.0) for rows in (a, b))
        total += (a[:, None] - b[None, :]) ** 2
    return np.sqrt(total)


CELL = st.one_of(st.just(NAN), st.integers(-4, 4).map(float), st.just(1000.0))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, (3, 3), elements=CELL), arrays(np.float64, (7, 3), elements=CELL), st.integers(1, 9))
def test_it_finds_what_a_search_of_all_pairs_finds(query: np.ndarray, reference: np.ndarray, k: int) -> None:
    found, every = nearest(query, reference, k=k), brute_force(query, reference)
    if np.isnan(reference).all():
        assert found.index.shape == found.distance.shape == (3, 0)
        return
    assert found.index.shape == found.distance.shape == (3, min(k, 7))
    assert np.allclose(found.distance, np.sort(every, axis=1)[:, :k], atol=1e-9)
    assert np.allclose(np.take_along_axis(every, found.index, axis=1), found.distance, atol=1e-9)
    assert all(len(set(row)) == len(row) for row in found.index.tolist())


def test_unknown_counts_as_the_mean() -> None:
    reference = np.array([[0.0], [10.0], [4.0], [6.0], [NAN]])  # mean 5, spread sqrt(52 / 4)
    found = nearest(np.array([[NAN]]), reference, k=3)
    assert found.index[0, 0] == 4
    assert set(found.index[0, 1:]) == {2, 3}
    assert found.distance[0] == pytest.approx([0.0, 1 / np.sqrt(13), 1 / np.sqrt(13)])


def test_one_wild_feature_does_not_decide_alone() -> None:
    """A hundred rows at 0 and one at a million: without the cut it would stand ten spreads off, not five."""
    reference = np.array([[0.0]] * 100 + [[1e6]])
    wild = (1e6 - reference.mean()) / reference.std()
    assert wild == pytest.approx(10.0)
    found = nearest(np.array([[0.0]]), reference, k=101)
    assert found.distance[0, -1] == pytest.approx(CLIP + 0.1)  # 0 stands .1 spreads under the mean
    assert found.index[0, -1] == 100


def test_a_feature_that_never_varies_counts_in_its_own_unit_whatever_its_rounding() -> None:
    """The mean of three times .1 is not .1 in floating point: its spread of 1e-17 must not blow a difference up."""
    assert 0 < np.std([0.1] * 3) < 1e-16
    still, varied = np.full((3, 1), 0.1), np.arange(3.0)[:, None]
    found = nearest(np.array([[0.3, 0.0]]), np.hstack([still, varied]), k=1)
    assert found.index.tolist() == [[0]]
    assert found.distance[0, 0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("query", "reference", "shape"),
    [
        (np.empty((0, 2)), np.ones((4, 2)), (0, 3)),
        (np.ones((2, 2)), np.empty((0, 2)), (2, 0)),
        (np.ones((2, 2)), np.full((4, 2), NAN), (2, 0)),
        (np.ones((2, 0)), np.ones((4, 0)), (2, 0)),
    ],
    ids=["no query", "no past", "a past of which nothing is known", "no feature"],
)
def test_where_nothing_can_be_compared_there_are_no_neighbours(
    query: np.ndarray, reference: np.ndarray, shape: tuple[int, int]
) -> None:
    found = nearest(query, reference, k=3)
    assert found.index.shape == found.distance.shape == shape
    assert found.index.dtype.kind == "i"
