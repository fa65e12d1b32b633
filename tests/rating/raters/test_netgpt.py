"""NetGPT as a rater: one training for count and level, saved once, the same after loading; resumed by the same command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.errors import ConfigError, InputError
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_dataset
from veracast.models import frame_encoder, rating_precision, text_store
from veracast.models.frame_encoder import TrainedEncoder
from veracast.models.frame_vectors import video_frames
from veracast.rating.evaluate import TaskResult, evaluate, newest
from veracast.rating.model import bound, load_model
from veracast.rating.netgpt import inputs, trainer
from veracast.rating.netgpt.config import (
    BackboneConfig,
    GraphConfig,
    NetGPTConfig,
    Stage1Config,
    Stage2Config,
    Stage3Config,
)
from veracast.rating.netgpt.language import Share
from veracast.rating.raters import rater
from veracast.rating.raters.netgpt import FittedNetGPT, NetGPTRater, Study, graph_alone, language_alone, network_raters
from veracast.recipes import run as run_recipe

SMALL = NetGPTConfig(
    graph=GraphConfig(text_dims=8, frames="none"),
    stage1=Stage1Config(epochs=8, evaluate_every=4, members=1),
    stage2=Stage2Config(epochs=0),
    stage3=Stage3Config(base="graph", language_epochs=1, rows=24),
    backbone=BackboneConfig(graph_tokens=1, number_tokens=1, title_chars=12, description_chars=0),
    validation_rows=12,
    threads=1,
)


def _letters(texts: Sequence[str]) -> np.ndarray:
    return np.array([np.bincount([ord(c) % 16 for c in t], minlength=16) for t in texts], dtype=np.float32)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    place = tmp_path_factory.mktemp("raters") / "w"
    write_dataset(WorldConfig(videos=260, seed=5, frames_per_video=0), place)
    return open_dataset(place)


@pytest.fixture
def study(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(text_store, "load_encoder", lambda name: _letters)
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    return Study(dataset, "views", "lagged")


@pytest.fixture(scope="module")
def table(dataset: Dataset) -> pl.DataFrame:
    prepared = run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,)))
    task = next(t for t in prepared.maker.tasks(prepared.kinds) if t.state == "cold")
    return task.train


def test_count_and_level_share_one_training_and_one_folder(
    study: Study, table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings: list[int] = []
    real = trainer.train
    monkeypatch.setattr(trainer, "train", lambda *a, **k: (trainings.append(1), real(*a, **k))[1])
    netgpt = NetGPTRater("netgpt", SMALL).bind(study)
    count, level = (netgpt.fit(table, target=target, seed=0) for target in ("views", "level"))
    assert len(trainings) == 1
    probs = level.level_probs(table)
    assert probs is not None and count.level_probs(table) is None
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(level.predict(table), (np.cumsum(probs, axis=1) >= 0.5 - 1e-12).argmax(axis=1))

    for name, fitted in (("cold-views", count), ("cold-level", level)):
        (tmp_path / "parts" / name).mkdir(parents=True)
        fitted.save(tmp_path / "parts" / name)
    assert len(list((tmp_path / "parts").glob("netgpt-*"))) == 1  # the weights once
    loaded = rater("netgpt").load(tmp_path / "parts" / "cold-views")
    assert isinstance(loaded, FittedNetGPT)
    with pytest.raises(RuntimeError, match="only after it was bound to a data set"):
        loaded.predict(table)
    again = loaded.bind(Study(study.dataset, "views", "lagged"))
    np.testing.assert_allclose(again.predict(table), count.predict(table), atol=1e-5)

    checkpoints = list(study.folder.iterdir())
    stages = sorted(sorted(stage.name for stage in folder.iterdir()) for folder in checkpoints)
    assert stages == [["stage1"], ["stage3-language"]]  # what later stages can share lies apart
    study.opened(tmp_path / "parts" / next((tmp_path / "parts").glob("netgpt-*")).name)
    study.sweep()
    assert not any(folder.exists() for folder in checkpoints) and len(list((tmp_path / "parts").glob("netgpt-*"))) == 1


def test_a_study_rates_in_its_precision_by_one_cast_and_keeps_what_it_trained(
    study: Study, table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    casts, real = [], rating_precision.in_bf16
    monkeypatch.setattr(rating_precision, "in_bf16", lambda model: (casts.append(model), real(model))[1])
    said, names = [], []
    for precision in ("fp32", "bf16"):
        here = Study(study.dataset, "views", "lagged", precision=precision)
        assert here.language_precision is None  # nothing was trained
        fitted = NetGPTRater("netgpt", SMALL).bind(here).fit(table, target="views", seed=0)
        model = fitted._here().model
        assert model.language is not None
        model.language.shares = {kind: Share(1.0, 1.0) for kind in model.kinds}  # so that it is read
        said.append(np.concatenate([fitted.predict(part) for part in (table.head(20), table.tail(20))]))
        (tmp_path / precision / "cold-views").mkdir(parents=True)
        fitted.save(tmp_path / precision / "cold-views")
        names += [path.name for path in (tmp_path / precision).glob("netgpt-*")]
        assert here.language_precision == precision
    assert len(casts) == 1 and len(names) == 2 and names[0] == names[1]  # named by a digest of the weights
    assert (said[1] != said[0]).any()

    opened = Study(study.dataset, "views", "lagged", precision="bf16")
    assert opened.opened(tmp_path / "fp32" / names[0]).language_precision == opened.language_precision == "bf16"
    NetGPTRater("rgcn", graph_alone(SMALL)).bind(study).fit(table, target="views", seed=0)
    assert study.language_precision is None


def test_what_is_forecast_is_never_below_now(study: Study, table: pl.DataFrame) -> None:
    fitted = NetGPTRater("rgcn", graph_alone(SMALL)).bind(study).fit(table, target="views", seed=0)
    raised = table.with_columns(now_views=pl.lit(19.5))
    assert (fitted.predict(raised) >= 19.5).all() and (fitted.predict(table) < 19.5).all()


def test_rows_config_data_and_seed_make_a_training(study: Study, table: pl.DataFrame, dataset: Dataset) -> None:
    keys = [
        study._digest(table, SMALL, 0),
        study._digest(table.head(100), SMALL, 0),
        study._digest(table, graph_alone(SMALL), 0),
        study._digest(table, SMALL, 1),
        Study(dataset, "views", "off")._digest(table, SMALL, 0),
    ]
    assert len(set(keys)) == len(keys)
    assert study._digest(table, replace(SMALL, threads=2), 0) == keys[0]  # threads change no result that is kept


def test_a_core_installation_is_told_what_to_install(
    study: Study, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for work in (
        lambda: run_recipe.check_raters(["constant", "netgpt"]),
        lambda: study.trained(table, SMALL, 0),
        lambda: study.around(SMALL),
        lambda: study.opened(Path("somewhere")),
    ):
        with pytest.raises(
            ConfigError,
            match=r"raters rgcn, lm and netgpt, and language models, need torch -> pip install 'veracast\[netgpt\]'",
        ):
            work()
    run_recipe.check_raters(["constant", "lightgbm"])


def test_the_parts_alone() -> None:
    names = {r.name: r.config for r in network_raters(SMALL)}
    assert names["netgpt"] == SMALL
    rgcn = names["rgcn"]
    assert (rgcn.stage2.epochs, rgcn.stage3.language_epochs, rgcn.stage3.base) == (0, 0, "graph")
    lm = language_alone(SMALL)
    assert names["lm"] == lm and (lm.backbone.graph_tokens, lm.backbone.number_tokens, lm.stage3.base) == (0, 0, "none")


def test_a_costly_rater_is_trained_twice_and_calibrated_on_the_newest_fifth(study: Study, dataset: Dataset) -> None:
    prepared = run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,)))
    task = next(t for t in prepared.maker.tasks(prepared.kinds) if t.state == "cold")
    result: TaskResult = evaluate(
        task, [rater("constant"), NetGPTRater("rgcn", graph_alone(SMALL)).bind(study)], seed=0
    )
    rgcn = result.of("rgcn")
    assert len(study._trained) == 2
    asked = task.train.filter(pl.col("y_views").is_not_null())
    judged = newest(asked)
    assert np.isfinite(rgcn.out_of_fold.point).tolist() == judged.tolist() and 0 < judged.sum() < len(judged) / 2
    truth = asked.filter("asked")["y_views"].to_numpy()
    expected = np.abs(rgcn.out_of_fold.point - truth)[judged].mean()
    assert rgcn.validation_mae == pytest.approx(expected) and rgcn.validation_scored == 1.0
    assert np.isfinite(rgcn.test.point).all()


def test_a_model_folder_is_bound_to_the_data_that_it_rates(
    study: Study, table: pl.DataFrame, dataset: Dataset, tmp_path: Path
) -> None:
    prepared = replace(run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,))), study=study)
    config = run_recipe.Config(sources=(dataset.path,), netgpt=graph_alone(SMALL))
    model = run_recipe.fit_model(prepared, [], config, states=["cold"], chosen="rgcn")
    assert model.parts["cold", "level"].rater == "rgcn" and model.parts["cold", "likes"].rater == "lightgbm"
    model.save(tmp_path)
    loaded = bound(load_model(tmp_path), Study(dataset, "views", "lagged"))
    before, after = (m.parts["cold", "views"].fitted.predict(table) for m in (model, loaded))
    np.testing.assert_allclose(after, before, atol=1e-5)


SSL = graph_alone(replace(SMALL, graph=GraphConfig(text_dims=8, frames="ssl", frame_epochs=1)))


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """Two worlds with frames."""
    place = tmp_path_factory.mktemp("pictured")
    worlds = [WorldConfig(videos=videos, seed=seed, frames_per_video=1) for videos, seed in ((160, 5), (60, 6))]
    for i, world in enumerate(worlds):
        write_dataset(world, place / str(i))
    return open_dataset(place / "0"), open_dataset(place / "1")


def cold(dataset: Dataset) -> pl.DataFrame:
    prepared = run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,)))
    return next(t for t in prepared.maker.tasks(prepared.kinds) if t.state == "cold").train


def test_another_data_set_is_seen_by_the_saved_frame_encoder(
    study: Study, pictured: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = pictured
    here = Study(first, "views", "lagged")
    table = cold(first)
    fitted = NetGPTRater("rgcn", SSL).bind(here).fit(table, target="views", seed=0)
    assert fitted.curves["stage"].unique(maintain_order=True).to_list() == ["frames", "stage1"]
    NetGPTRater("rgcn", SSL).bind(here).fit(table, target="views", seed=1)  # another seed, the same encoder
    assert len(here._around) == 1 and len(list(here.folder.glob("frames-*"))) == 1
    (tmp_path / "parts" / "cold-views").mkdir(parents=True)
    fitted.save(tmp_path / "parts" / "cold-views")
    here.sweep()
    assert not list(here.folder.glob("frames-*"))

    def never(*_: object, **__: object) -> TrainedEncoder:
        raise RuntimeError("trained again")

    monkeypatch.setattr(frame_encoder, "train_encoder", never)
    loaded = rater("rgcn").load(tmp_path / "parts" / "cold-views")
    again = loaded.bind(Study(first, "views", "lagged"))  # type: ignore[attr-defined]
    np.testing.assert_allclose(again.predict(table), fitted.predict(table), atol=1e-5)

    there = loaded.bind(Study(other, "views", "lagged")).trained  # type: ignore[attr-defined]
    encoder = here.around(SSL, encoder=fitted.trained.model.frame_encoder).encoder  # type: ignore[union-attr]
    assert encoder is not None
    ids = sorted(other.videos["video_id"].to_list())
    expected = video_frames(other.frames, ids, encoder.network.encode)
    np.testing.assert_allclose(there.seen.around.frames, expected, atol=1e-6)
    (tmp_path / "again").mkdir()
    there.model.save(tmp_path / "again")  # a model that was read is whole when it is saved
    kept = next((tmp_path / "parts").glob("netgpt-*")) / "frames.safetensors"
    assert (tmp_path / "again" / "frames.safetensors").read_bytes() == kept.read_bytes()

    kept.unlink()
    with pytest.raises(InputError, match=r"frames\.safetensors: cannot be read"):
        loaded.bind(Study(other, "views", "lagged"))  # type: ignore[attr-defined]


def test_frames_go_through_the_tower_of_the_backbone(
    study: Study, pictured: tuple[Dataset, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []

    def tower(jpegs: Sequence[bytes], *, name: str, progress: object) -> np.ndarray:
        named.append(name)
        return np.array([[len(jpeg), 1.0] for jpeg in jpegs], dtype=np.float32)

    monkeypatch.setattr(inputs, "tower_vectors", tower)
    here = Study(pictured[1], "views", "lagged")
    configs = [
        replace(SMALL, graph=GraphConfig(frames="tower"), backbone=BackboneConfig(name=n)) for n in ("one", "two")
    ]
    found = [here.around(config).frames for config in (*configs, configs[0])]
    frames = pictured[1].frames.sort("video_id")
    assert found[0][:, 0].tolist() == [len(jpeg) for jpeg in frames["jpeg"].to_list()]
    assert named == ["one", "two"]
