"""From a data set's view and sample frames to the tensors that the stages read.

`Surroundings` is what a network needs of the world around the samples: graph, text and frame vectors. `Scaling` is learnt
on training videos and saved with the model, so that a fresh export is read with the training's eyes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from safetensors.numpy import load_file, save_file
from torch.nn import functional as F

from veracast.core.files import write_json
from veracast.core.progress import SILENT, Progress
from veracast.data.dataset import Dataset
from veracast.graph.build import HUBS, NUMBERS, Graph, build
from veracast.graph.hubs import Hub, Listed
from veracast.graph.neighbours import places, recent_members
from veracast.graph.network import GraphInputs
from veracast.models.frame_encoder import TrainedEncoder
from veracast.models.frame_tower import tower_vectors
from veracast.models.frame_vectors import EncodeFrames, colour_layout, video_frames
from veracast.models.text_store import text_vectors
from veracast.rating.features import feature_columns
from veracast.rating.netgpt.config import GraphConfig

STATES = ("cold", "observed")
FIXED = tuple(NUMBERS.index(name) for name in ("ln_fans", "ln_duration_s", "title_chars", "hour_sin", "hour_cos", "week_sin", "week_cos"))  # fmt: skip
"""Numbers that are known at posting."""
AIM = ("ln_target_age", "ln_gap", "log_age_ratio", "level_now", "level_now_known")
_CLIP = 4.0  # standard deviations


class Apart(NamedTuple):
    """What the rest of a graph says of states that stand apart from it: means by column of extras.py, (states,); expected by the crossed effects,
    (videos,), None where a model has none."""

    means: Mapping[str, np.ndarray]
    expected: np.ndarray | None


@dataclass(frozen=True)
class Surroundings:
    """A data set's graph, with text (videos, dim) and frame vectors (videos, dim; NaN rows without frames)."""

    graph: Graph
    text: np.ndarray
    frames: np.ndarray
    titles: pl.DataFrame  # video_id, title, description; row = video code
    jpegs: Mapping[str, tuple[bytes, ...]] = field(
        default_factory=dict
    )  # frames of each video, where a model looks at them
    encoder: TrainedEncoder | None = None  # of the frame vectors, where they come from a trained one
    apart: Apart | None = None  # of twins (twins.py), whose graph holds nothing but themselves

    @cached_property
    def video(self) -> np.ndarray:
        """Video code of each state."""
        return self.graph.states["video"].to_numpy()


def surroundings(
    dataset: Dataset, *, main: str, fans: str, config: GraphConfig, pictures: bool = False, encoder: TrainedEncoder | None = None,
    tower: str = "", store: Path | None = None, progress: Progress = SILENT,
) -> Surroundings:  # fmt: skip
    """Build the graph and encode the words and pictures of a data set. pictures: keep the frames themselves too.

    encoder, tower: what frames = ssl and frames = tower read frames with; store: of texts, in place of the cache's.
    """
    with progress.step("propagation graph"):
        graph = build(dataset, main=main, fans=fans, schema=config.schema)
    videos = dataset.videos.sort("video_id")
    words = videos.select(pl.concat_str(["title", "description"], separator=" ", ignore_nulls=True)).to_series()
    text = text_vectors(words.to_list(), store=store, encoder=config.text_encoder, progress=progress)
    frames = np.zeros((videos.height, 0), dtype=np.float32)
    if config.frames != "none":
        frames = video_frames(dataset.frames, videos["video_id"].to_list(), _encode_frames(config, encoder, tower, progress))  # fmt: skip
    jpegs: dict[str, tuple[bytes, ...]] = {}
    if pictures:
        grouped = dataset.frames.group_by("video_id", maintain_order=True).agg("jpeg")
        jpegs = {video: tuple(shown) for video, shown in grouped.iter_rows()}
    return Surroundings(graph, text, frames, videos.select("video_id", "title", "description"), jpegs, encoder)


def _encode_frames(config: GraphConfig, encoder: TrainedEncoder | None, tower: str, progress: Progress) -> EncodeFrames:
    if config.frames == "tower":
        return lambda jpegs: tower_vectors(jpegs, name=tower, progress=progress)  # which tells of its own progress
    if config.frames == "ssl" and encoder is None:
        raise ValueError("frames = ssl: expected the trained encoder, got none")
    encode = encoder.network.encode if encoder is not None else colour_layout

    def told(jpegs: Sequence[bytes]) -> np.ndarray:
        with progress.step("frame vectors"):
            return encode(jpegs)

    return told


@dataclass(frozen=True)
class Scaling:
    """arrays: means, deviations and principal axes by name. hubs, platforms, columns: what the training data had."""

    arrays: dict[str, np.ndarray]
    hubs: tuple[str, ...]
    platforms: tuple[str, ...]
    columns: tuple[str, ...]  # sample features (f_*) that the number tokens carry
    gaps: tuple[str, ...] = ()  # "text", "frame": vectors that some training videos had and others lacked

    def save(self, folder: Path) -> None:
        """scaling.safetensors and scaling.json."""
        save_file({k: np.ascontiguousarray(v) for k, v in self.arrays.items()}, folder / "scaling.safetensors")
        write_json(folder / "scaling.json", {"hubs": list(self.hubs), "platforms": list(self.platforms), "columns": list(self.columns), "gaps": list(self.gaps)})  # fmt: skip

    @staticmethod
    def load(folder: Path) -> Scaling:
        """Read what `save` wrote."""
        import json

        head: dict[str, Any] = json.loads((folder / "scaling.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / "scaling.safetensors")
        return Scaling(
            arrays, tuple(head["hubs"]), tuple(head["platforms"]), tuple(head["columns"]), tuple(head.get("gaps", ()))
        )


def fit_scaling(around: Surroundings, samples: pl.DataFrame, *, config: GraphConfig) -> Scaling:
    """Learnt from the training samples' own states and videos."""
    graph = around.graph
    rows = np.unique(graph.rows(samples))
    videos = np.unique(around.video[rows])
    numbers, mask = graph.numbers[rows], graph.mask[rows]
    n = np.maximum(mask.sum(axis=0), 1)
    mean = numbers.sum(axis=0) / n
    spread = np.sqrt((((numbers - mean) * mask) ** 2).sum(axis=0) / n)
    columns = tuple(c for c in feature_columns() if samples[c].drop_nulls().n_unique() > 1)
    table = samples.select(columns).to_numpy().astype(float)
    arrays = {
        "number_mean": mean.astype(np.float32),
        "number_sd": np.maximum(spread, 1e-3).astype(np.float32),
        "column_mean": np.nan_to_num(_nan(np.nanmean, table)).astype(np.float32),
        "column_sd": np.maximum(np.nan_to_num(_nan(np.nanstd, table), nan=1.0), 1e-3).astype(np.float32),
        **_axes("text", around.text[videos], config.text_dims),
        **_axes("frame", around.frames[videos], config.frame_dims),
    }
    vectors = {"text": around.text[videos], "frame": around.frames[videos]}
    gaps = tuple(name for name, found in vectors.items() if len(np.unique(_there(found))) == 2)
    return Scaling(arrays, tuple(hub.name for hub in graph.hubs), graph.platforms, columns, gaps)


def graph_inputs(around: Surroundings, scaling: Scaling, *, config: GraphConfig = GraphConfig()) -> GraphInputs:
    """The scaled tensors of a graph; hubs and platforms in the training's order, empty where this graph has none.

    config: how hubs are read; the k most recent members of `hub_reading = "recent"` are found here, once.
    """
    graph, arrays = around.graph, scaling.arrays
    scaled = (graph.numbers - arrays["number_mean"]) / arrays["number_sd"] * graph.mask
    numbers = np.concatenate([np.clip(scaled, -2 * _CLIP, 2 * _CLIP), graph.mask], axis=1).astype(np.float32)
    codes = np.array([scaling.platforms.index(p) if p in scaling.platforms else -1 for p in graph.platforms])
    platform = torch.from_numpy(codes[graph.states["platform"].to_numpy()])
    onehot = F.one_hot(platform.clamp_min(0), len(scaling.platforms)).float() * (platform >= 0)[:, None]
    by_name = {hub.name: hub for hub in graph.hubs}
    hubs = tuple(by_name.get(name) or _empty(name, graph.size) for name in scaling.hubs)
    reading: tuple[Hub | Listed, ...] = hubs
    if config.hub_reading == "recent":
        reading = tuple(recent_members(places(hub, around.video), config.recent_k) for hub in hubs)
    return GraphInputs(
        numbers=torch.from_numpy(numbers),
        fixed=(*FIXED, *(len(NUMBERS) + i for i in FIXED)),
        platform=onehot,
        text=_with_mask(around.text, scaling, "text"),
        frames=_with_mask(around.frames, scaling, "frame"),
        video=torch.from_numpy(around.video.astype(np.int64)),
        hubs=reading,
    )


def project(vectors: np.ndarray, scaling: Scaling, name: str) -> np.ndarray:
    """Vectors on the principal axes of training, shape (videos, dims) float32, first axis of deviation 1; 0 where there was nothing."""
    axes = scaling.arrays[f"{name}_axes"]
    if vectors.shape[1] != axes.shape[0]:  # a source without texts or pictures at all
        return np.zeros((len(vectors), max(1, axes.shape[1])), dtype=np.float32)
    there = _there(vectors)
    centred = np.where(there[:, None], np.nan_to_num(vectors) - scaling.arrays[f"{name}_mean"], 0.0)
    found = (centred @ axes / scaling.arrays[f"{name}_sd"]).astype(np.float32)
    return found if found.shape[1] else np.zeros((len(vectors), 1), dtype=np.float32)


def has_vector(vectors: np.ndarray, scaling: Scaling, name: str) -> np.ndarray:
    """1 where a video has the vector, 0 where `project` gives zeros for want of one, shape (videos, 1) float32.

    No column, shape (videos, 0), where all training videos had it or all lacked it: nothing was learnt of the difference.
    """
    if name not in scaling.gaps:
        return np.zeros((len(vectors), 0), dtype=np.float32)
    fits = vectors.shape[1] == scaling.arrays[f"{name}_axes"].shape[0]
    return np.asarray(_there(vectors) & fits).astype(np.float32)[:, None]


def aim(samples: pl.DataFrame) -> np.ndarray:
    """Where a sample's forecast is aimed, columns AIM, shape (n, 5) float32; zeros where a label has no date."""
    level = samples["now_level"].cast(pl.Float64)
    columns = [
        samples["f_target_age_h"].clip(0.25).log() - 5.0,
        samples["f_ln_gap"] - 4.0,
        samples["f_log_age_ratio"] - 2.0,
        (level.fill_null(0.0) - 4.5) / 3.0,
        level.is_not_null().cast(pl.Float64),
    ]
    return np.stack([c.cast(pl.Float64).fill_null(0.0).to_numpy() for c in columns], axis=1).astype(np.float32)


def columns_scaled(samples: pl.DataFrame, scaling: Scaling) -> np.ndarray:
    """The sample features, scaled and clipped, beside their masks, shape (n, 2 x columns) float32."""
    raw = samples.select([pl.col(c).cast(pl.Float64) for c in scaling.columns]).fill_null(float("nan")).to_numpy()
    known = np.isfinite(raw)
    scaled = (np.nan_to_num(raw) - scaling.arrays["column_mean"]) / scaling.arrays["column_sd"]
    return np.concatenate([np.clip(scaled, -_CLIP, _CLIP) * known, known], axis=1).astype(np.float32)


def _axes(name: str, vectors: np.ndarray, dims: int) -> dict[str, np.ndarray]:
    """Mean, first principal axes (dim, dims) and the deviation along the first one."""
    there = vectors[_there(vectors)]
    width = vectors.shape[1]
    if len(there) < 2:
        empty = {"mean": np.zeros(width), "axes": np.zeros((width, 0)), "sd": np.ones(1)}
        return {f"{name}_{k}": v.astype(np.float32) for k, v in empty.items()}
    mean = there.mean(axis=0)
    values, vectors_ = np.linalg.eigh(np.cov((there - mean).T.astype(np.float64)))
    axes = vectors_[:, ::-1][:, :dims]
    axes = axes * np.where(
        np.abs(axes).max(axis=0) == axes.max(axis=0), 1.0, -1.0
    )  # a sign that does not depend on LAPACK
    sd = max(float(np.sqrt(max(values[-1], 0.0))), 1e-6)
    found = {"mean": mean, "axes": axes, "sd": np.array([sd])}
    return {f"{name}_{k}": v.astype(np.float32) for k, v in found.items()}


def _there(vectors: np.ndarray) -> np.ndarray:
    """Which videos have a vector, shape (videos,): neither a row of NaN (no frames) nor of zeros (no text)."""
    return np.asarray(np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1))


def _with_mask(vectors: np.ndarray, scaling: Scaling, name: str) -> torch.Tensor:
    return torch.from_numpy(
        np.concatenate([project(vectors, scaling, name), has_vector(vectors, scaling, name)], axis=1)
    )


def _nan(statistic: Any, table: np.ndarray) -> np.ndarray:
    import warnings

    with warnings.catch_warnings():  # a column without any value
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(statistic(table, axis=0))


def _empty(name: str, states: int) -> Hub:
    if name not in HUBS:
        raise ValueError(f"unknown hub {name}")
    none, ints = np.empty(0), np.empty(0, dtype=np.int64)
    return Hub(name, "latest", np.zeros(1, dtype=np.int64), ints, none, np.empty(0, dtype=bool), ints, none, states)
