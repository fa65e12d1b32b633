"""Generate a world: a data set, or a file in the XS-Video release's layout, of any size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from veracast.core.config import to_dict
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.data.world import WorldConfig
from veracast.data.world_law import law_digest
from veracast.data.world_write import write_dataset, write_release


@dataclass(frozen=True)
class Config:
    """Size, layout and place. 117,720 videos under layout "xs" give the release's number of samples, 381,926."""

    to: Path = Path("world")
    videos: int = 600
    days: int = 60  # over which videos are posted
    layout: Literal["dataset", "xs"] = "dataset"
    comments_per_crawl: float = 1.0  # mean number of comments that come with a crawl; 0 = none
    frames_per_video: int = 2  # pictures of a video in a data set, 0 = none; layout xs has none
    overwrite: bool = False
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Write the world; the record carries the law's digest."""
    schedule = "early" if config.layout == "dataset" else "release"
    world = WorldConfig(
        videos=config.videos,
        days=config.days,
        seed=config.seed,
        schedule=schedule,
        comments_per_crawl=config.comments_per_crawl,
        frames_per_video=config.frames_per_video,
    )
    with RunWriter("world", out, config=to_dict(config), seed=config.seed) as writer:
        writer.input_digest("world_law", law_digest(world.law))
        if config.layout == "xs":
            samples = write_release(world, config.to, progress=progress, overwrite=config.overwrite)
        else:
            samples = write_dataset(world, config.to, progress=progress, overwrite=config.overwrite).snapshots.height
        counts = {"videos": config.videos, "samples": samples}
        return writer.finish(
            status="ok", verdict=f"{samples:,} samples of {config.videos:,} videos: {config.to}", counts=counts
        )
