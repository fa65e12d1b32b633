"""The three stages, one after the other, and what they make of new samples.

    graph + words + pictures -> stage 1 -> embeddings -> stage 2 (language model learns to say the level)
                                    \-> base -> stage 3 (graph heads, then the language model with its head)

Everything that a stage learns is written into `folder`, so that a killed training goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.graph.network import GraphInputs, NetworkConfig, ResidualRGCN
from veracast.models.loop import LoopConfig, fit
from veracast.rating.netgpt.base import Boosted, fit_boosted
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import STATES, Scaling, Surroundings, fit_scaling, graph_inputs
from veracast.rating.netgpt.rows import Rows, rows_of
from veracast.rating.netgpt.stage1 import GraphStage, SelfSupervised, Supervised, add_pretext
from veracast.rating.netgpt.stage3 import (
    GraphHeads,
    HeadData,
    HeadObjective,
    Mix,
    Outlook,
    Part,
    choose_mix,
    correct,
    skip_vector,
    temperature,
)


@dataclass
class NetGPT:
    """A trained NetGPT; `steps` that were left out are None or empty."""

    config: NetGPTConfig
    main: str
    scaling: Scaling
    graph: GraphStage
    boosted: Boosted | None
    mixes: Mapping[str, Mix] = field(default_factory=dict)
    heads: Mapping[str, Mapping[str, GraphHeads]] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    curves: pl.DataFrame = field(default_factory=pl.DataFrame)


PARTS: tuple[Part, ...] = ("main", "level")


class Outlooks(NamedTuple):
    """What each step says of the same rows."""

    graph: Outlook
    base: Outlook
    corrected: Outlook
    final: Outlook


def train(
    tables: Mapping[str, pl.DataFrame],
    around: Surroundings,
    config: NetGPTConfig,
    *,
    main: str,
    folder: Path,
    seed: int,
    progress: Progress = SILENT,
) -> NetGPT:
    """Train on sample frames by state ("cold", "observed"), outcomes in y_<main> and y_level."""
    torch.set_num_threads(config.threads)
    tables = {state: tables[state] for state in STATES if state in tables and tables[state].height}
    scaling = fit_scaling(around, pl.concat([_shared(t) for t in tables.values()]), config=config.graph)
    inputs = graph_inputs(around, scaling)
    rows = {
        state: rows_of(t, state, graph=around.graph, scaling=scaling, main=main, held_share=config.validation_share)
        for state, t in tables.items()
    }
    boosted = None
    if config.stage3.base == "boosted":
        full = {state: with_extras(t, around, scaling, main=main) for state, t in tables.items()}
        boosted, rows = fit_boosted(full, rows, main=main, seed=seed, progress=progress)
    stage, curves = _stage1(inputs, rows, config, folder, seed, progress)
    model = NetGPT(config, main, scaling, stage, boosted)
    with torch.no_grad():
        embedding = stage.embed(inputs)
    _graph_heads(model, embedding, rows, folder, seed, progress, curves)
    model.curves = pl.concat(curves)
    return model


def outlooks(model: NetGPT, samples: pl.DataFrame, kind: str, around: Surroundings) -> Outlooks:
    """Forecasts of samples of one kind of state."""
    inputs = graph_inputs(around, model.scaling)
    rows = rows_of(samples, kind, graph=around.graph, scaling=model.scaling, main=model.main)
    if model.boosted is not None:
        rows = model.boosted.attach(rows, with_extras(samples, around, model.scaling, main=model.main))
    with torch.no_grad():
        return _outlooks(model, model.graph.embed(inputs), rows)


def _outlooks(model: NetGPT, embedding: Tensor, rows: Rows) -> Outlooks:
    said = model.graph.say(embedding, rows)
    graph = Outlook(said.main, said.logits.log_softmax(dim=1))
    base = model.mixes[rows.kind].of(said, rows)
    heads = model.heads.get(rows.kind, {})
    corrected = correct(base, heads, skip_vector(embedding, rows, said)) if heads else base
    power = model.temperatures.get(rows.kind, 1.0)
    final = Outlook(corrected.main, (corrected.log_probs * power).log_softmax(dim=1))
    return Outlooks(graph, base, corrected, final)


def _stage1(
    inputs: GraphInputs, rows: Mapping[str, Rows], config: NetGPTConfig, folder: Path, seed: int, progress: Progress
) -> tuple[GraphStage, list[pl.DataFrame]]:
    graph, stage = config.graph, config.stage1
    torch.manual_seed(_torch_seed(seed, "stage1"))
    sizes = NetworkConfig(
        own=graph.width, channels=graph.channels, layers=graph.layers, memories_days=graph.memories_days,
        text=min(16, inputs.text.shape[1]), frames=graph.frame_dims, dropout=graph.dropout, text_dropout=graph.text_dropout,
    )  # fmt: skip
    network = ResidualRGCN(sizes, inputs)
    model = GraphStage(network, network.width, tuple(rows))
    curves, frozen = [], None
    if stage.objective == "self-supervised":
        add_pretext(model, inputs.numbers.shape[1] // 2)
        held = torch.zeros(int(inputs.video.max()) + 1, dtype=torch.bool)
        for part in rows.values():
            held[inputs.video[part.state[part.held]]] = True
        pretext = SelfSupervised(inputs, seed=_torch_seed(seed, "mask"), held_videos=held)
        loop = _loop(config, epochs=stage.epochs, rows=pretext.rows)
        curves.append(fit(model, pretext, pretext.rows, loop, folder=folder, stage="stage1-self-supervised", seed=seed, progress=progress).curve)  # fmt: skip
    if stage.objective != "supervised":
        with torch.no_grad():
            model.eval()
            frozen = model.embed(inputs)
    objective = Supervised(inputs, rows, released=stage.released_loss, frozen=frozen)
    loop = _loop(config, epochs=stage.epochs, rows=objective.rows)
    curves.append(fit(model, objective, objective.rows, loop, folder=folder, stage="stage1", seed=seed, progress=progress).curve)  # fmt: skip
    return model, curves


def _loop(config: NetGPTConfig, *, epochs: int, rows: int) -> LoopConfig:
    stage = config.stage1
    return LoopConfig(
        epochs=epochs, batch_size=rows, micro_batch=rows, lr=stage.lr, weight_decay=stage.weight_decay,
        warmup_share=0.3, evaluate_every=stage.evaluate_every, patience=stage.patience, threads=config.threads,
    )  # fmt: skip


def _graph_heads(
    model: NetGPT, embedding: Tensor, rows: Mapping[str, Rows], folder: Path, seed: int, progress: Progress, curves: list[pl.DataFrame]
) -> None:  # fmt: skip
    """Base weights, graph heads and temperatures per kind of state; fills `model` in."""
    stage = model.config.stage3
    mixes: dict[str, Mix] = {}
    heads: dict[str, dict[str, GraphHeads]] = {}
    temperatures: dict[str, float] = {}
    for kind, part in rows.items():
        with torch.no_grad():
            said = model.graph.say(embedding, part)
            mixes[kind] = choose_mix(said, part, stage.base)
            base, skip = mixes[kind].of(said, part), skip_vector(embedding, part, said)
        data, heads[kind] = HeadData(part, skip, base), {}
        if stage.skip and stage.head_epochs:
            for target in PARTS:
                objective = HeadObjective(data, target)
                if objective.rows < 30 or not len(objective.held.rows):
                    continue
                torch.manual_seed(_torch_seed(seed, "head", kind, target))
                head = GraphHeads(skip.shape[1], target, members=stage.members, dropout=stage.dropout)
                loop = LoopConfig(
                    epochs=stage.head_epochs, batch_size=stage.head_batch, micro_batch=stage.head_batch, lr=stage.head_lr,
                    weight_decay=stage.weight_decay, patience=5, threads=model.config.threads,
                )  # fmt: skip
                before = objective.validation_loss(head)
                found = fit(head, objective, objective.rows, loop, folder=folder, stage=f"stage3-{kind}-{target}", seed=seed, progress=progress)  # fmt: skip
                curves.append(found.curve)
                if found.best_loss < before:
                    heads[kind][target] = head
        with torch.no_grad():
            corrected = correct(base, heads[kind], skip)
        judged = part.held & part.asked
        temperatures[kind] = temperature(corrected.log_probs[judged], part.level[judged])
    model.mixes, model.heads, model.temperatures = mixes, heads, temperatures


def _shared(samples: pl.DataFrame) -> pl.DataFrame:
    return samples.select("video_id", "anchor_point", *sorted(c for c in samples.columns if c.startswith("f_")))


def _torch_seed(seed: int, *names: str) -> int:
    return int(stream(seed, "torch", *names).integers(2**62))
