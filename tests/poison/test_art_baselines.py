"""ART's defences on pseudo-labels: small groups made by hand, the papers' formulas by NumPy, ART itself run on the whole network."""

from __future__ import annotations

import logging
import random
import sys

import numpy as np
import pytest
import torch
from art.defences.detector.poison import ActivationDefence, SpectralSignatureDefense
from art.defences.detector.poison.clustering_analyzer import ClusteringAnalyzer
from art.estimators.classification import PyTorchClassifier
from sklearn.metrics import average_precision_score, silhouette_samples
from torch import nn
from torch.nn import functional as F

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.poison import art_baselines as module
from veracast.poison.art_baselines import activation_clustering, spectral_signatures
from veracast.poison.clusters import Clusters
from veracast.poison.encoder import pixels
from veracast.poison.masking import unit

HIGH, WIDE = 2, 3
DIM = HIGH * WIDE * 3
CLUSTERS, EACH, POISONS = 3, 60, 9
TRUTH = np.arange(CLUSTERS * EACH) < POISONS  # the first of cluster 0


class Read(nn.Module):
    """The pixels of an image as its features, through a layer that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(DIM, DIM, bias=False)
        nn.init.eye_(self.layer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(x.permute(0, 2, 3, 1).flatten(1))
        return found


def drawn(features: np.ndarray) -> np.ndarray:
    """Images that `Read` gives these features for, (n, DIM) in 0 to 255 -> (n, h, w, 3) uint8."""
    return np.rint(features).clip(0, 255).astype(np.uint8).reshape(-1, HIGH, WIDE, 3)


def features_of(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / 255


def grouped(images: np.ndarray, own: np.ndarray, count: int) -> Clusters:
    """Given clusters; those without images point along an axis that no other does."""
    x = unit(features_of(images))
    means = np.stack([x[own == k].sum(axis=0) if (own == k).any() else -np.eye(DIM)[k] for k in range(count)])
    centroids = unit(means)
    return Clusters(own, np.einsum("nd,nd->n", x, centroids[own]), centroids)


def planted(shift: float = 60.0) -> tuple[np.ndarray, Clusters]:
    """Three clusters along three axes; the poisons of the first also lie along a fourth, `shift` grey levels away."""
    own = np.repeat(np.arange(CLUSTERS), EACH)
    features = np.random.default_rng(0).normal(40, 6, (len(own), DIM)) + 150 * np.eye(DIM)[own]
    features[TRUTH] += shift * np.eye(DIM)[10]
    images = drawn(features)
    return images, grouped(images, own, CLUSTERS)


def whole(clusters: Clusters) -> PyTorchClassifier:
    """Encoder and head in one network of ART's, of images."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Read()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.normalize(self.encoder(x)) @ torch.from_numpy(clusters.centroids).float().T

    return PyTorchClassifier(Network(), nn.CrossEntropyLoss(), (3, HIGH, WIDE), len(clusters.centroids))


@pytest.mark.parametrize("analysis", ["smaller", "relative-size", "silhouette-scores"])
def test_a_small_group_within_a_cluster_is_flagged_exactly(analysis: module.Analysis) -> None:
    images, clusters = planted()
    found = activation_clustering(images, Read(), clusters, analysis=analysis, seed=0)
    first = clusters.own == 0
    assert np.array_equal(found.flagged[first], TRUTH[first]) and found.judged.all()
    assert found.scores[TRUTH].min() > found.scores[~TRUTH].max()
    if analysis == "smaller":  # one side of every cluster, poisoned or not
        assert all(0.2 < found.flagged[clusters.own == k].mean() <= 0.5 for k in (1, 2))
    else:
        assert np.array_equal(found.flagged, TRUTH)


def test_without_a_group_there_is_nothing_to_find() -> None:
    images, clusters = planted(shift=0)
    for found in (
        activation_clustering(images, Read(), clusters, seed=0),
        spectral_signatures(images, Read(), clusters, expected_share=TRUTH.mean()),
    ):
        assert average_precision_score(TRUTH, found.scores) < 0.1  # .05 by chance
        assert found.flagged[TRUTH].mean() <= found.flagged[~TRUTH].mean()


def test_of_poisons_that_are_a_cluster_of_their_own_most_are_missed() -> None:
    """Why both are weak without labels: the clusters of an encoder that has learnt the trigger are often just this."""
    images, _ = planted()
    images = np.concatenate([images, images[TRUTH] + np.uint8(1), images[TRUTH] + np.uint8(2)])
    truth = np.append(TRUTH, np.ones(2 * POISONS, dtype=bool))
    own = np.append(np.repeat(np.arange(CLUSTERS), EACH), np.zeros(2 * POISONS, dtype=int))
    own[truth] = CLUSTERS
    clusters = grouped(images, own, CLUSTERS + 1)
    found = activation_clustering(images, Read(), clusters, seed=0)
    assert found.judged.all() and found.flagged[truth].mean() <= 0.5
    found = spectral_signatures(images, Read(), clusters, expected_share=float(np.mean(truth)))
    assert found.flagged[truth].sum() == int(26 * 1.5 * 27 / 198) + 1


def test_scores_are_silhouettes_of_the_split_signed_by_its_side() -> None:
    """Both sides by hand in all DIM dimensions; PCA to 10 keeps what tells them apart."""
    images, clusters = planted(shift=100)
    first = np.flatnonzero(clusters.own == 0)
    x = features_of(images)[first]
    x = (x - x.mean(axis=0)) @ np.linalg.svd(x - x.mean(axis=0))[2][:10].T
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)
    small, large = TRUTH[first], ~TRUTH[first]
    to_small, to_large = (
        (apart * side).sum(axis=1) / (side.sum() - side) for side in (small, large)
    )  # the image itself does not count
    wanted = (to_large - to_small) / np.maximum(to_large, to_small)
    found = activation_clustering(images, Read(), clusters, seed=0)
    np.testing.assert_allclose(found.scores[first], wanted, atol=1e-4)


def test_flags_are_those_of_art_run_on_encoder_and_head() -> None:
    images, clusters = planted(shift=25)
    labels = np.eye(CLUSTERS)[clusters.own]  # one-hot, as ART's examples give them
    before = np.random.get_state()
    np.random.seed(int(stream(4, "poison", "activation clustering").integers(2**31)))
    _, clean = ActivationDefence(whole(clusters), pixels(images).numpy(), labels).detect_poison()
    np.random.set_state(before)
    found = activation_clustering(images, Read(), clusters, seed=4)
    assert np.array_equal(found.flagged, np.array(clean) == 0)


def test_art_reads_the_features_and_predicts_the_pseudo_label() -> None:
    images, clusters = planted()
    given = features_of(images).astype(np.float32)
    classifier = module._classifier(clusters.centroids)
    assert classifier.layer_names == ["features"]
    last = len(classifier.layer_names) - 1
    assert np.array_equal(classifier.get_activations(given, layer=last), given)
    assert np.array_equal(classifier.predict(given).argmax(axis=1), clusters.own)
    assert np.array_equal(whole(clusters).predict(pixels(images).numpy()).argmax(axis=1), clusters.own)
    body_and_head = nn.Sequential(nn.Identity(), nn.Linear(DIM, CLUSTERS))
    wrong = PyTorchClassifier(body_and_head, nn.CrossEntropyLoss(), (DIM,), CLUSTERS)
    assert wrong.get_activations(given, layer=len(wrong.layer_names) - 1).shape == (len(images), CLUSTERS)  # the logits


def by_formula(images: np.ndarray, clusters: Clusters) -> np.ndarray:
    """Algorithm 1 of Tran et al.: ((x - mean) . v)^2 with v the first right singular vector of the class, centred."""
    found = np.zeros(len(images))
    for k in np.unique(clusters.own):
        x = features_of(images)[clusters.own == k]
        x = x - x.mean(axis=0)
        found[clusters.own == k] = (x @ np.linalg.svd(x, full_matrices=False)[2][0]) ** 2
    return found


def test_spectral_scores_are_the_papers() -> None:
    images, clusters = planted()
    found = spectral_signatures(images, Read(), clusters, expected_share=POISONS / EACH / 1.5)
    wanted = by_formula(images, clusters)
    np.testing.assert_allclose(found.scores, wanted, atol=1e-5 * wanted.max())
    first = clusters.own == 0
    assert np.array_equal(found.flagged[first][:POISONS], np.ones(POISONS)) and found.flagged[first].sum() <= POISONS + 1  # fmt: skip
    assert found.scores[TRUTH].min() > found.scores[~TRUTH].max()


@pytest.mark.parametrize(("share", "flagged"), [(0.0, 1), (0.05, 5), (0.2, 18), (2 / 3, EACH), (1.0, EACH)])
def test_of_every_cluster_the_same_share_is_flagged_and_of_the_highest_scores(share: float, flagged: int) -> None:
    images, clusters = planted()
    found = spectral_signatures(images, Read(), clusters, expected_share=share)
    for k in range(CLUSTERS):
        scores, mine = found.scores[clusters.own == k], found.flagged[clusters.own == k]
        assert mine.sum() == flagged == min(EACH, int((EACH - 1) * 1.5 * share + 1e-9) + 1)
        assert mine.all() or scores[mine].min() > scores[~mine].max()


def test_uncentred_signatures_are_arts_on_encoder_and_head_and_not_the_papers() -> None:
    """Should this fail because ART has come to centre too, `centred` is needless."""
    images, clusters = planted()
    found = spectral_signatures(images, Read(), clusters, expected_share=0.1, centred=False)
    report, clean = SpectralSignatureDefense(whole(clusters), pixels(images).numpy(), clusters.own, expected_pp_poison=0.1).detect_poison()  # fmt: skip
    assert np.array_equal(found.flagged, np.array(clean) == 0)
    np.testing.assert_allclose(found.scores[list(report)], np.square(list(report.values())), rtol=1e-4)
    paper = by_formula(images, clusters)
    assert not np.allclose(found.scores, paper, atol=0.1 * paper.max())
    assert not np.array_equal(found.flagged, spectral_signatures(images, Read(), clusters, expected_share=0.1).flagged)


def splits() -> list[np.ndarray]:
    """Splits of 100 images around the threshold of size, where the second side is the smaller."""
    return [np.arange(100) < large for large in (50, 60, 64, 65, 66, 70, 90, 99)]


def test_relative_size_is_arts_where_art_can_say() -> None:
    uneven = [large.astype(int) for large in splits()[4:]]
    flagged, _, _ = ClusteringAnalyzer().analyze_by_relative_size(uneven)
    for large, clean in zip(splits()[4:], flagged, strict=True):
        wanted = module._suspicious(~large, np.ones(100), "relative-size")
        assert wanted and np.array_equal(np.asarray(clean, dtype=float) == 0, ~large)
    assert not any(module._suspicious(~large, np.ones(100), "relative-size") for large in splits()[:4])


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.2.0", reason="an error of NumPy 2.2")
def test_relative_size_of_art_fails_on_an_even_split() -> None:
    with pytest.raises(ValueError, match="empty array is ambiguous"):
        ClusteringAnalyzer().analyze_by_relative_size([splits()[0].astype(int)])


def test_silhouettes_are_judged_as_art_reports_where_it_does() -> None:
    """Its faults: a side that is small and loose ends in an error; one that is small and tight is named clean, and the other one nothing."""
    rng, seen = np.random.default_rng(0), []
    for large in splits():
        for gap in (0.0, 1.0, 2.0, 3.0, 6.0):
            x = rng.normal(size=(100, 10)) + gap * ~large[:, None] / np.sqrt(10)
            silhouettes = silhouette_samples(x, large)
            mine = module._suspicious(~large, silhouettes, "silhouette-scores")
            small, tight = large.sum() > 65, round(float(silhouettes.mean()), 4) > 0.1
            if small and not tight:
                assert not mine
                with pytest.raises(IndexError):
                    ClusteringAnalyzer().analyze_by_silhouette_score([large.astype(int)], [x])
                continue
            _, poisonous, report = ClusteringAnalyzer().analyze_by_silhouette_score([large.astype(int)], [x])
            assert mine == report["class_0"]["suspicious"] and not poisonous.any()
            seen.append((small, tight, mine))
    assert set(seen) == {(False, False, False), (False, True, False), (True, True, True)}


@pytest.mark.filterwarnings("error")
def test_clusters_without_enough_images_are_left_out_and_said_so() -> None:
    images, clusters = planted()
    sizes = {0: 0, 1: 1, 2: 2, 3: 9, 4: 12, 5: EACH, 6: 0, 7: EACH}  # number 4 holds one image twelve times
    kept = np.concatenate([np.arange(12), np.arange(12), np.arange(EACH), np.arange(EACH, 2 * EACH)])
    images, own = images[kept], np.repeat(list(sizes), list(sizes.values()))
    images[own == 4] = images[0]
    clusters = grouped(images, own, len(sizes))
    activation = activation_clustering(images, Read(), clusters, analysis="silhouette-scores", seed=0)
    spectral = spectral_signatures(images, Read(), clusters, expected_share=0.1)
    assert set(own[activation.judged]) == {5, 7} and set(own[spectral.judged]) == {2, 3, 5, 7}
    for found in (activation, spectral):
        assert not found.flagged[~found.judged].any() and not found.scores[~found.judged].any()
        assert found.flagged.any() and (found.scores[found.judged] != 0).all()
    poisons = np.arange(len(own)) - int((own < 5).sum())
    assert np.array_equal(activation.flagged, (own == 5) & (poisons < POISONS))


def test_one_cluster_that_can_be_judged_is_enough() -> None:
    images, _ = planted()
    images, own = images[: EACH + 1], np.arange(EACH + 1) // EACH
    clusters = grouped(images, own, 2)
    activation = activation_clustering(images, Read(), clusters, seed=0)
    spectral = spectral_signatures(images, Read(), clusters, expected_share=POISONS / EACH / 1.5)
    for found in (activation, spectral):
        assert np.array_equal(found.judged, own == 0)
        assert found.scores[:POISONS].min() > found.scores[POISONS:].max()
    assert np.array_equal(activation.flagged, TRUTH[: EACH + 1])


def test_a_set_of_nothing_but_small_clusters_is_not_judged() -> None:
    images, _ = planted()
    clusters = grouped(images[:4], np.arange(4), 4)
    for found in (
        activation_clustering(images[:4], Read(), clusters, seed=0),
        spectral_signatures(images[:4], Read(), clusters, expected_share=0.1),
    ):
        assert not found.judged.any() and not found.flagged.any() and not found.scores.any()


def test_global_generators_and_logging_are_left_alone_and_nothing_is_printed(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    images, clusters = planted(shift=10)
    network = Read()
    results = []
    for state in (1, 2):
        np.random.seed(state)
        torch.manual_seed(state)
        random.seed(state)
        before, torchs, pythons = np.random.get_state(), torch.get_rng_state(), random.getstate()
        logging.getLogger("art").setLevel(logging.DEBUG)
        results.append(activation_clustering(images, network, clusters, seed=0))
        results.append(spectral_signatures(images, network, clusters, expected_share=0.1))
        assert logging.getLogger("art").level == logging.DEBUG
        logging.getLogger("art").setLevel(logging.NOTSET)
        after = np.random.get_state()
        assert np.array_equal(before[1], after[1]) and before[2:] == after[2:]
        assert torch.equal(torchs, torch.get_rng_state()) and pythons == random.getstate()
    for one, again in zip(results[:2], results[2:], strict=True):
        assert np.array_equal(one.flagged, again.flagged) and np.array_equal(one.scores, again.scores)
    other = [activation_clustering(images, network, clusters, seed=seed).scores for seed in range(1, 5)]
    assert any(not np.array_equal(results[0].scores, scores) for scores in other)
    assert not network.layer._forward_hooks and not network._forward_hooks  # those of ART stay with its own head
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_what_cannot_be_asked_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    images, clusters = planted()
    with pytest.raises(ConfigError, match="expected_share is 33, expected 0 to 1"):
        spectral_signatures(images, Read(), clusters, expected_share=33)
    with pytest.raises(ConfigError, match="analysis is distance, expected one of smaller, relative-size"):
        activation_clustering(images, Read(), clusters, analysis="distance", seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="179 images and clusters of 180"):
        spectral_signatures(images[1:], Read(), clusters, expected_share=0.1)
    monkeypatch.setitem(sys.modules, "art.defences.detector.poison", None)
    for run in (
        lambda: activation_clustering(images, Read(), clusters, seed=0),
        lambda: spectral_signatures(images, Read(), clusters, expected_share=0.1),
    ):
        with pytest.raises(ConfigError, match=r"need art\S* -> pip install 'veracast\[bench\]'"):
            run()
