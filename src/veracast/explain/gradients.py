"""Integrated gradients where a scorer is a differentiable function of arrays (Sundararajan et al. 2017, eq. 1), through captum.

    IG_i = (x_i - b_i) times the mean over the way from baseline b to input x of d score / d x_i

They sum to score - baseline score up to the error of the integral, which is told; of an additive scorer they are its Shapley values. One backward pass
a step gives all entries at once, so cells of frames or token vectors are cheap where masks are not; what a scorer does between x and b, where no
real input lies, enters as well. `grouped` adds entries up to parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from veracast.core.errors import ConfigError
from veracast.explain.scorer import UnfitScorerError

LARGEST_ERROR = 0.05
"""Share of |score - baseline score| that the integral may miss."""


@dataclass(frozen=True)
class Gradients:
    """effects: of every entry, the input's shape; full, base: scores; error: |sum of effects - (full - base)|."""

    effects: np.ndarray
    full: float
    base: float
    error: float

    def grouped(self, part: np.ndarray, parts: int) -> np.ndarray:
        """Effects added up by part, (parts,). part: number of the part of each entry, the input's shape."""
        return np.bincount(np.asarray(part).ravel(), weights=self.effects.ravel(), minlength=parts)


def integrated_gradients(forward: Callable[[Any], Any], content: np.ndarray, baseline: np.ndarray, *, steps: int = 64, batch: int = 32) -> Gradients:  # fmt: skip
    """forward: torch tensor (n, *content.shape) -> (n,), differentiable. baseline: of the content's shape.

    ConfigError for shapes that differ, or where captum is missing; UnfitScorerError where the gradient does not integrate to the change: a scorer with jumps.
    """
    if content.shape != baseline.shape:
        raise ConfigError(
            [f"content of shape {content.shape} and a baseline of {baseline.shape} -> give one of the same shape"]
        )
    try:
        import torch
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise ConfigError([f"integrated gradients need {error.name} -> pip install 'veracast[explain]'"]) from error
    x, b = (torch.from_numpy(np.asarray(one, dtype=np.float64))[None] for one in (content, baseline))
    found = IntegratedGradients(forward).attribute(x, baselines=b, n_steps=steps, internal_batch_size=batch)[0]
    with torch.no_grad():
        full, base = (float(forward(one)[0]) for one in (x, b))
    effects = np.asarray(found.detach().numpy(), dtype=np.float64)
    missed = abs(float(effects.sum()) - (full - base))
    if missed > max(1e-9, LARGEST_ERROR * abs(full - base)):
        raise UnfitScorerError(f"gradients add up to {effects.sum():.3g}, the score changes by {full - base:.3g} -> more steps, or effects by masks where the scorer jumps")  # fmt: skip
    return Gradients(effects, full, base, missed)


def cells_of(shape: Sequence[int], rows: int, columns: int) -> np.ndarray:
    """Number of the cell of every entry of frames (frames, height, width, channels), in the order of units.py `Frames`."""
    from veracast.explain.units import edges

    down = np.repeat(np.arange(rows), np.diff(edges(shape[1], rows)))
    across = np.repeat(np.arange(columns), np.diff(edges(shape[2], columns)))
    cell = down[:, None] * columns + across
    every = np.arange(shape[0])[:, None, None] * rows * columns + cell
    return np.broadcast_to(every[..., None], tuple(shape))
