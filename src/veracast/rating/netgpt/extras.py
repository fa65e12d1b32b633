"""What a strong boosted forecast reads beside the as-of features: text vectors, frame vectors and hub means.

The text and frame vectors on their principal axes, whether a video has them where training videos differ in that, and per
hub of music, hashtag and repost family the mean ln count of its other videos as of the state, plain and fading over two
weeks, with the number of videos behind it (author, topic, category and platform means are as-of features already).
"""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from veracast.graph.build import NUMBERS
from veracast.graph.hubs import NO_DECAY, read
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
    graph = around.graph
    places = [NUMBERS.index(f"ln_{main}"), NUMBERS.index("total_main")]
    values = torch.from_numpy(np.ascontiguousarray(graph.numbers[:, places]))
    found: dict[str, np.ndarray] = {}
    for hub in graph.hubs:
        if hub.name not in HUB_KINDS:
            continue
        for memory in MEMORIES_DAYS:
            seen = read(hub, values, memory_days=memory)
            weight, kind = seen.weight.numpy(), "all" if np.isinf(memory) else "recent"
            mean = np.where(weight[:, None] > 0, seen.mean.numpy(), np.nan)
            found |= {f"{hub.name}_{kind}_ln": mean[:, 0], f"{hub.name}_{kind}_growth": mean[:, 1], f"{hub.name}_{kind}_n": np.log1p(weight)}  # fmt: skip
    return found
