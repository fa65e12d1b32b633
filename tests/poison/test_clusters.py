"""Clusters by angle: known groups, the fixed point of spherical k-means, flip sets by hand."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison import clusters as module
from veracast.poison.clusters import Clusters, cluster
from veracast.poison.masking import unit


def scattered(n: int = 400, dim: int = 6) -> np.ndarray:
    """No groups at all, lengths that vary."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, dim)) * rng.uniform(0.1, 10, (n, 1))


def is_fixed(found: Clusters, features: np.ndarray) -> bool:
    """Whether every image is at its nearest centroid, and every centroid points where its images do."""
    sums = np.stack([unit(features)[found.own == k].sum(axis=0) for k in range(len(found.centroids))])
    return bool((found.own == found.assign(features)).all() and np.allclose(unit(sums), found.centroids, atol=1e-9))


def test_groups_are_found_by_angle_whatever_their_length() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 90)
    features = (np.eye(3)[truth] + rng.normal(0, 0.05, (90, 3))) * 10.0 ** rng.uniform(-2, 2, (90, 1))
    found = cluster(features, count=3, seed=0)
    assert len(set(zip(truth, found.own, strict=True))) == 3  # one cluster for each group
    for k in range(3):
        mean = unit(features)[found.own == k].mean(axis=0)
        np.testing.assert_allclose(found.centroids[k], mean / np.linalg.norm(mean))
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1)


def test_no_image_would_move_and_no_centroid_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    features = scattered()
    found = cluster(features, count=8, seed=0)
    assert is_fixed(found, features)
    np.testing.assert_allclose(found.closeness, found.likeness(features).max(axis=1))
    monkeypatch.setattr(module, "MOST_ROUNDS", 0)
    means = cluster(features, count=8, seed=0)  # the means of k-means, made longer
    assert not is_fixed(means, features)
    assert found.closeness.sum() >= means.closeness.sum()


def test_a_cluster_for_every_125_images_and_the_same_for_the_same_seed() -> None:
    assert [len(cluster(scattered(n), seed=0).centroids) for n in (10, 400, 560)] == [2, 3, 4]
    features = scattered().astype(np.float32)
    one, again, other = (cluster(features, count=8, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.own, again.own) and np.array_equal(one.centroids, again.centroids)
    assert not np.array_equal(one.centroids, other.centroids)


def test_likeness_by_hand_and_ties_go_to_the_first() -> None:
    found = Clusters(np.array([0, 1]), np.ones(2), np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(found.likeness(np.array([[3.0, 4.0], [-2.0, 0.0]])), [[0.6, 0.8], [-1, 0]])
    assert found.assign(np.array([[3.0, 4.0], [2.0, 1.0], [1.0, 1.0], [0.0, 0.0]])).tolist() == [1, 0, 0, 0]


def test_the_typical_images_are_the_nearest_of_every_cluster() -> None:
    own, closeness = np.array([0, 2, 0, 0, 2, 2]), np.array([0.7, 0.9, 0.9, 0.8, 0.9, 0.95])
    found = Clusters(own, closeness, np.eye(3))
    assert found.members(0).tolist() == [2, 3, 0] and found.members(1).tolist() == []
    assert found.typical(2).tolist() == [2, 3, 5, 1]
    assert sorted(found.typical(99).tolist()) == list(range(6))


def test_equal_images_do_not_make_clusters() -> None:
    two = np.repeat([[1.0, 0.0], [0.0, 2.0]], 5, axis=0)
    found = cluster(two, count=4, seed=0)
    assert len(found.centroids) == 2 and len(set(found.own[:5])) == len(set(found.own[5:])) == 1


@pytest.mark.parametrize(("n", "count"), [(5, 1), (5, 6), (1, None)])
def test_counts_that_make_no_clusters_are_faults(n: int, count: int | None) -> None:
    with pytest.raises(ConfigError, match=rf"clusters of {n} images, expected 2 or more"):
        cluster(scattered(n), count=count, seed=0)
