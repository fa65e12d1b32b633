"""From exports to a data set folder."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.core.spread import HERE, Spread
from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions


@dataclass(frozen=True)
class Config:
    """What to read, how, and where the data set goes."""

    sources: tuple[Path, ...] = ()
    to: Path = Path("dataset")
    on_error: Literal["stop", "skip"] = "stop"
    observed_at: dt.datetime | None = None
    timezone: str | None = None
    mapping: Path | None = None
    media: Path | None = None
    keep_comments: bool = False
    salt_file: Path | None = None
    overwrite: bool = False
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT, spread: Spread = HERE) -> Record:
    """Ingest; the record counts videos, snapshots, links, comments and rejects by reason."""
    options = ReadOptions(
        on_error=config.on_error,
        observed_at=config.observed_at,
        timezone=config.timezone,
        mapping=config.mapping,
        keep_comments=config.keep_comments,
    )
    if not config.sources:
        raise InputError("no source given", file="sources", remedy="name an export: veracast ingest FILE --to DATASET")
    salt = bytes.fromhex(config.salt_file.read_text().strip()) if config.salt_file is not None else None
    with RunWriter("ingest", out, config=to_dict(config), seed=config.seed) as writer:
        dataset = ingest(
            config.sources,
            config.to,
            options=options,
            salt=salt,
            media=config.media,
            progress=progress,
            spread=spread,
            overwrite=config.overwrite,
        )
        counts = {**dataset.meta["counts"], "rejects_by_reason": dataset.meta["rejects_by_reason"]}
        for fact in dataset.meta["sources"]:
            writer.input_digest(fact["file"], fact["sha256"], bytes=fact["bytes"])
        verdict = (
            f"{counts['videos']:,} videos, {counts['snapshots']:,} snapshots, {counts['rejects']:,} rejected records: "
            f"{config.to}"
        )
        return writer.finish(status="ok", verdict=verdict, counts=counts)
