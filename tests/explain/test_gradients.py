"""Integrated gradients of functions that are known, beside exact Shapley values and captum's own call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.effects import unit_effects
from veracast.explain.gradients import cells_of, integrated_gradients
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Scorer, UnfitScorerError
from veracast.explain.units import Frames

torch = pytest.importorskip("torch")
attr = pytest.importorskip("captum.attr")
X, B = (np.random.default_rng(k).normal(size=6) for k in (1, 2))


def test_of_a_sum_they_are_its_terms() -> None:
    """w (x - b), and x^2 - b^2 for the first entry."""
    weights = torch.arange(6.0, dtype=torch.float64)
    found = integrated_gradients(lambda rows: rows @ weights + rows[:, 0] ** 2, X, B)
    by_hand = np.arange(6) * (X - B)
    by_hand[0] += X[0] ** 2 - B[0] ** 2
    np.testing.assert_allclose(found.effects, by_hand, atol=1e-7)
    assert found.error < 1e-7 and found.full - found.base == pytest.approx(by_hand.sum())


def test_of_a_product_each_gets_a_half_from_zero() -> None:
    """x y from (0, 0): both effects are x y / 2, by hand from the integral of t x y dt."""
    found = integrated_gradients(lambda rows: rows[:, 0] * rows[:, 1], np.array([3.0, 2.0]), np.zeros(2))
    np.testing.assert_allclose(found.effects, [3, 3], atol=1e-9)


def test_they_are_captums_on_a_network() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()

    def forward(rows: Any) -> Any:
        return network(rows)[:, 0]

    theirs = (
        attr.IntegratedGradients(forward)
        .attribute(torch.from_numpy(X)[None], baselines=torch.from_numpy(B)[None], n_steps=64)[0]
        .detach()
        .numpy()
    )
    found = integrated_gradients(forward, X, B)
    np.testing.assert_allclose(found.effects, theirs, atol=1e-9)
    assert found.error < 1e-3 * abs(found.full - found.base)


def test_cells_of_frames_are_those_of_masks_where_the_scorer_adds() -> None:
    """Brightness weighed by place: integrated gradients added up by cell are the exact effects of the cells."""
    rng = np.random.default_rng(3)
    frames, weights = rng.random((2, 5, 7, 3)), torch.from_numpy(rng.normal(size=(2, 5, 7, 3)))
    black = np.zeros((5, 7, 3))
    found = integrated_gradients(lambda rows: (rows * weights).sum(dim=(1, 2, 3, 4)), frames, np.zeros_like(frames))
    cells = found.grouped(cells_of(frames.shape, 2, 2), 8)

    def score(items: Any) -> np.ndarray:
        return np.array([float((one["frames"] * weights.numpy()).sum()) for one in items])

    masks = unit_effects(Perturbed({"frames": frames}, (Frames(2, 2, black),), Scorer(score)), "frames")
    np.testing.assert_allclose(cells, masks.shapley, atol=1e-9)


def test_a_scorer_that_jumps_is_refused() -> None:
    with pytest.raises(
        UnfitScorerError, match="gradients add up to 0, the score changes by 1 -> more steps, or effects by masks"
    ):
        integrated_gradients(lambda rows: (rows[:, 0] > 0).double() + 0 * rows[:, 0], np.array([1.0]), np.array([-1.0]))
    with pytest.raises(ConfigError, match="give one of the same shape"):
        integrated_gradients(lambda rows: rows[:, 0], np.zeros(2), np.zeros(3))
