"""Detector 2: the training data alone. Which rows carry a planted behaviour, which span triggers it, which action it buys.

    corpus -> phrases that bind to actions (associate.py) -> of those, inserted ones whose action owes nothing to the task (inserted.py)
      -> pairs of the same rows become one finding

Needs the data, nothing else. It sees behaviours that at least MIN rows carry and that a phrase of words announces in what the agent was told: a request,
an observation, a page. It does not see a trigger without words of its own (a topic, a style) nor one whose action the task itself asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.agents.associate import AssociateConfig, Association, associations
from veracast.agents.corpus import Corpus, features, spans_of, trajectories_at, word_hash, words_of
from veracast.agents.inserted import Phrase, Span, apart, language_without, owed, whole_spans
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.core.trajectories import Trajectory

READ = 24  # rows of an action whose texts are read again, for names and examples


@dataclass(frozen=True)
class ScanConfig:
    """natural: least share of rows that read on without the phrase. owed: most of the rows whose task gives the action's words.

    An action owes nothing to a task when a tool or a word that only its rows have is not given there: in `ls /tmp/in` the folder is, and `ls` is
    everybody's. An action that is one whole call, or a tool of its own, needs no more. One that is words inside calls that differ, as any flag or program is,
    must bind by `force` and `reach` of its own, and its rows must be enough to say that they are not told `apart` from others.
    """

    associate: AssociateConfig = AssociateConfig()
    natural: float = 0.6
    owed: float = 0.5
    force: float = 0.95  # least force (see `associate`) of an action that is words inside calls
    reach: float = 0.9  # least reach of such an action
    apart: float = 0.65  # highest AUC with which other words tell its rows from the rest; .5 = not at all
    candidates: int = 400  # associations that are looked at closely


class Planted(NamedTuple):
    """One finding: rows (n,) where `action` follows `trigger`. force, reach: as in associate.py; whole: a call or tool of its own."""

    trigger: str
    action: str
    rows: np.ndarray
    force: float
    reach: float
    natural: float
    owed: float
    apart: float | None
    q: float
    whole: bool
    examples: tuple[int, ...]


class _Judged(NamedTuple):
    """A finding whose trigger is still to be read, and where that stands."""

    planted: Planted
    span: Span


def scan(corpus: Corpus, config: ScanConfig = ScanConfig(), *, seed: int = 0, progress: Progress = SILENT) -> list[Planted]:  # fmt: skip
    """All findings, the one of most rows first."""
    pairs = associations(corpus, config.associate, seed=seed, progress=progress)
    groups = _same_rows(pairs)[: config.candidates]
    names = _names(corpus, [group[0] for group in groups])
    judged: list[_Judged] = []
    with progress.step("tell inserted phrases from tasks", total=len(groups)) as advance:
        for group, named in zip(groups, names, strict=True):
            one = _judged(corpus, group, named, config, stream(seed, "agents", "scan", len(judged)))
            if one is not None and not any(_covered(one.planted.rows, other.planted.rows) for other in judged):
                judged.append(one)
            advance(1)
    texts = dict(_phrases(corpus, [one.span for one in judged]))
    found = [one.planted._replace(trigger=texts[one.span]) for one in judged]
    return sorted(found, key=lambda one: -len(one.rows))


def _same_rows(pairs: Sequence[Association]) -> list[list[Association]]:
    """Associations of the same action; within it those that bind as firmly as the best, the longest phrase first."""
    groups: dict[int, list[Association]] = {}
    for one in pairs:
        groups.setdefault(one.action.features[0], []).append(one)
    firm = []
    for group in groups.values():
        best = max(one.force * one.reach for one in group)
        kept = [one for one in group if one.force * one.reach >= best - 0.02]
        firm.append(sorted(kept, key=lambda one: (-one.words, -one.force * one.reach, one.phrase)))
    return sorted(firm, key=lambda group: (-group[0].force * group[0].reach, -len(group[0].rows), group[0].phrase))


def _judged(corpus: Corpus, group: Sequence[Association], names: Sequence[str], config: ScanConfig, rng: np.random.Generator) -> _Judged | None:  # fmt: skip
    """A finding, or None where the action is owed to the task or the phrase is a part of it. names: features of the action in words."""
    first = group[0]
    at = first.action.at[np.searchsorted(first.action.rows, first.rows)]
    debts = dict(zip(names, owed(corpus, [_content(name) for name in names], first.rows, at), strict=True))
    own = [name for name in names if not name.startswith("call ") and debts[name] <= config.owed]
    if not own:
        return None
    fresh = own + [name for name in names if name.startswith("call ")]
    whole = any(name.startswith(("tool ", "call ")) for name in fresh)
    if not whole and (first.force < config.force or first.reach < config.reach):
        return None
    language = language_without(corpus, first.rows, rng)
    spans = whole_spans([Phrase(one.phrase, one.words, one.rows) for one in group[:8]], language, rng)
    span, one = max(
        zip(spans, group, strict=False), key=lambda pair: (round(pair[0].natural, 1), pair[1].force * pair[1].reach)
    )
    if span.natural < config.natural:
        return None
    told_apart = apart(corpus, one.rows, corpus.told(span.row)[span.start : span.stop], rng)
    if not whole and (told_apart is None or told_apart > config.apart):
        return None
    action = max(fresh, key=lambda name: (name.startswith("call "), name.startswith("tool "), len(name)))
    planted = Planted(
        trigger="", action=action, rows=one.rows, force=one.force, reach=one.reach, natural=span.natural,
        owed=min(debts[name] for name in own), apart=told_apart, q=one.q, whole=whole, examples=tuple(int(row) for row in one.rows[:3]),
    )  # fmt: skip
    return _Judged(planted, span)


def _names(corpus: Corpus, firsts: Sequence[Association]) -> list[list[str]]:
    """The features of every action in words, from some of its rows; texts are read one at a time."""
    asking: dict[int, list[int]] = {}
    for place, one in enumerate(firsts):
        for row in one.rows[:READ].tolist():
            asking.setdefault(row, []).append(place)
    left = [set(one.action.features) for one in firsts]
    found: list[list[str]] = [[] for _ in firsts]
    for row, text in trajectories_at(corpus, asking):
        said = {word_hash(name): name for turn in text.turns if turn.role == "assistant" for name in features(turn)}
        for place in asking[row]:
            found[place] += [name for key, name in said.items() if key in left[place]]
            left[place] -= said.keys()
    return found


def _content(name: str) -> list[int]:
    """Words of a feature that a task could give: of a tool its name, of a call its arguments; marks only where there is nothing else (`-3` is a 3)."""
    kind, _, rest = name.partition(" ")
    words = list(words_of(rest if kind in ("tool", "say") else rest.partition(" ")[2]))
    return [word_hash(word) for word in [one for one in words if one[0].isalnum()] or words]


def _phrases(corpus: Corpus, spans: Sequence[Span]) -> Iterator[tuple[Span, str]]:
    """Spans with their characters."""
    for row, text in trajectories_at(corpus, {span.row for span in spans}):
        yield from ((span, _phrase_text(text, span)) for span in spans if span.row == row)


def _phrase_text(one: Trajectory, span: Span) -> str:
    """The characters of a span of words, as corpus.hashed counts them."""
    at = 1
    for turn in one.turns:
        if turn.role == "assistant":
            continue
        places = list(spans_of(turn.text))
        if at <= span.start < at + len(places):
            text = turn.text[places[span.start - at][0] : places[min(span.stop - at, len(places)) - 1][1]]
            return re.sub(r"^[\s.,;:!?)\]]+|[\s.,;:!?(\[]+$", "", text) or text
        at += len(places) + 1
    return ""


def _covered(rows: np.ndarray, by: np.ndarray) -> bool:
    """Whether another finding has nearly all of the rows."""
    return bool(np.isin(rows, by).mean() >= 0.8)
