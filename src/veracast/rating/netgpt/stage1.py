"""Stage 1: heterogeneous graph pretraining (Xue et al. 2025, section on the large graph model).

The released code trains the network supervised, with SmoothL1 between sigmoid(head) x 9 and the level; that is kept as
`released_loss`. By default the head also gives a distribution over the ten levels and the main counter at the target, per
kind of state (cold, observed): more to learn from per row. Where there are counts it forecasts the logarithm z of their
growth, growth = e^z - .01 in ln units, as the boosted trees do: most videos hardly grow any more, and a few grow tenfold. `self-supervised` masks numbers and predicts them, and tells a
state's own hub from another state's (temporal link prediction); heads are then trained on the frozen embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.core.protocols import LEVELS
from veracast.graph.ego import ego_sampler
from veracast.graph.hubs import read
from veracast.graph.network import GraphInputs, Reader
from veracast.models.loop import LossSum
from veracast.rating.netgpt.inputs import AIM
from veracast.rating.netgpt.rows import Rows
from veracast.rating.raters.lightgbm import GROWTH_FLOOR

MAIN_BETA = {"cold": 0.2, "observed": 0.1}  # ln counts, or z, below which the loss of the counter is quadratic
Z_START = -1.5  # z of a typical state with counts, where learning starts
MOST_Z = 4.0  # growth by 54 ln units: beyond any counter
LEVEL_WEIGHT, SCORE_WEIGHT = 0.5, 0.1
MASKED = 0.3  # share of numbers hidden from the network under the self-supervised objective


class Said(NamedTuple):
    """What a head says of n rows: ln count (n,), level logits (n, 10), score sigmoid x 9 (n,)."""

    main: Float[Tensor, " n"]
    logits: Float[Tensor, "n levels"]
    score: Float[Tensor, " n"]

    def where(self, mine: Tensor, others: Said) -> Said:
        """These forecasts for the rows of `mine` (n,) bool, the others for the rest."""
        return Said(
            torch.where(mine, self.main, others.main),
            torch.where(mine[:, None], self.logits, others.logits),
            torch.where(mine, self.score, others.score),
        )

    @property
    def probs(self) -> Tensor:
        """Distribution over levels."""
        return self.logits.softmax(dim=1)


def mean_said(every: Sequence[Said]) -> Said:
    """The mean of what members say: of ln counts, of level log probabilities (a geometric mean, up to its sum), of scores."""
    logs = torch.stack([said.logits.log_softmax(dim=1) for said in every])
    return Said(
        torch.stack([said.main for said in every]).mean(dim=0),
        logs.mean(dim=0),
        torch.stack([said.score for said in every]).mean(dim=0),
    )


class GraphHead(nn.Module):
    """A small perceptron plus a linear path over embedding and aim. grows: the counter by its growth from now on."""

    def __init__(self, width: int, *, grows: bool, hidden: int = 48, dropout: float = 0.2) -> None:
        super().__init__()
        self.grows = grows
        self.deep = nn.Sequential(nn.Linear(width + len(AIM), hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, LEVELS + 2))  # fmt: skip
        self.straight = nn.Linear(width + len(AIM), LEVELS + 2)

    def forward(self, embedding: Tensor, rows: Rows) -> Said:
        both = torch.cat([embedding, rows.aim], dim=1)
        out = self.deep(both) + self.straight(both)
        gained = (out[:, 0] + Z_START).clamp_max(MOST_Z).exp() - GROWTH_FLOOR if self.grows else out[:, 0]
        return Said(rows.start + gained, out[:, 1 : 1 + LEVELS], 9 * torch.sigmoid(out[:, -1]))


def log_growth(main: Float[Tensor, " n"], start: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """z of a counter that goes from start to main, both ln counts; no less than growth 0 has."""
    return ((main - start).clamp_min(0) + GROWTH_FLOOR).log()


class GraphStage(nn.Module):
    """Network and one head per kind of state."""

    def __init__(self, network: nn.Module, width: int, kinds: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.heads = nn.ModuleDict({kind: GraphHead(width, grows=kind == "observed") for kind in kinds})
        self.width = width

    def embed(self, inputs: GraphInputs, *, reader: Reader | None = None) -> Float[Tensor, "states width"]:
        """Embeddings of all states. reader: of an improved graph, where hubs are not walked (graph/network.py)."""
        found: Tensor = self.network(inputs) if reader is None else self.network(inputs, reader=reader)
        return found

    def say(self, embedding: Tensor, rows: Rows) -> Said:
        """Forecasts of rows from the embeddings of all states."""
        said: Said = self.heads[rows.kind](embedding[rows.state], rows)
        return said


class Supervised:
    """The objective: rows of all kinds, one after the other; every kind's weights sum to 1.

    fan_out: learn on ego graphs around the rows of each batch, drawn anew at every step from torch's generator (which the
    loop seeds by the step); empty = on the whole graph. Validation reads the whole graph either way.
    """

    def __init__(
        self, inputs: GraphInputs, rows: Mapping[str, Rows], *, released: bool = False, frozen: Tensor | None = None, fan_out: tuple[int, ...] = ()
    ) -> None:  # fmt: skip
        self.inputs, self.released, self.frozen = inputs, released, frozen
        self.sampler = ego_sampler(inputs, fan_out) if fan_out and frozen is None else None
        self.train = {kind: r.at(torch.nonzero(~r.held)[:, 0]) for kind, r in rows.items()}
        self.held = {kind: r.at(torch.nonzero(r.held & r.asked)[:, 0]) for kind, r in rows.items()}
        ends = np.cumsum([0, *(len(r) for r in self.train.values())])
        self.span = {kind: (int(ends[i]), int(ends[i + 1])) for i, kind in enumerate(self.train)}
        self.rows = int(ends[-1])

    def loss(self, model: GraphStage, rows: np.ndarray) -> LossSum:
        """Sum over the named rows."""
        embedding = self._embedding(model, rows)
        total, weight = torch.zeros(()), 0.0
        for kind, (low, high) in self.span.items():
            inside = rows[(rows >= low) & (rows < high)] - low
            part = self.train[kind]
            if len(inside) and part.weight.sum() > 0:
                chosen = part if len(inside) == len(part) else part.at(inside)
                share = chosen.weight / part.weight.sum()
                total = total + (row_losses(model.say(embedding, chosen), chosen, released=self.released) * share).sum()
                weight += float(share.sum()) / len(self.span)
        return LossSum(total, weight)

    def _embedding(self, model: GraphStage, rows: np.ndarray) -> Tensor:
        """Of all states (states, width); under sampling only those of the named rows are filled in."""
        if self.frozen is not None:
            return self.frozen
        if self.sampler is None:
            return model.embed(self.inputs)
        named = torch.cat([part.state for part in self.train.values()])[torch.from_numpy(rows)]
        states = torch.from_numpy(np.unique(named.numpy()))
        sampled = self.sampler.sample(states, seed=int(torch.randint(2**62, ())))
        found = model.embed(sampled.inputs).index_select(0, sampled.seeds)
        return torch.zeros(len(self.inputs.video), found.shape[1]).index_copy(0, states, found)

    def validation_loss(self, model: GraphStage) -> float:
        """Mean over the asked rows of validation videos, kinds in equal parts."""
        embedding = self.frozen if self.frozen is not None else model.embed(self.inputs)
        losses = [
            row_losses(model.say(embedding, part), part, released=self.released).mean().item()
            for part in self.held.values()
            if len(part)
        ]
        return float(np.mean(losses)) if losses else float("nan")


def row_losses(said: Said, rows: Rows, *, released: bool = False) -> Float[Tensor, " n"]:
    """Loss per row; what is not known of a row adds nothing."""
    has_level, has_main = rows.level >= 0, torch.isfinite(rows.main)
    score = F.smooth_l1_loss(said.score, rows.level.clamp_min(0).float(), reduction="none") * has_level
    if released:
        return score
    level = F.cross_entropy(said.logits, rows.level.clamp_min(0), reduction="none") * has_level
    truth, guess = torch.nan_to_num(rows.main), said.main
    if rows.kind == "observed":
        truth, guess = log_growth(truth, rows.start), log_growth(guess, rows.start)
    main = F.smooth_l1_loss(guess, truth, beta=MAIN_BETA[rows.kind], reduction="none") * has_main
    return main + LEVEL_WEIGHT * level + SCORE_WEIGHT * score


class SelfSupervised:
    """Masked numbers and temporal links; "rows" are states. Levels and later counts are not looked at."""

    def __init__(self, inputs: GraphInputs, *, seed: int, held_videos: Tensor) -> None:
        self.inputs, self.seed = inputs, seed
        self.held = held_videos[inputs.video]
        self.states = torch.nonzero(~self.held)[:, 0].numpy()
        self.rows = len(self.states)
        self.numbers = inputs.numbers.shape[1] // 2

    def loss(self, model: GraphStage, rows: np.ndarray) -> LossSum:
        """Sum over the named states."""
        return self._loss(
            model, torch.from_numpy(self.states[rows]), torch.rand(self.inputs.numbers.shape[0], self.numbers)
        )

    def validation_loss(self, model: GraphStage) -> float:
        """Mean over the states of validation videos, under a fixed mask."""
        draw = torch.Generator().manual_seed(self.seed)
        chance = torch.rand(self.inputs.numbers.shape[0], self.numbers, generator=draw)
        found = self._loss(model, torch.nonzero(self.held)[:, 0], chance)
        return found.loss.item() / max(found.weight, 1e-9)

    def _loss(self, model: GraphStage, states: Tensor, chance: Tensor) -> LossSum:
        values, mask = self.inputs.numbers[:, : self.numbers], self.inputs.numbers[:, self.numbers :]
        hidden = (chance < MASKED) & (mask > 0)
        seen = torch.cat([values * ~hidden, mask * ~hidden], dim=1)
        embedding = model.embed(replace(self.inputs, numbers=seen))
        guess: Tensor = model.decoder(embedding[states])  # type: ignore[operator]
        wanted = hidden[states]
        feature = (F.smooth_l1_loss(guess, values[states], reduction="none") * wanted).sum(dim=1) / wanted.sum(dim=1).clamp_min(1)  # fmt: skip
        return LossSum((feature + self._links(model, embedding, states)).sum(), float(len(states)))

    def _links(self, model: GraphStage, embedding: Tensor, states: Tensor) -> Tensor:
        """Binary cross-entropy of "this is my hub" against the hub of another state, mean over the kinds that a state reads."""
        query: Tensor = model.query(embedding)  # type: ignore[operator]
        message: Tensor = model.message(embedding)  # type: ignore[operator]
        total, count = torch.zeros(len(states)), torch.zeros(len(states))
        for hub in self.inputs.hubs:
            seen = read(hub, message.contiguous())
            there = (seen.weight[states] > 0).float()
            other = seen.mean[states.roll(1)]
            for truth, mean in ((1.0, seen.mean[states]), (0.0, other)):
                score = (query[states] * mean).sum(dim=1)
                total = total + there * F.binary_cross_entropy_with_logits(score, torch.full_like(score, truth), reduction="none")  # fmt: skip
            count = count + 2 * there
        return total / count.clamp_min(1)


def add_pretext(model: GraphStage, numbers: int, *, seed: int, width: int = 16) -> None:
    """The parts that only the self-supervised objective uses; seed: of their first weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.decoder = nn.Linear(model.width, numbers)
        model.query = nn.Linear(model.width, width)
        model.message = nn.Linear(model.width, width)
