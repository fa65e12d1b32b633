"""What features know of labels: nearest neighbours and a linear probe, both on frozen features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Num
from scipy import optimize
from scipy.special import log_softmax

from veracast.core.errors import NotMeasuredError
from veracast.core.statistics import Interval, wilson_interval

_CELLS = 16_000_000  # similarities held at once


class Accuracy(NamedTuple):
    """Share of n labels that were met, with its Wilson interval."""

    share: float
    interval: Interval
    n: int


def accuracy(predicted: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"], *, level: float = 0.95) -> Accuracy:
    """Share of equal labels; NotMeasuredError without any."""
    if len(labels) == 0:
        raise NotMeasuredError("accuracy: no labels -> give at least one image")
    right = int((_checked(predicted, len(labels)) == labels).sum())
    return Accuracy(right / len(labels), wilson_interval(right, len(labels), level=level), len(labels))


def knn_predict(
    known: Num[np.ndarray, "m dim"], labels: Int[np.ndarray, " m"], asked: Num[np.ndarray, "n dim"], *, k: int = 20, temperature: float | None = None
) -> Int[np.ndarray, " n"]:  # fmt: skip
    """The label with most votes among the k known vectors of highest cosine; the least of those with equal votes.

    temperature: votes of exp(cosine / temperature) (Wu et al. 2018, section 3.4, where it is .07); None is one vote each.
    Fewer than k known vectors all vote. Of equally near vectors the first ones vote.
    """
    if len(known) == 0 or k < 1:
        raise ValueError(f"knn_predict: {len(known)} known vectors, k = {k}; expected 1 or more of each")
    classes, codes = np.unique(_checked(labels, len(known)), return_inverse=True)
    directions = _directions(known)
    found = np.empty(len(asked), dtype=classes.dtype)
    step = max(1, _CELLS // len(known))
    for low in range(0, len(asked), step):
        cosine = _directions(asked[low : low + step]) @ directions.T
        nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        near = np.take_along_axis(cosine, nearest, axis=1)
        weight = np.ones_like(near) if temperature is None else np.exp((near - near[:, :1]) / temperature)
        votes = np.zeros((len(near), len(classes)))
        np.add.at(votes, (np.arange(len(near))[:, None], codes[nearest]), weight)
        found[low : low + step] = classes[votes.argmax(axis=1)]
    return found


class LinearProbe(NamedTuple):
    """weight (dim, classes) and bias (classes,) on features as they are given; classes: the label of each column."""

    weight: Float64[np.ndarray, "dim classes"]
    bias: Float64[np.ndarray, " classes"]
    classes: Int[np.ndarray, " classes"]

    def predict(self, features: Num[np.ndarray, "n dim"]) -> Int[np.ndarray, " n"]:
        """The label of the highest score."""
        found: np.ndarray = self.classes[(features @ self.weight + self.bias).argmax(axis=1)]
        return found


def fit_linear_probe(features: Num[np.ndarray, "n dim"], labels: Int[np.ndarray, " n"], *, l2: float = 1e-3, iterations: int = 500) -> LinearProbe:  # fmt: skip
    """Multinomial logistic regression: least mean cross-entropy + l2 / 2 |W|^2, by L-BFGS in float64.

    W works on features scaled to mean 0 and deviation 1 (a constant one stays 0); the bias is free. NotMeasuredError for
    fewer than two classes.
    """
    classes, codes = np.unique(_checked(labels, len(features)), return_inverse=True)
    if len(classes) < 2:
        raise NotMeasuredError(f"linear probe: {len(classes)} classes among {len(labels)} labels -> give two or more")
    x = np.asarray(features, dtype=np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12)
    x = (x - mean) * scale
    shape, rows = (x.shape[1] + 1, len(classes)), np.arange(len(x))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = np.split(flat.reshape(shape), [-1])
        log_shares = log_softmax(x @ weight + bias, axis=1)
        error = np.exp(log_shares)
        error[rows, codes] -= 1
        error /= len(x)
        loss = -log_shares[rows, codes].mean() + l2 / 2 * (weight**2).sum()
        return float(loss), np.vstack([x.T @ error + l2 * weight, error.sum(axis=0)]).ravel()

    start = np.zeros(shape[0] * shape[1])
    best = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "gtol": 1e-7})  # fmt: skip
    weight, bias = np.split(best.x.reshape(shape), [-1])
    weight = weight * scale[:, None]
    return LinearProbe(weight, bias[0] - mean @ weight, classes)


def _checked(labels: np.ndarray, n: int) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise ValueError(f"labels of shape {labels.shape}, expected ({n},)")
    return labels


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; 0 stays 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: np.ndarray = np.divide(vectors, length, out=np.zeros(vectors.shape, dtype=length.dtype), where=length > 0)
    return found
