"""Train on a data set and save the champion: backtest first, then fit on every outcome known as of now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from veracast.core.config import to_dict
from veracast.core.errors import NotMeasuredError
from veracast.core.files import check_free, new_folder
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.data.dataset import open_dataset
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
    """Write the model folder; the record holds the backtest's scores."""
    with RunWriter("train", out, config=to_dict(config), seed=config.seed) as writer:
        source = config.main.sources[0]
        check_free(config.to, overwrite=config.overwrite)  # before the work, not after it
        names = tuple(dict.fromkeys((*config.main.raters, *([config.rater] if config.rater else []))))
        run_recipe.check_raters(names)
        main = replace(config.main, raters=names)
        dataset = open_dataset(source)
        writer.input_digest("dataset", dataset.meta["digest"])
        prepared = run_recipe.prepare(dataset, main, progress=progress)
        results, left_out = run_recipe.backtest(prepared, main, progress)
        with progress.step("fit the champions"):
            model = run_recipe.fit_model(prepared, results, main, chosen=config.rater)
        if not model.parts:
            raise NotMeasuredError(run_recipe.NOTHING_LEARNT)
        with new_folder(config.to, overwrite=config.overwrite) as folder:
            model.save(folder)
        if prepared.study.curves.height:
            writer.table("loss_curves", "loss_curves", prepared.study.curves)
        prepared.study.sweep()
        scores = tables.scores(results, config.seed)
        parts = {f"{state}-{target}": part.rater for (state, target), part in model.parts.items()}
        named = ", ".join(f"{place}: {name}" for place, name in parts.items())
        return writer.finish(
            status="ok",
            verdict=f"{config.to}: {named}",
            counts={"parts": parts, "not_backtested": left_out},
            scores=scores,
        )
