"""The main job on the embedded default: a small generated cross-platform world, nothing downloaded; with a miniature audit and the trust card of its model beside it."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path

from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.recipes import run as run_recipe
from veracast.recipes.vouch import vouch


@dataclass(frozen=True)
class Config:
    """Size of the world and the day on which the demonstration stands."""

    videos: int = 900  # of the generated world
    days: int = 60  # over which they are posted
    as_of_day: int = 60  # days after the world's start; videos posted in the two weeks before are still open
    horizon_days: float = 14.0  # a video is open for so many days after posting
    alert_level: int = 4  # of which the probability is told, and by which the portfolio is sorted
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Generate the world beside the run, then run the main job on it."""
    world = WorldConfig(videos=config.videos, days=config.days, seed=config.seed)
    with tempfile.TemporaryDirectory(prefix="veracast-demo-") as place:
        folder = Path(place) / "world"
        write_dataset(world, folder, progress=progress)
        main = run_recipe.Config(
            sources=(folder,),
            as_of=START + dt.timedelta(days=config.as_of_day),
            horizon_days=config.horizon_days,
            alert_level=config.alert_level,
            seed=config.seed,
            keep_dataset=True,
        )
        record = run_recipe.run(main, out, progress=progress)
    vouch(record, "miniature", name="the demonstration's model", seed=config.seed, progress=progress)
    return record
