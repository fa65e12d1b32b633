"""Who competes in `veracast bench rating`, and how their errors are compared.

Families: baselines (the strong LightGBM among them), parts of NetGPT alone, NetGPT, ablations (NetGPT with one choice
changed), and on a generated world the oracle. Every row is compared with the baseline that has the least error on the same
test rows: paired by video, since the rows of one video are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from veracast.core.protocols import Rater
from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval, paired_permutation_test
from veracast.data.as_of import Fans
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.raters import NAMES, rater
from veracast.rating.raters.effects import EffectsRater
from veracast.rating.raters.netgpt import NetGPTRater, graph_alone, language_alone
from veracast.rating.raters.strong import StrongLightGBM

Family = Literal["baseline", "part", "netgpt", "ablation", "oracle"]
MIN_SCORED = 0.95
SAMPLE = ["video_id", "at", "target_at"]


@dataclass(frozen=True)
class Entry:
    """A row of the table. fans: how follower counts enter, where it is not the set's own way."""

    name: str
    family: Family
    make: Callable[[NetGPTConfig], Rater]
    fans: Fans | None = None


Change = Callable[[NetGPTConfig], NetGPTConfig]


def with_members(config: NetGPTConfig, members: int) -> NetGPTConfig:
    """The config with so many networks in stage 1."""
    return replace(config, stage1=replace(config.stage1, members=members))


ABLATIONS: Mapping[str, Change] = {
    "1 member in stage 1": lambda c: with_members(c, 1),
    "without stage 1": lambda c: replace(c, stage1=replace(c.stage1, objective="none")),
    "without stage 2": lambda c: replace(c, stage2=replace(c.stage2, epochs=0)),
    "without stage 3": lambda c: replace(c, stage3=replace(c.stage3, language_epochs=0)),
    "without the language model": lambda c: replace(
        c, stage2=replace(c.stage2, epochs=0), stage3=replace(c.stage3, language_epochs=0)
    ),
    "without crossed effects": lambda c: replace(c, stage3=replace(c.stage3, effects=False)),
    "without the boosted base": lambda c: replace(c, stage3=replace(c.stage3, base="graph")),
    "self-supervised stage 1": lambda c: replace(c, stage1=replace(c.stage1, objective="self-supervised")),
    "stage 1 as released (SmoothL1 on 9 sigmoid)": lambda c: replace(c, stage1=replace(c.stage1, released_loss=True)),
    "language model frozen": lambda c: replace(c, backbone=replace(c.backbone, tuning="frozen")),
    "language model with LoRA": lambda c: replace(c, backbone=replace(c.backbone, tuning="lora")),
    "1 graph token": lambda c: replace(c, backbone=replace(c.backbone, graph_tokens=1)),
    "8 graph tokens": lambda c: replace(c, backbone=replace(c.backbone, graph_tokens=8)),
    "without frames": lambda c: replace(c, graph=replace(c.graph, frames="none")),
    "recent 10 members of a hub": lambda c: replace(c, graph=replace(c.graph, hub_reading="recent", recent_k=10)),
    "self-supervised frame encoder": lambda c: replace(c, graph=replace(c.graph, frames="ssl")),
    "compatible graph": lambda c: replace(c, graph=replace(c.graph, schema="compatible")),
}


def entries(*, ablations: bool) -> list[Entry]:
    """The rows in the order of the table."""
    found = [Entry(name, "baseline", lambda _, name=name: rater(name)) for name in NAMES]  # type: ignore[misc]
    found.append(Entry("lightgbm_strong", "baseline", lambda _: StrongLightGBM()))
    found.append(Entry("rgcn", "part", lambda c: NetGPTRater("rgcn", graph_alone(c))))
    found.append(
        Entry("rgcn committee", "part", lambda c: NetGPTRater("rgcn", with_members(graph_alone(c), c.stage1.members)))
    )
    found.append(Entry("effects", "part", lambda _: EffectsRater()))
    found.append(Entry("lm", "part", lambda c: NetGPTRater("lm", language_alone(c))))
    found.append(Entry("netgpt", "netgpt", lambda c: NetGPTRater("netgpt", c)))
    if ablations:
        for name, change in ABLATIONS.items():
            found.append(Entry(name, "ablation", lambda c, change=change: NetGPTRater("netgpt", change(c))))  # type: ignore[misc]
        for fans in ("off", "lagged", "as-released"):
            found.append(Entry(f"fans {fans}", "ablation", lambda c: NetGPTRater("netgpt", c), fans=fans))
    return found


def errors_of(test: pl.DataFrame, point: np.ndarray, target: str) -> pl.DataFrame:
    """Samples of a test set with the forecast and its absolute error; null where nothing was forecast."""
    frame = test.select(*SAMPLE, truth=pl.col(f"y_{target}").cast(pl.Float64)).with_columns(
        point=pl.Series(point).fill_nan(None)
    )
    return frame.with_columns(target=pl.lit(target), error=(pl.col("point") - pl.col("truth")).abs()).filter(
        pl.col("truth").is_not_null()
    )


def over_seeds(units: pl.DataFrame) -> pl.DataFrame:
    """Error per row of the table and sample: the mean over seeds. units: columns row, seed, *SAMPLE, error."""
    return units.group_by("row", *SAMPLE, maintain_order=True).agg(
        error=pl.col("error").mean(), seeds=pl.col("seed").n_unique()
    )


def compare(units: pl.DataFrame, families: Mapping[str, Family], *, seed: int, where: str) -> list[dict[str, Any]]:
    """MAE of every row with its interval, and its difference to the best baseline, for one set, state and target."""
    errors = over_seeds(units)
    scored = {row: part.drop_nulls("error") for (row,), part in errors.group_by("row", maintain_order=True)}
    whole = max(part.height for part in (p for _, p in errors.group_by("row")))
    full = {row: part for row, part in scored.items() if part.height >= MIN_SCORED * whole}
    baselines = {row: float(part["error"].mean()) for row, part in full.items() if families[str(row)] == "baseline"}  # type: ignore[arg-type]
    best = min(baselines, key=baselines.__getitem__) if baselines else None
    found = []
    for row, part in scored.items():
        if part.is_empty():
            continue
        name = str(row)
        draw = stream(seed, "bench", where, name)
        spread = bootstrap_interval(part["error"].to_numpy(), rng=draw, groups=part["video_id"].to_numpy())
        facts: dict[str, Any] = {
            "row": name,
            "family": families[name],
            "n": part.height,
            "videos": part["video_id"].n_unique(),
            "seeds": int(part["seeds"].max()),  # type: ignore[arg-type]
            "scored": part.height / whole,
            "mae": float(part["error"].mean()),  # type: ignore[arg-type]
            "low": spread.low,
            "high": spread.high,
        }
        found.append(facts | _against(part, full.get(best) if best is not None and best != row else None, best, draw))
    return found


def _against(part: pl.DataFrame, other: pl.DataFrame | None, name: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Difference of mean absolute errors on shared samples, per video."""
    if other is None:
        return {"against": None, "difference": None, "difference_low": None, "difference_high": None, "p": None}
    both = part.join(other.select(*SAMPLE, other="error"), on=SAMPLE, nulls_equal=True)
    gap = (both["error"] - both["other"]).to_numpy()
    spread = bootstrap_interval(gap, rng=draw, groups=both["video_id"].to_numpy())
    by_video = both.group_by("video_id", maintain_order=True).agg(pl.col("error").sum(), pl.col("other").sum())
    p = paired_permutation_test(by_video["error"].to_numpy(), by_video["other"].to_numpy(), rng=draw)
    return {
        "against": str(name),
        "difference": float(gap.mean()),
        "difference_low": spread.low,
        "difference_high": spread.high,
        "p": p,
    }
