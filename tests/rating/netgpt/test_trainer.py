"""Graph stages end to end on a small world: recorded losses, forecasts of new samples, resume from what is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tests.rating.netgpt.conftest import World
from veracast.rating.netgpt import trainer
from veracast.rating.netgpt.config import GraphConfig, NetGPTConfig, Stage1Config, Stage2Config, Stage3Config
from veracast.rating.netgpt.model import outlooks, see
from veracast.rating.netgpt.posting import TOLD
from veracast.rating.netgpt.rows import Rows, parts_of, rows_of
from veracast.rating.netgpt.trainer import train

CONFIG = NetGPTConfig(
    graph=GraphConfig(text_dims=8), stage1=Stage1Config(epochs=40, evaluate_every=10, members=1), stage2=Stage2Config(epochs=0), stage3=Stage3Config(base="graph", language_epochs=0),
    threads=1,
)  # fmt: skip


def test_stage_1_learns_and_its_forecasts_are_the_same_again(larger: World, tmp_path: Path) -> None:
    model = train(larger.train, larger.around, CONFIG, main="views", folder=tmp_path, seed=0)
    losses = model.curves.filter(stage="stage1", split="validation")["loss"].to_list()
    assert losses[-1] < 0.8 * losses[0]
    for state, samples in larger.test.items():
        found = outlooks(model, samples, state, see(model, larger.around))
        truth = torch.tensor(samples["y_views"].to_numpy())
        constant = (truth - truth.median()).abs().mean()
        assert (found.graph.main - truth).abs().mean() < 0.95 * constant  # better than the test set's own best constant
        torch.testing.assert_close(
            found.final.log_probs.exp().sum(dim=1), torch.ones(samples.height), atol=1e-5, rtol=0
        )
    again = train(larger.train, larger.around, CONFIG, main="views", folder=tmp_path, seed=0)  # reads what is done
    a, b = (outlooks(m, larger.test["cold"], "cold", see(m, larger.around)).final.main for m in (model, again))
    assert torch.equal(a, b)


def test_self_supervised_pretraining_then_heads(larger: World, tmp_path: Path) -> None:
    stage = replace(CONFIG.stage1, objective="self-supervised", epochs=40, lr=2e-3)
    model = train(larger.train, larger.around, replace(CONFIG, stage1=stage), main="views", folder=tmp_path, seed=0)
    pretext = model.curves.filter(stage="stage1-self-supervised", split="train")["loss"].to_list()
    unseen = model.curves.filter(stage="stage1-self-supervised", split="validation")["loss"].to_list()
    assert len(pretext) == 40 and pretext[-1] < 0.9 * pretext[0] and unseen[-1] < 0.95 * unseen[0]
    assert np.isfinite(outlooks(model, larger.test["cold"], "cold", see(model, larger.around)).final.main.numpy()).all()


def test_stage_1_learns_on_ego_graphs_and_from_recent_members(world: World, tmp_path: Path) -> None:
    """Twice the same training is the same weights; validation, on the whole graph, comes as low as it does without sampling."""
    sampled = replace(CONFIG, stage1=replace(CONFIG.stage1, epochs=6, evaluate_every=2, fan_out=(5, 5), batch=1024))
    recent = replace(CONFIG, graph=replace(CONFIG.graph, hub_reading="recent", recent_k=5))
    found, lowest = {}, {}
    for name, config in (("sampled", sampled), ("again", sampled), ("recent", recent), ("running", CONFIG)):
        model = train(world.train, world.around, config, main="views", folder=tmp_path / name, seed=0)
        unseen = model.curves.filter(stage="stage1", split="validation")["loss"].to_list()
        lowest[name] = min(unseen)
        found[name] = outlooks(model, world.test["cold"], "cold", see(model, world.around)).graph.main
    assert max(lowest["sampled"], lowest["recent"]) < 1.1 * lowest["running"]
    assert torch.equal(found["sampled"], found["again"])
    assert not torch.equal(found["recent"], found["running"])


def test_of_a_training_video_the_member_that_did_not_learn_from_it_is_asked(world: World, tmp_path: Path) -> None:
    """The committee as a whole has seen every outcome; what goes on to the later stages has not, and is worse for it."""
    config = replace(CONFIG, stage1=replace(CONFIG.stage1, members=3))
    told: dict[str, pl.DataFrame] = {}

    def keep(tables: dict[str, pl.DataFrame], rows: dict[str, Rows], **_: object) -> tuple[None, dict[str, Rows]]:
        told.update(tables)
        return None, rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "fit_boosted", keep)
        boosted = replace(config, stage3=replace(config.stage3, base="boosted"))
        model = train(world.train, world.around, boosted, main="views", folder=tmp_path, seed=0)
    seen, samples = see(model, world.around), world.train["cold"]
    rows = rows_of(samples, "cold", graph=world.around.graph, scaling=model.scaling, main="views")
    parts = parts_of(samples["video_id"], config.validation_share, 3)
    each = [member.say(e, rows).main - rows.start for member, e in zip(model.graph, seen.embeddings, strict=True)]
    said = told["cold"][f"{TOLD}now_main"].to_numpy()
    for number, own in enumerate(each):
        mine = parts == number
        assert mine.sum() > 20
        np.testing.assert_allclose(said[mine], own.detach().numpy()[mine], atol=1e-4)
    truth = (rows.main - rows.start).numpy()
    unseen, all_together = (np.nanmean(np.abs(x - truth)) for x in (said, model.say(seen.embeddings, rows).main.detach().numpy() - rows.start.numpy()))  # fmt: skip
    assert all_together < 0.97 * unseen


@pytest.mark.usefixtures("few_trees")
def test_one_member_has_seen_what_it_learnt_from_and_tells_the_boosted_models_nothing(world: World, tmp_path: Path) -> None:  # fmt: skip
    config = replace(CONFIG, stage3=replace(CONFIG.stage3, base="boosted", effects=False))
    model = train({"cold": world.train["cold"]}, world.around, config, main="views", folder=tmp_path, seed=0)
    assert model.boosted is not None
    read = {c for parts in model.boosted.parts.values() for part in parts.values() for c in part.model.columns}
    assert not any(c.startswith(TOLD) for c in read)


@pytest.mark.usefixtures("few_trees")
def test_effects_are_learnt_once_and_kept(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed with another number of threads, the base finds the effects that it was told of."""
    stage1 = replace(CONFIG.stage1, objective="none")
    config = replace(CONFIG, stage1=stage1, stage3=replace(CONFIG.stage3, base="boosted"))
    tables = {"cold": world.train["cold"]}
    first = train(tables, world.around, config, main="views", folder=tmp_path, seed=0)
    monkeypatch.setattr(trainer.effects, "fit", lambda *a, **k: pytest.fail("they are there"))
    again = train(tables, world.around, replace(config, threads=2), main="views", folder=tmp_path, seed=0)
    assert again.effects == first.effects and first.effects is not None
