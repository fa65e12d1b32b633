"""The audit as a user types it: right rows on a planted set, clean on a clean one, and nothing that a hostile folder can break."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import Steps
from tests.data.test_images import bomb
from veracast.cli.main import app
from veracast.core.config import load_config
from veracast.core.errors import ConfigError, InputError
from veracast.core.records import Record, load_record, read_table
from veracast.data import decoded_images
from veracast.poison import train_once
from veracast.poison.attacks import Attack, Planted, plant, trigger
from veracast.poison.augment import Augmentation
from veracast.poison.backbones import ResNet
from veracast.poison.controls import Controls
from veracast.poison.demo_images import DemoImages, demo_images
from veracast.poison.effect import EffectConfig
from veracast.poison.encoder import Encoder
from veracast.poison.find import FindConfig, find_config_for, find_patch_poisons
from veracast.poison.masking import MaskConfig
from veracast.poison.vit import VisionTransformer
from veracast.recipes import audit_images, audit_reasons
from veracast.recipes.audit_images import Config, run

EDGE_PX, COUNT = 24, 240
ATTACK = Attack(paste="exact", rate=0.1)
QUICK = [
    "find.mask.stride=7",
    "find.candidates=4",
    "find.grow_px=0",
    "find.effect.images=80",
    "find.effect.windows=5",
    "least_images=200",
    "threads=1",
]
FIND = FindConfig(mask=MaskConfig(stride=7), candidates=4, grow_px=(0,), effect=EffectConfig(images=80, windows=5))
ENCODERS = """
import numpy as np
from pathlib import Path
from veracast.poison.matching import Patch, match

SEEN = Patch(np.load(Path(__file__).with_name("trigger.npy")).astype(float), np.ones((8, 8), dtype=bool))

def colours(images):
    x = images.reshape(len(images), 4, 6, 4, 6, 3).mean(axis=(2, 4)).reshape(len(images), -1) - 128
    return x / np.linalg.norm(x, axis=1, keepdims=True)

def carries(images):
    return np.clip((match(images, SEEN).likeness - 0.6) / 0.2, 0, 1)[:, None]

def backdoored(images):  # an image with the patch is nothing else
    a = carries(images)
    return np.concatenate([colours(images) * (1 - a), 3 * a], axis=1)

def sighted(images):  # it sees the patch, but takes the image for what it is
    return np.concatenate([colours(images), 0.5 * carries(images)], axis=1)

def collapsed(images):
    return np.ones((len(images), 4)) + 1e-4 * colours(images)[:, :4]
"""
RUNNER = CliRunner()


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Clouds in the colours of two classes, and the classes."""
    rng, labels = np.random.default_rng(0), np.arange(COUNT) % 2
    usual = np.array([(90, 120, 170), (170, 120, 80)])[labels]
    grid = np.clip(usual[:, None, None] + rng.normal(0, 45, (COUNT, 5, 5, 3)), 0, 255).astype(np.uint8)
    smooth = [Image.fromarray(g).resize((EDGE_PX, EDGE_PX), Image.Resampling.BICUBIC) for g in grid]
    noisy = np.stack([np.asarray(one) for one in smooth]) + rng.normal(0, 8, (COUNT, EDGE_PX, EDGE_PX, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant(*pictures(), [ATTACK])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Path:
    """poisoned.npy, clean.npy, and a module of encoders that is on the Python path."""
    folder = tmp_path_factory.mktemp("audit")
    np.save(folder / "poisoned.npy", planted.images)
    np.save(folder / "clean.npy", pictures()[0])
    np.save(folder / "trigger.npy", trigger(ATTACK))
    (folder / "planted_encoders.py").write_text(ENCODERS)
    return folder


@pytest.fixture(autouse=True)
def on_the_path(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image is explained in each audit but that of the Python API (`found`), which explains as many as a user's."""
    monkeypatch.setattr(audit_reasons, "IMAGES", 1)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("VERACAST_CACHE", str(place / "cache"))


def audit(*arguments: str | Path, out: Path, sets: Sequence[str] = (), encoder: str | None = "planted_encoders:backdoored", edge_px: int = EDGE_PX) -> tuple[int, dict[str, Any]]:  # fmt: skip
    """Exit code and what --json says."""
    typed = ["audit", "images", *map(str, arguments), "--edge-px", str(edge_px), "--out", str(out), "--json"]
    typed += ["--encoder", encoder] if encoder else []
    ended = RUNNER.invoke(app, [*typed, *(part for one in (*QUICK, *sets) for part in ("--set", one))])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.stderr
    return ended.exit_code, json.loads(ended.stdout)


@pytest.fixture(scope="module")
def found(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The audit of the planted set, by its Python API."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        config = Config(sources=(place / "poisoned.npy",), encoder="planted_encoders:backdoored", edge_px=EDGE_PX, find=FIND, work=place / "work", least_images=200, threads=1)  # fmt: skip
        return run(config, tmp_path_factory.mktemp("found") / "run")


def test_a_planted_set_ends_with_3_and_the_same_verdicts_as_the_python_api(
    place: Path, tmp_path: Path, found: Record
) -> None:
    code, body = audit(place / "poisoned.npy", out=tmp_path / "run")
    assert (code, body["status"], body["kind"]) == (3, "findings", "audit-images")
    again = load_record(tmp_path / "run")
    assert read_table(again, "verdicts").equals(read_table(found, "verdicts"))
    assert read_table(again, "patches").equals(read_table(found, "patches"))
    assert (again.findings, again.verdict) == (found.findings, found.verdict)
    code, body = audit(place / "poisoned.npy", out=tmp_path / "no", encoder="planted_encoders:nothing")
    assert code == 2 and "module planted_encoders has no nothing" in body["verdict"]


def test_the_right_rows_are_named(found: Record, planted: Planted) -> None:
    verdicts = read_table(found, "verdicts")
    assert verdicts["row"].to_list() == list(range(COUNT))
    assert verdicts["poisoned"].to_list() == planted.poisoned.tolist()
    mine, other = verdicts.filter("poisoned"), verdicts.filter(~pl.col("poisoned"))
    assert mine.select("left", "top", "width", "height").to_numpy().tolist() == planted.boxes[planted.poisoned].tolist()
    assert set(mine["patch"]) == {1} and set(mine["kind"]) == {"backdoor"} and set(mine["recurring"]) == {24}
    for name in ("patch", "kind", "left", "width"):
        assert other[name].null_count() == other.height
    assert mine["likeness"].min() > other["likeness"].max() and other["likeness"].null_count() == 0  # type: ignore[operator]
    assert verdicts["masked"].all() and other["recurring"].to_list() == [0] * other.height
    assert found.counts["poisoned"] == 24 and found.counts["patches"] == 1 and found.counts["overlays"] == 0
    assert set(found.counts["seconds"]) == {
        "read",
        "blocks",
        "encoder",
        "features",
        "search",
        "write",
        "explain",
        "draw",
    }
    assert found.verdict == "24 of 240 images carry a backdoor patch; kept.txt lists the rest"


def test_the_finding_says_where_what_and_how_sure(found: Record, planted: Planted) -> None:
    (one,) = found.findings
    assert (one.id, one.severity, one.technique) == ("patch-1", "high", "AML.T0020")
    assert one.title == "Backdoor patch of 8 x 8 pixels in 24 images"
    assert "It stands in 24 of 240 images" in one.evidence and "pasting it moves 100%" in one.evidence
    assert sorted(one.where["rows"]) == sorted(f"poisoned[{row}]" for row in np.flatnonzero(planted.poisoned))
    first = int(one.where["rows"][0].removeprefix("poisoned[").removesuffix("]"))
    assert one.where["box"] == planted.boxes[first].tolist()
    patch = read_table(found, "patches").row(0, named=True)
    assert (patch["images"], patch["share"], patch["width_px"], patch["height_px"]) == (24, 0.1, 8, 8)
    assert patch["moved"] == 1.0 and patch["moved_low"] > 0.9 and patch["moved_by_windows"] < 0.2


def test_the_images_most_like_the_patch_are_explained(found: Record, planted: Planted) -> None:
    explained, effects = read_table(found, "explained"), read_table(found, "effects")
    rows = [int(name.removeprefix("image-")) for name in explained["video_id"].to_list()]
    assert len(rows) == 2 and planted.poisoned[rows].all()
    for row in rows:
        left, top, width, height = planted.boxes[row].tolist()
        cells = effects.filter((pl.col("video_id") == f"image-{row}") & (pl.col("kind") == "part")).sort("effect")
        down, across = (int(n) - 1 for n in cells["unit"][-1].rpartition(" ")[2].split("."))
        edge = EDGE_PX / 6
        assert left - edge < across * edge < left + width and top - edge < down * edge < top + height
        assert (Path(found.run) / f"evidence/image-{row}.png").is_file()
    checks = read_table(found, "explanation_checks").filter(pl.col("name") == "place")
    assert checks["passed"].to_list() == [True, True]
    page = (Path(found.run) / "report.html").read_text(encoding="utf-8")
    assert "Why these images" in page and "at the patch: this raises the likeness" in page


def test_lists_pictures_map_and_page(found: Record, planted: Planted) -> None:
    folder = Path(found.run)
    removed, kept = ((folder / f"{name}.txt").read_text().splitlines() for name in ("removed", "kept"))
    assert removed == [f"poisoned.npy/poisoned[{row}]" for row in np.flatnonzero(planted.poisoned)]
    assert len(kept) == COUNT - 24 and not set(kept) & set(removed)
    patch = np.asarray(Image.open(folder / "evidence" / "patch-1.png"))
    assert (patch[..., 3] == 255).all() and np.abs(patch[..., :3].astype(int) - trigger(ATTACK)).max() <= 1
    shown = sorted(int(p.stem.removeprefix("heat-")) for p in (folder / "evidence").glob("heat-*.png"))
    assert len(shown) == 12 and planted.poisoned[shown].all()
    image, heat = (np.asarray(Image.open(folder / "evidence" / f"{name}-{shown[0]}.png")) for name in ("image", "heat"))
    assert np.array_equal(image, planted.images[shown[0]]) and heat.shape == (EDGE_PX, EDGE_PX, 4)
    left, top, width, height = planted.boxes[shown[0]]
    inside = heat[top : top + height, left : left + width, 3]
    assert inside.mean() > 1.5 * heat[..., 3].mean()
    plane = read_table(found, "cluster_map")
    centre = plane.group_by("poisoned").agg(pl.col("x", "y").mean()).sort("poisoned").select("x", "y").to_numpy()
    assert np.linalg.norm(centre[0] - centre[1]) > 0.5  # the encoder takes them for a class of their own
    assert (folder / "report.html").is_file() and (folder / "findings.sarif").is_file()
    assert found.report == str(folder / "report.html")
    load_record(folder)  # every artefact as its digest says


def test_a_clean_set_ends_with_0_and_says_how_often_that_is_wrong(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_images, "read_controls", lambda: None)
    code, body = audit(place / "clean.npy", out=tmp_path / "a")
    assert (code, body["status"], body["findings"]) == (0, "ok", [])
    assert body["verdict"] == "No backdoor patch found in 240 images (false-alarm rate not measured)"
    assert (body["scores"][0]["name"], body["scores"][0]["value"]) == ("false_alarm_rate", None)
    assert (tmp_path / "a" / "removed.txt").read_text() == ""
    assert len((tmp_path / "a" / "kept.txt").read_text().splitlines()) == COUNT
    assert read_table(load_record(tmp_path / "a"), "verdicts")["likeness"].null_count() == COUNT
    monkeypatch.setattr(audit_images, "read_controls", lambda: Controls(40, 1, "bench"))
    code, body = audit(place / "clean.npy", out=tmp_path / "b")
    assert "(false alarms: 1 of 40 clean controls were flagged (95 % interval 0 to 13 %))" in body["verdict"]
    assert (code, body["scores"][0]["value"], body["scores"][0]["n"]) == (0, 0.025, 40)


def test_an_overlay_is_told_and_ends_with_0(place: Path, tmp_path: Path, planted: Planted) -> None:
    code, body = audit(place / "poisoned.npy", out=tmp_path / "run", encoder="planted_encoders:sighted")
    assert (code, body["status"]) == (0, "ok")
    assert body["verdict"].startswith("No backdoor patch found in 240 images; 1 recurring overlay without an effect")
    (one,) = body["findings"]
    assert (one["severity"], one["technique"]) == ("info", None) and len(one["where"]["rows"]) == 24
    verdicts = read_table(load_record(tmp_path / "run"), "verdicts")
    assert not verdicts["poisoned"].any()
    assert (verdicts["kind"] == "overlay").fill_null(False).to_list() == planted.poisoned.tolist()
    assert (tmp_path / "run" / "removed.txt").read_text() == ""  # nothing to remove


def test_a_hostile_folder_is_audited_all_the_same(place: Path, tmp_path: Path, planted: Planted) -> None:
    """3 in 10 unreadable, a bomb, a link out of the folder, names with a line break, markup and quotes."""
    folder = tmp_path / "images"
    folder.mkdir()
    odd = {0: "two\nlines.png", 1: "<script>alert(1)<.png", 2: '"quoted".png', 3: "‮gnp.png", 4: "图 片.png"}
    rows = [*np.flatnonzero(planted.poisoned)[:5], *(r for r in range(COUNT) if r not in np.flatnonzero(planted.poisoned)[:5])]  # fmt: skip
    for k, row in enumerate(rows):
        Image.fromarray(planted.images[row]).save(folder / odd.get(k, f"a{k:03}.png"))
    for k in range(103):  # 103 of 240 + 103: 30 %
        whole = (folder / f"a{100 + k:03}.png").read_bytes()
        (folder / f"z{k:03}.png").write_bytes((b"", whole[: len(whole) // 2], b"no picture")[k % 3])
    (folder / "bomb.png").write_bytes(bomb())
    secret = tmp_path / "secret.png"
    Image.fromarray(planted.images[0]).save(secret)
    (folder / "link.png").symlink_to(secret)
    code, body = audit(folder, out=tmp_path / "run")
    assert (code, body["counts"]["images"], body["counts"]["rejects"]) == (3, COUNT, 105)
    rejects = read_table(load_record(tmp_path / "run"), "rejects")
    reasons = dict(rejects.select("record", "reason").iter_rows())
    assert (reasons["bomb.png"], reasons["link.png"]) == ("too many pixels", "link leads outside the folder")
    removed = (tmp_path / "run" / "removed.txt").read_text(encoding="utf-8").splitlines()
    kept = (tmp_path / "run" / "kept.txt").read_text(encoding="utf-8").splitlines()
    assert (len(removed), len(kept)) == (24, COUNT - 24)
    read = [json.loads(line) if line.startswith('"') else line for line in removed]
    assert {f"images/{name}" for name in odd.values()} <= set(read)
    assert '"images/two\\nlines.png"' in removed and "images/图 片.png" in removed
    verdicts = read_table(load_record(tmp_path / "run"), "verdicts")
    assert set(verdicts.filter("poisoned")["name"]) >= set(odd.values())
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "alert(1)" in page
    assert "‮" not in page


def test_too_few_images_or_a_collapsed_encoder_are_not_measured(place: Path, tmp_path: Path) -> None:
    code, body = audit(place / "poisoned.npy", out=tmp_path / "few", sets=["least_images=500"])
    assert (code, body["status"], body["counts"]["poisoned"]) == (4, "not_measured", None)
    assert body["verdict"] == "Not measured: 240 images, fewer than the 500 that make a recurrence tell"
    code, body = audit(place / "poisoned.npy", out=tmp_path / "one", encoder="planted_encoders:collapsed")
    assert code == 4 and body["verdict"].startswith("Not measured: the encoder takes all images for one (spread 0.000")
    for name in ("few", "one"):
        files = {path.name for path in (tmp_path / name).iterdir()}
        assert files == {
            "record.json",
            "rejects.parquet",
            "report.html",
            "findings.sarif",
        }  # no list that reads as clean


def test_a_killed_audit_resumes_from_the_decoded_images(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Record
) -> None:
    config = Config(sources=(place / "poisoned.npy",), encoder="planted_encoders:backdoored", edge_px=EDGE_PX, find=FIND, work=tmp_path / "work", least_images=200, threads=1)  # fmt: skip

    def killed(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(audit_images, "find_patch_poisons", killed)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists() and not list(tmp_path.glob(".run*"))
    with monkeypatch.context() as patch:
        patch.setattr(decoded_images, "read_images", lambda *_, **__: pytest.fail("the images were read again"))
        again = run(config, tmp_path / "run")
    assert read_table(again, "verdicts").equals(read_table(found, "verdicts"))
    pixels = np.load(place / "poisoned.npy")
    pixels[0] = 0
    np.save(tmp_path / "other.npy", pixels)
    other = replace(config, sources=(tmp_path / "other.npy",), least_images=500)
    run(other, tmp_path / "b")
    pixels[0] = 9
    np.save(tmp_path / "other.npy", pixels)  # the same name and size, changed: read again
    run(other, tmp_path / "c")
    digests = [load_record(tmp_path / name).inputs[0]["sha256"] for name in ("b", "c")]
    assert digests[0] != digests[1]


def test_without_an_encoder_one_is_trained_once_and_its_time_is_told_before(place: Path, tmp_path: Path) -> None:
    from veracast.poison.backbones import BackboneConfig
    from veracast.poison.ssl import SSLConfig

    small = SSLConfig(epochs=2, backbone=BackboneConfig(width=4), batch_size=64, hidden=16, projected=8)
    config = Config(sources=(place / "clean.npy",), edge_px=EDGE_PX, find=FIND, train=small, work=tmp_path / "work", least_images=200, threads=1)  # fmt: skip
    first, second = Steps(), Steps()
    one = run(config, tmp_path / "a", progress=first)
    told = next(k for k, name in enumerate(first.names) if "takes about" in name)
    assert first.names[told].startswith("no encoder given: byol on 240 images, 2 epochs, takes about ")
    assert first.names[told + 1] == "byol encoder"
    curve = read_table(one, "encoder_curve")
    assert curve["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert one.counts["encoder_trained"] and one.counts["encoder"] == "byol, trained on these images"
    two = run(config, tmp_path / "b", progress=second)
    assert not any("takes about" in name or name == "byol encoder" for name in second.names)  # it was kept
    assert read_table(two, "encoder_curve").equals(curve)
    assert read_table(two, "verdicts").equals(read_table(one, "verdicts"))


def test_frames_of_one_shot_are_named_as_such(place: Path, tmp_path: Path, planted: Planted) -> None:
    clean = np.flatnonzero(~planted.poisoned)
    twice = planted.images.copy()
    twice[clean[[5, 6]]] = twice[clean[4]]
    np.save(tmp_path / "twice.npy", twice)
    _, body = audit(tmp_path / "twice.npy", out=tmp_path / "run")
    shots = read_table(load_record(tmp_path / "run"), "verdicts")["shot"]
    assert shots.is_not_null().arg_true().to_list() == clean[4:7].tolist() and shots.drop_nulls().n_unique() == 1
    assert (body["counts"]["in_shots"], body["counts"]["shots"]) == (3, 1)


def test_retraining_shows_before_and_after(place: Path, tmp_path: Path, planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """The first training follows the patch; the second one, on the kept images, is given none that holds it."""
    from planted_encoders import backdoored, colours  # type: ignore[import-not-found]

    given: list[np.ndarray] = []

    def train(images: np.ndarray, config: Any, *, folder: Path, seed: int, **rest: Any) -> Any:
        if len(images) >= COUNT - 24 and not folder.is_dir():
            given.append(np.array(images))
            folder.mkdir(parents=True)
        curve = pl.DataFrame({"step": [1, 2], "epoch": [0.0, 1.0], "loss": [1.0, 0.5], "lr": [0.1, 0.1], "seconds": [1.0, 2.0]})  # fmt: skip
        encode = (lambda shown, **k: backdoored(shown)) if len(images) == COUNT else (lambda shown, **k: colours(shown))
        return SimpleNamespace(encode=encode, curve=curve, digest=f"{len(images)}", network=None)

    monkeypatch.setattr(train_once, "train_encoder", train)
    arguments = (place / "poisoned.npy", "--retrain")
    code, body = audit(*arguments, out=tmp_path / "run", sets=[f"work={tmp_path / 'work'}"], encoder=None)
    assert code == 3 and body["verdict"].endswith("trained without them, pasting patch 1 moves 0.0% of other images (100.0% before)")  # fmt: skip
    assert np.array_equal(given[1], planted.images[~planted.poisoned]) and len(given) == 2
    record = load_record(tmp_path / "run")
    (row,) = read_table(record, "retrained").iter_rows(named=True)
    (patch,) = read_table(record, "patches").iter_rows(named=True)
    assert (row["patch"], row["kept"], row["holds"]) == (1, COUNT - 24, False)
    assert row["before_moved"] == patch["moved"] == 1.0 and row["after_moved"] == 0.0 <= row["after_moved_high"] < 0.05
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Before and after" in page and "no backdoor any more" in page
    steps = Steps()
    config = Config(sources=(place / "poisoned.npy",), edge_px=EDGE_PX, find=FIND, work=tmp_path / "work", least_images=200, threads=1, retrain=True)  # fmt: skip
    again = run(config, tmp_path / "again", progress=steps)
    assert len(given) == 2 and not any("takes about" in name for name in steps.names)  # both were kept
    assert read_table(again, "retrained").equals(read_table(record, "retrained"))


def test_without_a_finding_nothing_is_trained_again(place: Path, tmp_path: Path) -> None:
    code, body = audit(place / "clean.npy", out=tmp_path / "run", encoder=None, sets=["train.epochs=1", "retrain=true", "train.backbone.width=4"])  # fmt: skip
    record = load_record(tmp_path / "run")
    assert code == 0 and "retrained" not in [artefact.kind for artefact in record.artefacts]
    assert "Before and after" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    code, body = audit(place / "clean.npy", "--retrain", out=tmp_path / "no")
    assert code == 2 and "leave one of the two out" in body["verdict"]


@pytest.mark.parametrize(("kind", "code", "planted_images"), [("poisoned", 3, 24), ("clean", 0, 0)])
def test_the_demo_is_an_audit_like_any_other_and_says_what_was_planted(
    kind: str, code: int, planted_images: int, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pictures()
    large = np.stack([np.asarray(Image.fromarray(one).resize((32, 32))) for one in made[0]])
    monkeypatch.setattr(audit_images, "demo_images", lambda seed, count: DemoImages(large, made[1]))
    monkeypatch.setattr(audit_images, "DEMO_ATTACK", ATTACK)
    module = importlib.import_module("planted_encoders")
    monkeypatch.setattr(module, "colours", lambda images: images.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(images), -1) / 128.0 - 1)  # fmt: skip
    ended, body = audit("--demo", kind, out=tmp_path / "run", edge_px=32, sets=[f"work={tmp_path / 'work'}"])
    assert ended == code
    assert (body["counts"]["planted"], body["counts"]["planted_found"]) == (planted_images, planted_images)
    words = f"Demo: {planted_images} of {planted_images} planted images found, 0 others flagged"
    assert body["verdict"].endswith(words)
    record = load_record(tmp_path / "run")
    assert record.inputs[0].get("planted_backdoor", False) is (kind == "poisoned")


def test_faults_of_the_config_are_told_together(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(edge_px=4, least_images=1)
    assert len(caught.value.faults) == 3
    with pytest.raises(ConfigError, match="one of the two"):
        Config(sources=(place,), demo="clean")
    with pytest.raises(InputError, match="no such file"):
        run(Config(sources=(tmp_path / "missing",), work=tmp_path / "work"), tmp_path / "run")
    code, body = audit(place / "clean.npy", out=tmp_path / "run", encoder=str(tmp_path / "weights.pth"))
    assert code == 2 and "is a pickle" in body["verdict"] and not (tmp_path / "run").exists()


CONFIGS = Path(__file__).parents[2] / "configs" / "poison"


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 pictures of 224 px as ImageNet lies on disk: folders of classes with .JPEG files; one of them is no square."""
    folder = tmp_path_factory.mktemp("imagenet") / "train"
    made = demo_images(0, count=6).images
    for k, small in enumerate(made):
        place = folder / f"n0{k % 3}"
        place.mkdir(parents=True, exist_ok=True)
        size = (300, 224) if k == 5 else (224, 224)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(place / f"n0{k % 3}_{k}.JPEG")
    return folder


@pytest.mark.parametrize(
    ("name", "method", "network", "dim", "masks"),
    [
        ("imagenet100", "moco-v2", ResNet, 512, (49, 16)),  # at strides of 77 px: 0, 77, 154 and what is left, 175
        # at strides of 4 tokens: 0, 4, 8 and 10
        pytest.param("imagenet100-vit", "byol", VisionTransformer, 384, (64, 16), marks=pytest.mark.slow),
    ],
)
def test_imagenet_at_224_px_through_the_real_classes(
    name: str, method: str, network: type, dim: int, masks: tuple[int, int], imagenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The configs as they are but for how much: two steps of three images, two images masked."""
    seen: dict[str, Any] = {}

    def watched(images: np.ndarray, encode: Any, find: FindConfig, **more: Any) -> Any:
        counts: list[int] = []
        counted = lambda shown: counts.append(len(shown)) or encode(shown)  # noqa: E731
        seen.update(found=find_patch_poisons(images, counted, find, **more), find=find, encoded=counts)
        return seen["found"]

    monkeypatch.setattr(audit_images, "find_patch_poisons", watched)
    monkeypatch.setattr(train_once, "_training_seconds", lambda *_: 1.0)  # it would train twice
    few = ["train.epochs=1", "train.batch_size=3", "train.queue=64", "find.sample=2", "find.mask.stride=11", "least_images=6", "threads=1"]  # fmt: skip
    config = load_config(Config, file=CONFIGS / f"{name}.toml", overrides=few, given={"sources": (imagenet,), "work": tmp_path / "work"})  # fmt: skip
    record = run(config, tmp_path / "run")
    assert record.status == "ok" and record.counts["encoder"] == f"{method}, trained on these images"
    assert read_table(record, "encoder_curve")["step"].to_list() == [1, 2]
    (place,) = (tmp_path / "work").glob("encoder-*")
    encoder = Encoder.load(place / "encoder")
    assert type(encoder.network) is network and encoder.network.dim == dim
    verdicts = read_table(record, "verdicts")
    assert verdicts["name"].to_list() == [f"n0{k}/n0{k}_{n}.JPEG" for k in range(3) for n in (k, k + 3)]  # fmt: skip
    edge, count = masks
    token = encoder.config.patch_px or 1
    mask = find_config_for(224, seen["find"]).config.mask
    assert (mask.edge_px, mask.token_px) == (edge, token)
    assert seen["encoded"][:2] == [2, 2 * count]  # whole, then under each mask; features of all are given
    maps = seen["found"].maps
    assert maps.shape == (2, 56, 56) and maps.std(axis=(1, 2)).min() > 0
    cells = maps.reshape(2, 14, 4, 14, 4)
    assert (np.ptp(cells, axis=(2, 4)).max() < 1e-6) == (token == 16)  # a token of 16 px is 4 of the working copy
    boxes = seen["found"].windows
    assert (boxes[:, 2:] == 84).all() and (boxes[:, :2] % 4 == 0).all() and (boxes[:, :2] + 84).max() <= 224
    for heat in (tmp_path / "run" / "evidence").glob("heat-*.png"):
        with Image.open(heat) as picture:
            assert picture.size == (224, 224)


def test_a_setting_of_the_training_leaves_the_others_as_the_audit_has_them(place: Path) -> None:
    config = load_config(Config, overrides=["train.epochs=5", "train.augmentation.blur=0.1"], given={"sources": (place,)})  # fmt: skip
    own = audit_images.SENSITIVE
    assert config.train == replace(own, epochs=5, augmentation=replace(own.augmentation, blur=0.1))


def test_the_configs_of_imagenet_are_whole(imagenet: Path) -> None:
    given = {"sources": (imagenet,)}
    known = {path.stem: load_config(Config, file=path, given=given) for path in CONFIGS.glob("*.toml")}
    assert {
        name: (c.train.method, c.train.backbone.name, c.train.epochs, c.train.batch_size) for name, c in known.items()
    } == {
        "imagenet100": ("moco-v2", "resnet18", 200, 256),
        "imagenet100-byol": ("byol", "resnet18", 200, 256),
        "imagenet100-vit": ("byol", "vit-small", 200, 256),
    }
    for config in known.values():
        assert (
            config.edge_px == 224
            and config.find == FindConfig()
            and config.train.augmentation == Augmentation(blur=0.5)
        )
        with torch.device("meta"):
            network = config.train.backbone.build()
        assert sum(p.numel() for p in network.parameters()) in (11_176_512, 21_665_664)  # as published, without a head
