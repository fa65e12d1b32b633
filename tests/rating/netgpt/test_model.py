"""A trained NetGPT with all parts: saved, loaded, the same forecasts; each part left out; damage is named."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch

from tests.conftest import once
from tests.rating.netgpt.conftest import World
from veracast.core.config import load_config
from veracast.core.errors import InputError
from veracast.data.dataset import Dataset
from veracast.data.schema import INDICATORS
from veracast.models.graph_language import GraphLanguageModel
from veracast.rating.netgpt import trainer
from veracast.rating.netgpt.config import (
    BackboneConfig,
    GraphConfig,
    NetGPTConfig,
    Stage1Config,
    Stage2Config,
    Stage3Config,
)
from veracast.rating.netgpt.language import Share
from veracast.rating.netgpt.model import Language, NetGPT, load, outlooks, rating_in, see
from veracast.rating.netgpt.rows import rows_of
from veracast.rating.netgpt.stage3 import Outlook
from veracast.rating.netgpt.trainer import train
from veracast.rating.samples import add_levels, build_samples

ALL = NetGPTConfig(
    graph=GraphConfig(text_dims=8),
    stage1=Stage1Config(epochs=6, evaluate_every=3, members=2),
    stage2=Stage2Config(epochs=1, rows=40),
    stage3=Stage3Config(base="graph", language_epochs=1, rows=40),
    backbone=BackboneConfig(graph_tokens=2, number_tokens=1, title_chars=20, description_chars=0),
    validation_rows=20,
    threads=1,
)
ALONE = replace(
    ALL,
    stage3=replace(ALL.stage3, base="none"),
    backbone=replace(ALL.backbone, graph_tokens=0, number_tokens=0),
)


@pytest.fixture(autouse=True)
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer is trained on 400 prompts, not on 4,000."""
    monkeypatch.setattr(trainer, "MOST_TEXTS", 400)


@pytest.fixture
def done(world: World, few_texts: None, tmp_path_factory: pytest.TempPathFactory) -> dict[NetGPTConfig, Path]:
    """Where finished trainings lie: what trains there reads them, and has a model of its own."""
    names = {ALL: "netgpt-all", ALONE: "netgpt-alone"}
    return {c: once(tmp_path_factory, name, lambda to, c=c: trained(world, c, to)) for c, name in names.items()}  # type: ignore[misc]


def trained(world: World, config: NetGPTConfig, folder: Path, *, shared: Path | None = None) -> NetGPT:
    return train(world.train, world.around, config, main="views", folder=folder, shared=shared, seed=0)


def loud(language: Language) -> None:
    """Heads that have much to say, all of it taken."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for head in language.stage.heads:
            head.weight.normal_(std=0.2, generator=draw)
    language.shares = {kind: Share(1.0, 1.0) for kind in ("cold", "observed")}


def test_a_saved_model_says_the_same(world: World, done: dict[NetGPTConfig, Path], tmp_path: Path) -> None:
    model = trained(world, ALL, done[ALL])
    assert model.language is not None
    model.language.shares = {kind: type(s)(1.0, 0.5) for kind, s in model.language.shares.items()}  # so that it is read
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    loaded, seen = load(tmp_path / "saved", world.around)
    assert loaded.config == ALL and loaded.curves.equals(model.curves)
    for kind, samples in ((kind, table.head(24)) for kind, table in world.test.items()):
        before, after = outlooks(model, samples, kind, see(model, world.around)), outlooks(loaded, samples, kind, seen)
        for a, b in zip(before, after, strict=True):
            torch.testing.assert_close(a.main, b.main, atol=1e-5, rtol=0)
            torch.testing.assert_close(a.log_probs, b.log_probs, atol=1e-4, rtol=0)
        assert (before.final.main - before.base.main).abs().max() > 0  # the language model did correct


def test_members_of_stage_1_differ_and_their_mean_is_what_is_said(world: World, tmp_path: Path) -> None:
    stage1_alone = replace(ALL, stage2=replace(ALL.stage2, epochs=0), stage3=replace(ALL.stage3, language_epochs=0))
    model = trained(world, stage1_alone, tmp_path)
    seen, samples = see(model, world.around), world.test["cold"].head(12)
    rows = rows_of(samples, "cold", graph=world.around.graph, scaling=model.scaling, main="views")
    with torch.no_grad():
        one, two = (member.say(e, rows) for member, e in zip(model.graph, seen.embeddings, strict=True))
    assert (one.main - two.main).abs().max() > 1e-3
    found = outlooks(model, samples, "cold", seen).graph
    torch.testing.assert_close(found.main, (one.main + two.main) / 2)
    halves = (one.logits.log_softmax(1) + two.logits.log_softmax(1)) / 2
    torch.testing.assert_close(found.log_probs, halves.log_softmax(1))
    assert torch.equal(seen.embedding, seen.embeddings[0])
    single = trained(
        world, replace(stage1_alone, stage1=replace(ALL.stage1, members=1)), tmp_path
    )  # the first one is at hand
    assert torch.equal(see(single, world.around).embedding, seen.embedding)


def test_a_training_again_reads_what_is_done(world: World, tmp_path: Path) -> None:
    first, again = trained(world, ALL, tmp_path), trained(world, ALL, tmp_path)
    assert again.curves.drop("seconds").equals(first.curves.drop("seconds"))
    assert {"stage1", "stage2", "stage3-language"} <= set(first.curves["stage"])
    a, b = (dict(m.language.stage.named_parameters()) for m in (first, again) if m.language)
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.usefixtures("few_trees")
def test_rows_later_than_t_change_no_rating_at_t(world: World, tmp_path: Path) -> None:
    """All stages, boosted base included, rate states up to t in the data as it became and as it stood at t, with all later
    counts raised a hundredfold. Planted failure: with counts of before t raised in their place, the ratings differ."""
    model = trained(world, replace(ALL, stage3=replace(ALL.stage3, base="boosted")), tmp_path)
    assert model.language is not None
    model.language.shares = {kind: type(s)(1.0, 1.0) for kind, s in model.language.shares.items()}  # so that it is read
    t = pl.concat([table.select("at") for table in world.test.values()])["at"].sort()[100]
    changed, planted = (as_it_stood(world.dataset, t, raised_before=before) for before in (False, True))
    for kind, table in world.test.items():
        mine = table.filter(pl.col("at") <= t).head(40)
        assert mine.height >= 20, kind
        now = outlooks(model, mine, kind, see(model, world.around)).final
        then, wrong = (rated_in(world, model, mine, kind, dataset) for dataset in (changed, planted))
        torch.testing.assert_close(now.main, then.main, atol=1e-4, rtol=0)
        torch.testing.assert_close(now.log_probs, then.log_probs, atol=1e-3, rtol=0)
        assert (now.main - wrong.main).abs().max() > 1e-2


def rated_in(world: World, model: NetGPT, samples: pl.DataFrame, kind: str, dataset: Dataset) -> Outlook:
    """The same states, read from another state of the data set."""
    columns = ["video_id", "at", "target_at", "anchor_point", "target_point", "state", "weight"]
    states = samples.select(columns).with_columns(pl.lit(None, pl.Int64).alias(f"target_{name}") for name in INDICATORS)
    again = add_levels(build_samples(states, dataset, main="views", fans="lagged"), world.rule)
    return outlooks(model, again, kind, see(model, world.seen_by(dataset))).final


def as_it_stood(whole: Dataset, t: dt.datetime, *, raised_before: bool) -> Dataset:
    """Nothing posted or linked after t; counts after t (or, planted, before it) a hundred times what they were."""
    found = Dataset(path=whole.path, meta=whole.meta)
    found.__dict__["videos"] = whole.videos.filter(pl.col("posted_at") <= t)
    for name in ("snapshots", "comments", "links", "frames"):
        table: pl.DataFrame = getattr(whole, name).join(found.videos, on="video_id", how="semi")
        if name in ("comments", "links"):
            table = table.filter(pl.col("observed_at") <= t)
        found.__dict__[name] = table
    wrong = pl.col("observed_at") <= t if raised_before else pl.col("observed_at") > t
    found.__dict__["snapshots"] = found.snapshots.with_columns(
        pl.when(wrong).then(pl.col(name) * 100).otherwise(pl.col(name)).alias(name) for name in INDICATORS
    )
    return found


def test_the_language_model_alone_reads_no_graph(world: World, done: dict[NetGPTConfig, Path]) -> None:
    model = trained(world, ALONE, done[ALONE])
    assert model.graph == () and model.boosted is None and model.language is not None
    assert not model.language.stage.reader.projectors
    found = outlooks(model, world.test["cold"], "cold", see(model, world.around))
    prior = model.priors["cold"]
    assert found.base.log_probs[0].tolist() == pytest.approx(prior.log_probs, abs=1e-5)
    assert (found.base.main - 7.0).tolist() == pytest.approx([prior.shift] * world.test["cold"].height, abs=1e-5)


def test_in_bf16_the_language_model_alone_is_rounded(world: World, done: dict[NetGPTConfig, Path]) -> None:
    """bf16 moves hidden states by 1 %, of prompts that differ by a few: by less than half of how far apart they are rated."""
    model = trained(world, ALONE, done[ALONE])
    assert model.language is not None
    loud(model.language)
    seen, samples = see(model, world.around), world.test["cold"].head(24)
    plain, same = rating_in(model, "fp32"), outlooks(model, samples, "cold", seen)
    assert plain.language is not None and plain.language.reader is model.language.stage.reader
    assert torch.equal(outlooks(plain, samples, "cold", seen).final.log_probs, same.final.log_probs)

    halved = rating_in(model, "bf16")
    assert halved.language is not None and halved.language.stage is model.language.stage  # norm and heads stay fp32
    found = outlooks(halved, samples, "cold", seen)
    assert torch.equal(found.base.main, same.base.main) and torch.equal(found.base.log_probs, same.base.log_probs)
    levels = [o.final.log_probs.exp() @ torch.arange(10.0) for o in (found, same)]
    for near, exact in (levels, (found.final.main, same.final.main)):
        assert 0 < (near - exact).abs().max() < 0.08 < 0.16 < exact.max() - exact.min()


def test_a_model_without_a_language_model_rates_alike_in_every_precision() -> None:
    model = NetGPT(ALL, "views", ("cold",), scaling=None, priors={})  # type: ignore[arg-type]
    assert rating_in(model, "bf16") is model


def test_without_stage_3_the_levels_are_what_stage_2_says(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained(world, replace(ALONE, stage3=replace(ALONE.stage3, language_epochs=0)), tmp_path)
    assert model.language is not None and not model.language.corrects
    found = outlooks(model, world.test["cold"], "cold", see(model, world.around)).final
    said = found.log_probs[torch.isfinite(found.log_probs).all(dim=1)].exp()
    torch.testing.assert_close(said.sum(dim=1), torch.ones(len(said)), atol=1e-4, rtol=0)
    assert torch.equal(found.main, torch.full_like(found.main, found.main[0].item()))

    asked, real = [], GraphLanguageModel.answer_logits
    monkeypatch.setattr(GraphLanguageModel, "answer_logits", lambda self, *a: (asked.append(self), real(self, *a))[1])
    outlooks(rating_in(model, "bf16"), world.test["cold"].head(2), "cold", see(model, world.around))
    assert asked == [model.language.stage.reader]  # the output head stays fp32


def test_a_folder_that_is_no_model_is_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"netgpt.json: no finished NetGPT .* -> train it again"):
        load(tmp_path, world.around)


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[3] / "configs" / "rating").glob("*.toml")), ids=lambda p: p.stem
)
def test_every_config_file_is_one(file: Path) -> None:
    config = load_config(NetGPTConfig, file=file)
    assert (
        config.backbone.name
        == {"tiny": "tiny", "smollm2": "smollm2-135m", "paper": "Qwen/Qwen2-VL-7B-Instruct"}[file.stem]
    )
    if file.stem == "paper":
        assert (config.stage2.lr, config.stage2.batch, config.stage2.epochs, config.stage1.released_loss) == (
            1e-5,
            256,
            5,
            True,
        )


def test_pictures_need_a_model_that_sees(world: World, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="tiny: shows no pictures to its model -> frames = 0, or a vision-language backbone"
    ):
        trained(world, replace(ALONE, backbone=replace(ALONE.backbone, frames=1)), tmp_path)
