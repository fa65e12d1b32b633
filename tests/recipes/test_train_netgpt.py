"""`veracast train --rater netgpt` as a user gives it: recorded loss curves per stage, rating after it, kill -9 and resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from tests.conftest import use_few_trees
from tests.rating.raters.test_netgpt import _letters
from veracast.cli.main import app
from veracast.core.records import load_record, read_table
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_dataset
from veracast.models import text_store
from veracast.rating.netgpt import trainer

RECORDED = Path(__file__).with_name("netgpt_curves.json")
SHORT = (
    "raters=constant", "tasks=horizon", "netgpt.graph.text_dims=8", "netgpt.stage1.epochs=12", "netgpt.stage1.evaluate_every=4",
    "netgpt.stage1.members=1", "netgpt.stage2.rows=48", "netgpt.stage2.batch=16", "netgpt.stage3.rows=48", "netgpt.stage3.batch=16", "netgpt.stage3.base=graph",
    "netgpt.validation_rows=12", "netgpt.backbone.description_chars=0", "netgpt.threads=1",
)  # fmt: skip


SHORTER = ("netgpt.stage2.rows=32", "netgpt.stage2.batch=8", "netgpt.stage3.rows=24", "netgpt.stage3.batch=12", "netgpt.stage3.language_epochs=1", "netgpt.backbone.title_chars=12")  # fmt: skip
"""Of the recorded curves: the slow tests below, whose stages are to be killed, take longer ones."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("train") / "w"
    write_dataset(WorldConfig(videos=140, seed=21, frames_per_video=1), place)
    return place


def command(dataset: Path, to: Path, out: Path, *more: str) -> list[str]:
    sets = [word for pair in (*SHORT, *more) for word in ("--set", pair)]
    return ["train", str(dataset), "--to", str(to), "--rater", "netgpt", "--out", str(out), "--quiet", *sets]


def test_each_stage_learns_along_its_recorded_curve(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write the record anew after a change that is meant to change it: VERACAST_RECORD=1."""
    use_few_trees(monkeypatch)
    monkeypatch.setattr(trainer, "MOST_TEXTS", 300)
    monkeypatch.setattr(text_store, "load_encoder", lambda name: _letters)
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    ended = CliRunner().invoke(app, command(dataset, tmp_path / "model", tmp_path / "run", *SHORTER))
    assert ended.exit_code == 0, ended.output
    record = load_record(tmp_path / "run")
    assert set(record.counts["parts"].values()) == {"netgpt", "lightgbm"}
    curves = read_table(record, "loss_curves").filter(pl.col("loss").is_not_null())
    found: dict[str, dict[str, list[float]]] = {}
    for (stage, split), part in curves.group_by("stage", "split", maintain_order=True):
        first = part.filter(pl.col("training") == part["training"][0])  # several trainings: the first one's
        found.setdefault(str(stage), {})[str(split)] = [round(x, 5) for x in first["loss"].to_list()]
    if os.environ.get("VERACAST_RECORD"):
        RECORDED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    expected = json.loads(RECORDED.read_text())
    assert set(found) == set(expected) and {"stage1", "stage2", "stage3-language"} <= set(found)
    for stage, splits in expected.items():
        for split, losses in splits.items():
            np.testing.assert_allclose(found[stage][split], losses, rtol=0.01, err_msg=f"{stage} {split}")
    for stage in ("stage1", "stage2"):
        assert found[stage]["train"][-1] < 0.9 * found[stage]["train"][0], stage
    assert not (tmp_path / "cache" / "work").exists() or not any((tmp_path / "cache" / "work").iterdir())

    exported = tmp_path / "fresh.jsonl"
    assert (
        CliRunner()
        .invoke(app, ["export", str(dataset), "--to", str(exported), "--out", str(tmp_path / "e"), "--quiet"])
        .exit_code
        == 0
    )
    for precision, more in (("fp32", ()), ("bf16", ("--precision", "bf16"))):
        out = tmp_path / precision
        rate = ["rate", str(exported), "--model", str(tmp_path / "model"), "--out", str(out), "--quiet", *more]
        rated = CliRunner().invoke(app, rate)
        assert rated.exit_code == 0, rated.output
        record = load_record(out)
        assert record.config["precision"] == record.counts["language_precision"] == precision
        ratings = read_table(record, "ratings")
        assert ratings.height == 140 and set(ratings["rater"]) == {"netgpt"}
        assert ratings["level_expected"].null_count() == 0


def shot_at(arguments: list[str], cache: Path, stage: str) -> bool:
    """Start the command, kill -9 it once that stage has left a checkpoint; False where it ended before."""
    environment = {**os.environ, "VERACAST_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "veracast", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        if list((cache / "work").glob(f"*/{stage}/checkpoint/state.json")) and not list(
            (cache / "work").glob(f"*/{stage}/done")
        ):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.002)
    return False


@pytest.mark.slow
def test_killed_in_each_stage_and_resumed_it_ends_with_the_same_weights(dataset: Path, tmp_path: Path) -> None:
    often = "netgpt.checkpoint_every_s=0"

    def weights(model: Path) -> list[str]:
        """The folder of a NetGPT is named by the digest of its weights."""
        return sorted(path.name for path in (model / "parts").glob("netgpt-*"))

    quiet = command(dataset, tmp_path / "undisturbed", tmp_path / "run-0", often)
    environment = {**os.environ, "VERACAST_CACHE": str(tmp_path / "cache-0"), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "veracast", *quiet], env=environment, check=True, capture_output=True)
    expected = weights(tmp_path / "undisturbed")
    assert len(expected) == 2  # one for each kind of state

    cache, disturbed = tmp_path / "cache-1", command(dataset, tmp_path / "killed", tmp_path / "run-1", often)
    for stage in ("stage1", "stage2", "stage3-language"):
        assert shot_at(disturbed, cache, stage), stage
        assert not (tmp_path / "killed").exists()
    subprocess.run(
        [sys.executable, "-m", "veracast", *disturbed],
        env={**environment, "VERACAST_CACHE": str(cache)},
        check=True,
        capture_output=True,
    )
    assert weights(tmp_path / "killed") == expected


SMALL = (
    "netgpt.graph.dropout=0", "netgpt.graph.text_dropout=0", "netgpt.stage2.rows=16", "netgpt.stage2.batch=8",
    "netgpt.stage2.micro_batch=3", "netgpt.stage2.epochs=1", "netgpt.stage3.rows=16", "netgpt.stage3.batch=8", "netgpt.stage3.language_epochs=1",
    "netgpt.validation_rows=8", "netgpt.checkpoint_every_s=0",
)  # fmt: skip


def launched(arguments: list[str], cache: Path, *, processes: int) -> subprocess.CompletedProcess[str]:
    """The command as it is, or under torchrun."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "VERACAST_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launch, "-m", "veracast", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def losses(run: Path) -> pl.DataFrame:
    return read_table(load_record(run), "loss_curves").select("training", "stage", "split", "step", "loss")


@pytest.mark.slow
def test_torchrun_trains_one_model_with_the_loss_of_one_process(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for name, processes, more in (("one", 1, ()), ("ddp", 2, ()), ("fsdp", 2, ("netgpt.sharding=fsdp",))):
        arguments = command(dataset, tmp_path / name, tmp_path / "runs" / name, *SMALL, *more)
        done = launched(arguments, tmp_path / f"cache-{name}", processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("run: ") == 1 and done.stdout.startswith(f"{tmp_path / name}: ")
        work = tmp_path / f"cache-{name}" / "work"
        assert not work.exists() or not any(work.iterdir())
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "ddp",
        "fsdp",
        "one",
    ]  # nothing half-written beside them
    expected = losses(tmp_path / "runs" / "one")
    assert {"stage1", "stage2", "stage3-language"} <= set(expected["stage"])
    for name in ("ddp", "fsdp"):
        found = losses(tmp_path / "runs" / name)
        assert found.drop("loss").equals(expected.drop("loss"))
        np.testing.assert_allclose(found["loss"].to_numpy(), expected["loss"].to_numpy(), atol=1e-5, rtol=0)
        alike = expected["stage"].is_in(["stage2", "stage3-language"]).not_()
        assert found.filter(alike).equals(expected.filter(alike))  # stage 1: to the last bit
        assert len(list((tmp_path / name / "parts").glob("netgpt-*"))) == 2
        assert load_record(tmp_path / "runs" / name).counts == load_record(tmp_path / "runs" / "one").counts


@pytest.mark.slow
def test_faults_under_torchrun_are_one_line(dataset: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (command(tmp_path / "nowhere", tmp_path / "m", tmp_path / "r"), "nowhere"),
        (command(dataset, tmp_path / "m", tmp_path / "r", "netgpt.stage9=1"), "unknown key"),
        (["world", "--to", str(tmp_path / "w"), "--quiet"], "world works in one process, torchrun started 2"),
    ):
        done = launched(arguments, tmp_path / "cache", processes=2)
        assert done.returncode != 0 and done.stdout == ""
        lines = [line for line in done.stderr.splitlines() if line.startswith(("veracast:", "veracast,"))]
        assert len(lines) == 1 and lines[0].startswith("veracast: ") and told in lines[0]
    assert not (tmp_path / "m").exists() and not (tmp_path / "r").exists() and not (tmp_path / "w").exists()
