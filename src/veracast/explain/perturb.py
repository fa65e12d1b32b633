"""The one place where content is changed: an item of which any parts are taken away, and what the scorer makes of it.

item, modalities -> units -> choices (choices, units) bool -> items -> scores; a choice is scored once, however often it is asked for
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from veracast.core.errors import ConfigError
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Modality


class Unit(NamedTuple):
    """A part of an item."""

    modality: str
    name: str


class Perturbed:
    """units: of all modalities, in their order; part of the item that no modality names stays as it is. ConfigError for an item without
    units, or without the content of a modality."""

    def __init__(self, item: Item, modalities: Sequence[Modality], scorer: Scorer) -> None:
        lacking = [one.name for one in modalities if one.name not in item]
        if lacking:
            raise ConfigError([f"the item has no {', '.join(lacking)} -> it holds {', '.join(item) or 'nothing'}"])
        self.item, self.scorer = item, scorer
        self.modalities: Mapping[str, Modality] = {one.name: one for one in modalities}
        if len(self.modalities) < len(modalities):
            raise ConfigError([f"two modalities of one name among {', '.join(one.name for one in modalities)}"])
        self.units = tuple(Unit(one.name, unit) for one in modalities for unit in one.units(item[one.name]))
        if not self.units:
            raise ConfigError(["the item has no parts to take away -> name a modality whose content is not empty"])
        self._known: dict[bytes, float] = {}
        self._places = {name: np.array([k for k, unit in enumerate(self.units) if unit.modality == name], dtype=int) for name in self.modalities}  # fmt: skip

    def places(self, modality: str) -> np.ndarray:
        """Numbers of the units of a modality; none of one that is not there."""
        return self._places.get(modality, np.zeros(0, dtype=int))

    def scores(self, keep: Bool[np.ndarray, "choices units"]) -> Float[np.ndarray, " choices"]:
        """Of every choice. UnfitScorerError as the scorer has it."""
        keep = np.asarray(keep, dtype=bool)
        keys = [row.tobytes() for row in np.packbits(keep, axis=1)]
        new = {key: k for k, key in enumerate(keys) if key not in self._known}
        found = self.scorer([self.changed(keep[k]) for k in new.values()])
        self._known |= dict(zip(new, found.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])

    def changed(self, keep: Bool[np.ndarray, " units"]) -> Item:
        """The item with the parts that are not kept at their baselines."""
        parts = {name: one.kept(self.item[name], mine) for name, one in self.modalities.items() if not (mine := keep[self._places[name]]).all()}  # fmt: skip
        return {**self.item, **parts}

    @property
    def full(self) -> float:
        """Score of the item as it is."""
        return float(self.scores(np.ones((1, len(self.units)), dtype=bool))[0])

    @property
    def base(self) -> float:
        """Score with every part at its baseline."""
        return float(self.scores(np.zeros((1, len(self.units)), dtype=bool))[0])
