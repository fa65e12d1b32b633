"""Stage 3: losses by hand, a base that takes the better part and falls back, a proper temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from veracast.rating.netgpt.rows import Rows
from veracast.rating.netgpt.stage1 import Said
from veracast.rating.netgpt.stage3 import (
    Mix,
    choose_mix,
    level_losses,
    main_losses,
    number_vector,
    numbers_width,
    temperature,
)


def rows(n: int, level: int = 2) -> Rows:
    return Rows(
        kind="observed", state=torch.arange(n), aim=torch.zeros(n, 5), columns=torch.zeros(n, 4), start=torch.zeros(n),
        main=torch.full((n,), 3.0), level=torch.full((n,), level), weight=torch.ones(n), asked=torch.ones(n, dtype=torch.bool),
        held=torch.arange(n) % 2 == 0, base_main=torch.full((n,), 3.1), base_probs=torch.eye(10)[[level] * n],
        through=torch.full((n, 10), float("nan")),
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


def test_the_level_through_the_rule_is_taken_where_it_is_better_and_left_where_it_is_not_known() -> None:
    ruled = replace(rows(40), base_probs=torch.eye(10)[[9] * 40], through=torch.eye(10)[[2] * 40])
    mix = choose_mix(said(40, 9.0, 7), ruled, "boosted")
    assert mix.through == 1.0 and mix.of(said(40, 9.0, 7), ruled).log_probs.argmax(1).tolist() == [2] * 40
    wrong = replace(rows(40), through=torch.eye(10)[[8] * 40])
    assert choose_mix(said(40, 9.0, 7), wrong, "boosted").through == 0.0
    half = replace(ruled, through=torch.where(torch.arange(40)[:, None] < 20, ruled.through, torch.nan))
    assert mix.of(said(40, 9.0, 7), half).log_probs.argmax(1).tolist() == [2] * 20 + [9] * 20


def test_numbers_of_a_row_are_as_many_as_their_width_says_and_say_how_far_apart_the_forecasts_are() -> None:
    found = number_vector(rows(3), said(3, 5.0, 4))
    assert found.shape == (3, numbers_width(2))  # two features beside their masks
    after = len(rows(1).aim[0]) + 4
    np.testing.assert_allclose(found[0, after : after + 5], [3.1, 5.0, 1.9, 2 - 4.5, 4 - 4.5], atol=2e-2)


def test_temperature_finds_the_power_of_an_overconfident_forecast() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4000, 10)
    level = torch.distributions.Categorical(logits=logits).sample()
    assert temperature((logits / 0.6).log_softmax(1), level) == pytest.approx(0.6, abs=0.051)
    assert temperature(logits[:10].log_softmax(1), level[:10]) == 1.0
    few = temperature((logits[:40] / 0.6).log_softmax(1), level[:40])
    assert 0.65 < few < 1.0  # so few rows move it only part of the way
