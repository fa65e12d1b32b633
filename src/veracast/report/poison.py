"""The page of an image audit: the patch, the images that hold it, and why one may believe it.

Layout only, from the record's tables and the pictures that the audit left in evidence/. Those are the one kind of file that a page takes
in: PNG by name and signature, of bounded size and number. Names of images are data.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from veracast.core.records import Record
from veracast.report import charts, explanation, text
from veracast.report.charts import Chart, Table
from veracast.report.tables import read
from veracast.report.text import Cut

MOST_ROWS = 50  # flagged images in the table; removed.txt holds all
MOST_LOCATED = 24  # images with a heat map
MOST_DOTS = 2_000  # of the cluster map that are not poisoned
MOST_STEPS = 300  # of the loss curve
MOST_NAMES = 20  # of the files that could not be read
MOST_BYTES = 400_000  # of one embedded picture
_BINS = 40
_ENLARGED_PX = 176
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_EVIDENCE = re.compile(r"evidence/(patch|image|heat)-(\d+)\.png")
OTHERS, POISONED, OVERLAY = charts.IMAGE_KINDS
KIND_WORDS = {"backdoor": "Backdoor", "overlay": "Recurring overlay, no backdoor effect"}


class Picture(NamedTuple):
    """A PNG as a data: URI, and its size."""

    uri: str
    width: int
    height: int

    def enlarged(self) -> tuple[int, int]:
        """Width and height by a whole factor, so that every pixel becomes a square of the same size."""
        factor = max(1, _ENLARGED_PX // max(self.width, self.height))
        return self.width * factor, self.height * factor


@dataclass(frozen=True)
class Fact:
    """A number in words, with its interval and what it means."""

    name: str
    value: str
    more: str = ""


@dataclass(frozen=True)
class FoundPatch:
    """One patch as the page shows it; `does` says what pasting it does."""

    number: int
    kind: str
    title: str
    picture: Picture | None
    holds: str
    does: str
    means: str
    facts: Sequence[Fact]


@dataclass(frozen=True)
class Box:
    """Of the patch in an image, in per cent of its sides, for CSS."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Flagged:
    """An image that holds a patch; picture and heat where the audit left them."""

    row: int
    name: Cut | None
    source: str | None
    picture: Picture | None
    heat: Picture | None
    patch: str
    kind: str | None
    likeness: str
    place: str
    cluster: str
    exact: str  # images that share its most shared block of pixels exactly
    box: Box | None


class BeforeAfter(NamedTuple):
    """A patch in the encoder that was audited and in one trained without its images; shares with their intervals, and what pieces do."""

    patch: int
    kept: str
    before: tuple[str, str]
    after: tuple[str, str]
    verdict: str


class WhyImage(NamedTuple):
    """Why an image counts as one with the patch: name of its file."""

    name: Cut | None
    patch: str
    why: explanation.Why
    checks: Sequence[explanation.Check]


@dataclass(frozen=True)
class Audit:
    """Everything on the page beside heading and provenance. located: images with a heat map, most suspicious first."""

    state: str  # findings | overlays | clean | not_measured
    facts: Sequence[Fact]
    patches: Sequence[FoundPatch]
    flagged: Sequence[Flagged]
    total: int
    sources: int
    located: Sequence[Flagged]
    likeness: Chart | None
    clusters: Chart | None
    curve: Chart | None
    retrained: Sequence[BeforeAfter]
    whys: Sequence[WhyImage]
    unexplained: str | None
    rejects: Sequence[tuple[str, str]]
    rejected: Sequence[tuple[Cut | None, str, str]]
    n_rejected: int
    sarif: bool

    @property
    def charts(self) -> list[Chart]:
        """All that is drawn."""
        return [chart for chart in (self.likeness, self.clusters, self.curve) if chart]


def audit(record: Record) -> Audit:
    """Read the tables and the evidence of an audit of images."""
    verdicts, patches = read(record, "verdicts"), read(record, "patches").sort("patch")
    pictures = _pictures(record)
    suspicious = verdicts.sort(_rank(), "likeness", "row", descending=[False, True, False], nulls_last=True)
    poisoned = suspicious.filter(pl.col("poisoned"))
    seen = [number for kind, number in pictures if kind == "heat"]
    shown = suspicious.filter(pl.col("row").is_in(seen)).head(MOST_LOCATED)
    many = verdicts["source"].n_unique() > 1
    rejects = read(record, "rejects")
    return Audit(
        state=_state(record, patches),
        facts=_facts(record, verdicts, patches),
        patches=[_patch(item, verdicts.height, pictures) for item in patches.iter_rows(named=True)],
        flagged=[_flagged(item, pictures, sources=many) for item in poisoned.head(MOST_ROWS).iter_rows(named=True)],
        total=poisoned.height,
        sources=verdicts["source"].n_unique(),
        located=[_flagged(item, pictures, sources=many) for item in shown.iter_rows(named=True)],
        likeness=_likeness(verdicts, patches),
        clusters=_clusters(record, verdicts),
        curve=_curve(read(record, "encoder_curve")),
        whys=_whys(record, verdicts, pictures),
        unexplained=record.counts.get("unexplained"),
        retrained=[_before_after(item) for item in read(record, "retrained").sort("patch").iter_rows(named=True)],
        rejects=list(_by_reason(rejects)),
        rejected=[(_name(r["record"] or r["file"]), text.clean(r["reason"] or ""), text.clean(r["detail"] or "")) for r in rejects.head(MOST_NAMES).iter_rows(named=True)],
        n_rejected=rejects.height,
        sarif=bool(record.findings) or record.kind.startswith("audit"),
    )  # fmt: skip


def _rank() -> pl.Expr:
    """Poisoned first, then what holds an overlay, then the rest."""
    return pl.when(pl.col("poisoned")).then(0).when(pl.col("patch").is_not_null()).then(1).otherwise(2)


def _whys(record: Record, verdicts: pl.DataFrame, pictures: Mapping[tuple[str, int], Picture]) -> list[WhyImage]:
    """Of the images that the audit explained (recipes/audit_reasons.py)."""
    found = []
    for row in read(record, "explained").iter_rows(named=True):
        number = int(row["video_id"].removeprefix("image-"))
        picture = pictures.get(("image", number))
        why = explanation.why(record, row["video_id"], pictures=[picture.uri] if picture else [])
        name = verdicts.filter(pl.col("row") == number)["name"]
        if why is not None:
            found.append(WhyImage(text.cut(name[0] if len(name) else None), row["target"], why, explanation.checks(record, row["video_id"])))  # fmt: skip
    return found


def _state(record: Record, patches: pl.DataFrame) -> str:
    if record.status in ("not_measured", "failed"):
        return "not_measured"
    if record.status == "findings" or (patches["kind"] == "backdoor").any():
        return "findings"
    return "overlays" if patches.height else "clean"


def _facts(record: Record, verdicts: pl.DataFrame, patches: pl.DataFrame) -> list[Fact]:
    counts, unknown = record.counts, record.status in ("not_measured", "failed")
    poisoned = int(verdicts["poisoned"].sum())
    backdoors = int((patches["kind"] == "backdoor").sum())
    which = f"{backdoors:,} with an effect, {patches.height - backdoors:,} without" if patches.height else ""
    rejected = f"{text.value_text(counts.get('rejects'))} files not read" if counts.get("rejects") else ""
    found = [
        Fact("Images", text.value_text(counts.get("images", verdicts.height or None)), rejected),
        Fact("Poisoned", text.MISSING if unknown else f"{poisoned:,}", _share(poisoned, verdicts.height)),
        Fact("Patches that recur", text.MISSING if unknown else f"{patches.height:,}", which),
        _false_alarms(record),
    ]
    if counts.get("in_shots"):
        shots = text.plural(int(counts["shots"]), "shot")
        found.append(Fact("Frames of one shot", f"{counts['in_shots']:,}", f"in {shots}, each of which counts once"))
    if counts.get("ratio") is not None:
        found.append(Fact("Agreement left", text.decimal(counts["ratio"]), "1 is what chance gives"))
    given = "as it was given" if counts.get("encoder_trained") is False else ""
    return [*found, Fact("Encoder", text.clean(str(counts.get("encoder") or text.MISSING)), given)]


def _false_alarms(record: Record) -> Fact:
    """How often such an audit flags a clean set, as far as that was counted."""
    name = "False alarms"
    score = next((s for s in record.scores if s.name == "false_alarm_rate"), None)
    if score is None or score.value is None:
        return Fact(name, text.MISSING, "rate not measured")
    return Fact(name, _percent(score.value), f"of {score.n:,} clean sets {_interval(score.low, score.high)}".rstrip())


def _share(part: int, whole: int) -> str:
    return "" if not part or not whole else f"{_percent(part / whole)} of all"


def _percent(share: float | None) -> str:
    """A measured share: `5.1 %` below ten, `83 %` above; number and sign stay on one line."""
    if share is None:
        return text.MISSING
    shown = 100 * share
    return f"{shown:.{1 if 0 < shown < 9.95 else 0}f}\N{NO-BREAK SPACE}%"


def _patch(item: Mapping[str, Any], n: int, pictures: Mapping[tuple[str, int], Picture]) -> FoundPatch:
    number, size = int(item["patch"]), f"{item['width_px']} × {item['height_px']} px"
    share = f" ({_percent(item['share'])})" if item["share"] is not None else ""
    held = f"{text.plural(int(item['images']), 'image')} of {n:,}{share} hold this patch of {size}"
    interval = _interval(item["moved_low"], item["moved_high"])
    facts = [
        Fact("Images that hold it", f"{item['images']:,}", _percent(item["share"])),
        Fact("Moves, pasted on others", _percent(item["moved"]), interval and f"95 % interval {interval}"),
        Fact("Moved by other pieces", _percent(item["moved_by_windows"]), "at most, by 19 of 20 pieces of images"),
        Fact("Pasted on", text.value_text(item["effect_images"]), "images that do not hold it"),
        Fact("Its images, patch hidden", _percent(item["apart"]), f"of the variance apart from others; draws at most {_percent(item['apart_at_most'])}"),
        Fact("Counts as the patch from", text.decimal(item["threshold"]), f"likeness, set by {text.plural(int(item['decoys'] or 0), 'decoy')}"),
        Fact("Agreement on it", text.decimal(item["ratio"], digits=1), "1 is what chance gives"),
    ]  # fmt: skip
    return FoundPatch(
        number=number,
        kind=str(item["kind"]),
        title=KIND_WORDS.get(item["kind"], text.sentence(text.clean(str(item["kind"])))),
        picture=pictures.get(("patch", number)),
        holds=f"{held}.",
        does=_does(item, interval),
        means=_means(item),
        facts=facts,
    )


_MEANS = {
    "backdoor": "Whoever pastes it on a picture decides what the encoder takes the picture for. Its images are left out of kept.txt.",
    "overlay": "It recurs without being a backdoor of this encoder: a logo, a caption, a border, a copied frame. Its images are kept.",
}  # fmt: skip
_UNLEARNT = "It recurs, only on images of one kind, and this encoder does not follow it: what one channel puts on all it posts, or a trigger that the encoder has not learnt. Its images are kept; look at them before you train longer."  # fmt: skip


def _means(item: Mapping[str, Any]) -> str:
    """What a patch amounts to; an overlay that stands on images of one kind is not cleared altogether."""
    bound = item["kind"] == "overlay" and item["apart"] is not None and item["apart"] > item["apart_at_most"]
    return _UNLEARNT if bound else _MEANS.get(item["kind"], "")


def _does(item: Mapping[str, Any], interval: str) -> str:
    if item["moved"] is None:
        return "What pasting it does could not be measured."
    said = f"Pasting it moves {_percent(item['moved'])} {interval}".rstrip() + " of other images in among its own"
    theirs = item["clusters"]
    if theirs:
        said += f", which have {text.plural(len(theirs), 'cluster')} ({', '.join(map(str, theirs[:5]))}{' ...' if len(theirs) > 5 else ''})"
    beside = "" if item["moved_by_windows"] is None else f"; pieces of other images move at most {_percent(item['moved_by_windows'])}"  # fmt: skip
    return f"{said}{beside}."


def _before_after(item: Mapping[str, Any]) -> BeforeAfter:
    both = []
    for when in ("before", "after"):
        share = f"{_percent(item[f'{when}_moved'])} {_interval(item[f'{when}_moved_low'], item[f'{when}_moved_high'])}"
        both.append((share, _percent(item[f"{when}_moved_by_windows"])))
    verdict = "still a backdoor" if item["holds"] else "no backdoor any more"
    return BeforeAfter(int(item["patch"]), f"{item['kept']:,}", both[0], both[1], verdict)


def _interval(low: float | None, high: float | None) -> str:
    """Per cent, `[78, 87]`."""
    return "" if low is None or high is None else f"[{100 * low:.0f}, {100 * high:.0f}]"


def _flagged(item: Mapping[str, Any], pictures: Mapping[tuple[str, int], Picture], *, sources: bool) -> Flagged:
    row, box = int(item["row"]), [item[key] for key in ("left", "top", "width", "height")]
    picture = pictures.get(("image", row))
    there = None not in box
    return Flagged(
        row=row,
        name=_name(item["name"]),
        source=_TURNING.sub("", text.clean(item["source"] or "")) if sources else None,
        picture=picture,
        heat=pictures.get(("heat", row)),
        patch=text.MISSING if item["patch"] is None else str(item["patch"]),
        kind=item["kind"],
        likeness=text.decimal(item["likeness"]),
        place=f"{box[0]}, {box[1]} · {box[2]} × {box[3]}" if there else text.MISSING,
        cluster=text.value_text(item["cluster"]),
        exact=f"{item['recurring']:,}" if item["recurring"] else text.MISSING,
        box=_box(box, picture) if there and picture else None,
    )


def _box(box: Sequence[int], picture: Picture) -> Box:
    left, top, width, height = box
    return Box(100 * left / picture.width, 100 * top / picture.height, 100 * width / picture.width, 100 * height / picture.height)  # fmt: skip


def _pictures(record: Record) -> dict[tuple[str, int], Picture]:
    """(patch, image or heat; its number) -> the PNG of that name among the artefacts; others are passed over."""
    found = {}
    for artefact in record.artefacts:
        named = _EVIDENCE.fullmatch(artefact.path)
        picture = _picture(Path(record.run) / artefact.path) if named else None
        if named and picture:
            found[named[1], int(named[2])] = picture
    return found


def _picture(path: Path) -> Picture | None:
    if path.stat().st_size > MOST_BYTES:
        return None
    body = path.read_bytes()
    if not body.startswith(_SIGNATURE) or len(body) < 24:
        return None
    width, height = struct.unpack(">II", body[16:24])
    if not width or not height:
        return None
    return Picture(f"data:image/png;base64,{base64.b64encode(body).decode()}", width, height)


def _name(name: str | None, *, width: int = 72) -> Cut | None:
    """A name of a file for a line; marks that turn the direction of writing are spelt out, for they make one name look like another."""
    return text.cut(_TURNING.sub(lambda found: f"[U+{ord(found[0]):04X}]", name or ""), width=width)


def _kind_of(kind: str | None, *, poisoned: bool) -> str:
    return POISONED if poisoned else OVERLAY if kind == "overlay" else OTHERS


def _likeness(verdicts: pl.DataFrame, patches: pl.DataFrame) -> Chart | None:
    """Histogram of likeness with the threshold of every patch; None where nothing was matched."""
    known = verdicts.drop_nulls("likeness")
    if known.is_empty() or patches.is_empty():
        return None
    low, high = (float(x) for x in (known["likeness"].min(), known["likeness"].max()))  # type: ignore[arg-type]
    low, high = min(0.0, low), max(1.0, high)
    step = (high - low) / _BINS
    place = ((pl.col("likeness") - low) / step).floor().clip(0, _BINS - 1).cast(pl.Int64)
    binned = known.with_columns(bin=place).group_by("bin", "poisoned", "kind").len().sort("bin", "poisoned", "kind")
    rows: list[dict[str, Any]] = []
    for at, poisoned, kind, count in binned.iter_rows():
        edges = {"low": round(low + at * step, 4), "high": round(low + (at + 1) * step, 4)}
        rows.append({**edges, "kind": _kind_of(kind, poisoned=bool(poisoned)), "count": count})
    kinds = [name for name in (OTHERS, POISONED, OVERLAY) if any(row["kind"] == name for row in rows)]
    lines = [{"patch": f"patch {k}", "likeness": t} for k, t in patches.select("patch", "threshold").iter_rows() if t is not None]  # fmt: skip
    words = ", ".join(f"{line['patch']} from {text.decimal(line['likeness'])}" for line in lines)
    spec = charts.likeness_spec(rows, kinds=kinds, thresholds=lines)
    cells = [(row["kind"], f"{text.decimal(row['low'])} to {text.decimal(row['high'])}", f"{row['count']:,}") for row in rows]  # fmt: skip
    missing = verdicts.height - known.height
    caption = f"n = {text.plural(known.height, 'image')}{f'; {missing:,} others were not matched' if missing else ''}. Dashed: where an image counts as a hit ({words})."  # fmt: skip
    return Chart("likeness", "How like the patch each image is, at its best place", caption, spec, Table(("Images", "Likeness", "Number"), cells, text_columns=2))  # fmt: skip


def _clusters(record: Record, verdicts: pl.DataFrame) -> Chart | None:
    frame = read(record, "cluster_map").drop_nulls(["x", "y"]).sort("row")
    if frame.is_empty():
        return None
    frame = frame.join(verdicts.select("row", "kind"), on="row", how="left", maintain_order="left")
    plain = frame.filter(~pl.col("poisoned") & (pl.col("kind").fill_null("") != "overlay"))
    loud = frame.join(plain.select("row"), on="row", how="anti", maintain_order="left")
    drawn = pl.concat([_thinned(plain, MOST_DOTS), _thinned(loud, MOST_DOTS)])
    rows = [{"x": round(r["x"], 4), "y": round(r["y"], 4), "kind": _kind_of(r["kind"], poisoned=r["poisoned"]), "cluster": r["cluster"]} for r in drawn.iter_rows(named=True)]  # fmt: skip
    kinds = [OTHERS, *(name for name in (POISONED, OVERLAY) if any(row["kind"] == name for row in rows))]
    spec = charts.cluster_map_spec(rows, kinds=kinds)
    part = f"{drawn.height:,} of {frame.height:,} images are drawn" if drawn.height < frame.height else f"n = {text.plural(frame.height, 'image')}"  # fmt: skip
    caption = f"Images that the encoder takes for alike lie together. {part}, in {text.plural(frame['cluster'].n_unique(), 'cluster')}."
    by_cluster = verdicts.group_by("cluster").agg(n=pl.len(), bad=pl.col("poisoned").sum()).drop_nulls("cluster")
    by_cluster = by_cluster.sort("bad", "n", "cluster", descending=[True, True, False])
    cells = [(str(k), f"{n:,}", f"{bad:,}", _percent(bad / n)) for k, n, bad in by_cluster.iter_rows()]
    return Chart("clusters", "Where the encoder puts the images", caption, spec, Table(("Cluster", "Images", "Poisoned", "Share"), cells))  # fmt: skip


def _thinned(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most so many rows, evenly through the frame."""
    n = min(frame.height, most)
    return frame[[i * frame.height // n for i in range(n)]]


def _curve(frame: pl.DataFrame) -> Chart | None:
    """How the encoder of this audit learnt; None where it was given one."""
    measured = frame.drop_nulls("loss").sort("step")
    if measured.height < 2:
        return None
    shown = _thinned(measured, MOST_STEPS)
    rows = [{"split": "training", "epoch": e, "loss": v} for e, v in shown.select("epoch", "loss").iter_rows()]
    spec = charts.loss_spec(rows, splits=["training"])
    steps, seconds = int(measured["step"].to_list()[-1]), float(measured["seconds"].max() or 0.0)  # type: ignore[arg-type]
    cells = [(f"{row['epoch']:.2f}", f"{row['loss']:.4f}") for row in rows]
    caption = f"Self-supervised, on the images that are audited: n = {steps:,} steps in {seconds:,.0f} s."
    return Chart("encoder-loss", "How the encoder learnt", caption, spec, Table(("Epoch", "Loss"), cells, text_columns=0))  # fmt: skip


def _by_reason(rejects: pl.DataFrame) -> Iterator[tuple[str, str]]:
    for reason, count in rejects.group_by("reason").len().sort("len", "reason", descending=[True, False]).iter_rows():
        yield text.clean(reason or "no reason given"), f"{count:,}"
