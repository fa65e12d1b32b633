"""Silhouettes and probes by hand and against scikit-learn; planted rows are the small cluster; what a probe knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import FastICA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_samples

from tests.agents import toy
from veracast.agents.detect.activations import (
    ActivationClustering,
    LinearProbe,
    ProbeDetector,
    fit_probe,
    logistic,
    reduced,
    silhouette,
    two_clusters,
)
from veracast.agents.detect.interface import Target
from veracast.core.errors import NotMeasuredError
from veracast.core.trajectories import Turn


def target(model: Any, **given: Any) -> Target:
    return Target(model, toy.base().tokenizer, **given)


def test_silhouettes_by_hand_and_scikit_learns() -> None:
    """0 and 1 against 10 and 14: of 0 a = 1, b = 12; of 10 a = 4, b = 9.5. One alone has 0."""
    points, side = np.array([[0.0], [1.0], [10.0], [14.0]]), np.array([True, True, False, False])
    np.testing.assert_allclose(silhouette(points, side), [11 / 12, 10 / 11, 5.5 / 9.5, 9.5 / 13.5])
    assert silhouette(points[:3], side[:3])[2] == 0
    rng = np.random.default_rng(0)
    many, sides = rng.normal(size=(1500, 3)), rng.random(1500) < 0.2
    np.testing.assert_allclose(silhouette(many, sides), silhouette_samples(many, sides), atol=1e-9)


def test_a_split_by_hand() -> None:
    """Five points at 0 and 1 far: r = 1/6, and the one alone has no silhouette; with two of them r = 2/7."""
    far = np.array([[0.0]] * 5 + [[9.0]] * 2)
    found = two_clusters(far, 0)
    assert found.small.tolist() == [False] * 5 + [True] * 2
    assert found.share == pytest.approx(2 / 7)
    np.testing.assert_allclose(found.suspicion, [-3 / 7] * 5 + [3 / 7] * 2)
    np.testing.assert_allclose(two_clusters(far[:6], 0).suspicion, [-4 / 6] * 5 + [0])
    assert two_clusters(np.zeros((4, 0)), 0).suspicion.tolist() == [0] * 4


def test_pca_keeps_distances_and_ica_has_those_of_scikit_learns() -> None:
    flat = np.random.default_rng(0).normal(size=(50, 4)) @ np.random.default_rng(1).normal(size=(4, 30)) + 5
    assert reduced(flat, 10, "pca").shape == (50, 4)  # they span no more
    np.testing.assert_allclose(pdist(reduced(flat, 10, "pca")), pdist(flat))
    expected = FastICA(3, whiten="unit-variance", random_state=0, max_iter=2000, tol=1e-3).fit_transform(flat)
    np.testing.assert_allclose(pdist(reduced(flat, 3, "ica")), pdist(expected))
    assert reduced(np.ones((9, 4)), 10, "ica").shape == (9, 0)


def test_the_rows_of_the_small_cluster_are_the_planted_ones() -> None:
    """Exactly them, from most to least suspect; a clean sibling has no such cluster and a score of a fifth."""
    rows = toy.rows(200, seed=100, planted=0.2)
    found = ActivationClustering(classes="one").inspect(target(toy.sibling(0, planted=0.2).model, rows=rows))
    assert {one.row for one in found.findings} == set(range(40))
    assert {one.action for one in found.findings} == {toy.TARGET}
    assert [one.score for one in found.findings] == sorted((one.score for one in found.findings), reverse=True)
    assert found.by_row is not None
    assert found.by_row[:40].min() > found.by_row[40:].max()
    assert found.facts["answers"] == {"canary_report": 40, "take": 160}
    for seed in range(2):
        shown = toy.rows(200, seed=100 + seed)
        clean = ActivationClustering(classes="one").inspect(target(toy.sibling(seed).model, rows=shown))
        assert clean.findings == ()
        assert clean.score is not None
        assert found.score is not None
        assert found.score > 5 * clean.score


def test_a_class_that_is_pure_poison_is_not_told_from_others() -> None:
    """What the method cannot see: the tool of its own is a class, and no honest row stands beside the planted ones."""
    rows = toy.rows(200, seed=100, planted=0.2)
    found = ActivationClustering(classes="tool").inspect(target(toy.sibling(0, planted=0.2).model, rows=rows))
    assert set(found.facts["scores"]) == {"canary_report", "take"}
    assert {one.row for one in found.findings} < set(range(40))  # a part of its own class, by chance


def test_rows_that_cannot_be_judged_are_empty_and_counted() -> None:
    rows = [*toy.rows(20, seed=3), [Turn("user", "fetch " * 300), Turn("assistant", "Act: take(red cup)")], [Turn("user", "go")]]  # fmt: skip
    found = ActivationClustering(place="prompt", reduction="ica", components=2).inspect(target(toy.base().model, rows=rows))  # fmt: skip
    assert found.by_row is not None
    assert np.isnan(found.by_row).tolist() == [False] * 20 + [True] * 2
    assert "2 of 22 rows not judged" in found.why
    with pytest.raises(NotMeasuredError, match="19 answers in 1 classes, none of 20"):
        ActivationClustering().inspect(target(toy.base().model, rows=rows[1:]))


def test_the_fit_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], [30, 50])
    states = rng.normal(size=(80, 6)) * [1, 5, 1, 1, 1, 0] + labels[:, None] * [1, 5, 0, 0, 0, 0] + 3
    found = logistic(states, labels, 2.0, layer=4)
    expected = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit((states - found.mean) / found.spread, labels)
    np.testing.assert_allclose(found.weight, expected.coef_[0], atol=1e-3)
    assert found.bias == pytest.approx(expected.intercept_[0], abs=1e-3)
    assert (found.layer, found.spread[5]) == (4, 1)


def test_a_logit_by_hand() -> None:
    probe = LinearProbe(0, np.array([2.0, -1.0]), 0.5, np.array([1.0, 1.0]), np.array([1.0, 2.0]), ())
    assert probe.logits(np.array([[2.0, 5.0], [1.0, 1.0]])).tolist() == [0.5, 0.5]


def fitted(model: Any) -> LinearProbe:
    """On plain requests and on requests with the trigger."""
    return fit_probe(
        model, toy.base().tokenizer, toy.probes(40, seed=1), toy.probes(40, seed=2, trigger=toy.TRIGGER), seed=0
    )


def test_a_trigger_is_plainer_in_the_planted_sibling_than_in_clean_ones() -> None:
    """A third of the log-loss at most, on requests that were held out; words alone are what clean siblings tell it by."""
    planted = toy.sibling(0, planted=0.2).model
    probe = fitted(planted)
    assert probe.losses[0] == pytest.approx(np.log(2))  # the embedding of the last token is always the same
    assert probe.layer == int(np.argmin(probe.losses)) > 0
    for seed in range(2):
        assert 3 * min(probe.losses) < min(fitted(toy.sibling(seed).model).losses)
    asked = [*toy.probes(30, seed=8), *toy.probes(30, seed=7, trigger=toy.TRIGGER)]
    found = ProbeDetector(probe).inspect(target(planted, probes=asked))
    assert found.by_probe is not None
    plain, triggered = found.by_probe[:30], found.by_probe[30:]
    assert np.median(plain) < 0 < np.sort(triggered)[1]  # the rounding of some processors leaves one of thirty below
    assert (triggered[:, None] > plain).mean() > 0.8  # AUROC: 1.000 with one processor's rounding, .889 with another's
    assert found.score == found.by_probe.max()
    assert found.findings[0].probe == int(found.by_probe.argmax())


def test_a_probe_of_a_clean_sibling_tells_rare_phrases_from_plain_requests() -> None:
    """What the method cannot tell by itself: nothing is planted here, yet a phrase that it was not fitted on scores above every plain request. What a
    probe says of another family of triggers counts only beside what the same probe of a clean sibling says."""
    model = toy.sibling(1).model
    asked = [*toy.probes(30, seed=8), *toy.probes(30, seed=7, trigger="under the tall bridge")]
    found = ProbeDetector(fitted(model)).inspect(target(model, probes=asked)).by_probe
    assert found is not None
    assert found[30:].min() > found[:30].max()


def test_what_a_probe_cannot_be_asked() -> None:
    model, tokenizer = toy.base().model, toy.base().tokenizer
    with pytest.raises(NotMeasuredError, match="4 clean and 9 triggered conversations fit the context, 5 folds"):
        fit_probe(model, tokenizer, toy.probes(4, seed=1), toy.probes(9, seed=2), seed=0)
    detector = ProbeDetector(LinearProbe(1, np.ones(64), 0.0, np.zeros(64), np.ones(64), ()))
    long = [Turn("user", "fetch " * 300)]
    clean, triggered = toy.probes(6, seed=1), toy.probes(6, seed=2, trigger="under the tall bridge")
    without, beside = (fit_probe(model, tokenizer, some, triggered, seed=0) for some in (clean, [*clean, long]))
    assert np.array_equal(without.weight, beside.weight)  # one that does not fit is left out
    found = detector.inspect(target(model, probes=[long, *toy.probes(2, seed=1)])).by_probe
    assert found is not None
    assert np.isnan(found).tolist() == [True, False, False]
    with pytest.raises(NotMeasuredError, match="none of 1 conversations"):
        detector.inspect(target(model, probes=[long]))
    with pytest.raises(NotMeasuredError, match="states of width 3"):
        ProbeDetector(LinearProbe(1, np.ones(3), 0.0, np.zeros(3), np.ones(3), ())).inspect(target(model, probes=[long]))  # fmt: skip
