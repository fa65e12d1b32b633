"""Retrieved facts: the most similar past videos, by standardised distance over named features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

CLIP = 5.0  # standard deviations: one wild feature should not decide alone


@dataclass(frozen=True)
class Neighbours:
    """index: rows of the reference, shape (n, k). distance: Euclidean in standard deviations per feature, shape (n, k)."""

    index: np.ndarray
    distance: np.ndarray


def nearest(query: np.ndarray, reference: np.ndarray, *, k: int = 3) -> Neighbours:
    """k nearest reference rows of each query row; both (rows, features) with NaN for unknown (taken as the mean).

    A feature that never varies in the reference counts in its own unit; where nothing can be compared, k is 0.
    """
    known = np.isfinite(reference).any(axis=0)
    if not known.any() or len(query) == 0:
        shape = (len(query), min(k, len(reference)) if known.any() else 0)
        return Neighbours(index=np.empty(shape, dtype=int), distance=np.empty(shape))
    reference, query = reference[:, known], query[:, known]
    mean, spread = np.nanmean(reference, axis=0), np.nanstd(reference, axis=0)
    varies = np.nanmax(reference, axis=0) > np.nanmin(reference, axis=0)  # a rounded mean gives a spread of 1e-17
    spread = np.where(varies, spread, 1.0)
    tree = cKDTree(_standard(reference, mean, spread))
    distance, index = tree.query(_standard(query, mean, spread), k=min(k, len(reference)))
    return Neighbours(index=np.atleast_2d(index.reshape(len(query), -1)), distance=distance.reshape(len(query), -1))


def _standard(rows: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.nan_to_num((rows - mean) / spread, nan=0.0), -CLIP, CLIP))
