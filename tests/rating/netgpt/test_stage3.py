"""Stage 3: losses by hand, corrections that start at nothing, a base that falls back, a proper temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from veracast.rating.netgpt.rows import Rows
from veracast.rating.netgpt.stage1 import Said
from veracast.rating.netgpt.stage3 import (
    GraphHeads,
    HeadData,
    HeadObjective,
    Mix,
    Outlook,
    choose_mix,
    correct,
    level_losses,
    main_losses,
    temperature,
)


def rows(n: int, level: int = 2) -> Rows:
    return Rows(
        kind="observed", state=torch.arange(n), aim=torch.zeros(n, 5), columns=torch.zeros(n, 4), start=torch.zeros(n),
        main=torch.full((n,), 3.0), level=torch.full((n,), level), weight=torch.ones(n), asked=torch.ones(n, dtype=torch.bool),
        held=torch.arange(n) % 2 == 0, base_main=torch.full((n,), 3.1), base_probs=torch.eye(10)[[level] * n],
    )  # fmt: skip


def said(n: int, main: float, level: int) -> Said:
    return Said(torch.full((n,), main), 8.0 * torch.eye(10)[[level] * n], torch.zeros(n))


def test_losses_by_hand() -> None:
    part = rows(1)
    flat = torch.full((1, 10), -np.log(10.0))
    above = 1 - np.arange(1, 10) / 10
    truth = np.array([1, 1, 0, 0, 0, 0, 0, 0, 0])
    ordinal = -(truth * np.log(above) + (1 - truth) * np.log(1 - above)).mean()
    assert level_losses(flat, part.level).item() == pytest.approx(ordinal + 0.2 * (4.5 - 2 - 0.5), rel=1e-5)
    assert main_losses(torch.tensor([3.5]), part.main).item() == pytest.approx(0.5 - 0.025)
    unknown = replace(part, level=torch.tensor([-1]), main=torch.tensor([float("nan")]))
    assert level_losses(flat, unknown.level).item() == 0 and main_losses(torch.tensor([3.5]), unknown.main).item() == 0


def test_a_distribution_on_the_truth_loses_less_than_one_beside_it_and_that_less_than_one_far_off() -> None:
    at = [level_losses((9.0 * torch.eye(10)[[k]]).log_softmax(1), rows(1).level).item() for k in (2, 3, 8)]
    assert at[0] < at[1] < at[2]


def test_the_mixture_takes_the_better_forecast() -> None:
    assert choose_mix(said(40, 9.0, 7), rows(40), "boosted") == Mix(0.0, 0.0)
    worse = replace(rows(40), base_main=torch.full((40,), 8.0), base_probs=torch.eye(10)[[9] * 40])
    assert choose_mix(said(40, 3.0, 2), worse, "boosted").main == 1.0
    assert choose_mix(said(40, 9.0, 7), rows(40), "graph") == Mix(1.0, 1.0)


def test_without_a_boosted_forecast_the_graph_speaks() -> None:
    none = replace(rows(2), base_main=torch.full((2,), float("nan")), base_probs=torch.full((2, 10), float("nan")))
    base = Mix(0.3, 0.3).of(said(2, 5.0, 4), none)
    assert base.main.tolist() == [5.0, 5.0]
    assert base.log_probs.argmax(1).tolist() == [4, 4] and torch.isfinite(base.log_probs).all()


def test_heads_start_at_no_correction_and_learn_a_planted_one() -> None:
    torch.manual_seed(0)
    n = 200
    skip = torch.randn(n, 6)
    part = replace(rows(n), main=3.0 + skip[:, 0])
    base = Outlook(torch.full((n,), 3.0), torch.full((n, 10), -np.log(10.0)))
    heads = GraphHeads(6, "main", members=2, dropout=0.0)
    assert torch.equal(correct(base, {"main": heads.eval()}, skip).main, base.main)
    objective = HeadObjective(HeadData(part, skip, base), "main")
    before = objective.validation_loss(heads)
    optimizer = torch.optim.AdamW(heads.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        found = objective.loss(heads.train(), np.arange(objective.rows))
        torch.autograd.backward(found.loss / found.weight)
        optimizer.step()
    with torch.no_grad():
        assert objective.validation_loss(heads.eval()) < before / 4


def test_temperature_finds_the_power_of_an_overconfident_forecast() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4000, 10)
    level = torch.distributions.Categorical(logits=logits).sample()
    assert temperature((logits / 0.6).log_softmax(1), level) == pytest.approx(0.6, abs=0.051)
    assert temperature(logits[:10].log_softmax(1), level[:10]) == 1.0
