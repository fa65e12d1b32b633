"""Clusters of an encoder's features by angle: what the audit has instead of labels.

Spherical k-means (Dhillon & Modha 2001): features of length 1, an image belongs to the centroid of highest cosine, a centroid is the direction
of the sum of its images. scikit-learn's k-means on the unit vectors gives the start; its own centroids are means, which are shorter the
wider a cluster is, so a few rounds by cosine follow until no image moves. PatchSearch takes 1,000 clusters for 127,000 images; `PER_CLUSTER`
keeps that share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.poison.masking import unit

PER_CLUSTER = 125  # images
STARTS, MOST_ROUNDS = 3, 50
_TINY = 1e-12


@dataclass(frozen=True)
class Clusters:
    """own (n,): cluster of each image; closeness (n,): its cosine to that centroid; centroids (k, dim) of length 1."""

    own: Int[np.ndarray, " n"]
    closeness: Float[np.ndarray, " n"]
    centroids: Float[np.ndarray, "k dim"]

    def likeness(self, features: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, "m k"]:
        """Cosine of features of any length to every centroid."""
        return np.asarray(unit(features) @ self.centroids.T)

    def assign(self, features: Float[np.ndarray, "m dim"]) -> Int[np.ndarray, " m"]:
        """The centroid of highest cosine, the first one at a tie."""
        return np.asarray(self.likeness(features).argmax(axis=1))

    def members(self, number: int) -> Int[np.ndarray, " m"]:
        """Images of a cluster, nearest to its centroid first."""
        mine = np.flatnonzero(self.own == number)
        return np.asarray(mine[np.argsort(-self.closeness[mine], kind="stable")])

    def typical(self, per_cluster: int) -> Int[np.ndarray, " m"]:
        """The images nearest to each centroid, up to so many of every cluster, cluster by cluster: the flip set F of the search."""
        return np.concatenate([self.members(k)[:per_cluster] for k in range(len(self.centroids))])


def cluster(features: Float[np.ndarray, "n dim"], *, count: int | None = None, seed: int) -> Clusters:
    """Into `count` clusters, or one for every 125 images and 2 at least; fewer where fewer features differ.

    The same seed gives the same clusters. Threads come from the environment, their number can change the last digits. ConfigError for
    fewer than 2 clusters, or more of them than images.
    """
    n = len(features)
    asked = max(2, round(n / PER_CLUSTER)) if count is None else count
    if not 2 <= asked <= n:
        raise ConfigError([f"{asked} clusters of {n} images, expected 2 or more and at most one for each image"])
    x = unit(np.asarray(features, dtype=np.float64))
    start = _means(x, min(asked, len(np.unique(x, axis=0))), seed)
    centroids = unit(start)
    own = (x @ centroids.T).argmax(axis=1)
    for _ in range(MOST_ROUNDS):
        centroids = _directions(x, own, centroids)
        now = (x @ centroids.T).argmax(axis=1)
        if np.array_equal(now, own):
            break
        own = now
    own = (x @ centroids.T).argmax(axis=1)
    return Clusters(own, np.einsum("nd,nd->n", x, centroids[own]), centroids)


def _means(x: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Centroids of the best of some starts, (count, dim)."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    state = int(stream(seed, "poison", "clusters").integers(2**31))
    return np.asarray(KMeans(count, n_init=STARTS, random_state=state).fit(x).cluster_centers_)


def _directions(x: np.ndarray, own: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Of the sum of each cluster's images; the old one where there are none, or they cancel out."""
    total = np.zeros_like(before)
    np.add.at(total, own, x)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > _TINY, total / np.maximum(length, _TINY), before)
