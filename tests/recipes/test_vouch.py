"""What vouches for a run's model: the audit that was asked for, named as what it is, and the card that cites it."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from veracast.core.errors import ConfigError
from veracast.core.records import Record, load_record
from veracast.data.dataset import Dataset, open_dataset, write_tables
from veracast.data.schema import TABLES
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.recipes import audit_images, run
from veracast.recipes.card import verify
from veracast.recipes.vouch import card_of, vouch

NOW = START + dt.timedelta(days=40)


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """300 videos of one frame each."""
    return write_dataset(WorldConfig(videos=300, days=40, frames_per_video=1), tmp_path_factory.mktemp("pictured") / "set")  # fmt: skip


def ran(dataset: Dataset, out: Path, **more: Any) -> Record:
    return run.run(run.Config(sources=(dataset.path,), horizon_days=14, raters=("constant",), tasks=("horizon",), reasons=0, explained=2, **{"as_of": NOW, **more}), out)  # fmt: skip


def statements(record: Record) -> dict[str, dict[str, Any]]:
    body = json.loads((card_of(record) / "card.json").read_text(encoding="utf-8"))
    return {one["area"]: one for one in body["statements"]}


def test_a_miniature_is_named_so_and_stands_for_no_audit(pictured: Dataset, tmp_path: Path) -> None:
    record = ran(pictured, tmp_path / "r", audit="miniature")
    audit = load_record(tmp_path / "r-audit")
    assert (audit.kind, audit.counts["images"], audit.counts["looked_at"]) == ("audit-miniature", 300, 300)
    said = statements(record)["Pictures of its data"]
    assert said["state"] == "measured" and said["words"].startswith("Miniature audit:") and "nothing is ruled out" in said["words"]  # fmt: skip
    assert said["record"] == "r-audit" and said["command"].startswith("veracast audit images")
    assert statements(record)["Images that its frame encoder learnt from"]["state"] == "does not apply"
    assert verify(card_of(record)) == []
    page = (card_of(record) / "report.html").read_text(encoding="utf-8")
    assert "Miniature audit" in page


def test_the_miniature_sees_a_patch_that_was_pasted_as_it_is(pictured: Dataset, tmp_path: Path) -> None:
    """On 30 of the frames, which are stored without loss here."""
    frames = pictured.frames
    patch, marked = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8), []
    for number, data in enumerate(frames["jpeg"]):
        pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB").resize((32, 32)))
        if number % 10 == 0:
            pixels[4:16, 4:16] = patch
        body = io.BytesIO()
        Image.fromarray(pixels).save(body, "png")
        marked.append(body.getvalue())
    tables = {name: getattr(pictured, name) for name in TABLES}
    tables["frames"] = frames.with_columns(jpeg=pl.Series(marked, dtype=pl.Binary))
    (tmp_path / "set").mkdir()
    write_tables(tmp_path / "set", tables, dict(pictured.meta))
    record = ran(open_dataset(tmp_path / "set"), tmp_path / "r", audit="miniature")
    assert load_record(tmp_path / "r-audit").counts["recurring"] == 30
    assert "30 of 300 frames" in statements(record)["Pictures of its data"]["words"]


def test_a_whole_audit_is_the_one_of_audit_images(pictured: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    asked: list[audit_images.Config] = []
    real = audit_images.run

    def few(config: audit_images.Config, out: Path, **more: Any) -> Record:
        asked.append(config)
        return real(audit_images.Config(sources=config.sources, least_images=301, work=tmp_path / "work"), out, **more)

    monkeypatch.setattr(audit_images, "run", few)
    record = ran(pictured, tmp_path / "r", audit="whole")
    assert asked[0].sources == (pictured.path / "frames.parquet",)
    said = statements(record)["Images given for audit"]  # the model itself looks at none
    assert said["state"] == "not measured" and "300 images, fewer than the 301" in said["words"]


def test_a_data_set_without_pictures_gets_a_card_without_an_audit(world: Dataset, tmp_path: Path) -> None:
    record = ran(world, tmp_path / "r", audit="miniature")
    assert not (tmp_path / "r-audit").exists() and "Pictures of its data" not in statements(record)


def test_a_run_that_kept_no_model_gets_no_card(world: Dataset, tmp_path: Path) -> None:
    record = ran(world, tmp_path / "r", audit="miniature", as_of=START + dt.timedelta(days=400))
    assert not card_of(record).exists() and vouch(record, "miniature") is None


def test_another_audit_is_refused() -> None:
    from veracast.core.config import load_config

    with pytest.raises(ConfigError, match="audit"):
        load_config(run.Config, given={"audit": "most"})
