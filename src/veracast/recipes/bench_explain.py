"""`veracast bench explain`: explanations of scorers whose truth is known, and of raters, held against chance, other seeds, other models and captum.

    tier known      games whose Shapley values and interactions have a closed form; AND against a sum
    tier planted    trained models whose one signal is known, beside a decoy, a shortcut and a model of labels in a random order (explain/planted.py)
    tier speed      sampled Shapley values against captum's at equal error, on the same network
    tier ratings    every open video of a run on the generated world explained: what fails, what turns, what is confirmed

A row says what was asked of it beforehand, and the table says whatever comes out. Planted cases leave a file each in the work folder: a bench that
was stopped goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from veracast.core.config import to_dict
from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder, code_digest, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.core.scores import Score
from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval, wilson_interval
from veracast.data.dataset import Dataset
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.explain.effects import unit_effects
from veracast.explain.games import coalitions, interactions, sampled_shapley, shapley
from veracast.explain.item import Explanation, explain_item
from veracast.explain.modalities import modality_effects
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.planted import KINDS, Case, plant
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Edge, Numbers, Whole
from veracast.recipes import explain_overall
from veracast.recipes import run as run_recipe

Tier = Literal["known", "planted", "speed", "ratings"]
TIERS: tuple[Tier, ...] = ("known", "planted", "speed", "ratings")
EDGE_PX = 24
_CODE = ("recipes/bench_explain.py", "explain/planted.py", "explain/item.py", "explain/effects.py", "explain/faithful.py", "explain/games.py", "explain/modalities.py", "explain/perturb.py", "explain/scorer.py", "explain/units.py")  # fmt: skip


@dataclass(frozen=True)
class Config:
    """tiers: empty = all. cases: planted models of each kind, with five items each. raters, videos: of the tier ratings. work: where pieces lie."""

    scale: Literal["tiny", "small"] = "tiny"
    tiers: tuple[Tier, ...] = ()
    games: int = 200  # random games with a known answer, of the tier known
    cases: int = 11
    orders: int = 8  # of parts, where their effects are sampled
    raters: tuple[str, ...] = ()  # empty: lightgbm; small: rgcn and netgpt too
    videos: int = 60
    work: Path | None = None
    budget_only: bool = False  # say how long it takes, and end
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.games, self.cases, self.orders, self.videos) < 2:
            raise ConfigError([f"games {self.games}, cases {self.cases}, orders {self.orders}, videos {self.videos}: expected 2 or more each"])  # fmt: skip


class Row(NamedTuple):
    """One line of the table. aim: in words; met: None where nothing was asked."""

    tier: str
    name: str
    group: str
    n: int
    value: float | None
    low: float | None
    high: float | None
    unit: str
    aim: str
    met: bool | None


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """The record's table `explain_bench`."""
    with RunWriter("bench-explain", out, config=to_dict(config), seed=config.seed) as writer:
        tiers = config.tiers or TIERS
        raters = config.raters or (("lightgbm",) if config.scale == "tiny" else ("lightgbm", "rgcn", "netgpt"))
        minutes = {"known": 0.2, "planted": 0.25 * config.cases * len(KINDS), "speed": 0.3, "ratings": 3.0 + sum({"lightgbm": 1.0}.get(name, 12.0) for name in raters)}  # fmt: skip
        with progress.step(f"about {sum(minutes[tier] for tier in tiers):.0f} minutes on an idle core"):
            pass
        if config.budget_only:
            return writer.finish(status="not_measured", verdict=f"about {sum(minutes[tier] for tier in tiers):.0f} minutes on an idle core", counts=minutes)  # fmt: skip
        rows: list[Row] = []
        makers: dict[str, Callable[[], Iterable[Row]]] = {
            "known": lambda: known(config),
            "planted": lambda: planted(config, progress),
            "speed": lambda: speed(config),
            "ratings": lambda: ratings(config, raters, progress),
        }
        for tier in tiers:
            with progress.step(tier):
                rows += makers[tier]()
        frame = pl.DataFrame([row._asdict() for row in rows], infer_schema_length=None)
        writer.table("explain_bench", "explain_bench", frame)
        asked = [row for row in rows if row.met is not None]
        missed = [f"{row.name} of {row.group}" for row in asked if not row.met]
        said = f"{len(asked) - len(missed)} of {len(asked)} aims are met" + (
            f"; not: {', '.join(missed)}" if missed else ""
        )
        scores = [Score(row.name, row.value, row.low, row.high, row.n, 0, row.unit, "lower" if "<" in row.aim else "higher", {"variant": row.group}) for row in rows]  # fmt: skip
        return writer.finish(status="ok", verdict=said, counts={"aims": len(asked), "met": len(asked) - len(missed)}, scores=scores)  # fmt: skip


def known(config: Config) -> list[Row]:
    """Random multilinear games: v(S) = sum over T in S of a_T, whose Shapley value is the sum of a_T / |T| over T with the player, and whose interaction
    of i and j that of a_T / (|T| - 1) over T with both (Grabisch & Roubens 1999, prop. 2)."""
    value_error, pair_error, complete = [], [], []
    for game in range(config.games):
        rng = stream(config.seed, "bench", "explain", "known", game)
        players = int(rng.integers(2, 8))
        there = coalitions(players)
        a = np.where(rng.random(len(there)) < 0.4, rng.normal(size=len(there)), 0.0)
        subset = (~there[None, :, :] | there[:, None, :]).all(axis=2)  # [S, T]: T within S
        worths = subset @ a
        size = there.sum(axis=1)
        phi = np.array([(a / np.maximum(size, 1))[there[:, i]].sum() for i in range(players)])
        pairs = np.array([[(a / np.maximum(size - 1, 1))[there[:, i] & there[:, j]].sum() if i != j else 0.0 for j in range(players)] for i in range(players)])  # fmt: skip
        perturbed = _game(worths, players)
        found = modality_effects(perturbed)
        value_error.append(np.abs(found.values - phi).max())
        pair_error.append(np.abs(found.pairs - pairs).max())
        complete.append(found.completeness_error)
    rows = [
        _exact("shapley_error", "random games", value_error, 1e-6),
        _exact("interaction_error", "random games", pair_error, 1e-6),
        _exact("completeness_error", "random games", complete, 1e-6),
    ]
    both, added = shapley(np.array([0.0, 0, 0, 1])), shapley(np.array([0.0, 0.5, 0.5, 1]))
    tell = [float(interactions(np.array(worths))[0, 1]) for worths in ([0.0, 0, 0, 1], [0.0, 0.5, 0.5, 1])]
    rows.append(_exact("same_values", "AND against a sum", [float(np.abs(both - added).max())], 1e-12))
    rows.append(Row("known", "interaction", "AND", 1, tell[0], None, None, "score", "1", tell[0] == 1.0))
    rows.append(Row("known", "interaction", "sum", 1, tell[1], None, None, "score", "0", tell[1] == 0.0))
    return rows


def _game(worths: np.ndarray, players: int) -> Perturbed:
    """A scorer of so many modalities, each there or not."""
    names = [f"m{k}" for k in range(players)]

    def score(items: Sequence[Item]) -> list[float]:
        return [float(worths[sum(bool(item[name]) << k for k, name in enumerate(names))]) for item in items]

    return Perturbed(dict.fromkeys(names, True), [Whole(name, False) for name in names], Scorer(score))


def _exact(name: str, group: str, errors: Sequence[float], bound: float) -> Row:
    worst = float(max(errors))
    return Row("known", name, group, len(errors), worst, None, None, "score", f"< {bound:g}", worst <= bound)


class _Found(NamedTuple):
    """What an explanation of one item said. top: whether the signal, or shortcut, is the largest part of all; decoy: whether it stands above the signal."""

    kind: str
    pure: bool
    shortcut: bool
    decoy: bool
    random_rho: float  # with a model of labels in a random order: of effects
    random_rho_sizes: float  # of their sizes
    made: int  # deletion checks
    passed: int
    flagged: bool


def planted(config: Config, progress: Progress = SILENT) -> list[Row]:
    """Is the right part on top, is the decoy below it, are a model that learnt the signal and one that learnt the shortcut told apart?"""
    work = config.work or cache_folder("bench") / "explain"
    work.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    found: list[_Found] = []
    with progress.step("planted models", total=config.cases * len(KINDS)) as advance:
        for kind in KINDS:
            for case in range(config.cases):
                seed = config.seed * 1_000 + case
                piece = work / f"planted-{kind}-{seed}-{config.orders}-{code_digest(*_CODE)[:12]}.json"
                if not piece.is_file():
                    items = items or world_items()
                    write_json(piece, [one._asdict() for one in _explained(plant(items, kind, seed=seed), config.orders)])  # fmt: skip
                found += [_Found(**row) for row in json.loads(piece.read_text(encoding="utf-8"))]
                advance(1)
    groups: list[tuple[str, list[_Found]]] = [("all", found), *((kind, [one for one in found if one.kind == kind]) for kind in KINDS)]  # fmt: skip
    rows = []
    for group, mine in groups:
        rows += [
            _share("top1_hit", group, [one.pure for one in mine], at_least=0.95),
            _share("decoy_above", group, [one.decoy for one in mine], at_most=0.05),
            _share("told_apart", group, [one.pure and one.shortcut for one in mine], at_least=0.95),
        ]
    for name, values in (("random_labels_rho", [one.random_rho for one in found]), ("random_labels_rho_of_sizes", [one.random_rho_sizes for one in found])):  # fmt: skip
        rho = np.array(values)
        spread = bootstrap_interval(rho, rng=stream(config.seed, "bench", "explain", name))
        aim = ("< 0.2", bool(rho.mean() < 0.2)) if name == "random_labels_rho" else ("", None)
        rows.append(Row("planted", name, "all", len(rho), float(rho.mean()), spread.low, spread.high, "rank correlation", *aim))  # fmt: skip
    made, passed = sum(one.made for one in found), sum(one.passed for one in found)
    rows.append(_share("deletion_holds", "all", [True] * passed + [False] * (made - passed), at_least=0.9))
    rows.append(_share("flagged", "all", [one.flagged for one in found], at_most=0.2))
    return rows


def _explained(case: Case, orders: int) -> list[_Found]:
    found = []
    for item in case.tests:
        said = {name: _explanation(case, name, item, orders) for name in ("pure", "shortcut", "random")}
        ranked = {name: _ranked(one) for name, one in said.items()}
        units = [unit for unit, _ in ranked["pure"]]
        pure, random = (dict(ranked[name]) for name in ("pure", "random"))
        read = [
            unit for unit in units if pure[unit] or random[unit]
        ]  # what neither model reads has no effect in both, and says nothing
        pairs = np.array([[pure[unit], random[unit]] for unit in read]).reshape(len(read), 2)
        deletions = [check for check in said["pure"].checks if check.name == "deletion" and check.passed is not None]
        found.append(_Found(
            case.kind, units[0] == case.signal, ranked["shortcut"][0][0] == case.shortcut, units.index(case.decoy) < units.index(case.signal),
            _rho(pairs), _rho(np.abs(pairs)), len(deletions), sum(bool(check.passed) for check in deletions), any(check.passed is False for check in said["pure"].checks),
        ))  # fmt: skip
    return found


def _rho(pairs: np.ndarray) -> float:
    """Spearman's, 0 where one side is the same everywhere."""
    if len(pairs) < 2 or np.ptp(pairs, axis=0).min() == 0:
        return 0.0
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)


def _explanation(case: Case, model: Any, item: Item, orders: int) -> Explanation:
    return explain_item(lambda items: case.score(model, items), item, case.modalities, unit="target", orders=orders, floor=0.1, batch=4096)  # fmt: skip


def _ranked(found: Explanation) -> list[tuple[Unit, float]]:
    every = [(parts.units[k], float(parts.shapley[k])) for parts in found.parts.values() for k in range(len(parts.units))]  # fmt: skip
    return sorted(every, key=lambda one: -abs(one[1]))


def _share(
    name: str, group: str, held: Sequence[bool], *, at_least: float | None = None, at_most: float | None = None
) -> Row:
    n, value = len(held), float(np.mean(held)) if held else None
    spread = wilson_interval(int(sum(held)), n) if n else None
    aim = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
    met = None if value is None else value >= at_least if at_least is not None else value <= (at_most or 0.0)
    return Row("planted", name, group, n, value, spread.low if spread else None, spread.high if spread else None, "share", aim, met)  # fmt: skip


def world_items(*, videos: int = 400, seed: int = 0) -> list[Item]:
    """Videos of the generated world as items: counts at their first crawl, titles, two small frames, links."""
    with tempfile.TemporaryDirectory(prefix="veracast-bench-") as place:
        return items_of(write_dataset(WorldConfig(videos=videos, days=40, frames_per_video=2, seed=seed), Path(place) / "world"))  # fmt: skip


def items_of(dataset: Dataset) -> list[Item]:
    """Of all videos with a title, two frames and a crawl."""
    from PIL import Image

    frames: dict[str, list[np.ndarray]] = {}
    for video, data in dataset.frames.select("video_id", "jpeg").iter_rows():
        with Image.open(io.BytesIO(data)) as picture:
            frames.setdefault(video, []).append(np.asarray(picture.convert("RGB").resize((EDGE_PX, EDGE_PX))))
    tags: dict[str, list[str]] = {}
    for video, tag in dataset.links.filter(pl.col("kind") == "hashtag").select("video_id", "target").iter_rows():
        tags.setdefault(video, []).append(tag)
    real = dataset.snapshots.filter(~pl.col("synthetic")).sort("observed_at")
    first = {row["video_id"]: row for row in real.unique("video_id", keep="first", maintain_order=True).iter_rows(named=True)}  # fmt: skip
    found: list[Item] = []
    for row in dataset.videos.sort("video_id").iter_rows(named=True):
        video = row["video_id"]
        if not row["title"] or video not in first or len(frames.get(video, ())) < 2:
            continue
        numbers = {name: float(np.log1p(first[video][name] or 0)) for name in ("likes", "comments", "shares")}
        numbers |= {"duration": float(row["duration_s"] or 0.0) / 60, "hour": float(row["posted_at"].hour)}
        links = [("is-by", row["author_id"]), ("is-about", row["topic"]), ("is-in", row["category"]), *(("carries", tag) for tag in tags.get(video, ()))]  # fmt: skip
        graph = [Edge("video", kind, str(target)) for kind, target in links if target is not None]
        found.append({"numbers": numbers, "text": row["title"], "frames": np.stack(frames[video][:2]), "graph": graph})
    return found


def speed(config: Config) -> list[Row]:
    """Seconds to the same error: sampled Shapley values of a network of 24 numbers, ours and captum's, and the correlation of exact ones."""
    import torch
    from captum.attr import ShapleyValues, ShapleyValueSampling

    players = 24
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        network = torch.nn.Sequential(torch.nn.Linear(players, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1)).double().eval()  # fmt: skip
    rng = stream(config.seed, "bench", "explain", "speed")
    item, base = rng.normal(size=players), rng.normal(size=players)

    def forward(rows: Any) -> Any:
        with torch.no_grad():
            return network(rows)[:, 0]

    def worth(keep: np.ndarray) -> np.ndarray:
        return np.asarray(forward(torch.from_numpy(np.where(keep, item, base))).numpy())

    truth = sampled_shapley(worth, players, orders=8_192, rng=stream(config.seed, "bench", "explain", "truth")).values
    scale = float(np.abs(truth).mean())

    def ours(orders: int, seed: int) -> np.ndarray:
        return sampled_shapley(worth, players, orders=orders, rng=stream(seed, "bench", "explain", "ours")).values

    rows = torch.from_numpy(item)[None], torch.from_numpy(base)[None]
    theirs_by = ShapleyValueSampling(forward)

    def theirs(samples: int, seed: int, per: int = 1) -> np.ndarray:
        torch.manual_seed(seed)
        return np.asarray(theirs_by.attribute(rows[0], baselines=rows[1], n_samples=samples, perturbations_per_eval=per)[0].numpy())  # fmt: skip

    error = _error(lambda seed: ours(16, seed), truth) / scale
    samples = 32
    while _error(lambda seed: theirs(samples, seed), truth) / scale > error and samples < 512:  # noqa: B023 - called at once
        samples = int(samples * 1.4)
    seconds = {"ours": _seconds(lambda seed: ours(16, seed)), "captum": _seconds(lambda seed: theirs(samples, seed)), "captum, batched": _seconds(lambda seed: theirs(samples, seed, players))}  # fmt: skip
    found = [Row("speed", "relative_error", "ours, 16 orders and their reverses", 8, error, None, None, "share of the mean size", "", None)]  # fmt: skip
    for name in ("captum", "captum, batched"):
        ratio = seconds[name] / seconds["ours"]
        found.append(Row("speed", "times_faster", f"than {name}, {samples} samples", 5, ratio, None, None, "ratio of seconds at equal error", ">= 5" if name == "captum" else "", ratio >= 5 if name == "captum" else None))  # fmt: skip
    small = network_game(config.seed)
    exact = ShapleyValues(small.forward).attribute(small.item, baselines=small.base)[0].numpy()
    correlation = float(np.corrcoef(exact, small.ours)[0, 1])
    found.append(Row("speed", "correlation", "exact Shapley values, captum's", len(exact), correlation, None, None, "correlation", ">= 0.99", correlation >= 0.99))  # fmt: skip
    return found


class _NetworkGame(NamedTuple):
    forward: Any
    item: Any
    base: Any
    ours: np.ndarray


def network_game(seed: int, players: int = 7) -> _NetworkGame:
    """A network of few numbers, of which all coalitions are valued."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        network = torch.nn.Sequential(torch.nn.Linear(players, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double().eval()  # fmt: skip
    rng = stream(seed, "bench", "explain", "small")
    item, base = (torch.from_numpy(rng.normal(size=(1, players))) for _ in range(2))
    names = [f"x{k}" for k in range(players)]

    def forward(rows: Any) -> Any:
        with torch.no_grad():
            return network(rows)[:, 0]

    def score(items: Sequence[Item]) -> np.ndarray:
        rows = np.array([[one["numbers"][name] for name in names] for one in items]).reshape(len(items), players)
        return np.asarray(forward(torch.from_numpy(rows)).numpy())

    content = {"numbers": dict(zip(names, item[0].tolist(), strict=True))}
    perturbed = Perturbed(content, (Numbers(dict(zip(names, base[0].tolist(), strict=True))),), Scorer(score))
    return _NetworkGame(forward, item, base, unit_effects(perturbed, "numbers").shapley)


def _error(make: Callable[[int], np.ndarray], truth: np.ndarray) -> float:
    """Mean absolute error over 8 seeds."""
    return float(np.mean([np.abs(make(seed) - truth).mean() for seed in range(8)]))


def _seconds(make: Callable[[int], np.ndarray]) -> float:
    """Least of five runs, after one that is not counted."""
    make(0)
    taken = []
    for seed in range(5):
        began = time.perf_counter()
        make(seed)
        taken.append(time.perf_counter() - began)
    return min(taken)


def ratings(config: Config, raters: Sequence[str], progress: Progress = SILENT) -> list[Row]:
    """A run on the generated world for each rater, and all of its open videos explained, level by level."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="veracast-bench-") as place:
        world = Path(place) / "world"
        write_dataset(
            WorldConfig(videos=600, days=45, frames_per_video=2, seed=config.seed + 7), world, progress=progress
        )
        for name in raters:
            now = START + dt.timedelta(days=45)
            main = run_recipe.Config(sources=(world,), as_of=now, horizon_days=14, raters=(name,), tasks=("horizon",), reasons=0, explained=1, seed=config.seed)  # fmt: skip
            folder = Path(run_recipe.run(main, Path(place) / name, progress=progress).run)
            settings = explain_overall.Config(run=folder, most=config.videos, orders=config.orders, seed=config.seed)
            found = explain_overall.run(settings, Path(place) / f"{name}-explained", progress=progress).counts
            rows += _fared(name, found)
    return rows


def _fared(rater: str, found: Any) -> list[Row]:
    def share(name: str, part: int, whole: int, **aim: float) -> Row:
        return _share(name, rater, [True] * part + [False] * (whole - part), **aim)._replace(tier="ratings")

    seconds = float(found["seconds_median"])
    return [
        Row("ratings", "completeness_error", rater, found["explained"], found["completeness_error"], None, None, "levels", "< 1e-06", found["completeness_error"] < 1e-6),
        share("flagged", found["flagged"], found["explained"], at_most=0.2),
        share("deletion_holds", found["deletion_passed"], found["deletion_made"], at_least=0.9),
        share("deletion_z_above_3", found["deletion_z_above_3"], found["deletion_z"], at_least=0.9),
        share("claim_check", found["claims_held"], found["claims"], at_least=0.95),
        Row("ratings", "signs_turned", rater, found["baseline_made"], found["signs_turned"], None, None, "share of top parts", "< 0.1", found["signs_turned"] < 0.1),
        Row("ratings", "seconds", rater, found["explained"], seconds, None, None, "s a video, median", "", None),
    ]  # fmt: skip
