"""Trained models whose one signal is known, beside a decoy and a shortcut: what an explanation of them must say.

    items of a data set, their modalities dealt out anew, so that a title does not tell what the links tell; a decoy and a shortcut in each or not
    pure        learns a target that the signal makes; decoy and shortcut are there, at random
    shortcut    learns a target that the shortcut makes; the signal is there, and means nothing
    random      learns the pure target in a random order

The signal is a number, a word, a cell of a frame or a link of the items; decoy and shortcut are of the next two kinds. The models are boosted trees over
numbers, words, cells and links at once, so whatever they use an explanation must find among some forty parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
import regex

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.explain.perturb import Unit
from veracast.explain.scorer import Item
from veracast.explain.units import Edge, Edges, Frames, Modality, Numbers, Words, edges

Kind = Literal["number", "word", "cell", "link"]
KINDS: tuple[Kind, ...] = ("number", "word", "cell", "link")
GRID = 3
DECOYS: dict[Kind, str] = {"number": "luck", "word": "wow", "cell": "frame 1, cell 3.3", "link": "video joins club"}
SHORTCUTS: dict[Kind, str] = {
    "number": "serial",
    "word": "promo",
    "cell": "frame 1, cell 1.1",
    "link": "video joins series",
}
MODALITY: dict[Kind, str] = {"number": "numbers", "word": "text", "cell": "frames", "link": "graph"}
_SHARE = (0.08, 0.6)  # of items that a word or link must be in, to be a signal
_ALONE = 0.5  # correlation with another feature, above which a signal could be read off elsewhere
_TOKEN = regex.compile(r"[\p{L}\p{N}#]+")


@dataclass(frozen=True)
class Eyes:
    """What models read of an item: numbers, words and links that are common enough, and how bright each of so many cells is."""

    numbers: tuple[str, ...]
    words: tuple[str, ...]
    links: tuple[str, ...]
    cells: int

    def features(self, items: Sequence[Item]) -> np.ndarray:
        """(items, features) float64."""
        return np.array([self._one(item) for item in items]).reshape(len(items), self.width)

    @property
    def width(self) -> int:
        return len(self.numbers) + len(self.words) + len(self.links) + self.cells

    def _one(self, item: Item) -> list[float]:
        tokens = set(_TOKEN.findall(item["text"]))
        links = {f"{edge.source} {edge.kind} {edge.target}" for edge in item["graph"]}
        return [
            *(item["numbers"][name] for name in self.numbers), *(float(word in tokens) for word in self.words), *(float(link in links) for link in self.links),
            *cell_means(item["frames"]),
        ]  # fmt: skip

    def units(self) -> list[Unit]:
        """The part that each feature reads."""
        cells = Frames(GRID, GRID).units(np.zeros((self.cells // GRID**2, GRID, GRID, 3)))
        named = [("numbers", self.numbers), ("text", self.words), ("graph", self.links), ("frames", cells)]
        return [Unit(modality, name) for modality, names in named for name in names]


@dataclass(frozen=True)
class Case:
    """One plant with its models (boosters: pure, shortcut, random) and the items that it is explained on."""

    kind: Kind
    signal: Unit
    decoy: Unit
    shortcut: Unit
    eyes: Eyes
    models: Mapping[str, Any]
    tests: tuple[Item, ...]
    modalities: tuple[Modality, ...]

    def score(self, model: str, items: Sequence[Item]) -> np.ndarray:
        """(items,)."""
        if not items:
            return np.zeros(0)
        return np.asarray(self.models[model].predict(self.eyes.features(items), num_threads=1))


def cell_means(frames: np.ndarray) -> list[float]:
    """Of all cells of all frames, 0 to 1."""
    down, across = edges(frames.shape[1], GRID), edges(frames.shape[2], GRID)
    sums = np.add.reduceat(np.add.reduceat(frames.mean(axis=3), down[:-1], axis=1), across[:-1], axis=2)
    return (sums / (np.diff(down)[:, None] * np.diff(across)) / 255).ravel().tolist()  # type: ignore[no-any-return]


def plant(items: Sequence[Item], kind: Kind, *, tests: int = 5, seed: int = 0) -> Case:
    """tests: items that are explained. ConfigError where the items have no number, word, cell or link that varies enough, and is told by nothing else."""
    rng = stream(seed, "explain", "planted", kind)
    items = _dealt(items, rng)
    place = KINDS.index(kind)
    decoy, shortcut = KINDS[(place + 1) % 4], KINDS[(place + 2) % 4]
    there = {name: rng.random(len(items)) < 0.5 for name in ("decoy", "shortcut")}
    added = [_added(_added(item, DECOYS[decoy], decoy, there["decoy"][k], rng), SHORTCUTS[shortcut], shortcut, there["shortcut"][k], rng) for k, item in enumerate(items)]  # fmt: skip
    eyes = _eyes(added)
    x, units = eyes.features(added), eyes.units()
    own = {DECOYS[decoy], SHORTCUTS[shortcut]}
    spread, share = x.std(axis=0), (x > 0).mean(axis=0)
    alone = _told_by_nothing_else(x)
    fit = [
        k
        for k, unit in enumerate(units)
        if unit.modality == MODALITY[kind] and unit.name not in own and alone[k] and spread[k] > 1e-3
        and (kind in ("number", "cell") or _SHARE[0] < share[k] < _SHARE[1]) and (kind != "word" or (_once(added, unit) & (x[:, k] > 0)).sum() >= tests)
    ]  # fmt: skip
    if not fit:
        raise ConfigError(
            [f"no {kind} among {len(units)} features varies enough to carry a signal alone -> more items"]
        )
    signal = int(rng.choice(fit))
    z = (x[:, signal] - x[:, signal].mean()) / spread[signal]
    minor = int(rng.choice([k for k in range(len(units)) if k != signal and units[k].name not in own and spread[k] > 1e-3]))  # fmt: skip
    noise = rng.normal(size=(3, len(items)))
    pure = 2 * z + 0.3 * (x[:, minor] - x[:, minor].mean()) / spread[minor] + 0.3 * noise[0]
    targets = {"pure": pure, "shortcut": 4.0 * there["shortcut"] + 0.5 * noise[1], "random": rng.permutation(pure)}
    models = {name: _trained(x, y, seed) for name, y in targets.items()}
    apart = np.abs(x[:, signal] - np.median(x[:, signal])) / spread[signal]
    strong = apart > 0.7 if kind in ("number", "cell") else x[:, signal] > 0
    clear = strong & (~_near_blank(added, units[signal]) if kind == "cell" else True) & _once(added, units[signal])
    chosen = rng.permutation(np.flatnonzero(clear))[:tests]
    shown = [_added(_added(items[k], DECOYS[decoy], decoy, True, rng), SHORTCUTS[shortcut], shortcut, True, rng) for k in chosen]  # fmt: skip
    medians = {name: float(np.median(x[:, k])) for k, name in enumerate(eyes.numbers)}
    medians |= {name: 0.0 for name in ("luck", "serial") if name in medians}
    modalities = (Numbers(medians), Words(), Frames(GRID, GRID), Edges())
    return Case(
        kind, units[signal], _unit(decoy, DECOYS), _unit(shortcut, SHORTCUTS), eyes, models, tuple(shown), modalities
    )


def _dealt(items: Sequence[Item], rng: np.random.Generator) -> list[Item]:
    """The same contents, each modality in an order of its own, of frames each cell: neighbours are too alike to tell which of them is the signal."""
    orders = {name: rng.permutation(len(items)) for name in items[0]}
    shape = items[0]["frames"].shape
    down, across = edges(shape[1], GRID), edges(shape[2], GRID)
    frames = np.stack([item["frames"] for item in items])
    for row in range(GRID):
        for column in range(GRID):
            cell = np.s_[:, :, down[row] : down[row + 1], across[column] : across[column + 1]]
            for frame in range(shape[0]):
                frames[cell][:, frame] = frames[cell][rng.permutation(len(items)), frame]
    return [
        {**{name: items[order[k]][name] for name, order in orders.items()}, "frames": frames[k]}
        for k in range(len(items))
    ]


def _told_by_nothing_else(x: np.ndarray) -> np.ndarray:
    """Features that correlate with no other by more than a half, (features,) bool."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.abs(np.nan_to_num(np.corrcoef(x, rowvar=False)))
    np.fill_diagonal(r, 0.0)
    return np.asarray(r.max(axis=1) < _ALONE)


def _unit(kind: Kind, names: dict[Kind, str]) -> Unit:
    return Unit(MODALITY[kind], names[kind])


def _added(item: Item, name: str, kind: Kind, there: bool, rng: np.random.Generator) -> Item:
    """The item with an addition, or without it; a number is large or small, a cell white or as it was."""
    drawn = float(rng.normal())
    if kind == "number":
        return {**item, "numbers": {**item["numbers"], name: 2.0 + abs(drawn) if there else -2.0 - abs(drawn)}}
    if not there:
        return item
    if kind == "word":
        return {**item, "text": f"{item['text']} {name}".strip()}
    if kind == "link":
        source, relation, target = name.split(" ")
        return {**item, "graph": [*item["graph"], Edge(source, relation, target)]}
    row, column = int(name[-3]) - 1, int(name[-1]) - 1
    frames = item["frames"].copy()
    down, across = edges(frames.shape[1], GRID), edges(frames.shape[2], GRID)
    frames[0, down[row] : down[row + 1], across[column] : across[column + 1]] = 255
    return {**item, "frames": frames}


def _eyes(items: Sequence[Item]) -> Eyes:
    words: dict[str, int] = {}
    links: dict[str, int] = {}
    for item in items:
        for word in set(_TOKEN.findall(item["text"])):
            words[word] = words.get(word, 0) + 1
        for edge in item["graph"]:
            name = f"{edge.source} {edge.kind} {edge.target}"
            links[name] = links.get(name, 0) + 1
    least = 0.04 * len(items)
    common = [sorted(name for name, count in found.items() if count >= least) for found in (words, links)]
    return Eyes(tuple(items[0]["numbers"]), tuple(common[0]), tuple(common[1]), len(cell_means(items[0]["frames"])))


def _trained(x: np.ndarray, y: np.ndarray, seed: int) -> Any:
    settings = {"objective": "l2", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 10, "verbose": -1, "num_threads": 1, "seed": seed, "deterministic": True, "force_row_wise": True}  # fmt: skip
    return lgb.train(settings, lgb.Dataset(x, y, params={"verbose": -1, "num_threads": 1}), 120)


def _near_blank(items: Sequence[Item], unit: Unit) -> np.ndarray:
    """Whether a cell is about as bright as its frame: what stands in its place when it is taken away says the same."""
    place = Frames(GRID, GRID).units(items[0]["frames"]).index(unit.name)
    found = []
    for item in items:
        means = np.array(cell_means(item["frames"])).reshape(len(item["frames"]), -1)
        found.append(abs(means.ravel()[place] - means[place // GRID**2].mean()) < 0.08)
    return np.array(found)


def _once(items: Sequence[Item], unit: Unit) -> np.ndarray:
    """Of a word: whether it stands in the text once, as a word of its own."""
    if unit.modality != "text":
        return np.ones(len(items), dtype=bool)
    return np.array(
        [
            list(Words().units(item["text"])).count(unit.name) == 1
            and f"{unit.name} (2)" not in Words().units(item["text"])
            for item in items
        ]
    )
