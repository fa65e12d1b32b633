"""What a model says of one video with other content, as one callable: `score(contents) -> one number each`.

    contents -> samples (variants.py), for networks also twins in the data set (netgpt/twins.py) -> the part of the model for state and target

The number is what the rating shows: the forecast in ln(1 + count), never below what the content counts now, or the expected level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from veracast.core.errors import NotMeasuredError
from veracast.core.protocols import LEVELS
from veracast.data.dataset import Dataset
from veracast.rating.features import feature_columns
from veracast.rating.model import Model, Part, at_least
from veracast.rating.raters.lightgbm import GROWTH_FLOOR, FittedLightGBM
from veracast.rating.raters.netgpt import FittedNetGPT, Trained
from veracast.rating.variants import GROUPED, Subject, samples_of, subject

if TYPE_CHECKING:
    from veracast.rating.netgpt.twins import Twins

LEVEL = "level"
_TREES = (*GROUPED, "hashtag", "repost")
"""Links that the as-of features tell of."""


class Step(NamedTuple):
    """One part of a model at work, in words."""

    step: str
    given: str
    got: str


@dataclass(frozen=True)
class VideoScorer:
    """One video's state through the part of a model that rates `target` there."""

    subject: Subject
    model: Model
    part: Part
    target: str
    dataset: Dataset

    @property
    def unit(self) -> str:
        return "levels" if self.target == LEVEL else f"ln {self.target}"

    @property
    def reads_words(self) -> bool:
        """Whether every content with other words costs a pass of a text encoder."""
        return self._network is not None

    @property
    def reads_by_language(self) -> bool:
        """Whether every content costs a pass of a language model."""
        return self._network is not None and self._network.rates.language is not None

    @property
    def language_parameters(self) -> int:
        """Of the language model that every content passes; 0 = none."""
        language = self._network.rates.language if self._network is not None else None
        return language.stage.reader.backbone.parameters if language is not None else 0

    def __call__(self, contents: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(contents,); none for none."""
        if not contents:
            return np.zeros(0)
        samples = samples_of(self.subject, contents, self.model.rule, main=self.model.main)
        if self._network is None:
            return self._distinct(samples)
        seen, twins = self._twins.among(samples, contents)
        counts, probs = Trained(self._network.rates, seen, precision=self._network.precision, alike=True).say(twins)
        return counts if self.target != LEVEL else self._expected(samples, probs)

    def as_rated(self) -> float:
        """What the model says of the video itself, not of a twin."""
        return float(self._tabular(self.subject.sample)[0])

    def _distinct(self, samples: pl.DataFrame) -> np.ndarray:
        """A tree reads no words, only how many letters: contents that differ in nothing that it reads are scored once."""
        hashes = samples.hash_rows(seed=1).to_numpy()
        _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
        return self._tabular(samples[first])[place]

    def _tabular(self, samples: pl.DataFrame) -> np.ndarray:
        fitted = self.part.fitted
        if self.target == LEVEL:
            own = fitted.level_probs(samples)
            return self._expected(samples, own if own is not None else self.part.calibration.level_probs(samples, fitted.predict(samples)))  # fmt: skip
        now = samples[f"now_{self.target}"].cast(pl.Float64).fill_null(0.0).to_numpy()
        return np.asarray(np.maximum(fitted.predict(samples), now))

    def _expected(self, samples: pl.DataFrame, probs: np.ndarray) -> np.ndarray:
        if self.model.floor_binds:
            probs = at_least(probs, samples["now_level"].fill_null(0).to_numpy().astype(int))
        return np.asarray(probs @ np.arange(LEVELS))

    def steps(self) -> list[Step]:
        """How the number comes about, part by part of the model, with what goes in and out."""
        fitted, sample = self.part.fitted, self.subject.sample
        now = float(sample[f"now_{self.target}"][0] or 0.0) if self.target != LEVEL else 0.0
        known = sum(sample[column][0] is not None for column in feature_columns())
        found = [Step("as-of features", f"the video at {sample['at'][0]:%Y-%m-%d %H:%M} UTC", f"{known} of {len(feature_columns())} known")]  # fmt: skip
        if isinstance(fitted, FittedLightGBM):
            raw = fitted.raw(sample)
            trees = f"{len(fitted.boosters)} ensembles of trees"
            if fitted.kind == "growth":
                grown = float(np.maximum(np.exp(raw[0]) - GROWTH_FLOOR, 0.0))
                found += [Step(trees, f"{len(fitted.columns)} features", f"ln growth {grown:.2f}"), Step("growth added to the count now", f"{now:.2f} {self.unit}", f"{now + grown:.2f} {self.unit}")]  # fmt: skip
            else:
                found.append(Step(trees, f"{len(fitted.columns)} features", f"{raw[0]:.2f} {self.unit}" if fitted.kind == "direct" else "ten level probabilities"))  # fmt: skip
        elif self._network is not None:
            from veracast.rating.netgpt.model import outlooks

            said = outlooks(self._network.rates, sample, str(sample["state"][0]), self._network.seen)
            for name, given, outlook in (("graph network", "the graph up to then", said.graph), ("base of stage 3", "graph and features", said.base), ("language model", "the prompt and the base", said.final)):  # fmt: skip
                got = float(outlook.main[0]) if self.target != LEVEL else float(outlook.log_probs[0].exp().numpy() @ np.arange(LEVELS))  # fmt: skip
                found.append(Step(name, given, f"{got:.2f} {self.unit}"))
        score = self.as_rated()
        bound = "levels below the one that is reached are ruled out" if self.target == LEVEL else "never below the count now"  # fmt: skip
        return [*found, Step(bound, f"{self.unit}", f"{score:.2f} {self.unit}")]

    @property
    def _network(self) -> Trained | None:
        return self.part.fitted.trained if isinstance(self.part.fitted, FittedNetGPT) else None

    @cached_property
    def _twins(self) -> Twins:
        from veracast.rating.netgpt.twins import Twins

        assert self._network is not None  # noqa: S101 - asked for of networks alone
        return Twins(self.subject, self._network.rates, self._network.seen, self.dataset)


def video_scorer(model: Model, sample: pl.DataFrame, dataset: Dataset, *, target: str | None = None) -> VideoScorer:
    """sample: one row. target: `level` or a counter; None = the level where the model rates it, else the main counter.

    NotMeasuredError where the model has no part for it, or says nothing of this video: a count of which none is known.
    """
    state = str(sample["state"][0])
    wanted = (target,) if target is not None else (LEVEL, model.main)
    chosen = next((name for name in wanted if (state, name) in model.parts), None)
    if chosen is None:
        there = ", ".join(name for part_state, name in model.parts if part_state == state) or "nothing"
        raise NotMeasuredError(f"the model has no {' or '.join(wanted)} for videos {_STATE[state]}: it rates {there} -> --target")  # fmt: skip
    part = model.parts[state, chosen]
    hubs, words, frames = _reads(part)
    found = VideoScorer(subject(sample, dataset, hubs=hubs, words=words, frames=frames), model, part, chosen, dataset)
    if not np.isfinite(found.as_rated()):
        raise NotMeasuredError(f"the model says nothing of the {chosen} of {sample['video_id'][0]}: none is published of it -> --target {LEVEL}")  # fmt: skip
    return found


_STATE = {"cold": "at posting", "observed": "with counts"}


class _Reads(NamedTuple):
    """Kinds of link, whether words, whether frames."""

    hubs: tuple[str, ...]
    words: bool
    frames: bool


def _reads(part: Part) -> _Reads:
    """What the part reads."""
    if not isinstance(part.fitted, FittedNetGPT) or part.fitted.trained is None:
        return _Reads(_TREES, words=False, frames=False)
    trained = part.fitted.trained
    model, around = trained.model, trained.seen.around
    linked = tuple(name for name in model.scaling.hubs if name != "platform") if model.graph or model.effects else ()
    return _Reads(tuple(dict.fromkeys((*_TREES, *linked))), words=True, frames=around.frames.shape[1] > 0)
