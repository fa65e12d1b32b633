"""What a strong boosted forecast reads beside the as-of features: text vectors, frame vectors and hub means.

The text and frame vectors on their principal axes, whether a video has them where training videos differ in that, and per
hub of music, hashtag and repost family the mean ln count of its other videos as of the state, plain and fading over two
weeks, with the number of videos behind it (author, topic, category and platform means are as-of features already).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from torch import Tensor

from veracast.graph.build import NUMBERS, Graph
from veracast.graph.hubs import NO_DECAY, Read, read
from veracast.rating.netgpt.inputs import Scaling, Surroundings, has_vector, project
from veracast.rating.raters.lightgbm import EXTRA

HUB_KINDS = ("music", "hashtag", "repost")
MEMORIES_DAYS = (NO_DECAY, 14.0)


def with_extras(samples: pl.DataFrame, around: Surroundings, scaling: Scaling, *, main: str) -> pl.DataFrame:
    """Samples with the columns x_text_*, x_frame_*, x_has_* and x_<hub>_*."""
    rows = around.graph.rows(samples)
    video = around.video[rows]
    columns: dict[str, np.ndarray] = {}
    for name, vectors in (("text", around.text), ("frame", around.frames)):
        found = project(vectors, scaling, name)[video]
        columns |= {f"{EXTRA}{name}_{i:02d}": found[:, i] for i in range(found.shape[1])}
        columns |= {f"{EXTRA}has_{name}": mask for mask in has_vector(vectors, scaling, name)[video].T}
    for name, values in hub_means(around, main).items():
        columns[f"{EXTRA}{name}"] = values[rows]
    return samples.with_columns([pl.Series(name, values.astype(np.float64)) for name, values in columns.items()])


def hub_means(around: Surroundings, main: str) -> dict[str, np.ndarray]:
    """Per hub kind and memory: mean ln count and growth of the others, NaN where nobody was seen, and ln(1 + their number)."""
    if around.apart is not None:
        return dict(around.apart.means)
    values = counted(around.graph, main)
    found: dict[str, np.ndarray] = {}
    for hub in around.graph.hubs:
        if hub.name in HUB_KINDS:
            for memory in MEMORIES_DAYS:
                found |= mean_columns(hub.name, memory, read(hub, values, memory_days=memory))
    return found


def counted(graph: Graph, main: str) -> Tensor:
    """What the means are of: ln count and growth of every state, (states, 2)."""
    places = [NUMBERS.index(f"ln_{main}"), NUMBERS.index("total_main")]
    return torch.from_numpy(np.ascontiguousarray(graph.numbers[:, places]))


def mean_columns(hub: str, memory_days: float, seen: Read) -> dict[str, np.ndarray]:
    """Columns of what was read of `counted` in a hub of that name."""
    weight, kind = seen.weight.numpy(), "all" if np.isinf(memory_days) else "recent"
    mean = np.where(weight[:, None] > 0, seen.mean.numpy(), np.nan)
    return {f"{hub}_{kind}_ln": mean[:, 0], f"{hub}_{kind}_growth": mean[:, 1], f"{hub}_{kind}_n": np.log1p(weight)}
