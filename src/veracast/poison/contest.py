"""Who competes in `veracast bench poison`: locators of the patch, and routes from windows to flagged images.

Every row sees the same scene: a trial's images, the encoder trained on them, its clusters, and the same sample of images whose windows are
located. Random windows are the floor and windows on the true patch the ceiling of any locator. Baselines need no locator: the block hash no
encoder either, the two defences made for labelled sets take clusters for labels.

    consensus    poison/find.py, the audit's own
    classifiers  iterative search and poison classifiers, PatchSearch's (poison/search.py, poison/classifier.py); behind Grad-CAM of the last map
                 it is PatchSearch as described, behind soft masks PoisonCAM as far as its abstract says
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from veracast.core.files import code_behind
from veracast.core.seeds import stream
from veracast.poison.art_baselines import Analysis, Suspects, activation_clustering, spectral_signatures
from veracast.poison.block_hash import recurring_blocks
from veracast.poison.classifier import ClassifierConfig, classify, kept_out
from veracast.poison.clusters import Clusters, cluster
from veracast.poison.duplicates import near_duplicates
from veracast.poison.encoder import Encoder
from veracast.poison.find import FindConfig, Fitted, Located, find_in_windows, looked_at
from veracast.poison.locate import grad_cam_maps, hit, iou, oracle_windows, random_windows
from veracast.poison.masking import Effect, Windows, activation_maps, best_windows
from veracast.poison.search import search, top_share, window_of
from veracast.poison.trials import TrialSet

TOP = 20  # candidates of the classifiers, and images whose share of poisons is told
RANDOM_MASKS = 121  # as many as the grid has
Route = Literal[
    "consensus",
    "classifiers",
    "block hash",
    "activation clustering",
    "activation clustering, by silhouette",
    "spectral signatures",
]
EXPECTED_SHARE = 0.33  # of poisons in a class, ART's default of spectral signatures: the true one is nobody's to know


@dataclass(frozen=True)
class Scene:
    """What all rows of a trial share. truth (n, 4): boxes of the patches, -1 without one; sample (m,): images whose windows are located."""

    images: UInt8[np.ndarray, "n h w 3"]
    truth: Int[np.ndarray, "n 4"]
    poisoned: Bool[np.ndarray, " n"]
    encoder: Encoder
    features: Float[np.ndarray, "n dim"]
    clusters: Clusters
    sample: Int[np.ndarray, " m"]
    config: FindConfig
    seed: int

    @property
    def size_px(self) -> int:
        """Edge of a window."""
        return self.config.mask.windows_px[0]


def scene(one: TrialSet, encoder: Encoder, config: FindConfig, *, seed: int) -> Scene:
    """Encoded and clustered as the audit does it."""
    planted = one.planted
    features = encoder.encode(planted.images)
    clusters = cluster(features, seed=seed)
    sample = looked_at(clusters.own, config.sample, seed=seed)
    return Scene(planted.images, planted.boxes, planted.poisoned, encoder, features, clusters, sample, config, seed)


Locate = Callable[[Scene], Windows]
"""Windows of the scene's sample, in its order."""


def _masks(effect: Effect, *, at_random: bool = False, plain: bool = True) -> Locate:
    """plain: squares of the mean colour, and maps as they are; the published idea. Else as the audit does by default."""

    def locate(given: Scene) -> Windows:
        config = replace(given.config.mask, effect=effect)
        config = replace(config, fill="mean", relative=False) if plain else config
        config = replace(config, stride=0, random=RANDOM_MASKS) if at_random else config
        rng = stream(given.seed, "poison", "masks")
        maps = activation_maps(given.encoder.encode, given.images[given.sample], config, rng=rng, centroids=given.clusters.centroids)  # fmt: skip
        return best_windows(maps, config.windows_px)

    return locate


def _grad_cam(layer: str) -> Locate:
    def locate(given: Scene) -> Windows:
        maps = grad_cam_maps(given.encoder.network, given.images[given.sample], given.clusters, layer=layer)
        return best_windows(maps, given.config.mask.windows_px)

    return locate


def _random(given: Scene) -> Windows:
    height, width = given.images.shape[1:3]
    return random_windows(len(given.sample), height, width, given.size_px, stream(given.seed, "poison", "random"))


def _oracle(given: Scene) -> Windows:
    height, width = given.images.shape[1:3]
    rng = stream(given.seed, "poison", "oracle")
    return oracle_windows(given.truth[given.sample], given.size_px, height, width, rng=rng)


DISPLACEMENT, SOFT, LAST, EARLY, RANDOM, ORACLE = (
    "masks, displacement",
    "masks, soft",
    "Grad-CAM, last map",
    "Grad-CAM, 8 x 8 map",
    "random windows",
    "windows on the patch",
)
LOCATORS: Mapping[str, Locate] = {
    DISPLACEMENT: _masks("displacement", plain=False),
    "masks, displacement, mean colour": _masks("displacement"),
    "masks, hard": _masks("hard"),
    SOFT: _masks("soft"),
    "masks at random, soft": _masks("soft", at_random=True),
    LAST: _grad_cam("layer4"),
    EARLY: _grad_cam("layer2"),
    RANDOM: _random,
    ORACLE: _oracle,
}


class Row(NamedTuple):
    """A route, behind a locator where it needs one. own: what the audit does by default."""

    route: Route
    locator: str | None = None
    own: bool = False

    @property
    def name(self) -> str:
        return self.route if self.locator is None else f"{self.route} · {self.locator}"


ROWS = (
    Row("consensus", DISPLACEMENT, own=True),
    *(Row("consensus", name) for name in (SOFT, EARLY, LAST, RANDOM, ORACLE)),
    *(Row("classifiers", name) for name in (LAST, EARLY, SOFT, ORACLE)),
    Row("block hash"),
    Row("activation clustering"),
    Row("activation clustering, by silhouette"),
    Row("spectral signatures"),
)
SHORT = tuple(row for row in ROWS if row.own or row.locator == EARLY or row.locator is None)
"""The rows of clean sets and exact pastes: what the audit does, PatchSearch at its better layer, baselines without a locator."""


_LOCATE = {name: "poison/locate.py" if name in (LAST, EARLY, RANDOM, ORACLE) else "poison/masking.py" for name in LOCATORS}  # fmt: skip
_ROUTES: Mapping[Route, tuple[str, ...]] = {
    "consensus": ("poison/find.py",),
    "classifiers": ("poison/search.py", "poison/classifier.py"),
    "block hash": ("poison/block_hash.py",),
    "activation clustering": ("poison/art_baselines.py",),
    "activation clustering, by silhouette": ("poison/art_baselines.py",),
    "spectral signatures": ("poison/art_baselines.py",),
}


def behind(row: Row | None, locator: str | None) -> list[str]:
    """The code that decides what a row flags, or the windows of a locator: for a digest."""
    files = [*(_ROUTES[row.route] if row else ()), *([_LOCATE[locator]] if locator else [])]
    return [*code_behind("poison/clusters.py", *files, within=("poison", "models")), "poison/contest.py"]


class Localisation(NamedTuple):
    """Of the windows in the sample's poisoned images: share that cover half of the patch, mean IoU; n of them; seconds of CPU for all."""

    hit: float
    iou: float
    n: int
    seconds: float


class Outcome(NamedTuple):
    """flagged, scores (n,), higher is more suspect; top: share of poisons among the 20 most suspect, None where nothing is ranked; patches,
    overlays: that the consensus found; boxes (n, 4): of the patch in flagged images, -1 elsewhere, None of routes that say no place; seconds
    of CPU, the locator's left out."""

    flagged: Bool[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    top: float | None
    patches: int = 0
    overlays: int = 0
    boxes: Int[np.ndarray, "n 4"] | None = None
    seconds: float = 0.0

    def met(self, given: Scene) -> tuple[float, float] | None:
        """Share of all planted patches at least half of which lies in the box, and mean IoU; an image that was missed counts as 0."""
        if self.boxes is None or not given.poisoned.any():
            return None
        boxes, truth = self.boxes[given.poisoned], given.truth[given.poisoned]
        found = boxes[:, 2] > 0
        return tuple(float(np.where(found, f(boxes, truth), 0.0).mean()) for f in (hit, iou))  # type: ignore[return-value]


def only_planted(given: Scene) -> Scene:
    """The scene with the planted images of the sample alone: enough for a locator whose windows no route asks for, in a 20th of the time."""
    return replace(given, sample=given.sample[given.poisoned[given.sample]])


def localise(given: Scene, name: str) -> tuple[Windows, Localisation]:
    """Windows of the sample by one locator, and how they meet the patches; NaN without patches."""
    began = time.process_time()
    windows = LOCATORS[name](given)
    seconds = time.process_time() - began
    truth = given.truth[given.sample]
    mine = truth[:, 2] > 0
    met = [float(f(windows.boxes[mine], truth[mine]).mean()) if mine.any() else float("nan") for f in (hit, iou)]
    return windows, Localisation(met[0], met[1], int(mine.sum()), seconds)


def outcome(given: Scene, row: Row, windows: Windows | None) -> Outcome:
    """What a row flags; windows: of its locator, None for those without one."""
    began = time.process_time()
    if row.route == "consensus" and windows is not None:
        found = _consensus(given, windows)
    elif row.route == "classifiers" and windows is not None:
        found = _classifiers(given, windows)
    elif row.route == "block hash":
        blocks = recurring_blocks(given.images)
        found = _ranked(given, blocks.flagged, blocks.images + blocks.share)
    else:
        found = _for_labels(given, row.route)
    return found._replace(seconds=time.process_time() - began)


def _consensus(given: Scene, windows: Windows) -> Outcome:
    located = Located(given.sample, windows.boxes)
    agreed = find_in_windows(given.images, given.encoder.encode, given.features, given.clusters.own, located, Fitted(given.config, 1), groups=near_duplicates(given.images), seed=given.seed)  # fmt: skip
    flagged, scores = np.zeros(len(given.images), dtype=bool), np.zeros(len(given.images))
    boxes = np.full((len(given.images), 4), -1)
    backdoors = [patch for patch in agreed.patches if patch.kind == "backdoor"]
    for patch in backdoors:
        flagged[patch.images], boxes[patch.images] = True, patch.boxes
        scores[patch.images] = np.maximum(scores[patch.images], patch.likeness)
    ranked = _ranked(given, flagged, scores)
    return ranked._replace(patches=len(backdoors), overlays=len(agreed.patches) - len(backdoors), boxes=boxes)


def _classifiers(given: Scene, windows: Windows) -> Outcome:
    """The search draws its candidates from the sample, whose windows are known; the classifiers are asked about all images."""
    images, clusters = given.images[given.sample], given.clusters
    mine = Clusters(clusters.own[given.sample], clusters.closeness[given.sample], clusters.centroids)
    found = search(given.encoder.encode, images, windows, mine, rng=stream(given.seed, "poison", "search"))
    candidates = [window_of(images, windows, int(image)) for image in found.top(TOP)]
    out = kept_out(found._replace(images=given.sample[found.images]), clusters)
    suspicion = classify(given.images, candidates, out, ClassifierConfig(), seed=given.seed)
    top = top_share(found, given.poisoned[given.sample], TOP)
    return Outcome(suspicion.flagged, suspicion.probability, top)


def _for_labels(given: Scene, route: Route) -> Outcome:
    """Defences that take clusters for labels, on ART's defaults; the split by silhouette flags less than the default, which halves any class."""
    found: Suspects
    if route == "spectral signatures":
        found = spectral_signatures(given.images, given.encoder.network, given.clusters, expected_share=EXPECTED_SHARE)
    else:
        analysis: Analysis = "smaller" if route == "activation clustering" else "silhouette-scores"
        found = activation_clustering(given.images, given.encoder.network, given.clusters, analysis=analysis, seed=given.seed)  # fmt: skip
    return _ranked(given, found.flagged, found.scores)


def _ranked(given: Scene, flagged: np.ndarray, scores: np.ndarray) -> Outcome:
    first = np.argsort(-scores, kind="stable")[:TOP]
    top = float(given.poisoned[first].mean()) if (scores > 0).any() else None
    return Outcome(flagged, np.asarray(scores, dtype=np.float64), top)
