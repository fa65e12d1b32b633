"""The page of an image audit: with findings, clean, with overlays only, not measured; hostile names; nothing from outside."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.report.conftest import conformed
from veracast.core.records import Finding, Record, RunWriter, load_record
from veracast.core.scores import Score
from veracast.poison.attacks import Attack, Planted, plant, trigger
from veracast.poison.demo_images import demo_images
from veracast.report import poison
from veracast.report.page import render, write_report
from veracast.report.poison import MOST_ROWS, audit

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>.png"
NAMES = {
    0: HOSTILE,
    1: "two\nlines\t and\r\n more.png",
    2: "مجلد/صورة ‮gnp.exe.png",
    3: "图片/" + "很长的名字" * 60 + ".png",
    4: "a&b \"c\" 'd'.png",
}
N, POISONED, OVERLAID = 240, 60, 20
SAID = {
    "findings": "60 of 240 images carry a backdoor patch; kept.txt lists the rest; 1 recurring overlay without an effect in the encoder",
    "overlays": "No backdoor patch found in 240 images; 1 recurring overlay without an effect in the encoder",
    "clean": "No backdoor patch found in 240 images",
    "not_measured": "Not measured: the encoder takes all images for one; train it longer, or name another one",
}


class Outline(HTMLParser):
    """Tags with attributes, visible text, faults of nesting."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.faults += [f"unclosed {tag}" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "link", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self._open):
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join("".join(self.words).split())


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def heat(box: Sequence[int]) -> np.ndarray:
    """An overlay (32, 32, 4) that is strongest in the middle of a box."""
    y, x = np.mgrid[:32, :32]
    strength = np.exp(-((x - box[0] - box[2] / 2) ** 2 + (y - box[1] - box[3] / 2) ** 2) / 40)
    colour = np.full((32, 32, 4), (213, 94, 0, 0))
    colour[:, :, 3] = 200 * strength
    return colour.astype(np.uint8)


def patch(number: int, kind: str, images: int, **changes: Any) -> dict[str, Any]:
    effect = {"moved": 0.83, "moved_low": 0.784, "moved_high": 0.868, "moved_by_windows": 0.04}
    none = {"moved": 0.06, "moved_low": 0.04, "moved_high": 0.09, "moved_by_windows": 0.05, "apart": 0.004}
    known = {"patch": number, "kind": kind, "images": images, "share": images / N, "threshold": 0.71, "decoys": 31, "ratio": 9.1, "clusters": [12], "effect_images": 300, "width_px": 8, "height_px": 8, "apart": 0.21, "apart_at_most": 0.012}  # fmt: skip
    return {**known, **(effect if kind == "backdoor" else none), **changes}


def rows(state: str, boxes: np.ndarray, attack: np.ndarray) -> list[dict[str, Any]]:
    """Verdicts: in `findings` the poisoned, then overlays; likeness falls with the row."""
    rng = np.random.default_rng(2)
    found = []
    for i in range(N):
        bad = state == "findings" and attack[i] >= 0
        laid = state in ("findings", "overlays") and attack[i] < 0 and i % (N // OVERLAID) == 0
        likeness = 0.95 - 0.2 * i / N if bad or laid else float(rng.normal(0.3, 0.08))
        hit = {"patch": 1 if bad else 2, "kind": "backdoor" if bad else "overlay"} if bad or laid else {}
        place = dict(zip(("left", "top", "width", "height"), map(int, boxes[i]), strict=True)) if bad else {}
        found.append({"row": i, "name": NAMES.get(i, f"class-{i % 10}/{i:05d}.png"), "source": "images", "poisoned": bad, "likeness": likeness if state != "clean" else None, "cluster": 12 if bad else i % 10, "recurring": 20 if bad and i % 3 == 0 else 0, "masked": True, "shot": None, **hit, **place})  # fmt: skip
    return found


def pictures(images: np.ndarray, planted: Planted, numbers: Iterable[int]) -> dict[str, bytes]:
    """What an audit leaves in evidence/: patches with a mask, eight images with the map of each."""
    mask = np.full((8, 8, 1), 255, dtype=np.uint8)
    mask[0, 0] = 0
    looks = {1: planted.triggers[0], 2: trigger(Attack(family="stripes"))}
    found = {f"patch-{k}.png": png(np.concatenate([looks[k], mask], axis=2)) for k in numbers}
    for i in np.flatnonzero(planted.attack >= 0)[:8]:
        found |= {f"image-{i}.png": png(images[i]), f"heat-{i}.png": png(heat(planted.boxes[i]))}
    return found


def write_tables(run: RunWriter, verdicts: Sequence[Mapping[str, Any]], patches: Sequence[Mapping[str, Any]]) -> None:
    run.table("verdicts", "verdicts", conformed("verdicts", verdicts))
    run.table("patches", "patches", conformed("patches", patches))
    around = np.random.default_rng(0).normal(0, 0.5, (len(verdicts), 2))
    spots = [{**v, "x": x + 3 * (v["cluster"] % 4), "y": y + 2 * (v["cluster"] // 4)} for v, (x, y) in zip(verdicts, around, strict=True)]  # fmt: skip
    run.table("cluster_map", "cluster_map", conformed("cluster_map", spots))
    curve = [{"step": s, "epoch": s / 40, "loss": -1 + np.exp(-s / 300), "lr": 0.06, "seconds": s / 5} for s in range(10, 900, 10)]  # fmt: skip
    run.table("encoder_curve", "encoder_curve", conformed("encoder_curve", curve))


def build(folder: Path, *, state: str = "findings", evidence: bool = True, rejects: int = 3, controls: bool = True, extra: Mapping[str, bytes] | None = None, **changes: Any) -> Record:  # fmt: skip
    """An audit of 240 generated images, 60 with a planted patch; changes: of the first row of the patches."""
    drawn = demo_images(0, count=N)
    labels = np.where(np.arange(N) < POISONED, 0, 1)  # the first are the target's: hostile names among them
    planted = plant(drawn.images, labels, [Attack(rate=POISONED / N, target=0)])
    kinds = {"findings": {1: "backdoor", 2: "overlay"}, "overlays": {2: "overlay"}}.get(state, {})
    held, changed = (
        {"backdoor": POISONED, "overlay": OVERLAID},
        {"backdoor": changes, "overlay": changes if state == "overlays" else {}},
    )
    patches = [patch(k, kind, held[kind], **changed[kind]) for k, kind in kinds.items()]
    measured = state != "not_measured"
    with RunWriter("audit-images", folder, config={"source": "images", "encoder": {"epochs": 40}}, seed=7) as run:
        run.input_digest("images", "cd" * 32)
        if measured:
            write_tables(run, rows(state, planted.boxes, planted.attack), patches)
        bad = [{"file": "images", "record": HOSTILE if k == 0 else f"bad/{k}.png", "reason": "cannot be decoded" if k % 2 else "too many pixels", "detail": "60000 x 60000 <b>px</b>"} for k in range(rejects)]  # fmt: skip
        run.table("rejects", "rejects", conformed("rejects", bad))
        (run.folder / "evidence").mkdir()
        images = planted.images if state == "findings" else drawn.images
        shown = pictures(images, planted, kinds) if evidence and measured else {}
        for name, body in {**shown, **(extra or {})}.items():
            (run.folder / "evidence" / name).write_bytes(body)
            run.file(name.removesuffix(".png"), "picture", run.folder / "evidence" / name, "image/png")
        finding = Finding("patch-1", "high", "Backdoor patch", "moves 83 %", {"rows": [HOSTILE, "a.png"]}, "AML.T0020")
        counts = {"images": N if measured else None, "rejects": rejects, "ratio": 1.2 if measured else None, "encoder": "byol, trained on these images", "encoder_trained": True, "in_shots": 12, "shots": 3}  # fmt: skip
        status = {"overlays": "ok", "clean": "ok"}.get(state, state)
        rate = Score("false_alarm_rate", 0.0, 0.0, 0.0876, 40, 0, "share of clean sets", "lower")
        run.finish(
            status=status,
            verdict=SAID[state],
            counts=counts,
            scores=[rate] if controls and measured else (),
            findings=[finding] if state == "findings" else (),
        )
    return load_record(folder)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return build(tmp_path_factory.mktemp("runs") / "found")


@pytest.fixture(scope="module")
def page(record: Record) -> str:
    return write_report(Path(record.run)).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def test_verdict_comes_first_with_its_false_alarm_rate(page: str, outline: Outline) -> None:
    order = ["<h1>", "of 40 clean sets [0, 9]", 'id="patches"', 'id="images"', 'id="where"', 'id="evidence"', 'id="quality"', 'id="provenance"']  # fmt: skip
    places = [page.index(mark) for mark in order]
    assert places == sorted(places)
    assert "60 of 240 images carry a backdoor patch" in outline.said
    assert "False alarms0 %of 40 clean sets [0, 9]" in outline.said
    assert "Frames of one shot12in 3 shots, each of which counts once" in outline.said
    assert outline.faults == []
    ids = [str(attrs["id"]) for _, attrs in outline.tags if "id" in attrs]
    links = [str(attrs["href"]) for tag, attrs in outline.tags if tag == "a"]
    assert len(ids) == len(set(ids)) and {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_patches_say_what_they_do_in_words(outline: Outline) -> None:
    assert "60 images of 240 (25 %) hold this patch of 8 × 8 px." in outline.said
    assert "Pasting it moves 83 % [78, 87] of other images in among its own, which have 1 cluster (12); pieces of other images move at most 4.0 %." in outline.said  # fmt: skip
    assert "Its images, patch hidden21 %of the variance apart from others; draws at most 1.2 %" in outline.said
    assert "Recurring overlay, no backdoor effect" in outline.said and "without being a backdoor of this encoder" in outline.said  # fmt: skip


def test_an_overlay_on_images_of_one_kind_is_not_cleared_altogether(tmp_path: Path) -> None:
    outline = Outline(render(build(tmp_path / "r", state="overlays", apart=0.2)))
    assert "It recurs, only on images of one kind, and this encoder does not follow it" in outline.said
    assert "without being a backdoor of this encoder" not in outline.said


def test_the_patch_is_shown_enlarged_and_as_it_is(outline: Outline) -> None:
    sizes = [(attrs["width"], attrs["height"]) for tag, attrs in outline.tags if tag == "img" and str(attrs["alt"]).startswith("Patch 1")]  # fmt: skip
    assert sizes == [("176", "176"), ("8", "8")]


def test_pictures_on_the_page_are_the_files_of_the_record(record: Record, page: str) -> None:
    for name in ("patch-1", "image-0", "heat-0"):
        body = (Path(record.run) / "evidence" / f"{name}.png").read_bytes()
        assert base64.b64encode(body).decode() in page


def test_the_first_fifty_images_most_like_the_patch_first(record: Record, outline: Outline) -> None:
    found = audit(record)
    assert (len(found.flagged), found.total) == (MOST_ROWS, POISONED)
    assert [item.row for item in found.flagged] == list(range(MOST_ROWS))  # likeness falls with the row
    assert "The 50 most like the patch, of 60; all of them are in removed.txt" in outline.said
    assert [item.picture is not None for item in found.flagged] == [True] * 8 + [False] * 42
    assert "removed.txt" in [attrs.get("href") for tag, attrs in outline.tags if tag == "a"]


def test_the_box_stands_where_the_verdict_says(record: Record) -> None:
    first = audit(record).located[0]
    left, top, width, height = pl.read_parquet(Path(record.run) / "verdicts.parquet").select("left", "top", "width", "height").row(0)  # fmt: skip
    assert first.box is not None and first.row == 0
    assert first.box.left == pytest.approx(100 * left / 32) and first.box.top == pytest.approx(100 * top / 32)
    assert first.box.width == pytest.approx(100 * width / 32) and first.box.height == pytest.approx(100 * height / 32)


def test_histogram_counts_every_image_once_and_draws_the_thresholds(record: Record) -> None:
    chart = audit(record).likeness
    assert chart is not None and "n = 240 images" in chart.caption
    values = chart.spec["data"]["values"]
    totals = {kind: sum(v["count"] for v in values if v["kind"] == kind) for kind in ("others", "poisoned", "overlay")}  # fmt: skip
    assert totals["poisoned"] == POISONED and sum(totals.values()) == N
    assert sum(int(row[2]) for row in chart.table.rows) == N
    assert {line["likeness"] for line in chart.spec["layer"][1]["data"]["values"]} == {0.71}


def test_map_marks_the_poisoned_by_shape_and_colour(record: Record) -> None:
    chart = audit(record).clusters
    assert chart is not None
    encoding = chart.spec["layer"][0]["encoding"]
    for channel in ("color", "shape"):
        assert encoding[channel]["scale"]["domain"][:2] == ["others", "poisoned"]
        assert len(set(encoding[channel]["scale"]["range"])) == len(encoding[channel]["scale"]["domain"])
    assert sum(v["kind"] == "poisoned" for v in chart.spec["data"]["values"]) == POISONED
    assert list(chart.table.rows[0]) == ["12", "60", "60", "100\N{NO-BREAK SPACE}%"]


def test_a_large_map_is_thinned_and_says_so(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poison, "MOST_DOTS", 50)
    chart = audit(record).clusters
    assert chart is not None and len(chart.spec["data"]["values"]) == 100
    assert re.search(r"\d+ of 240 images are drawn", chart.caption)


def test_every_chart_has_title_axes_n_and_a_table(page: str) -> None:
    figures = re.findall(r"<figure id=.*?</figure>", page, flags=re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        assert re.search(r"<figcaption><strong>[^<]{10,}</strong><span>[^<]*n = [\d,]+", figure)
        assert "<summary>The numbers</summary>" in figure and "<tbody><tr>" in figure and "<svg" in figure


def test_names_are_data(page: str, outline: Outline) -> None:
    assert "<script>alert" not in page and "onerror" not in "".join(str(attrs) for _, attrs in outline.tags)
    assert HOSTILE in outline.said  # shown, as text
    assert "two lines and more.png" in outline.said
    assert re.search(r'<bdi dir="auto">مجلد', page)
    assert "[U+202E]gnp.exe.png" in outline.said and "\u202e" not in page  # would read exe.png
    assert re.search(r"<details class=\"cut\"><summary><bdi dir=\"auto\">图片/[^<]{10,40}…</bdi>", page)
    assert "60000 x 60000 <b>px</b>" in outline.said and "<b>px" not in page


def test_nothing_is_loaded_from_anywhere(page: str, outline: Outline) -> None:
    for tag, attrs in outline.tags:
        for key in ("src", "srcset", "poster", "data", "action", "background"):
            assert attrs.get(key) is None or str(attrs[key]).startswith("data:image/png;base64,")
        assert tag not in ("link", "iframe", "object", "base")
        if tag == "a":
            assert re.fullmatch(r"#[\w-]+|removed\.txt|kept\.txt|findings\.sarif", str(attrs["href"]))
    assert "url(" not in "".join(str(attrs.get("style")) for _, attrs in outline.tags)
    assert "img-src data:" in page


def test_same_record_same_bytes(record: Record, page: str) -> None:
    again = write_report(Path(record.run)).read_text(encoding="utf-8")
    assert again == page == render(load_record(Path(record.run)))
    assert (Path(record.run) / "findings.sarif").is_file() and not (Path(record.run) / "ratings.csv").exists()
    assert len(page.encode()) < 2_500_000


@pytest.mark.parametrize(
    ("state", "words", "unsaid"),
    [
        ("clean", ["No patch found", "Nothing to remove", "kept.txt lists every image", "of 40 clean sets [0, 9]", "1 is what chance gives"], ["Not measured", "findings.sarif."]),
        ("overlays", ["Recurring overlay, no backdoor effect", "Nothing to remove", "Look at what recurs above", "Pasting it moves 6.0 % [4, 9]"], ["Backdoor ", "Not measured", "findings.sarif."]),
        ("not_measured", ["This is no clean result", "none is cleared", "never reads as clean", "takes all images for one", "rate not measured", "No maps", "No charts"], ["No patch found", "Nothing to remove"]),
    ],
)  # fmt: skip
def test_other_states_are_designed(state: str, words: list[str], unsaid: list[str], tmp_path: Path) -> None:
    page = write_report(Path(build(tmp_path / "r", state=state).run)).read_text(encoding="utf-8")
    outline = Outline(page)
    assert outline.faults == []
    body = outline.said
    assert [w for w in words if w not in body] == [] and [w for w in unsaid if w in body] == []
    if state == "not_measured":
        numbers = {f.name: f.value for f in audit(load_record(tmp_path / "r")).facts}
        assert numbers["Poisoned"] == numbers["Patches that recur"] == numbers["Images"] == "–"  # never a 0


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    record = build(
        tmp_path / "r", evidence=False, rejects=0, controls=False, moved=None, moved_low=None, moved_high=None
    )
    said = Outline(render(record)).said
    for words in ("No picture", "No maps", "None: every image file of the source was read.", "What pasting it does could not be measured.", "rate not measured"):  # fmt: skip
        assert words in said


def test_only_pictures_of_bounded_size_come_in(tmp_path: Path) -> None:
    """A page under a picture's name, a picture too large, a name of another kind: none of them is embedded."""
    rng = np.random.default_rng(0)
    large = png(rng.integers(0, 256, (500, 500, 3), dtype=np.uint8))
    extra = {"image-1.png": b"<html><script>alert(1)</script>", "heat-1.png": b"\x89PNG\r\n\x1a\n", "patch-1.png": large, "other-3.png": png(np.zeros((4, 4, 3), dtype=np.uint8))}  # fmt: skip
    found = audit(build(tmp_path / "r", evidence=False, extra=extra))
    assert len(large) > poison.MOST_BYTES
    assert found.located == [] and all(p.picture is None for p in found.patches)


def test_rejects_are_counted_by_reason(tmp_path: Path) -> None:
    record = build(tmp_path / "r", rejects=25)
    found = audit(record)
    assert list(found.rejects) == [("too many pixels", "13"), ("cannot be decoded", "12")]
    assert (len(found.rejected), found.n_rejected) == (20, 25)
    assert "25 files could not be used and were passed over: they are neither flagged nor cleared." in html.unescape(Outline(render(record)).said)  # fmt: skip
