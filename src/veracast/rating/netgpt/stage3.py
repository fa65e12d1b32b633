"""Stage 3: task-oriented predictor fine-tuning. The base that the language model corrects, and the losses.

The paper puts a regression head on the last hidden state; its loss is not published. Here a forecast is

    ln count = base + language correction,   logits of the levels = log base + language correction

base      a mixture of stage 1, the boosted forecast, the boosted growth through the level rule and "the level stays", its
          shares chosen on rows whose outcome none of them saw (`base` of the config)
language  a linear head on the last hidden state of the prompt, trained with the language model (language.py)

Losses: SmoothL1 on the count and on the expected level, plus the cumulative (ordinal) log loss of the distribution. What
could not be computed is NaN, never a default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.core.protocols import LEVELS
from veracast.rating.netgpt.inputs import AIM
from veracast.rating.netgpt.rows import Rows
from veracast.rating.netgpt.stage1 import Said

MAIN_BETA = 0.05
EXPECTED_WEIGHT = 0.2
MIN_PROB = 1e-4
POWER_SD = 0.15
_STEPS, _FEW_STEPS = np.linspace(0.0, 1.0, 11), np.linspace(0.0, 1.0, 6)


class Outlook(NamedTuple):
    """A forecast of n rows: ln count (n,), log probabilities of the levels (n, 10)."""

    main: Float[Tensor, " n"]
    log_probs: Float[Tensor, "n levels"]

    def plus(self, main: Tensor, logits: Tensor) -> Outlook:
        """Corrected: the count by a sum, the distribution by a sum of logits."""
        return Outlook(self.main + main, (self.log_probs + logits).log_softmax(dim=1))


@dataclass(frozen=True)
class Mix:
    """Share of stage 1 in the base, for the count and for the distribution; the rest is the boosted forecast.

    through: share of the boosted growth through the level rule, where there are counts. kept: share of "the level stays
    about where it is" in the distribution of a state whose level is known; shifts: what that means, ln chance of a change
    by -9 ... 9 in training. Shares are of logarithms, one after the other.
    """

    main: float
    level: float
    kept: float = 0.0
    shifts: tuple[float, ...] = ()
    through: float = 0.0

    def of(self, said: Said, rows: Rows) -> Outlook:
        """The base forecast of rows."""
        boosted_log = rows.base_probs.clamp_min(MIN_PROB).log().log_softmax(dim=1)
        main = _blend(said.main, rows.base_main, self.main)
        log_probs = _blend(said.logits.log_softmax(dim=1), boosted_log, self.level)
        if self.through:
            ruled = rows.through.clamp_min(MIN_PROB).log().log_softmax(dim=1)
            log_probs = _blend(log_probs, ruled, 1 - self.through)
        if self.kept:
            now = level_now(rows)
            place = torch.arange(LEVELS)[None] - now.clamp_min(0)[:, None] + LEVELS - 1
            stays = torch.tensor(self.shifts)[place].log_softmax(dim=1)
            log_probs = torch.where((now >= 0)[:, None], (1 - self.kept) * log_probs + self.kept * stays, log_probs)
        return Outlook(main, log_probs.log_softmax(dim=1))


def level_now(rows: Rows) -> Int[Tensor, " n"]:
    """Level that a state has reached, -1 where it is not known."""
    level = (rows.aim[:, AIM.index("level_now")] * 3 + 4.5).round().long()
    return torch.where(rows.aim[:, AIM.index("level_now_known")] > 0, level, torch.full_like(level, -1))


def level_shifts(rows: Rows) -> tuple[float, ...]:
    """ln shares of level changes (-9 ... 9) of rows that know both ends, half a row added to each; empty without such rows."""
    now = level_now(rows)
    both = (now >= 0) & (rows.level >= 0)
    if not both.any():
        return ()
    changes = torch.bincount((rows.level - now)[both] + LEVELS - 1, minlength=2 * LEVELS - 1) + 0.5
    return tuple((changes / changes.sum()).log().tolist())


def _blend(a: Tensor, b: Tensor, share: float) -> Tensor:
    """share a + (1 - share) b; a where b is not known."""
    if share >= 1:
        return a
    return torch.where(torch.isfinite(b), share * a + (1 - share) * torch.nan_to_num(b), a)


def choose_mix(said: Said, rows: Rows, base: str, *, judged: Tensor | None = None) -> Mix:
    """The shares with the least error (absolute error of the count, ordinal loss of the level) on the judged rows.

    judged: rows whose forecasts did not see their outcome; validation rows unless told otherwise.
    """
    if base != "boosted" or (not torch.isfinite(rows.base_main).any() and not torch.isfinite(rows.base_probs).any()):
        return Mix(1.0, 1.0)
    judged = rows.asked & (rows.held if judged is None else judged)
    shifts = level_shifts(rows.at(torch.nonzero(~rows.held)[:, 0]))
    counted, levelled = judged & torch.isfinite(rows.main), judged & (rows.level >= 0)

    def main_error(share: float) -> float:
        return float((Mix(share, 1.0).of(said, rows).main - rows.main).abs()[counted].mean())

    at = torch.nonzero(levelled)[:, 0]
    of_level, said_level = rows.at(at), Said(*(part[at] for part in said))

    def level_error(mix: Mix) -> float:
        return float(level_losses(mix.of(said_level, of_level).log_probs, of_level.level).mean())

    rule = _FEW_STEPS if torch.isfinite(of_level.through).any() else _FEW_STEPS[:1]
    stay = _FEW_STEPS if shifts else _FEW_STEPS[:1]
    every = [Mix(1.0, float(s), float(k), shifts, float(t)) for t in rule for k in stay for s in _STEPS]
    chosen = min(every, key=level_error) if len(at) else Mix(1.0, 1.0)
    return replace(chosen, main=float(min(_STEPS, key=main_error)) if counted.any() else 1.0, shifts=shifts)


def number_vector(rows: Rows, said: Said) -> Float[Tensor, "n width"]:
    """What the number tokens carry of rows: aim, features, what stage 1 and the boosted trees forecast and where they differ."""
    levels = torch.arange(LEVELS, dtype=torch.float32)
    boosted = torch.nan_to_num(rows.base_main - rows.start)
    graph = said.main - rows.start
    probs = torch.nan_to_num(rows.base_probs, nan=1.0 / LEVELS)
    logs = said.logits.log_softmax(dim=1).clamp_min(-9)
    pairs = [boosted, graph, graph - boosted, probs @ levels - 4.5, said.probs @ levels - 4.5]
    return torch.cat(
        [rows.aim, rows.columns, torch.stack(pairs, dim=1), probs.clamp_min(MIN_PROB).log() / 3, logs / 3], dim=1
    )


def numbers_width(columns: int) -> int:
    """Width of a number vector of so many features."""
    return len(AIM) + 2 * columns + 5 + 2 * LEVELS


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts at 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def main_losses(main: Float[Tensor, " n"], truth: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """SmoothL1 on ln counts; 0 where the count is not known."""
    known = torch.isfinite(truth)
    return F.smooth_l1_loss(main, torch.nan_to_num(truth), beta=MAIN_BETA, reduction="none") * known


def level_losses(log_probs: Float[Tensor, "n levels"], level: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ordinal log loss, mean over the nine thresholds, plus SmoothL1 on the expected level; 0 where the level is not known."""
    probs = log_probs.exp()
    above = 1 - probs.cumsum(dim=1)[:, :-1]
    truth = (level[:, None] > torch.arange(LEVELS - 1)[None]).float()
    ordinal = F.binary_cross_entropy(above.clamp(1e-5, 1 - 1e-5), truth, reduction="none").mean(dim=1)
    expected = probs @ torch.arange(LEVELS, dtype=probs.dtype)
    regression = F.smooth_l1_loss(expected, level.clamp_min(0).float(), reduction="none")
    return (ordinal + EXPECTED_WEIGHT * regression) * (level >= 0)


def temperature(log_probs: Tensor, level: Tensor) -> float:
    """The power of the distribution, .5 to 2, that validation levels make likeliest (Guo et al. 2017); 1 with under 30 rows.

    Under a prior around 1 (ln power with deviation POWER_SD): a hundred rows are no reason to sharpen or blur by a third.
    """
    known = level >= 0
    if int(known.sum()) < 30:
        return 1.0
    grid = [round(0.5 + 0.05 * i, 2) for i in range(31)]

    def surprise(power: float) -> float:
        loss = F.nll_loss((log_probs[known] * power).log_softmax(dim=1), level[known], reduction="sum")
        return float(loss) + 0.5 * (math.log(power) / POWER_SD) ** 2

    return min(grid, key=surprise)
