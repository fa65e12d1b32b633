"""What vouches for the model of a run: an audit of the pictures that its data set holds, and the trust card that cites it.

RUN/dataset/frames.parquet -> audit -> RUN-audit/        RUN/model + audit -> RUN-card/

miniature   blocks of pixels that recur exactly in some of the frames (poison/block_hash.py): seconds, no encoder, no verdict; the card names it so
whole       veracast audit images on all frames, with the extra poison: minutes
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

from veracast.core.files import cache_folder
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.data.dataset import open_dataset
from veracast.data.decoded_images import decoded_images
from veracast.poison.block_hash import LEAST_IMAGES, recurring_blocks
from veracast.recipes import card

How = Literal["", "miniature", "whole"]
MINIATURE = 600
"""Frames that the miniature looks at, spread evenly over all."""
_EDGE_PX = 32


def vouch(record: Record, how: How, *, name: str | None = None, seed: int = 0, progress: Progress = SILENT) -> Record | None:  # fmt: skip
    """The card of the model that a run kept; None where it kept none, as no video was open. record: of kind run. Raises what the audit raises."""
    run = Path(record.run)
    if not (run / "model" / card.HEAD).is_file():
        return None
    own = run / "dataset"
    dataset = own if (own / "dataset.json").is_file() else Path(record.config["sources"][0])
    frames, audits = dataset / "frames.parquet", list[Path]()
    if how and open_dataset(dataset).frames.height:
        audit = _whole(frames, run, seed, progress) if how == "whole" else _miniature(frames, run, seed, progress)
        audits.append(Path(audit.run))
    return card.run(card.Config(model=run, records=(), audits=tuple(audits), name=name, seed=seed), card_of(record), progress=progress)  # fmt: skip


def card_of(record: Record) -> Path:
    """Folder of a run's card."""
    return Path(f"{record.run}-card")


def _whole(frames: Path, run: Path, seed: int, progress: Progress) -> Record:
    from veracast.recipes import audit_images

    return audit_images.run(audit_images.Config(sources=(frames,), seed=seed), _beside(run), progress=progress)


def _miniature(frames: Path, run: Path, seed: int, progress: Progress) -> Record:
    with RunWriter("audit-miniature", _beside(run), config={"frames": str(frames), "most": MINIATURE}, seed=seed) as writer:  # fmt: skip
        writer.input(frames)
        with progress.step("miniature audit"), tempfile.TemporaryDirectory(dir=cache_folder("audit-images")) as work:
            images = decoded_images((frames,), Path(work), edge_px=_EDGE_PX, progress=progress)
            looked_at = images.pixels[:: max(1, -(-len(images) // MINIATURE))]
            found = int(recurring_blocks(looked_at).flagged.sum())
        n = len(looked_at)
        words = f"Miniature audit: {found:,} of {n:,} frames hold a block of pixels that recurs exactly in {LEAST_IMAGES} or more of them, as pasted patches do, and logos; no encoder was asked, so nothing is ruled out"  # fmt: skip
        return writer.finish(status="ok", verdict=words, counts={"images": len(images), "looked_at": n, "recurring": found, "rejects": images.rejects.height})  # fmt: skip


def _beside(run: Path) -> Path:
    return Path(f"{run}-audit")
