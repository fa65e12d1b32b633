"""Train on a data set and save the champion: backtest first, then fit on every outcome known as of now."""

from __future__ import annotations

from dataclasses import dataclass
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
    overwrite: bool = False
    main: run_recipe.Config = run_recipe.Config()
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Write the model folder; the record holds the backtest's scores."""
    with RunWriter("train", out, config=to_dict(config), seed=config.seed) as writer:
        source = config.main.sources[0]
        check_free(config.to, overwrite=config.overwrite)  # before the work, not after it
        dataset = open_dataset(source)
        writer.input_digest("dataset", dataset.meta["digest"])
        prepared = run_recipe.prepare(dataset, config.main)
        results, left_out = run_recipe.backtest(prepared, config.main, progress)
        with progress.step("fit the champions"):
            model = run_recipe.fit_model(prepared, results, config.main)
        if not model.parts:
            raise NotMeasuredError(run_recipe.NOTHING_LEARNT)
        with new_folder(config.to, overwrite=config.overwrite) as folder:
            model.save(folder)
        scores = tables.scores(results, config.seed)
        parts = {f"{state}-{target}": part.rater for (state, target), part in model.parts.items()}
        named = ", ".join(f"{place}: {name}" for place, name in parts.items())
        return writer.finish(
            status="ok",
            verdict=f"{config.to}: {named}",
            counts={"parts": parts, "not_backtested": left_out},
            scores=scores,
        )
