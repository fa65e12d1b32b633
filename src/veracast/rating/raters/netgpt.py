"""NetGPT as a rater, and its parts alone: `rgcn` (stage 1), `lm` (words without graph tokens), `netgpt` (all stages).

These raters learn from a data set, not from a table of features alone: they are bound to a `Study` of it before they are
fitted. One training gives count and level together, so targets that ask for the same rows share it. Torch is imported when
a study is first used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder, new_folder, write_json
from veracast.core.launch import launch
from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import Rater, RatingPrecision
from veracast.data.as_of import Fans
from veracast.data.dataset import Dataset
from veracast.rating.netgpt.config import BackboneConfig, NetGPTConfig
from veracast.rating.raters.lightgbm import LightGBM, median_level

if TYPE_CHECKING:
    from veracast.graph.build import Graph
    from veracast.models.frame_encoder import TrainedEncoder
    from veracast.rating.netgpt.inputs import Scaling, Surroundings
    from veracast.rating.netgpt.model import NetGPT, Seen

POINTER = "netgpt.json"
ENCODER_SEED = 0  # one frame encoder serves trainings of all seeds


@dataclass
class Study:
    """A data set as the network raters see it.

    folder: where trainings keep their checkpoints, each under a digest of data, rows, config and seed: a training that was
    killed goes on when the same command is given again. `sweep` removes them once their models are kept elsewhere.
    precision: of language models when they rate; they are trained and calibrated as their config says.
    """

    dataset: Dataset
    main: str
    fans: Fans
    folder: Path = field(default_factory=lambda: cache_folder("work"))
    progress: Progress = SILENT
    precision: RatingPrecision = "fp32"
    _around: dict[str, Surroundings] = field(default_factory=dict)
    _trained: dict[str, Trained] = field(default_factory=dict)
    _kept: set[str] = field(default_factory=set)
    _opened: dict[Path, Trained] = field(default_factory=dict)
    _encoders: dict[str, TrainedEncoder] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def around(self, config: NetGPTConfig, *, encoder: TrainedEncoder | None = None) -> Surroundings:
        """Graph, text and frame vectors, built once per way of building them.

        encoder: the frame encoder of a saved model; without one, frames = ssl trains it on this data set.
        """
        need_torch()
        from veracast.rating.netgpt.inputs import surroundings

        pictures = config.backbone.frames > 0
        frames = config.graph.frames
        tower = config.backbone.name if frames == "tower" else ""
        if frames == "ssl" and encoder is None:
            encoder = self._encoder(config)
        by = encoder.digest if encoder is not None else tower
        key = f"{config.graph.schema} {config.graph.text_encoder} {frames} {by} {pictures}"
        if key not in self._around:
            from veracast.models.processes import first_alone

            with first_alone():  # it encodes the texts; the others find them in the store
                self._around[key] = surroundings(
                    self.dataset, main=self.main, fans=self.fans, config=config.graph, pictures=pictures, encoder=encoder, tower=tower, progress=self.progress
                )  # fmt: skip
        return self._around[key]

    def read_by(self, train: pl.DataFrame) -> tuple[Surroundings, Scaling]:
        """The data set under the default config, and the scaling that training rows give: for raters with neither of their own."""
        from veracast.rating.netgpt.inputs import fit_scaling

        config = NetGPTConfig()
        around = self.around(config)
        return around, fit_scaling(around, train, config=config.graph)

    def _encoder(self, config: NetGPTConfig) -> TrainedEncoder:
        """The self-supervised frame encoder of this data set, trained once for all its models and seeds.

        It learns from the frames of all videos, those of a backtest's test side among them: it sees no count and no level,
        but of a later export it will have seen no frame, so a backtest may flatter it a little.
        """
        from veracast.models.frame_encoder import train_encoder

        with self._lock:
            facts = repr((self.dataset.meta.get("digest"), config.graph.frame_epochs))
            key = f"frames-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
            if key not in self._encoders:
                self._encoders[key] = train_encoder(
                    self.dataset.frames.select("video_id", "jpeg"), epochs=config.graph.frame_epochs, folder=self.folder / key, seed=ENCODER_SEED,
                    threads=config.threads, checkpoint_every_s=config.checkpoint_every_s, progress=self.progress,
                )  # fmt: skip
            return self._encoders[key]

    def trained(self, train: pl.DataFrame, config: NetGPTConfig, seed: int) -> Trained:
        """A model trained on these rows; the same rows, config and seed are trained once."""
        need_torch()
        with self._lock:  # evaluation fits on several threads; one training at a time is what the machine can hold
            key = self._digest(train, config, seed)
            if key not in self._trained:
                from veracast.rating.netgpt.model import see
                from veracast.rating.netgpt.trainer import train as train_netgpt

                around = self.around(config)
                tables = {str(state): train.filter(pl.col("state") == state) for state in train["state"].unique()}
                shared = self._digest(train, graph_part(config), seed)
                model = train_netgpt(
                    tables, around, config, main=self.main, folder=self.folder / key, shared=self.folder / shared, seed=seed,
                    progress=self.progress,
                )  # fmt: skip
                self._kept |= {key, shared}
                self._trained[key] = Trained(model, see(model, around), self.progress, self.precision)
            return self._trained[key]

    def opened(self, place: Path) -> Trained:
        """A saved model, read once."""
        need_torch()
        from veracast.rating.netgpt.model import load, saved_encoder

        if place not in self._opened:
            config = saved_config(place)
            around = self.around(config, encoder=saved_encoder(place, config))
            self._opened[place] = Trained(*load(place, around), self.progress, self.precision)
        return self._opened[place]

    @property
    def graph(self) -> Graph:
        """The graph that was built first; KeyError before any was."""
        return next(iter(self._around.values())).graph

    @property
    def curves(self) -> pl.DataFrame:
        """Loss curves of all trainings of this study (models/loop.py CURVE), with the column `training`; empty without any."""
        found = [
            t.model.curves.with_columns(training=pl.lit(key))
            for key, t in self._trained.items()
            if t.model.curves.height
        ]
        return pl.concat(found) if found else pl.DataFrame()

    @property
    def language_precision(self) -> str | None:
        """What the language models of this study rate in, which are on one device: fp32 or bf16; None where there is none."""
        every = (*self._trained.values(), *self._opened.values())
        return next((found for t in every if (found := t.language_precision) is not None), None)

    def sweep(self) -> None:
        """Forget what was trained, and remove its checkpoints; of several processes, when all are done with them."""
        if launch().world > 1 and self._kept:
            from veracast.models.processes import together

            together()
        for key in (*self._kept, *self._encoders) if launch().first else ():
            shutil.rmtree(self.folder / key, ignore_errors=True)
        self.forget()
        self._kept = set()

    def forget(self) -> None:
        """Forget what was trained; its checkpoints stay, for trainings that share a stage with it, until `sweep`."""
        self._trained = {}

    def _digest(self, train: pl.DataFrame, config: NetGPTConfig, seed: int) -> str:
        facts = (
            self.dataset.meta.get("digest"),
            self.main,
            self.fans,
            _rows_digest(train),
            _result_of(config),
            seed,
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass
class Trained:
    """A model with its eyes on a data set; what it said last is kept, because count and level are asked for in turn."""

    model: NetGPT
    seen: Seen
    progress: Progress = SILENT
    precision: RatingPrecision = "fp32"
    alike: bool = False  # samples are one video with other content: most prompts begin with the same facts
    _said: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @cached_property
    def rates(self) -> NetGPT:
        """The model as it rates: its language model is cast once, what is saved stays as it was trained."""
        from veracast.rating.netgpt.model import rating_in

        return rating_in(self.model, self.precision)

    @property
    def language_precision(self) -> str | None:
        """What its language model rates in; None where it has none."""
        return None if self.rates.language is None else self.rates.language.reader.precision

    def say(self, samples: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """ln count (n,), never below now, and level distribution (n, 10)."""
        from veracast.rating.netgpt.model import outlooks

        with self._lock:
            key = _rows_digest(samples)
            if key not in self._said:
                counts, probs = np.full(samples.height, np.nan), np.full((samples.height, 10), np.nan)
                for state in self.model.kinds:
                    mine = (samples["state"] == state).to_numpy()
                    if mine.any():
                        final = outlooks(
                            self.rates, samples.filter(mine), state, self.seen, alike=self.alike, progress=self.progress
                        ).final
                        counts[mine], probs[mine] = final.main.numpy(), final.log_probs.exp().numpy()
                now = samples[f"now_{self.model.main}"].cast(pl.Float64).fill_null(0.0).to_numpy()
                self._said = {key: (np.maximum(counts, now), probs)}
            return self._said[key]


@dataclass(frozen=True)
class FittedNetGPT:
    """One target of a trained model; `trained` is None until a model read from disk is bound to a data set."""

    target: str
    trained: Trained | None
    folder: Path | None = None

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        counts, probs = self._here().say(samples)
        if self.target != "level":
            return counts
        known = np.isfinite(probs).all(axis=1)
        return np.where(known, median_level(np.nan_to_num(probs)), np.nan)

    def level_probs(self, samples: pl.DataFrame) -> np.ndarray | None:
        return self._here().say(samples)[1] if self.target == "level" else None

    @property
    def curves(self) -> pl.DataFrame:
        """Loss curves of the stages (models/loop.py CURVE)."""
        return self._here().model.curves

    def save(self, folder: Path) -> None:
        """The model beside the parts, once for all targets that share it, and here which one it is."""
        model = self._here().model
        shared = folder.parent / f"netgpt-{_weights_of(model)}"
        if not shared.is_dir():
            with new_folder(shared) as temporary:
                model.save(temporary)
        write_json(folder / POINTER, {"target": self.target, "model": shared.name})

    def bind(self, study: Study) -> FittedNetGPT:
        """The model read for a data set."""
        if self.folder is None:
            return self
        body = json.loads((self.folder / POINTER).read_text(encoding="utf-8"))
        return FittedNetGPT(self.target, study.opened(self.folder.parent / body["model"]))

    def _here(self) -> Trained:
        if self.trained is None:
            raise RuntimeError("a NetGPT model rates only after it was bound to a data set (rating/model.py `bound`)")
        return self.trained


@dataclass(frozen=True)
class NetGPTRater:
    """costly: evaluation holds out one part instead of several folds."""

    name: str
    config: NetGPTConfig
    study: Study | None = None
    costly: bool = True

    def bind(self, study: Study) -> NetGPTRater:
        """The same rater on a data set."""
        return replace(self, study=study)

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedNetGPT:
        if self.study is None:
            raise RuntimeError(f"{self.name} is fitted only after it was bound to a data set")
        return FittedNetGPT(target, self.study.trained(train, self.config, seed))

    def load(self, folder: Path) -> FittedNetGPT:
        return FittedNetGPT(json.loads((folder / POINTER).read_text(encoding="utf-8"))["target"], None, folder)

    def lighter(self) -> Rater:
        """For counters that it does not forecast."""
        return LightGBM().lighter()


def network_raters(config: NetGPTConfig = NetGPTConfig()) -> tuple[NetGPTRater, ...]:
    """rgcn, lm and netgpt under one config."""
    return (
        NetGPTRater("rgcn", graph_alone(config)),
        NetGPTRater("lm", language_alone(config)),
        NetGPTRater("netgpt", config),
    )


def graph_alone(config: NetGPTConfig) -> NetGPTConfig:
    """Stage 1 and nothing else: one network, as published."""
    return replace(
        config,
        stage1=replace(config.stage1, members=1),
        stage2=replace(config.stage2, epochs=0),
        stage3=replace(config.stage3, base="graph", language_epochs=0),
    )


def language_alone(config: NetGPTConfig) -> NetGPTConfig:
    """The language model on words, without graph or number tokens and without a base to correct."""
    return replace(
        config,
        stage3=replace(config.stage3, base="none"),
        backbone=replace(config.backbone, graph_tokens=0, number_tokens=0),
    )


def graph_part(config: NetGPTConfig) -> NetGPTConfig:
    """The part of a config that the networks of stage 1 depend on, the rest as it is by default: however many members, the
    first ones are the same."""
    tower = config.backbone.name if config.graph.frames == "tower" else BackboneConfig().name
    return NetGPTConfig(
        graph=config.graph, stage1=replace(config.stage1, members=1), backbone=BackboneConfig(name=tower), validation_share=config.validation_share
    )  # fmt: skip


def saved_config(folder: Path) -> NetGPTConfig:
    """Config of a saved model."""
    from veracast.core.config import load_config

    body: dict[str, Any] = json.loads((folder / "netgpt.json").read_text(encoding="utf-8"))
    return load_config(NetGPTConfig, given=body["config"])


def _result_of(config: NetGPTConfig) -> NetGPTConfig:
    """The config without what decides how a training runs, not what comes out: it may go on in another way."""
    backbone = replace(config.backbone, device="auto", recompute=False)
    return replace(config, backbone=backbone, threads=0, checkpoint_every_s=0, sharding="ddp")


def need_torch() -> None:
    """ConfigError that names what to install, where the extra `netgpt` is missing."""
    try:
        import numba  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            [f"raters rgcn, lm and netgpt, and language models, need {error.name} -> pip install 'veracast[netgpt]'"]
        ) from error


def _rows_digest(samples: pl.DataFrame) -> str:
    return hashlib.sha256(samples.hash_rows(seed=1).to_numpy().tobytes()).hexdigest()[:16]


def _weights_of(model: NetGPT) -> str:
    """Digest of what the stages learnt."""
    from veracast.models.checkpoints import weights_digest

    parts: list[Any] = [*model.graph]
    parts += [model.language.stage] if model.language is not None else []
    digests = [weights_digest(dict(part.named_parameters())) for part in parts]
    return hashlib.sha256(" ".join([*digests, repr(model.mixes)]).encode()).hexdigest()[:12]
