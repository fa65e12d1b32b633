"""Neighbours and the linear probe by hand, against brute force and against the conditions of the optimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from veracast.core.errors import NotMeasuredError
from veracast.poison import probe
from veracast.poison.probe import accuracy, fit_linear_probe, knn_predict

ANGLES = np.deg2rad([0.0, 10, 20, 90, 100])
KNOWN = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * np.array([[1], [5], [2], [9], [1]])  # lengths do not count
LABELS = np.array([7, 3, 3, 7, 7])


def at(degrees: float) -> np.ndarray:
    return np.array([[np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]])


def test_neighbours_vote_by_angle() -> None:
    assert knn_predict(KNOWN, LABELS, at(1), k=1).tolist() == [7]
    assert knn_predict(KNOWN, LABELS, at(1), k=3).tolist() == [3]
    assert knn_predict(KNOWN, LABELS, at(1), k=99).tolist() == [7]  # all vote
    assert knn_predict(KNOWN, LABELS, at(1), k=2).tolist() == [3]  # one vote each: the least label


def test_a_low_temperature_lets_the_nearest_decide() -> None:
    # cosines .9998, .9877, .9455: votes 7 -> 1, 3 -> exp(-.0121/T) + exp(-.0543/T), which pass 1 at T = .0463
    cosine = np.cos(np.deg2rad([1.0, 9.0, 19.0]))
    turn = brentq(lambda t: np.exp((cosine[1:] - cosine[0]) / t).sum() - 1, 1e-3, 1.0)
    assert knn_predict(KNOWN, LABELS, at(1), k=3, temperature=turn * 0.99).tolist() == [7]
    assert knn_predict(KNOWN, LABELS, at(1), k=3, temperature=turn * 1.01).tolist() == [3]


@pytest.mark.parametrize("temperature", [None, 0.07])
def test_neighbours_equal_brute_force_in_any_chunk(temperature: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    known, asked, labels = rng.normal(size=(40, 3)), rng.normal(size=(17, 3)), rng.integers(0, 4, 40)
    expected = []
    for vector in asked:
        cosine = [float(v @ vector / np.linalg.norm(v) / np.linalg.norm(vector)) for v in known]
        votes = np.zeros(4)
        for i in sorted(range(40), key=lambda i: -cosine[i])[:5]:
            votes[labels[i]] += 1 if temperature is None else np.exp(cosine[i] / temperature)
        expected.append(int(votes.argmax()))
    assert knn_predict(known, labels, asked, k=5, temperature=temperature).tolist() == expected
    monkeypatch.setattr(probe, "_CELLS", 120)
    assert knn_predict(known, labels, asked, k=5, temperature=temperature).tolist() == expected


def test_neighbours_need_some_vectors_and_a_label_each() -> None:
    with pytest.raises(ValueError, match="0 known vectors, k = 20"):
        knn_predict(KNOWN[:0], LABELS[:0], at(0))
    with pytest.raises(ValueError, match=r"labels of shape \(4,\), expected \(5,\)"):
        knn_predict(KNOWN, LABELS[:4], at(0))


def test_the_probe_of_one_feature_is_the_root_of_its_gradient() -> None:
    # x = -1, +1 (already scaled), labels wrong in one of four: weights (-w, w), share of the right = s(2wx)
    x, labels = np.array([[-1.0], [-1], [-1], [-1], [1], [1], [1], [1]]), np.array([2, 2, 2, 5, 5, 5, 5, 2])
    found = fit_linear_probe(x, labels, l2=0.1)
    # loss = -3/4 log s(2w) - 1/4 log s(-2w) + .1/2 * 2w^2: its derivative is 2 s(2w) - 3/2 + .2 w
    w = brentq(lambda w: 2 / (1 + np.exp(-2 * w)) - 1.5 + 0.2 * w, 0, 5)
    np.testing.assert_allclose(found.weight, [[-w, w]], atol=1e-5)
    np.testing.assert_allclose(found.bias, [0, 0], atol=1e-5)
    assert found.predict(np.array([[-0.3], [0.2]])).tolist() == [2, 5]


def test_the_probe_meets_the_conditions_of_the_optimum_and_any_scale() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 90)
    x = rng.normal(size=(90, 4)) + labels[:, None] * np.array([1.0, 0, -1, 0.5])
    x[:, 3] = 2.5  # says nothing
    found = fit_linear_probe(x, labels, l2=0.01)
    scores = x @ found.weight + found.bias
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    error = shares - np.eye(3)[labels]
    np.testing.assert_allclose(error.mean(axis=0), 0, atol=1e-6)
    scaled = (x[:, :3] - x[:, :3].mean(axis=0)) / x[:, :3].std(axis=0)
    np.testing.assert_allclose(
        scaled.T @ error / 90, -0.01 * found.weight[:3] * x[:, :3].std(axis=0)[:, None], atol=1e-6
    )
    assert (found.weight[3] == 0).all()
    again = fit_linear_probe(x * 1000 + 5, labels, l2=0.01)
    np.testing.assert_allclose(again.weight[:3] * 1000, found.weight[:3], atol=1e-4)
    assert (again.predict(x * 1000 + 5) == found.predict(x)).all()


def test_a_probe_needs_two_classes() -> None:
    with pytest.raises(NotMeasuredError, match="1 classes among 3 labels"):
        fit_linear_probe(np.zeros((3, 2)), np.array([4, 4, 4]))


def test_accuracy_has_wilsons_interval() -> None:
    found = accuracy(np.array([1] * 8 + [0] * 2), np.ones(10, dtype=int))
    assert (found.share, found.n) == (0.8, 10)
    # Wilson 1927 with z = 1.95996: centre .71668, half .22666
    assert (found.interval.low, found.interval.high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    with pytest.raises(NotMeasuredError, match="no labels"):
        accuracy(np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="labels of shape"):
        accuracy(np.zeros(2, dtype=int), np.zeros(3, dtype=int))
