"""Two published defences that need labels, as baselines of the audit: activation clustering (Chen et al. 2018, arXiv 1811.03728) and spectral
signatures (Tran, Li, Madry 2018, NeurIPS), by IBM's adversarial-robustness-toolbox (ART 1.20, the extra `bench`).

Such a set has no labels, so the clusters stand in for them: the classifier that ART defends is the encoder under a fixed cosine head onto the
centroids, whose predicted class is the pseudo-label. Both defences read nothing of it but its last hidden layer, the features as they come
(not of length 1); so images are encoded here, in batches, and ART gets the features and the head. For a torch network ART takes the
module's *last child* for the last hidden layer, which in a Sequential of body and head would be the logits
(`PyTorchClassifier.get_layers`); ours has the features as its only child.

Settings are ART's documented defaults. Where its analyses fail (1.20.1, each kept by a test): a class of too few images, or of equal ones, is an
error, so it is left out; a single class is one too, and is asked otherwise; `relative-size` fails on NumPy 2.2 and later where a class splits
evenly; `silhouette-scores` fails where a small side is loose, and where one is tight never fills in the other side, so that memory as it was
found decides (ART's issue 186). These two are decided here, by ART's thresholds on ART's splits.

Importing ART makes a folder ~/.art, and resets the handlers of `logging`; both are ART's own doing.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.poison.clusters import Clusters

if TYPE_CHECKING:
    from torch import nn

Analysis = Literal["smaller", "relative-size", "silhouette-scores"]
MOST_SHARE, LEAST_SILHOUETTE = 0.35, 0.1  # ART's thresholds of a suspicious side of a class
SMALLEST = 10  # images of a class: ART's dimensions of the reduced activations, and its PCA fails on fewer images
MULTIPLIER = 1.5  # ART's and the paper's: so many times the expected share is flagged
_AT_ONCE = 512  # images that are encoded
_TINY = 1e-6  # of the length of features: nearer to their mean they are one and the same


class Suspects(NamedTuple):
    """flagged (n,). scores (n,): higher is more suspect. judged (n,): images of clusters that a defence can work on; the others are not
    flagged and score 0."""

    flagged: Bool[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    judged: Bool[np.ndarray, " n"]


def activation_clustering(
    images: UInt8[np.ndarray, "n h w 3"], encoder_network: nn.Module, clusters: Clusters, *, analysis: Analysis = "smaller", seed: int
) -> Suspects:  # fmt: skip
    """Every cluster is split in two (PCA to 10 dimensions, 2-means), and one side of it may be flagged.

    smaller: always the side of fewer images; ART's default. relative-size: a side of less than 35 % of the cluster. silhouette-scores: the
    same where the mean silhouette of the split exceeds .1. Neither the paper nor ART scores single images, so ours is made of both their
    criteria: the image's silhouette in the split, of the sign of the side: in -1 to 1, above 0 = nearer on average to the smaller side.
    The same for every analysis. Not judged: clusters of fewer than 10 images, or of equal ones.

    `clusters` are of these images; the network is left in eval mode. ConfigError without ART, or for another analysis.
    """
    if analysis not in get_args(Analysis):
        raise ConfigError([f"analysis is {analysis}, expected one of {', '.join(get_args(Analysis))}"])
    from sklearn.metrics import silhouette_samples  # type: ignore[import-untyped]

    defence_of = _art("ActivationDefence")
    features = _features(images, encoder_network, clusters)
    judged = _judged(features, clusters, SMALLEST)
    found = Suspects(np.zeros(len(features), dtype=bool), np.zeros(len(features)), judged)
    if not judged.any():
        return found
    kept, labels = np.unique(clusters.own[judged], return_inverse=True)
    with _seeded(int(stream(seed, "poison", "activation clustering").integers(2**31))):
        defence = defence_of(_classifier(clusters.centroids[kept]), features[judged], labels)
        if len(kept) == 1:
            defence.activations_by_class = [features[judged]]  # else ART would look for the second class
        _, clean = defence.detect_poison()
    smaller = np.array(clean) == 0
    flagged, scores = np.zeros(len(labels), dtype=bool), np.zeros(len(labels))
    for label, (sides, reduced) in enumerate(
        zip(defence.clusters_by_class, defence.red_activations_by_class, strict=True)
    ):
        mine = labels == label
        silhouettes = silhouette_samples(reduced, sides)
        flagged[mine] = smaller[mine] & _suspicious(smaller[mine], silhouettes, analysis)
        scores[mine] = np.where(smaller[mine], silhouettes, -silhouettes)
    found.flagged[judged], found.scores[judged] = flagged, scores
    return found


def spectral_signatures(
    images: UInt8[np.ndarray, "n h w 3"], encoder_network: nn.Module, clusters: Clusters, *, expected_share: float, centred: bool = True
) -> Suspects:  # fmt: skip
    """Of every cluster the 1.5 * expected_share with the highest scores. Algorithm 1 of Tran et al. 2018: the squared projection of the
    centred features on their first right singular vector, so scores have the square of a feature's unit.

    centred: as the paper says. Without, as ART and the authors' own code (MadryLab/backdoor_data_poisoning) do: the vector is that of the
    centred features, what is projected is not centred; an image far along the cluster's mean then scores high for that.

    Flagged is what reaches the quantile 1 - 1.5 * expected_share of the scores of its own cluster, by ART's rule: one image at least, everything
    from a share of 2/3 on, and of equal scores all. The paper removes a *number* of images, the same from every class. ART
    expects .33 unless told otherwise. Nothing is random. Not judged: clusters of one image, or of equal ones.

    `clusters` are of these images; the network is left in eval mode. ConfigError without ART, or for a share outside 0 to 1.
    """
    if not 0 <= expected_share <= 1:
        raise ConfigError([f"expected_share is {expected_share}, expected 0 to 1"])
    defence_of = _art("SpectralSignatureDefense")
    features = _features(images, encoder_network, clusters)
    judged = _judged(features, clusters, 2)
    found = Suspects(np.zeros(len(features), dtype=bool), np.zeros(len(features)), judged)
    if not judged.any():
        return found
    kept, labels = np.unique(clusters.own[judged], return_inverse=True)
    given = features[judged]
    for label in range(len(kept) if centred else 0):
        mine = labels == label
        given[mine] -= given[mine].mean(axis=0, dtype=np.float64).astype(np.float32)
    with _seeded(0):
        defence = defence_of(_classifier(clusters.centroids[kept]), given, labels, expected_pp_poison=expected_share, eps_multiplier=MULTIPLIER)  # fmt: skip
        _, clean = defence.detect_poison()
    scores = np.zeros(len(labels))
    for label in range(len(kept)):
        mine = labels == label
        scores[mine] = defence.spectral_signature_scores(given[mine])[:, 0].astype(np.float64) ** 2
    found.flagged[judged], found.scores[judged] = np.array(clean) == 0, scores
    return found


def _suspicious(smaller: np.ndarray, silhouettes: np.ndarray, analysis: Analysis) -> bool:
    """Whether the smaller side of a split is flagged; shares and silhouettes rounded as ART rounds them."""
    if analysis == "smaller":
        return True
    small = bool(np.round(smaller.mean(), 2) < MOST_SHARE)
    return small and (analysis == "relative-size" or bool(np.round(silhouettes.mean(), 4) > LEAST_SILHOUETTE))


def _features(images: np.ndarray, network: nn.Module, clusters: Clusters) -> Float32[np.ndarray, "n dim"]:
    """As they come from the network; ValueError where the clusters are of other images."""
    import torch

    from veracast.poison.encoder import pixels

    if len(images) != len(clusters.own):
        raise ValueError(f"{len(images)} images and clusters of {len(clusters.own)}, expected clusters of these images")
    network.eval()
    found = np.empty((len(images), clusters.centroids.shape[1]), dtype=np.float32)
    with torch.no_grad():
        for low in range(0, len(images), _AT_ONCE):
            found[low : low + _AT_ONCE] = network(pixels(images[low : low + _AT_ONCE])).numpy()
    return found


def _judged(features: np.ndarray, clusters: Clusters, smallest: int) -> Bool[np.ndarray, " n"]:
    """Images of clusters that are large enough and hold more than one point."""
    found = np.zeros(len(features), dtype=bool)
    for number in np.unique(clusters.own):
        mine = clusters.own == number
        part = features[mine].astype(np.float64)
        apart = np.linalg.norm(part - part.mean(axis=0), axis=1).max()
        found[mine] = len(part) >= smallest and apart > _TINY * np.linalg.norm(part, axis=1).max()
    return found


def _classifier(centroids: np.ndarray) -> Any:
    """ART's classifier of features: cosines to the centroids of the clusters that are judged."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    directions = torch.from_numpy(centroids.astype(np.float32))

    class Head(nn.Module):
        """Features (n, dim) -> cosines (n, k). Its only child is what ART reads as the last hidden layer."""

        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.normalize(self.features(x)) @ directions.T

    return _art("PyTorchClassifier", "art.estimators.classification")(
        Head(),
        nn.CrossEntropyLoss(),
        (centroids.shape[1],),
        max(2, len(centroids)),
        preprocessing=None,
        device_type="cpu",
    )


def _art(name: str, module: str = "art.defences.detector.poison") -> Any:
    """A class of ART; ConfigError where it is not installed."""
    from importlib import import_module

    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        fault = f"the baselines activation clustering and spectral signatures need {error.name or 'art'} -> pip install 'veracast[bench]'"
        raise ConfigError([fault]) from error


@contextlib.contextmanager
def _seeded(state: int) -> Iterator[None]:
    """ART draws from NumPy's global generator and warns by `logging`: in the block the one starts at `state` and the other is still; both are
    as they were afterwards."""
    before, logger = np.random.get_state(), logging.getLogger("art")
    level = logger.level
    np.random.seed(state)  # the only generator ART's k-means and PCA can be given; its state comes back below
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        np.random.set_state(before)
        logger.setLevel(level)
