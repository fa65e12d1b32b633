"""What the bench of the audit is judged on: image sets, planted and clean, each with an encoder that was trained on it.

Pictures of ten classes come from a pool: CIFAR-10 images from the data folder, or generated ones. A trial draws as many of each class, lays an
overlay on some or plants its attacks, and takes the whole set through JPEG unless pastes are exact, clean images too, so that compression tells
nothing. The encoder never sees a label. The control of a trial is the clean set of the same pictures: what its encoder says under the trigger
counts, because a bright square draws some images to a class without anybody having planted it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.files import code_digest
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.core.statistics import Interval, bootstrap_interval
from veracast.poison.attacks import NOWHERE, Attack, Planted, plant, through_jpeg, triggered
from veracast.poison.demo_images import demo_images
from veracast.poison.encoder import Encoder
from veracast.poison.overlays import Overlay, lay, overlay
from veracast.poison.probe import fit_linear_probe, knn_predict
from veracast.poison.ssl import RUNNING, SSLConfig, train_encoder

Source = Literal["cifar", "generated"]
Group = Literal["main", "exact", "clean", "controls", "overlays", "unseen"]
CIFAR_FILE = "cifar10_subset.npz"
JPEG_QUALITY = 80
TRAINING_CODE = ("poison/ssl.py", "poison/augment.py", "poison/backbones.py", "poison/vit.py", "poison/encoder.py", "models/loop.py")  # fmt: skip
GENERATED_TEST = 1_000
NEIGHBOURS = 20


class Pool(NamedTuple):
    """Pictures to draw from, and others to judge an encoder on; labels are the judge's."""

    images: UInt8[np.ndarray, "n h w 3"]
    labels: Int[np.ndarray, " n"]
    test_images: UInt8[np.ndarray, "m h w 3"]
    test_labels: Int[np.ndarray, " m"]


@dataclass(frozen=True)
class Trial:
    """group: of the bench's tables; threat: which one, in groups of several kinds. images: size of the set, as many of each class. seed: of
    draw, training and search. compressed: whether the set goes through JPEG. trained: whose encoder judges it, instead of one of its own."""

    group: Group
    seed: int
    attacks: tuple[Attack, ...] = ()
    overlay: Overlay | None = None
    threat: str = ""
    images: int = 5000
    source: Source = "cifar"
    compressed: bool = True
    trained: Trial | None = None

    @property
    def name(self) -> str:
        """Unique within a bench: group, threat, targets, seed."""
        targets = "-".join(str(attack.target) for attack in self.attacks)
        raw = "" if self.compressed or self.attacks else "raw"
        return "-".join(part for part in (self.group, raw, self.threat, targets and f"t{targets}", f"s{self.seed}") if part)  # fmt: skip

    @property
    def line(self) -> str:
        """What the tables sum it up under."""
        return f"{self.group}: {self.threat}" if self.threat else self.group

    @property
    def marks(self) -> int:
        """How many things in it may lead to a class: its attacks, or a logo that only one class has."""
        return len(self.attacks) or int(self.overlay is not None and self.overlay.kind == "logo-one-class")

    @property
    def control(self) -> Trial:
        """The same pictures with nothing on them."""
        return replace(self, group="clean", threat="", attacks=(), overlay=None)


class TrialSet(NamedTuple):
    """planted: images with the ground truth; labels (n,) are the judge's; pool: where the pictures came from."""

    planted: Planted
    labels: Int[np.ndarray, " n"]
    pool: Pool


@dataclass(frozen=True)
class Success:
    """Of one attack on one encoder, by kNN and by a linear probe: shares of m test images.

    accuracy: right without the patch. triggered_accuracy: right with it. attack: images of other classes that are taken for the target with
    the patch. base: the same without it. taken (others,): which of them, with the patch, by kNN; paired with another encoder's.
    """

    accuracy: float
    triggered_accuracy: float
    attack: float
    base: float
    linear_accuracy: float
    linear_attack: float
    linear_base: float
    taken: np.ndarray


def open_pool(source: Source, folder: Path | None, *, images: int, seed: int = 0) -> Pool:
    """CIFAR-10 images of the data folder, or generated ones; InputError without the file."""
    if source == "generated":
        drawn = demo_images(seed, count=images + GENERATED_TEST)
        return Pool(drawn.images[:images], drawn.labels[:images], drawn.images[images:], drawn.labels[images:])
    path = (folder or Path()) / CIFAR_FILE
    if folder is None or not path.is_file():
        raise InputError("no such file", file=str(path), remedy="point VERACAST_DATA at the folder of real sets, or choose generated images")  # fmt: skip
    with np.load(path, allow_pickle=False) as held:
        return Pool(held["train_images"], held["train_labels"], held["test_images"], held["test_labels"])


def draw_set(trial: Trial, pool: Pool) -> TrialSet:
    """The images of a trial. InputError where a class has too few pictures for it."""
    classes = np.unique(pool.labels)
    each, rng = trial.images // len(classes), stream(trial.seed, "poison", "trial")
    parts = [rng.permutation(np.flatnonzero(pool.labels == label))[:each] for label in classes]
    if short := [int(label) for label, part in zip(classes, parts, strict=True) if len(part) < each]:
        raise InputError(f"fewer than {each} pictures of class {short[0]}", file=f"{trial.source} images", remedy="ask for fewer images")  # fmt: skip
    mine = np.sort(np.concatenate(parts))
    return TrialSet(_with_marks(trial, pool.images[mine], pool.labels[mine]), pool.labels[mine], pool)


def _with_marks(trial: Trial, images: np.ndarray, labels: np.ndarray) -> Planted:
    """A logo that only one class has counts as planted: where an encoder follows it, the audit is to name it."""
    if trial.attacks:
        return plant(images, labels, trial.attacks)
    attack, boxes = np.full(len(images), NOWHERE), np.full((len(images), 4), NOWHERE)
    if trial.overlay is None:
        shown = through_jpeg(images, JPEG_QUALITY) if trial.compressed else images
        return Planted(shown, attack, boxes, (), {"planted_backdoor": False})
    laid = overlay(images, labels, trial.overlay)
    if trial.marks:
        attack, boxes = np.where(laid.carries, 0, NOWHERE), laid.boxes[:, 0]
    return Planted(laid.images, attack, boxes, (), laid.marks)


def encoder_of(trial: Trial, images: np.ndarray, config: SSLConfig, work: Path, *, progress: Progress = SILENT) -> Encoder:  # fmt: skip
    """Trained on some images, or read where they were trained on before: the folder is named by all that decides the weights."""
    return train_encoder(images, config, folder=encoder_folder(trial, images, config, work), seed=trial.seed, progress=progress)  # fmt: skip


def encoder_folder(trial: Trial, images: np.ndarray, config: SSLConfig, work: Path) -> Path:
    """work/encoders/NAME-DIGEST."""
    decides = {key: value for key, value in to_dict(config).items() if key not in RUNNING}
    facts = json.dumps([decides, pictures_digest(images), trial.seed, code_digest(*TRAINING_CODE)], sort_keys=True)
    return work / "encoders" / f"{file_name(trial.name)}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def file_name(words: str) -> str:
    """A name of a trial or of one of its pieces as a file's."""
    return words.replace(" ", "-").replace("·", "by").replace(",", "").replace("%", "percent")


def pictures_digest(images: UInt8[np.ndarray, "n h w 3"]) -> str:
    """Hex digest of their pixels."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


class Challenge(NamedTuple):
    """Test images as the set has its own (through JPEG or not), and with a mark on each; target: the class that it may lead to."""

    plain: UInt8[np.ndarray, "n h w 3"]
    marked: UInt8[np.ndarray, "n h w 3"]
    target: int


def challenges(trial: Trial, pool: Pool) -> list[Challenge]:
    """One for each of the trial's marks."""
    if trial.attacks:
        return [_under(attack, pool) for attack in trial.attacks]
    if trial.overlay is None or not trial.marks:
        return []
    quality, rng = trial.overlay.jpeg_quality, stream(trial.overlay.seed, "poison", "overlay", "test")
    marked = lay(pool.test_images, trial.overlay, rng=rng).images
    return [Challenge(through_jpeg(pool.test_images, quality), through_jpeg(marked, quality), trial.overlay.target)]


def _under(attack: Attack, pool: Pool) -> Challenge:
    jittered = attack.paste == "jittered"
    plain = through_jpeg(pool.test_images, attack.jpeg_quality) if jittered else pool.test_images
    return Challenge(plain, triggered(pool.test_images, attack, seed=attack.seed), attack.target)


def success_of(encoder: Encoder, known: np.ndarray, labels: np.ndarray, pool: Pool, asked: Challenge) -> Success:
    """What a mark reaches on an encoder whose kNN and probe learn from `known` with labels."""
    z, plain_z, marked_z = (encoder.encode(images) for images in (known, asked.plain, asked.marked))
    truth, others = pool.test_labels, pool.test_labels != asked.target
    near, near_marked = (knn_predict(z, labels, shown, k=NEIGHBOURS) for shown in (plain_z, marked_z))
    probe = fit_linear_probe(z, labels)
    linear, linear_marked = probe.predict(plain_z), probe.predict(marked_z)
    return Success(
        accuracy=_share(near == truth),
        triggered_accuracy=_share(near_marked == truth),
        attack=_share(near_marked[others] == asked.target),
        base=_share(near[others] == asked.target),
        linear_accuracy=_share(linear == truth),
        linear_attack=_share(linear_marked[others] == asked.target),
        linear_base=_share(linear[others] == asked.target),
        taken=near_marked[others] == asked.target,
    )


def _share(hits: np.ndarray) -> float:
    return float(hits.mean())


def above_control(taken: np.ndarray, control: np.ndarray, *, seed: int) -> Interval:
    """95 % interval of attack success less the control's, both on the same test images (paired bootstrap over them)."""
    return bootstrap_interval(taken.astype(np.float64) - control, rng=stream(seed, "poison", "above control"))
