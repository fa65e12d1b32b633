"""Stages 2 and 3 of the language model: it learns to say the level, then to correct the forecast.

Stage 2 (supervised language fine-tuning): prompt with graph and number tokens -> the level as text, cross-entropy on the
answer alone. Stage 3 (task-oriented predictor fine-tuning): the same prompt without the answer; a linear head on the last
hidden state corrects count and levels of the base, which starts at no correction. How much of the correction is taken is
chosen on validation videos, none at all included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from veracast.core.protocols import LEVELS
from veracast.core.seeds import stream
from veracast.models.graph_language import Batch, GraphLanguageModel, collate
from veracast.models.loop import LossSum
from veracast.models.pictures import Pictures, together
from veracast.models.processes import on_cpu
from veracast.models.prompts import Encoded, single_tokens
from veracast.models.rating_batches import batches
from veracast.rating.netgpt.stage3 import Outlook, level_losses, main_losses, zero_linear
from veracast.rating.netgpt.wording import LEVEL_ANSWERS

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_VALIDATION_BUDGET = 8192  # tokens of a validation batch


@dataclass(frozen=True)
class Readings:
    """n prompts with their vectors, outcomes and base forecasts. kind (n,): which kind of state, by number; level (n,), -1
    where not known; main (n,) ln count, NaN where not known; encoded with the answer where the level is known."""

    encoded: Sequence[Encoded]
    soft: Mapping[str, Tensor]
    kind: Int[Tensor, " n"]
    level: Int[Tensor, " n"]
    main: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]
    base: Outlook
    pictures: Sequence[Pictures] | None = None

    def __len__(self) -> int:
        return len(self.encoded)

    def batch(self, index: np.ndarray, *, answers: bool) -> Batch:
        """Some of them as the language model reads them."""
        at = torch.from_numpy(index)
        chosen = [self.encoded[i] for i in index]
        if not answers:
            chosen = [Encoded(e.ids[: e.prompt], e.prompt) for e in chosen]
        shown = together([self.pictures[i] for i in index]) if self.pictures is not None else None
        return collate(chosen, {name: vectors[at] for name, vectors in self.soft.items()}, pictures=shown)

    def at(self, index: np.ndarray) -> Readings:
        """Some of them."""
        at = torch.from_numpy(index)
        return Readings(
            [self.encoded[i] for i in index], {name: v[at] for name, v in self.soft.items()}, self.kind[at], self.level[at], self.main[at],
            self.weight[at], Outlook(self.base.main[at], self.base.log_probs[at]), None if self.pictures is None else [self.pictures[i] for i in index],
        )  # fmt: skip

    @staticmethod
    def joined(parts: Sequence[Readings]) -> Readings:
        """One after the other."""
        pictures = None if parts[0].pictures is None else [p for part in parts for p in part.pictures or ()]
        return Readings(
            [e for part in parts for e in part.encoded],
            {name: torch.cat([part.soft[name] for part in parts]) for name in parts[0].soft},
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("kind", "level", "main", "weight")),  # type: ignore[arg-type, call-arg]
            Outlook(torch.cat([p.base.main for p in parts]), torch.cat([p.base.log_probs for p in parts])),
            pictures,
        )  # fmt: skip


class LanguageStage(nn.Module):
    """The language model and a head per kind of state on its last hidden state."""

    def __init__(self, reader: GraphLanguageModel, kinds: int) -> None:
        super().__init__()
        self.reader = reader
        self.norm = nn.LayerNorm(reader.backbone.hidden)
        self.heads = nn.ModuleList(zero_linear(reader.backbone.hidden, 1 + LEVELS) for _ in range(kinds))

    @property
    def blocks(self) -> list[nn.Module]:
        """What FSDP2 gathers one by one (models/sharding.py)."""
        return self.reader.blocks

    def corrections(self, hidden: Float[Tensor, "n hidden"], kind: Int[Tensor, " n"]) -> Float[Tensor, "n outputs"]:
        """Correction of the ln count (column 0) and of the level logits (columns 1-10); on the CPU, where the base is."""
        normed = self.norm(hidden.to(self.norm.weight.device))
        every = on_cpu(torch.stack([head(normed) for head in self.heads]))
        return every[kind, torch.arange(len(kind))]


class AnswerObjective:
    """Stage 2. Rows without a level are not asked."""

    def __init__(self, train: Readings, held: Readings) -> None:
        self.train = train.at(torch.nonzero(train.level >= 0)[:, 0].numpy())
        self.held = held.at(torch.nonzero(held.level >= 0)[:, 0].numpy())
        self.rows = len(self.train)

    def loss(self, model: LanguageStage, rows: np.ndarray) -> LossSum:
        """Cross-entropy over answer tokens."""
        return LossSum(*model.reader.answer_loss(self.train.batch(rows, answers=True)))

    def validation_loss(self, model: LanguageStage) -> float:
        """Mean over the answer tokens of validation rows."""
        total, tokens = 0.0, 0
        for index in _parts(self.held):
            loss, count = model.reader.answer_loss(self.held.batch(index, answers=True))
            total, tokens = total + loss.item(), tokens + count
        return total / tokens if tokens else float("nan")


class CorrectionObjective:
    """Stage 3: count and levels of the corrected base."""

    def __init__(self, train: Readings, held: Readings) -> None:
        self.train, self.held = train, held
        self.rows = len(train)

    def loss(self, model: LanguageStage, rows: np.ndarray) -> LossSum:
        """Sum over the named rows."""
        part = self.train.at(rows)
        hidden = model.reader.last_hidden(part.batch(np.arange(len(part)), answers=False))
        losses = _losses(part, model.corrections(hidden, part.kind))
        return LossSum((losses * part.weight).sum(), float(part.weight.sum()))

    def validation_loss(self, model: LanguageStage) -> float:
        """Mean over validation rows."""
        total = 0.0
        for index in _parts(self.held):
            part = self.held.at(index)
            hidden = model.reader.last_hidden(part.batch(np.arange(len(part)), answers=False))
            total += _losses(part, model.corrections(hidden, part.kind)).sum().item()
        return total / len(self.held) if len(self.held) else float("nan")


class Share(NamedTuple):
    """How much of the language correction is taken, for count and levels of one kind of state."""

    main: float
    level: float


def choose_share(corrections: Tensor, held: Readings) -> Share:
    """The least shares whose validation loss is not clearly worse than the least there is; 0 where no row tells.

    Not clearly: by no more than one standard error of the paired difference (Breiman et al. 1984, section 3.4.3). Of a few
    dozen rows the least loss alone would often take a correction that is noise.
    """

    def least(part: str) -> float:
        known = torch.isfinite(held.main) if part == "main" else held.level >= 0
        if not known.any():
            return 0.0

        def losses(share: float) -> Tensor:
            outlook = applied(held.base, corrections, Share(share, share))
            found = (
                main_losses(outlook.main, held.main) if part == "main" else level_losses(outlook.log_probs, held.level)
            )
            return found[known]

        every = {share: losses(share) for share in SHARES}
        best = min(every.values(), key=lambda found: float(found.mean()))
        return next(share for share, found in every.items() if _no_worse(found, best))

    return Share(least("main"), least("level"))


def _no_worse(losses: Tensor, best: Tensor) -> bool:
    """Whether the mean difference of the rows' losses (n,) is within one standard error."""
    gap = (losses - best).double()
    error = gap.std() / len(gap) ** 0.5 if len(gap) > 1 else torch.zeros(())
    return bool(gap.mean() <= error)


def applied(base: Outlook, corrections: Tensor, share: Share) -> Outlook:
    """The base with a share of the corrections."""
    return base.plus(share.main * corrections[:, 0], share.level * corrections[:, 1:])


def spoken(reader: GraphLanguageModel, hidden: Float[Tensor, "n hidden"], base: Outlook) -> Outlook:
    """Stage 2 alone: levels as the language model says them. NaN where its likeliest next token is not a level."""
    ids = single_tokens(reader.backbone.tokenizer, LEVEL_ANSWERS)
    every = reader.answer_logits(hidden, range(reader.language.get_output_embeddings().weight.shape[0]))
    parsed = torch.isin(every.argmax(dim=1), torch.tensor(ids))
    log_probs = every[:, ids].log_softmax(dim=1)
    return replace_levels(base, torch.where(parsed[:, None], log_probs, torch.nan))


def replace_levels(base: Outlook, log_probs: Tensor) -> Outlook:
    """The count of one outlook with the levels of another."""
    return base._replace(log_probs=log_probs)


def sample_rows(known: np.ndarray, most: int, seed: int, *names: str) -> np.ndarray:
    """At most so many of the row numbers, drawn evenly, in ascending order; 0 = all."""
    if most <= 0 or len(known) <= most:
        return known
    return np.sort(stream(seed, "language rows", *names).permutation(known)[:most])


def without_answers(readings: Readings) -> Readings:
    """Prompts alone, as they are when rating."""
    return replace(readings, encoded=[Encoded(e.ids[: e.prompt], e.prompt) for e in readings.encoded])


def _losses(part: Readings, corrections: Tensor) -> Tensor:
    outlook = applied(part.base, corrections, Share(1.0, 1.0))
    return main_losses(outlook.main, part.main) + level_losses(outlook.log_probs, part.level)


def _parts(readings: Readings) -> Any:
    return batches([len(e.ids) for e in readings.encoded], budget=_VALIDATION_BUDGET)
