"""An explained rating as the page shows it: sentences that held, what each modality and each part does, what if, rules, steps, checks.

Layout only: every number stands in the run's tables. Parts that failed a check are counted and not drawn.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from veracast.core.records import Record
from veracast.report import charts, text
from veracast.report.charts import Chart, Table
from veracast.report.tables import read

MOST_PARTS = 12
"""Parts of a modality that have a bar; the table behind them has all."""
LEAST = 0.01
"""Share of the largest effect below which a part has no bar."""
MODALITIES = {
    "numbers": "Numbers",
    "title": "Title",
    "description": "Description",
    "graph": "Links",
    "frames": "Frames",
    "prompt": "Words that it is told",
}
_TEXTS = ("title", "description", "prompt")
_BRANCHES = {"visual": "Visual", "textual": "Textual", "graph": "Graph", "symbol": "Symbol", "multimodal": "Multimodal"}
_KINDS = {
    "is by": "author",
    "is about": "topic",
    "is in category": "category",
    "plays": "music",
    "carries": "hashtag",
    "copies": "copied video",
}
_RULES = {"propositional": "As rules", "exceptions": "As a default with exceptions", "soft": "As weighed rules"}
_MOST_PAIRS = 12


class Bar(NamedTuple):
    """name: of a part; said: its value and what is typical; effect: in words; share: of the largest, for the bar's length."""

    name: str
    said: str
    effect: str
    raises: bool
    share: float


class Word(NamedTuple):
    """A word of a text in its place; tint: 0 to 1, of the largest effect."""

    word: str
    effect: str
    raises: bool
    tint: float


class Cell(NamedTuple):
    """A cell of a frame, as Word."""

    name: str
    effect: str
    raises: bool
    tint: float


@dataclass(frozen=True)
class Picture:
    """A frame as data, with its cells row by row."""

    source: str
    columns: int
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Part:
    """A modality taken apart. untold: parts that failed a check; why: a sentence in place of parts."""

    title: str
    effect: str
    bars: Sequence[Bar]
    words: Sequence[Word]
    pictures: Sequence[Picture]
    table: Table
    untold: int
    why: str | None


class Said(NamedTuple):
    """A sentence; checked: how it fared elsewhere."""

    sentence: str
    checked: str
    raises: bool


class Check(NamedTuple):
    """A check in words; state: holds | fails | not made."""

    name: str
    words: str
    state: str


class Leaf(NamedTuple):
    """A kind of explanation, and where it is or why it is not."""

    branch: str
    name: str
    shown: bool
    why: str


class Ruled(NamedTuple):
    """Rules of one kind. r2: on choices that they had not seen; lines: depth and sentence."""

    title: str
    r2: str
    lines: Sequence[tuple[int, str]]


class Talk(NamedTuple):
    """What a language model said; lines: sentence, and whether it holds in words."""

    title: str
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Why:
    """What a rating's section and page have in common."""

    verdict: str
    score: str
    base: str
    rater: str
    unit: str
    said: Sequence[Said]
    unsaid: int
    modalities: Sequence[Bar]
    parts: Sequence[Part]


@dataclass(frozen=True)
class Page:
    """Everything of an explanation's own page beside heading and provenance."""

    why: Why
    title: text.Cut | None
    facts: Sequence[tuple[str, str]]
    closed: bool
    pairs: Table | None
    curves: Sequence[Chart]
    nearest: Sequence[str]
    rules: Sequence[Ruled]
    talks: Sequence[Talk]
    steps: Table | None
    relevance: Table | None
    network: Chart | None
    checks: Sequence[Check]
    leaves: Sequence[Leaf]

    @property
    def charts(self) -> list[Chart]:
        """All that is drawn."""
        return [*self.curves, *([self.network] if self.network else [])]


_CHECKS = {"complete": "Effects sum up", "deletion": "Taking parts away", "seed": "Another seed", "baseline": "Another baseline", "place": "Where it was found", "gradients": "Gradients"}  # fmt: skip


def why(record: Record, video_id: str, *, pictures: Sequence[str] | None = None) -> Why | None:
    """Of one video, or whatever else the record explains by that id; None where it explained it in no checked way.

    pictures: data URIs of its frames; None = the record's files of kind `frame`.
    """
    mine = {kind: read(record, kind, video_id=video_id) for kind in ("explained", "effects", "claims")}
    if mine["explained"].is_empty():
        return None
    head = mine["explained"].row(0, named=True)
    claims = mine["claims"].sort("position")
    effects = mine["effects"]
    whole = effects.filter(pl.col("kind") == "modality").sort(pl.col("effect").abs(), descending=True)
    unit = head["unit"]
    largest = float(whole["effect"].abs().max() or 0.0) or 1.0  # type: ignore[arg-type]
    said = [Said(text.clean(row["sentence"]), f"{text.decimal(row['checked'])} {unit} under another baseline", row["effect"] > 0) for row in claims.filter("holds").iter_rows(named=True)]  # fmt: skip
    return Why(
        verdict=text.sentence(text.clean(head["verdict"])),
        score=amount(head["score"], unit, signed=False),
        base=amount(head["base"], unit, signed=False),
        rater=text.rater(head["rater"]),
        unit=unit,
        said=said,
        unsaid=claims.height - len(said),
        modalities=[Bar(MODALITIES.get(row["modality"], row["modality"]), "", amount(row["effect"], unit), row["effect"] > 0, abs(row["effect"]) / largest) for row in whole.iter_rows(named=True)],
        parts=[_part(str(row["modality"]), float(row["effect"]), effects, unit, _frames(record) if pictures is None else pictures) for row in whole.iter_rows(named=True)],
    )  # fmt: skip


def checks(record: Record, video_id: str) -> list[Check]:
    """What an explanation was put to."""
    return [_check(row) for row in read(record, "explanation_checks", video_id=video_id).iter_rows(named=True)]  # fmt: skip


def page(record: Record) -> Page:
    """The page of a record of kind explain."""
    video_id = str(record.counts["video_id"])
    found = why(record, video_id)
    if found is None:
        raise KeyError(f"the record explains no video {video_id}")
    head = read(record, "explained").row(0, named=True)
    rules = read(record, "rules").sort("position")
    return Page(
        why=found,
        title=text.cut(record.counts["title"], width=140),
        facts=_facts(record, head, found),
        closed=bool(record.counts["closed"]),
        pairs=_pairs(read(record, "effects"), head["unit"]),
        curves=_curves(read(record, "what_ifs"), head),
        nearest=[text.clean(row) for row in read(record, "counterfactuals").sort("line", "distance")["sentence"].to_list()],
        rules=_rules(rules),
        talks=_talks(read(record, "transcripts")),
        steps=_table(read(record, "steps").sort("position"), ("Step", "Given", "Got"), ("step", "given", "got"), 3),
        relevance=_relevance(read(record, "relevances"), head["unit"]),
        network=_links(read(record, "effects"), head["unit"]),
        checks=checks(record, video_id),
        leaves=[_leaf(row) for row in read(record, "leaves").iter_rows(named=True)],
    )  # fmt: skip


def amount(value: float, unit: str, *, signed: bool = True) -> str:
    """`+0.27 ln views (x 1.31)`; without a sign the count itself: `8.09 ln views (3,260 views)`."""
    sign = "+" if signed and value > 0 else ""
    said = f"{sign}{text.decimal(value)} {unit}"
    if not unit.startswith("ln "):
        return said
    return f"{said} ({_factor(value)})" if signed else f"{said} ({text.rough(math.expm1(value))} {unit[3:]})"


def _factor(effect: float) -> str:
    factor = math.exp(effect)
    return f"x {factor:.2f}" if 0.1 <= factor < 2 else f"x {factor:,.0f}" if factor >= 10 else f"x {factor:.2g}"


def _part(modality: str, effect: float, effects: pl.DataFrame, unit: str, pictures: Sequence[str]) -> Part:
    every = effects.filter((pl.col("kind") == "part") & (pl.col("modality") == modality))
    told = every.filter("told").sort(pl.col("effect").abs(), descending=True)
    largest = float(told["effect"].abs().max() or 0.0) or 1.0  # type: ignore[arg-type]
    shown = told.filter(pl.col("effect").abs() >= LEAST * largest)
    is_text, is_frames = modality in _TEXTS, modality == "frames"
    rows = [_row(row) for row in told.iter_rows(named=True)]
    reason = None
    if every.is_empty():
        reason = "Makes too little of this rating to be taken apart."
    elif told.is_empty():
        reason = "Not drawn: what single parts do failed a check below."
    return Part(
        title=MODALITIES.get(modality, modality),
        effect=amount(effect, unit),
        bars=[_bar(row, unit, largest) for row in shown.head(MOST_PARTS).iter_rows(named=True)] if not is_frames else [],
        words=[Word(_word(row["unit"]), amount(row["effect"], unit), row["effect"] > 0, abs(row["effect"]) / largest) for row in told.sort("place").iter_rows(named=True)] if is_text else [],
        pictures=_pictures(pictures, told, unit, largest) if is_frames else [],
        table=Table(("Part", "Value", "Typical", f"Effect, {unit}", "±", "Taken away", "Alone"), rows, text_columns=3),
        untold=every.height - told.height,
        why=reason,
    )  # fmt: skip


def _word(unit: str) -> str:
    """Without the number that tells it from the same word before."""
    head, _, tail = unit.rpartition(" (")
    return text.clean(head if head and tail[:-1].isdigit() and tail.endswith(")") else unit)


def _bar(row: Mapping[str, Any], unit: str, largest: float) -> Bar:
    said = f"{text.clean(row['value'])}, typical {text.clean(row['baseline'])}" if row["value"] is not None else ""
    return Bar(
        text.sentence(text.clean(row["unit"])),
        said,
        amount(row["effect"], unit),
        row["effect"] > 0,
        abs(row["effect"]) / largest,
    )


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (text.decimal(row[key], digits=3) for key in ("effect", "error", "without", "alone"))
    return (
        text.clean(row["unit"]),
        text.clean(row["value"] or text.MISSING),
        text.clean(row["baseline"] or text.MISSING),
        *numbers,
    )


def _frames(record: Record) -> list[str]:
    """Frames that the record kept, as data URIs."""
    files = [artefact for artefact in record.artefacts if artefact.kind == "frame"]
    bodies = [(one.media_type, (Path(record.run) / one.path).read_bytes()) for one in files]
    return [f"data:{kind};base64,{base64.b64encode(body).decode()}" for kind, body in bodies]


def _pictures(sources: Sequence[str], told: pl.DataFrame, unit: str, largest: float) -> list[Picture]:
    found = []
    for number, source in enumerate(sources, start=1):
        mine = told.filter(
            pl.col("unit").str.starts_with(f"frame {number},") | (pl.col("unit") == f"frame {number}")
        ).sort("place")
        if mine.is_empty():
            continue
        cells = [
            Cell(row["unit"], amount(row["effect"], unit), row["effect"] > 0, abs(row["effect"]) / largest)
            for row in mine.iter_rows(named=True)
        ]
        found.append(Picture(source, round(math.sqrt(len(cells))) or 1, cells))
    return found


def _facts(record: Record, head: Mapping[str, Any], found: Why) -> list[tuple[str, str]]:
    state = {"cold": "at posting", "observed": "with counts in hand"}[head["state"]]
    return [
        ("Rating", found.score),
        ("Typical of its platform and age", found.base),
        ("Platform", text.platform(record.counts["platform"])),
        ("State", f"{text.moment(head['rated_at'])}, {state}"),
        ("Rated by", found.rater),
        ("Asked the model", f"{head['asked']:,} times, {head['seconds']:.1f} s"),
    ]


def _pairs(effects: pl.DataFrame, unit: str) -> Table | None:
    rows = effects.filter((pl.col("kind") == "pair") & (pl.col("effect").abs() > 1e-9)).sort(
        pl.col("effect").abs(), descending=True
    )
    if rows.is_empty():
        return None
    cells = [
        (
            MODALITIES.get(r["modality"], r["modality"]),
            MODALITIES.get(r["other"], r["other"]),
            text.decimal(r["effect"], digits=3),
        )
        for r in rows.iter_rows(named=True)
    ]
    return Table(("One", "with", f"together, {unit}"), cells, text_columns=2)


def _curves(frame: pl.DataFrame, head: Mapping[str, Any]) -> list[Chart]:
    found = []
    for number, name in enumerate(frame["unit"].unique(maintain_order=True).to_list()):
        mine = frame.filter(pl.col("unit") == name).sort("value")
        rows = [
            {"value": r["value"], "score": r["score"], "shown": text.clean(r["shown"]), "own": r["own"]}
            for r in mine.iter_rows(named=True)
        ]
        spec = charts.what_if_spec(rows, unit=head["unit"])
        cells = [(r["shown"], text.decimal(r["score"]), "this video" if r["own"] else "") for r in rows]
        id = f"what-if-{number}"
        caption = f"What the model says with this number alone changed, n = {text.plural(len(rows), 'value')}; the dot is this video. Not what would happen in the world."
        found.append(
            Chart(
                id,
                f"If “{text.clean(name)}” were another",
                caption,
                spec,
                Table((text.sentence(text.clean(name)), head["unit"], ""), cells),
            )
        )
    return found


def _links(effects: pl.DataFrame, unit: str) -> Chart | None:
    """The video and what it is linked to, each edge as wide as its effect."""
    told = effects.filter((pl.col("kind") == "part") & (pl.col("modality") == "graph") & pl.col("told")).sort("place")
    if told.is_empty():
        return None
    rows = []
    for k, row in enumerate(told.iter_rows(named=True)):
        angle = 2 * math.pi * k / told.height - math.pi / 2
        rows.append({"x": 1.15 * math.cos(angle), "y": math.sin(angle), "label": f"{k + 1} {_kind(row['unit'])}", "effect": row["effect"], "size": abs(row["effect"]), "way": "raises" if row["effect"] > 0 else "lowers"})  # fmt: skip
    spec = charts.links_spec(rows, unit=unit)
    cells = [
        (f"{k} {text.clean(row['unit'])}", text.decimal(row["effect"], digits=3))
        for k, row in enumerate(told.iter_rows(named=True), start=1)
    ]
    return Chart("links", "What the video is linked to, and what each link adds", f"n = {text.plural(told.height, 'link')}; the wider a line, the more it does.", spec, Table(("Link", f"Effect, {unit}"), cells))  # fmt: skip


def _rules(frame: pl.DataFrame) -> list[Ruled]:
    found = []
    for kind, title in _RULES.items():
        mine = frame.filter(pl.col("kind") == kind)
        if mine.height:
            lines = [(row["depth"] or 0, text.clean(row["sentence"])) for row in mine.iter_rows(named=True)]
            found.append(Ruled(title, text.decimal(mine["r2"][0]), lines))
    return found


def _talks(frame: pl.DataFrame) -> list[Talk]:
    found = []
    for (kind, model), mine in frame.group_by("kind", "model", maintain_order=True):
        held = {True: "holds", False: "does not hold", None: "claims nothing that can be tried"}
        lines = [(text.clean(row["said"]), held[row["holds"]]) for row in mine.sort("position").iter_rows(named=True)]
        found.append(Talk(f"{text.sentence(str(kind))}, by {text.clean(str(model))}", lines))
    return found


def _kind(unit: str) -> str:
    """Of a link: no text from data enters a drawing."""
    return next((kind for words, kind in _KINDS.items() if unit.startswith(f"the video {words} ")), "link")


def _relevance(frame: pl.DataFrame, unit: str) -> Table | None:
    frame = frame.sort(pl.max_horizontal(pl.col("whole").abs(), pl.col("alone").abs()), descending=True).head(
        _MOST_PAIRS
    )
    cells = [
        (
            text.clean(f"{r['one_unit']} ({r['one']})"),
            text.clean(r["other_unit"]),
            text.decimal(r["whole"], digits=3),
            text.decimal(r["alone"], digits=3),
        )
        for r in frame.iter_rows(named=True)
    ]
    return Table(("Word", "acts with", f"among all, {unit}", "by themselves"), cells, text_columns=2) if cells else None


def _table(frame: pl.DataFrame, head: Sequence[str], columns: Sequence[str], texts: int) -> Table | None:
    rows = [tuple(text.clean(str(row[name])) for name in columns) for row in frame.iter_rows(named=True)]
    return Table(head, rows, text_columns=texts) if rows else None


def _check(row: Mapping[str, Any]) -> Check:
    state = "not made" if row["passed"] is None else "holds" if row["passed"] else "fails"
    return Check(_CHECKS.get(row["name"], row["name"]), text.sentence(text.clean(row["words"])), state)


def _leaf(row: Mapping[str, Any]) -> Leaf:
    branch, kind, name = str(row["leaf"]).split("/")
    return Leaf(
        _BRANCHES[branch],
        f"{kind.replace('-', ' ')}: {name.replace('-', ' ')}",
        row["shown"],
        text.sentence(text.clean(row["why"])),
    )
