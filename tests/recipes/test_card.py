"""From a run or a trained model to its card, and back to its files."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from veracast.core.errors import InputError
from veracast.core.records import Record, RunWriter, load_record
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.recipes import explain_overall
from veracast.recipes import run as run_recipe
from veracast.recipes.card import Config, digest_of, model_facts, run, verify
from veracast.recipes.train import Config as TrainConfig
from veracast.recipes.train import run as train

NOW = START + dt.timedelta(days=40)


@pytest.fixture(scope="module")
def rated(finished: Record, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A copy, alone in its folder."""
    to = tmp_path_factory.mktemp("card") / "runs" / "r"
    shutil.copytree(finished.run, to)
    return load_record(to)


def statements(record: Record) -> dict[str, dict[str, str]]:
    body = json.loads((Path(record.run) / "card.json").read_text(encoding="utf-8"))
    return {one["area"]: one for one in body["statements"]}


def test_a_runs_model_is_vouched_for_by_the_run_and_by_what_cites_it(rated: Record, tmp_path: Path) -> None:
    runs = Path(rated.run).parent
    first = run(Config(model=Path(rated.run), records=(runs,), licence="apache-2.0"), tmp_path / "c1")
    assert (first.kind, first.status, first.counts["records"]) == ("card", "ok", 1)
    assert (
        statements(first)["Backtest on videos it had not seen"]["record"] == "r"
        and "checks hold" in statements(first)["Reasons"]["words"]
    )
    explain_overall.run(explain_overall.Config(run=Path(rated.run), most=4), runs / "o")
    second = run(Config(model=Path(rated.run), records=(runs,)), tmp_path / "c2")
    assert (
        second.counts["records"] == 2 and "explanations pass all their checks" in statements(second)["Reasons"]["words"]
    )
    assert {path.name for path in Path(second.run).iterdir()} >= {"report.html", "card.json", "card.md", "bom.cdx.json"}


def test_a_trained_model_finds_its_training_and_a_given_audit(world: Dataset, tmp_path: Path) -> None:
    main = run_recipe.Config(
        sources=(world.path,), as_of=NOW, horizon_days=14, raters=("szabo_huberman",), tasks=("horizon",)
    )
    train(TrainConfig(to=tmp_path / "model", main=main), tmp_path / "runs" / "t")
    with RunWriter("audit-images", tmp_path / "audit", config={}, seed=0) as writer:
        writer.finish(status="findings", verdict="3 images carry a patch", counts={})
    found = run(
        Config(model=tmp_path / "model", records=(tmp_path / "runs",), audits=(tmp_path / "audit",)), tmp_path / "c"
    )
    assert found.status == "findings" and [one.title for one in found.findings] == [
        "Images given for audit"  # the model looks at none
    ]
    assert statements(found)["Backtest on videos it had not seen"]["record"] == "t"
    with pytest.raises(InputError, match="a record of kind 'train' is no audit"):
        run(Config(model=tmp_path / "model", audits=(tmp_path / "runs" / "t",)), tmp_path / "d")


def test_changed_missing_and_new_files_are_told(rated: Record, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(Path(rated.run) / "model", model)
    found = run(Config(model=model, records=()), tmp_path / "c")
    assert verify(tmp_path / "c") == []
    assert verify(tmp_path / "c", Path(rated.run)) == []
    target = next(path for path in sorted(model.rglob("*.json")) if path.name == "calibration.json")
    target.write_text(target.read_text(encoding="utf-8") + " ", encoding="utf-8")
    (model / "new.txt").write_text("x", encoding="utf-8")
    (model / "reference.parquet").unlink()
    faults = verify(tmp_path / "c")
    assert [fault.partition(": ")[2] for fault in sorted(faults)] == [
        "was not there when the card was made",
        "another content than was vouched for",
        "missing",
    ]
    (Path(found.run) / "card.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="its sha256 differs from the record"):
        verify(tmp_path / "c")


def test_a_folder_without_a_model_is_refused(rated: Record, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no model.json, and no model/ beside a record"):
        run(Config(model=tmp_path), tmp_path / "c")
    with pytest.raises(InputError, match="a record of kind 'run' is no card"):
        verify(Path(rated.run))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_text('{"parts": []}', encoding="utf-8")
    with pytest.raises(InputError, match="damaged model"):
        run(Config(model=broken, records=()), tmp_path / "e")


def test_a_digest_is_of_paths_and_contents(rated: Record) -> None:
    facts = model_facts(Path(rated.run) / "model", "n")
    assert facts.digest == digest_of(list(reversed(facts.files))) and not facts.reads_frames and facts.language is None
    assert facts.digest != digest_of(facts.files[1:])
