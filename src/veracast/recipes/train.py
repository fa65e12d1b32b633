"""Train on a data set and save the champion: backtest first, then fit on every outcome known as of now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from veracast.core.config import to_dict
from veracast.core.errors import NotMeasuredError
from veracast.core.files import check_free, new_folder, sha256_file
from veracast.core.launch import launch
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter, load_record
from veracast.data.dataset import Dataset, open_dataset
from veracast.rating.model import Model
from veracast.rating.raters.netgpt import Study, need_torch
from veracast.recipes import run as run_recipe
from veracast.recipes import tables


@dataclass(frozen=True)
class Config:
    """`main` is the same config as the run's; its only source is the data set folder (or an export)."""

    to: Path = Path("model")
    rater: str | None = (
        None  # saved whoever is champion, backtested beside the others; None = the champion of each part
    )
    overwrite: bool = False
    main: run_recipe.Config = run_recipe.Config()
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Write the model folder; the record holds the backtest's scores. Under torchrun, one training in all its processes."""
    if launch().world == 1:
        return _write(config, out, progress)
    need_torch()
    from veracast.models.processes import joined, told

    with joined():
        if launch().first:
            record = _write(config, out, progress)
            told(record.run)
            return record
        _learn(config, open_dataset(config.main.sources[0]), SILENT).study.sweep()
        return load_record(Path(told(None)))


class _Learnt(NamedTuple):
    """A model and the backtest beside it."""

    model: Model
    tested: run_recipe.Backtest
    study: Study


def _learn(config: Config, dataset: Dataset, progress: Progress) -> _Learnt:
    """The part of the work that all processes do, in the same order."""
    names = tuple(dict.fromkeys((*config.main.raters, *([config.rater] if config.rater else []))))
    run_recipe.check_raters(names)
    main = replace(config.main, raters=names)
    prepared = run_recipe.prepare(dataset, main, progress=progress)
    tested = run_recipe.backtest(prepared, main, progress)
    with progress.step("fit the champions"):
        model = run_recipe.fit_model(prepared, tested.results, main, chosen=config.rater)
    if not model.parts:
        raise NotMeasuredError(run_recipe.NOTHING_LEARNT)
    return _Learnt(model, tested, prepared.study)


def _write(config: Config, out: Path | None, progress: Progress) -> Record:
    """Learn, and write model folder and record: the only process, or process 0 of several."""
    with RunWriter("train", out, config=to_dict(config), seed=config.seed) as writer:
        check_free(config.to, overwrite=config.overwrite)  # before the work, not after it
        dataset = open_dataset(config.main.sources[0])
        writer.input_digest("dataset", dataset.meta["digest"])
        model, tested, study = _learn(config, dataset, progress)
        with new_folder(config.to, overwrite=config.overwrite) as folder:
            model.save(folder)
        if study.curves.height:
            writer.table("loss_curves", "loss_curves", study.curves)
        study.sweep()
        scores = tables.scores(tested.results, config.seed)
        parts = {f"{state}-{target}": part.rater for (state, target), part in model.parts.items()}
        named = ", ".join(f"{place}: {name}" for place, name in parts.items())
        return writer.finish(
            status="ok",
            verdict=f"{config.to}: {named}",
            counts={"parts": parts, "not_backtested": tested.left_out, "model": sha256_file(config.to / "model.json")},
            scores=scores,
        )
