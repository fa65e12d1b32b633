"""Twins of a video in a data set that a model has read: the same video with other content, as many as are asked about at once.

A twin has the video's posting and its rated state, reads the hubs that it is linked to as the video does (its own earlier counts left out), and is read
by nobody: what is known of other videos stays what it was. So one pass over the graph scores all twins, and a twin with the video's own content
scores what the video does.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from veracast.core.errors import NotMeasuredError
from veracast.data.dataset import Dataset
from veracast.graph.build import NUMBERS, Graph, memberships
from veracast.graph.hubs import Hub
from veracast.models.frame_vectors import colour_layout
from veracast.models.text_store import MAX_CHARS, Encode, load_encoder
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import Surroundings
from veracast.rating.variants import TEXTS, Subject

_COLUMNS = {
    **{f"ln_{name}": f"f_ln_{name}" for name in ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")},
    **{f"recent_{name}": f"f_recent_{name}" for name in ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")},
    "ln_fans": "f_fans", "ln_duration_s": "f_duration", "list_share": "f_list_share", "ln_comments_seen": "f_comments_seen",
}  # fmt: skip
_AT_POSTING = ("ln_fans", "ln_duration_s", "title_chars", "hour_sin", "hour_cos", "week_sin", "week_cos")


@dataclass(frozen=True)
class _Membership:
    """A row of a hub in which a state of the video stands. state: 0 = the posting, 1 = the rated one; link: kind and target."""

    row: int
    state: int
    link: tuple[str, str]


class Twins:
    """Of one video, in a data set as a model reads it. NotMeasuredError for graphs in which a reader is read as well (the published relations), and
    for hubs that are read by their latest members alone."""

    def __init__(
        self, subject: Subject, around: Surroundings, dataset: Dataset, config: GraphConfig, *, main: str
    ) -> None:
        if config.schema != "improved" or config.hub_reading == "recent":
            raise NotMeasuredError(f"graph.schema {config.schema}, graph.hub_reading {config.hub_reading}: parts cannot be taken away one by one there -> explain a model of the improved graph")  # fmt: skip
        self.subject, self.around, self.config, self.main = subject, around, config, main
        graph = around.graph
        self.rated = int(graph.rows(subject.sample)[0])
        self.video = int(around.video[self.rated])
        posting = self.rated - int(graph.states["point"][self.rated])
        self.states = [posting] if posting == self.rated else [posting, self.rated]
        videos = dataset.videos.sort("video_id").with_row_index("video")
        keys = {hub.name: memberships(hub.name, videos, dataset.links) for hub in graph.hubs}
        self.memberships = {hub.name: _found(hub, self.states, self.video, keys[hub.name], graph) for hub in graph.hubs}
        self.keys = _keys(graph, self.video, videos, dataset.links)
        self._texts: dict[str, np.ndarray] = {}
        self._frames: dict[bytes, np.ndarray] = {}

    def among(self, samples: pl.DataFrame, contents: Sequence[Mapping[str, Any]]) -> tuple[Surroundings, pl.DataFrame]:
        """The data set with a twin for each row of samples (rating/variants.py `samples_of`) and its content, and samples of the twins."""
        n = len(contents)
        names = [f"{self.subject.video_id} twin {k}" for k in range(n)]
        graph = self._graph(samples, contents, names)
        titles = pl.DataFrame({"video_id": names, **{text: [one.get(text) for one in contents] for text in TEXTS}}, schema=self.around.titles.schema)  # fmt: skip
        around = replace(
            self.around,
            graph=graph,
            text=np.concatenate([self.around.text, self._text_vectors(contents)]),
            frames=np.concatenate([self.around.frames, self._frame_vectors(contents)]),
            titles=pl.concat([self.around.titles, titles]),
        )
        return around, samples.with_columns(video_id=pl.Series(names))

    def _graph(self, samples: pl.DataFrame, contents: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Graph:
        graph, n, each = self.around.graph, len(contents), len(self.states)
        first, codes = graph.size, self.around.titles.height + np.arange(n)
        own = graph.states[np.tile(self.states, n)]
        states = own.with_columns(
            state=pl.Series(first + np.arange(n * each), dtype=own.schema["state"]),
            video=pl.Series(np.repeat(codes, each), dtype=own.schema["video"]),
            video_id=pl.Series(np.repeat(names, each).tolist()),
        )
        numbers, mask = self._numbers(samples)
        links = [None if "graph" not in self.subject.content else {(link.hub, link.target) for link in one["graph"]} for one in contents]  # fmt: skip
        keys = self._kept_keys(links, codes)
        return replace(
            graph,
            states=pl.concat([graph.states, states]),
            numbers=np.concatenate([graph.numbers, numbers]),
            mask=np.concatenate([graph.mask, mask]),
            before=np.concatenate([graph.before, np.tile(graph.before[self.states], n)]),
            texts=pl.concat([graph.texts, graph.texts[np.full(n, self.video)]]),
            keys=pl.concat([graph.keys, keys]),
            hubs=tuple(_joined(hub, self.memberships[hub.name], links, first, each) for hub in graph.hubs),
        )

    def _numbers(self, samples: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and masks of the twins' states, (twins x states, numbers): the video's own but for what the samples change."""
        graph, each = self.around.graph, len(self.states)
        numbers, mask = np.tile(graph.numbers[self.states], (samples.height, 1)), np.tile(graph.mask[self.states], (samples.height, 1))  # fmt: skip
        before, after = (_graph_numbers(frame, self.main) for frame in (self.subject.sample, samples))
        own = before.row(0, named=True)
        moved = after.select(pl.col(name).ne_missing(pl.lit(own[name], pl.Float64)).any() for name in after.columns).row(0, named=True)  # fmt: skip
        for name in (name for name, there in moved.items() if there):
            column, value = NUMBERS.index(name), after[name]
            changed = value.ne_missing(own[name]).to_numpy()
            known = value.is_not_null().to_numpy()
            new = value.fill_null(0.0).to_numpy().astype(np.float32)
            states = range(each) if name in _AT_POSTING else range(each - 1, each)
            for state in states:
                rows = np.flatnonzero(changed) * each + state
                numbers[rows, column], mask[rows, column] = new[changed], known[changed]
        return numbers, mask

    def _kept_keys(self, links: Sequence[set[tuple[str, str]] | None], codes: np.ndarray) -> pl.DataFrame:
        """Rows of Graph.keys of the twins."""
        every = list(self.keys.select("kind", "target").iter_rows())
        kept = [(row, code) for code, those in zip(codes.tolist(), links, strict=True) for row, key in enumerate(every) if _kept(key, those)]  # fmt: skip
        rows, whose = (np.array([pair[k] for pair in kept], dtype=np.int64) for k in (0, 1))
        return self.keys.drop("target")[rows].with_columns(video=pl.Series(whose, dtype=pl.Int64))

    def _text_vectors(self, contents: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(twins, dim); the video's own vector where its texts are as they are."""
        own = _text(self.subject.content)
        self._texts.setdefault(own, self.around.text[self.video])
        self._texts.setdefault("", np.zeros_like(self.around.text[self.video]))
        told = [_text(one) for one in contents]
        new = [text for text in dict.fromkeys(told) if text not in self._texts]
        if new and self.around.text.shape[1]:
            self._texts |= dict(
                zip(new, _encoder(self.config.text_encoder)([text[:MAX_CHARS] for text in new]), strict=True)
            )
        elif new:
            self._texts |= dict.fromkeys(new, self._texts[own])
        return np.stack([self._texts[text] for text in told]).astype(np.float32)

    def _frame_vectors(self, contents: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(twins, dim): means over the frames, as models/frame_vectors.py has it; the video's own where its frames are as they are."""
        own = self.around.frames[self.video]
        shown = self.subject.content.get("frames")
        if shown is None or not self.around.frames.shape[1]:
            return np.tile(own, (len(contents), 1))
        found = []
        for one in contents:
            if one["frames"] is shown:
                found.append(own)
                continue
            same = [bool(np.array_equal(new, old)) for new, old in zip(one["frames"], shown, strict=True)]
            pictures = [old if kept else _png(new) for new, old, kept in zip(one["frames"], self.subject.pictures, same, strict=False)]  # fmt: skip
            every = [*pictures, *self.subject.pictures[len(shown) :]]
            found.append(own if all(same) else np.mean([self._frame_vector(data) for data in every], axis=0))
        return np.stack(found).astype(np.float32)

    def _frame_vector(self, picture: bytes) -> np.ndarray:
        if picture not in self._frames:
            encoder = self.around.encoder
            encode = encoder.network.encode if encoder is not None else colour_layout
            self._frames[picture] = encode([picture])[0]
        return self._frames[picture]


@functools.cache
def _encoder(name: str) -> Encode:
    """Loaded once: that takes a second."""
    return load_encoder(name)


def _kept(key: tuple[str, str], links: set[tuple[str, str]] | None) -> bool:
    """Whether a twin with those links has the key, of a kind and its target; None = links are no part of its content. The key of a repost is the first
    of its family, its link the video that it copies."""
    kind = key[0]
    return (
        links is None
        or kind == "platform"
        or key in links
        or (kind == "repost" and any(one == kind for one, _ in links))
    )


def _text(content: Mapping[str, Any]) -> str:
    """As rating/netgpt/inputs.py joins a video's words."""
    return " ".join(content[name] for name in TEXTS if content.get(name)).strip()


def _png(frame: np.ndarray) -> bytes:
    from PIL import Image

    place = io.BytesIO()
    Image.fromarray(frame).save(place, "png")
    return place.getvalue()


def _graph_numbers(samples: pl.DataFrame, main: str) -> pl.DataFrame:
    """Attributes of states that follow from the features of samples."""
    hour = pl.col("f_hour")
    week = pl.col("f_weekday") - 1 + hour / 24
    return samples.select(
        **{name: pl.col(column) for name, column in _COLUMNS.items()},
        **({"total_main": pl.col(f"f_total_{main}")} if f"f_total_{main}" in samples.columns else {}),
        title_chars=pl.col("f_title_chars").log1p(),
        hour_sin=(hour * (2 * np.pi / 24)).sin(),
        hour_cos=(hour * (2 * np.pi / 24)).cos(),
        week_sin=(week * (2 * np.pi / 7)).sin(),
        week_cos=(week * (2 * np.pi / 7)).cos(),
        list_move=pl.col("f_list_move") / pl.col("f_list_length"),
    )


def _found(hub: Hub, states: Sequence[int], video: int, keys: pl.DataFrame, graph: Graph) -> list[_Membership]:
    """Rows of the hub that the states stand in. The keys of a kind are ranked as strings, so rows and targets are in one order."""
    shared = keys.filter(pl.col("key").is_duplicated() & (pl.col("video") == video)).sort("key")
    found = []
    for number, state in enumerate(states):
        rows = np.flatnonzero(hub.state == state)
        at = graph.states["at"][state]
        known = shared.filter(pl.col("since").is_null() | (pl.col("since") <= at))["key"].to_list()
        if len(known) != len(rows):
            raise RuntimeError(f"hub {hub.name}: {len(rows)} memberships for {len(known)} links")
        for row, target in zip(rows.tolist(), known, strict=True):
            found.append(_Membership(row, number, (hub.name, target)))
    return found


def _keys(graph: Graph, video: int, videos: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """The video's rows of Graph.keys, with the target of each."""
    mine = graph.keys.filter(pl.col("video") == video)
    parts = []
    for (kind,), rows in mine.group_by("kind", maintain_order=True):
        posted = videos["posted_at"][video]
        named = memberships(str(kind), videos, links).filter(pl.col("video") == video)
        named = named.filter(pl.col("since").is_null() | (pl.col("since") <= posted)).sort("key")
        parts.append(rows.sort("key").with_columns(target=named["key"]))
    return pl.concat(parts) if parts else mine.with_columns(target=pl.lit(None, pl.String))


def _joined(
    hub: Hub, mine: Sequence[_Membership], links: Sequence[set[tuple[str, str]] | None], first: int, each: int
) -> Hub:
    """The hub with the twins' memberships: beside the video's own, where the link is kept, and read by nobody."""
    row, state = [], []
    for twin, kept in enumerate(links):
        for one in mine:
            if _kept(one.link, kept):
                row.append(one.row)
                state.append(first + twin * each + one.state)
    order = np.argsort(np.array(row, dtype=np.int64), kind="stable")
    rows, states = np.array(row, dtype=np.int64)[order], np.array(state, dtype=np.int64)[order]
    added = np.bincount(np.searchsorted(hub.starts, rows, side="right") - 1, minlength=len(hub.starts) - 1)
    return replace(
        hub,
        starts=hub.starts + np.concatenate([[0], np.cumsum(added)]),
        state=np.insert(hub.state, rows + 1, states),
        time=np.insert(hub.time, rows + 1, hub.time[rows]),
        known=np.insert(hub.known, rows + 1, False),
        before=np.insert(hub.before, rows + 1, hub.before[rows]),
        born=np.insert(hub.born, rows + 1, hub.born[rows]),
        states=hub.states + len(links) * each,
    )
