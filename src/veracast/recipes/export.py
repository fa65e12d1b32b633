"""A data set as one JSONL file that `veracast ingest` reads back without loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.data.dataset import open_dataset
from veracast.data.export import export


@dataclass(frozen=True)
class Config:
    """What to write where. frames: the pictures too, as base64."""

    dataset: Path | None = None
    to: Path = Path("export.jsonl")
    frames: bool = False
    overwrite: bool = False
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Export; user ids stay pseudonyms, and the key stays behind."""
    if config.dataset is None:
        raise InputError("no data set given", file="dataset", remedy="veracast export DATASET --to FILE.jsonl")
    with RunWriter("export", out, config=to_dict(config), seed=config.seed) as writer:
        dataset = open_dataset(config.dataset)
        writer.input_digest("dataset", dataset.meta["digest"])
        export(dataset, config.to, frames=config.frames, overwrite=config.overwrite, progress=progress)
        counts = {"videos": dataset.videos.height, "bytes": config.to.stat().st_size}
        verdict = f"{counts['videos']:,} videos: {config.to}"
        return writer.finish(status="ok", verdict=verdict, counts=counts)
