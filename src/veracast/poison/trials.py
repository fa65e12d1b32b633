"""What the bench of the audit is judged on: image sets, planted and clean, each with an encoder that was trained on it.

Pictures of ten classes come from a pool: CIFAR-10 images from the data folder, or generated ones. A trial draws as many of each class, plants its
attacks, and takes the whole set through JPEG where pastes are jittered, clean images too, so that compression tells nothing. The encoder
never sees a label. A clean trial of the same seed draws the same pictures: what its encoder says under the trigger is the control, because a bright
square draws some images to a class without anybody having planted it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
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
from veracast.poison.attacks import Attack, Planted, plant, through_jpeg, triggered
from veracast.poison.demo_images import demo_images
from veracast.poison.encoder import Encoder
from veracast.poison.probe import fit_linear_probe, knn_predict
from veracast.poison.ssl import RUNNING, SSLConfig, train_encoder

Source = Literal["cifar", "generated"]
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
    """group: row of the bench's tables it belongs to. images: size of the set, as many of each class. seed: of draw, training and search."""

    group: str
    seed: int
    attacks: tuple[Attack, ...] = ()
    images: int = 5000
    source: Source = "cifar"

    @property
    def name(self) -> str:
        """Unique within a bench: group, targets, seed."""
        targets = "-".join(str(attack.target) for attack in self.attacks)
        return "-".join(part for part in (self.group, targets and f"t{targets}", f"s{self.seed}") if part)

    @property
    def compressed(self) -> bool:
        """Whether the set went through JPEG: all but sets of exact and blended pastes."""
        return not self.attacks or any(attack.paste == "jittered" for attack in self.attacks)


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
    images, labels = pool.images[mine], pool.labels[mine]
    if trial.attacks:
        return TrialSet(plant(images, labels, trial.attacks), labels, pool)
    nowhere = np.full((len(images), 4), -1)
    clean = Planted(through_jpeg(images, JPEG_QUALITY), nowhere[:, 0], nowhere, (), {"planted_backdoor": False})
    return TrialSet(clean, labels, pool)


def encoder_of(trial: Trial, images: np.ndarray, config: SSLConfig, work: Path, *, progress: Progress = SILENT) -> Encoder:  # fmt: skip
    """Trained on some images, or read where they were trained on before: the folder is named by all that decides the weights."""
    return train_encoder(images, config, folder=encoder_folder(trial, images, config, work), seed=trial.seed, progress=progress)  # fmt: skip


def encoder_folder(trial: Trial, images: np.ndarray, config: SSLConfig, work: Path) -> Path:
    """work/encoders/NAME-DIGEST."""
    decides = {key: value for key, value in to_dict(config).items() if key not in RUNNING}
    facts = json.dumps([decides, pictures_digest(images), trial.seed, code_digest(*TRAINING_CODE)], sort_keys=True)
    name = trial.name.replace(" ", "-").replace("%", "percent")
    return work / "encoders" / f"{name}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def pictures_digest(images: UInt8[np.ndarray, "n h w 3"]) -> str:
    """Hex digest of their pixels."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()


def success_of(encoder: Encoder, known: np.ndarray, labels: np.ndarray, pool: Pool, attack: Attack) -> Success:
    """What an attack reaches on an encoder whose kNN and probe learn from `known` with labels.

    Test images lie as the set does, through JPEG where pastes are jittered.
    """
    plain = through_jpeg(pool.test_images, attack.jpeg_quality) if attack.paste == "jittered" else pool.test_images
    z, plain_z = encoder.encode(known), encoder.encode(plain)
    patched_z = encoder.encode(triggered(pool.test_images, attack, seed=attack.seed))
    truth, others = pool.test_labels, pool.test_labels != attack.target
    near, near_patched = (knn_predict(z, labels, asked, k=NEIGHBOURS) for asked in (plain_z, patched_z))
    probe = fit_linear_probe(z, labels)
    linear, linear_patched = probe.predict(plain_z), probe.predict(patched_z)
    return Success(
        accuracy=_share(near == truth),
        triggered_accuracy=_share(near_patched == truth),
        attack=_share(near_patched[others] == attack.target),
        base=_share(near[others] == attack.target),
        linear_accuracy=_share(linear == truth),
        linear_attack=_share(linear_patched[others] == attack.target),
        linear_base=_share(linear[others] == attack.target),
        taken=near_patched[others] == attack.target,
    )


def _share(hits: np.ndarray) -> float:
    return float(hits.mean())


def above_control(taken: np.ndarray, control: np.ndarray, *, seed: int) -> Interval:
    """95 % interval of attack success less the control's, both on the same test images (paired bootstrap over them)."""
    return bootstrap_interval(taken.astype(np.float64) - control, rng=stream(seed, "poison", "above control"))
