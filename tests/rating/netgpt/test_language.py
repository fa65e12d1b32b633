"""Stages 2 and 3 of the language model: what is learnt from, what is chosen on validation rows, null where nothing was said."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.conftest import TEXTS, facts_of
from veracast.models.backbones import load_backbone
from veracast.models.graph_language import GraphLanguageModel, Source
from veracast.models.prompts import Slots, single_tokens, template
from veracast.rating.netgpt.language import (
    AnswerObjective,
    CorrectionObjective,
    LanguageStage,
    Readings,
    Share,
    applied,
    choose_share,
    sample_rows,
    spoken,
    without_answers,
)
from veracast.rating.netgpt.stage3 import Outlook, level_losses, main_losses


@pytest.fixture
def stage() -> LanguageStage:
    torch.set_num_threads(1)
    reader = GraphLanguageModel(load_backbone("tiny", texts=TEXTS, seed=1), {"graph": Source(3, 2)}, tuning="full")
    return LanguageStage(reader, kinds=2).eval()


def readings(stage: LanguageStage, n: int = 8) -> Readings:
    made = template(stage.reader.backbone.tokenizer, system="s", question="q", slots=Slots(graph=2))
    draw = torch.Generator().manual_seed(0)
    level = torch.tensor([2, 7, -1, 4, 0, 9, 3, 3][:n])
    encoded = made.encode(facts_of(n), answers=[str(max(0, int(k))) for k in level])
    base = Outlook(torch.full((n,), 7.0), torch.randn(n, 10, generator=draw).log_softmax(1))
    main = torch.tensor([7.5, 6.0, 8.0, float("nan"), 7.0, 7.1, 5.0, 9.0][:n])
    return Readings(
        encoded, {"graph": torch.randn(n, 3, generator=draw)}, torch.arange(n) % 2, level, main, torch.ones(n), base
    )


def test_the_head_starts_at_no_correction(stage: LanguageStage) -> None:
    part = readings(stage)
    objective = CorrectionObjective(part, part)
    expected = main_losses(part.base.main, part.main) + level_losses(part.base.log_probs, part.level)
    with torch.no_grad():
        assert objective.loss(stage, np.arange(8)).loss.item() == pytest.approx(expected.sum().item(), rel=1e-5)
        assert objective.validation_loss(stage) == pytest.approx(expected.mean().item(), rel=1e-5)


def test_each_kind_of_state_has_a_head_of_its_own(stage: LanguageStage) -> None:
    with torch.no_grad():
        stage.heads[0].bias.fill_(1.0)
        stage.heads[1].bias.fill_(-2.0)
        found = stage.corrections(torch.randn(3, 192), torch.tensor([0, 1, 0]))
    assert found[:, 0].tolist() == [1.0, -2.0, 1.0]


def test_rows_without_a_level_are_not_asked_for_an_answer(stage: LanguageStage) -> None:
    part = readings(stage)
    objective = AnswerObjective(part, part)
    assert objective.rows == 7
    with torch.no_grad():
        whole = objective.loss(stage, np.arange(7))
        parts = [objective.loss(stage, np.array([i])) for i in range(7)]
    assert whole.weight == 14  # digit and end of turn, each
    assert whole.loss.item() == pytest.approx(sum(p.loss.item() for p in parts), rel=1e-4)
    assert objective.validation_loss(stage) == pytest.approx(whole.loss.item() / 14, rel=1e-4)


def test_the_shares_are_those_with_the_least_validation_loss(stage: LanguageStage) -> None:
    part = readings(stage)
    right = torch.zeros(8, 11)
    right[:, 0] = torch.nan_to_num(part.main - part.base.main)
    right[torch.arange(8), 1 + part.level.clamp_min(0)] = 6.0
    assert choose_share(right, part) == Share(1.0, 1.0)
    assert choose_share(2 * right, part).main == 0.5
    assert choose_share(-right, part) == Share(0.0, 0.0)
    empty = part.at(np.array([], dtype=int))
    assert choose_share(torch.zeros(0, 11), empty) == Share(0.0, 0.0)


def test_a_correction_is_taken_only_where_it_is_clearly_better(stage: LanguageStage) -> None:
    """Right for some rows, wrong for others: better on the mean of eight rows by less than its standard error, so not taken;
    of the same rows sixty times over it is."""
    part = readings(stage)
    right = torch.nan_to_num(part.main - part.base.main)
    mixed = torch.zeros(8, 11)
    mixed[:, 0] = right * torch.tensor([1.0, -0.9, 1.0, 0.0, 0.0, -0.9, 1.0, -0.9])
    without, taken = (main_losses(applied(part.base, mixed, Share(s, s)).main, part.main) for s in (0.0, 1.0))
    assert taken.mean() < without.mean()
    assert choose_share(mixed, part).main == 0.0
    many = np.tile(np.arange(8), 60)
    assert choose_share(mixed[many], part.at(many)).main > 0


def test_a_share_of_zero_is_the_base(stage: LanguageStage) -> None:
    part = readings(stage)
    found = applied(part.base, torch.randn(8, 11), Share(0.0, 0.0))
    torch.testing.assert_close(found.main, part.base.main)
    torch.testing.assert_close(found.log_probs, part.base.log_probs)


def test_what_is_no_level_is_null(stage: LanguageStage) -> None:
    """A hidden state that says a word, not a digit, gives no distribution; one that says 4 gives it to 4."""
    ids = single_tokens(stage.reader.backbone.tokenizer, list("0123456789"))
    weight: Tensor = stage.reader.language.get_output_embeddings().weight
    word = stage.reader.backbone.tokenizer("views")["input_ids"][0]
    hidden = torch.stack([weight[ids[4]] * 900, weight[word] * 900])
    with torch.no_grad():
        found = spoken(stage.reader, hidden, Outlook(torch.tensor([1.0, 2.0]), torch.zeros(2, 10)))
    assert int(found.log_probs[0].argmax()) == 4 and torch.isnan(found.log_probs[1]).all()
    assert found.main.tolist() == [1.0, 2.0]


def test_joined_and_chosen_rows_keep_together(stage: LanguageStage) -> None:
    part = readings(stage)
    back = Readings.joined([part.at(np.array([0, 1, 2])), part.at(np.array([3, 4, 5, 6, 7]))])
    assert torch.equal(back.kind, part.kind) and torch.equal(back.level, part.level)
    assert torch.equal(back.soft["graph"], part.soft["graph"]) and torch.equal(back.base.log_probs, part.base.log_probs)
    assert all(a is b for a, b in zip(back.encoded, part.encoded, strict=True))
    assert all(len(e.ids) == e.prompt for e in without_answers(part).encoded)


def test_sampled_rows_are_ordered_and_depend_on_the_seed_alone() -> None:
    rows = np.arange(100, 200)
    a, b, c = (sample_rows(rows, 10, seed, "train") for seed in (1, 1, 2))
    assert a.tolist() == b.tolist() != c.tolist() and len(a) == 10
    assert (np.diff(a) > 0).all() and set(a) <= set(rows)
    assert sample_rows(rows, 0, 1).tolist() == rows.tolist() == sample_rows(rows, 500, 1).tolist()
