"""Twins of a video in a data set that a model has read: the same video with other content, as many as are asked about at once.

A twin has the video's posting and its rated state, reads the hubs that it is linked to as the video does (its own earlier counts left out), and is read
by nobody: what is known of other videos stays what it was. So what the rest of the graph says to the video's links is found out once (graph/apart.py,
graph/crossed_effects.py `of`), and twins are embedded without it: one with the video's own content as the video is, and at a cost that does not
depend on how large the data set is.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch

from veracast.core.errors import NotMeasuredError
from veracast.data.dataset import Dataset
from veracast.graph.apart import Heard, Key, Listening, weighed
from veracast.graph.build import NUMBERS, Graph, memberships
from veracast.graph.crossed_effects import OfOne
from veracast.graph.hubs import Hub, Read
from veracast.models.frame_vectors import colour_layout
from veracast.models.text_store import MAX_CHARS, Encode, load_encoder
from veracast.rating.netgpt.effects import vectors_of
from veracast.rating.netgpt.extras import HUB_KINDS, MEMORIES_DAYS, counted, mean_columns
from veracast.rating.netgpt.inputs import Apart, Surroundings, graph_inputs
from veracast.rating.netgpt.model import NetGPT, Seen
from veracast.rating.variants import TEXTS, Subject

_COLUMNS = {
    **{f"ln_{name}": f"f_ln_{name}" for name in ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")},
    **{f"recent_{name}": f"f_recent_{name}" for name in ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")},
    "ln_fans": "f_fans", "ln_duration_s": "f_duration", "list_share": "f_list_share", "ln_comments_seen": "f_comments_seen",
}  # fmt: skip
_AT_POSTING = ("ln_fans", "ln_duration_s", "title_chars", "hour_sin", "hour_cos", "week_sin", "week_cos")


@dataclass(frozen=True)
class _Membership:
    """A row of a hub in which a state of the video stands. state: 0 = the posting, or the rated one where there is no other; 1 = the rated one; link:
    kind and target."""

    row: int
    state: int
    link: tuple[str, str]


class Twins:
    """Of one video, in a data set as a model sees it. NotMeasuredError for graphs in which a reader is read as well (the published relations), and
    for hubs that are read by their latest members alone."""

    def __init__(self, subject: Subject, model: NetGPT, seen: Seen, dataset: Dataset) -> None:
        config = model.config.graph
        if config.schema != "improved" or config.hub_reading == "recent":
            raise NotMeasuredError(f"graph.schema {config.schema}, graph.hub_reading {config.hub_reading}: parts cannot be taken away one by one there -> explain a model of the improved graph")  # fmt: skip
        self.subject, self.model, self.around = subject, model, seen.around
        graph = self.around.graph
        self.rated = int(graph.rows(subject.sample)[0])
        self.video = int(self.around.video[self.rated])
        posting = self.rated - int(graph.states["point"][self.rated])
        self.states = [posting] if posting == self.rated else [posting, self.rated]
        videos = dataset.videos.sort("video_id").with_row_index("video")
        keys = {hub.name: memberships(hub.name, videos, dataset.links) for hub in graph.hubs}
        self.memberships = {hub.name: _found(hub, self.states, self.video, keys[hub.name], graph) for hub in graph.hubs}
        self.keys = _keys(graph, self.video, videos, dataset.links)
        self._told = self._listen(seen)
        self._means = self._listen_to_counts()
        self._effects = self._expected_of_each_link()
        self._texts: dict[str, np.ndarray] = {}
        self._frames: dict[bytes, np.ndarray] = {}

    def among(self, samples: pl.DataFrame, contents: Sequence[Mapping[str, Any]]) -> tuple[Seen, pl.DataFrame]:
        """A twin for each row of samples (rating/variants.py `samples_of`) and its content, as the model sees it, and samples of the twins."""
        names = [f"{self.subject.video_id} twin {k}" for k in range(len(contents))]
        links = [None if "graph" not in self.subject.content else {(link.hub, link.target) for link in one["graph"]} for one in contents]  # fmt: skip
        stands = self._stands(links)
        graph = self._graph(samples, names)
        pictures = [self._pictures(one) for one in contents]
        titles = pl.DataFrame({"video_id": names, **{text: [one.get(text) for one in contents] for text in TEXTS}}, schema=self.around.titles.schema)  # fmt: skip
        around = Surroundings(
            graph,
            self._text_vectors(contents),
            self._frame_vectors(pictures),
            titles,
            jpegs=dict(zip(names, map(tuple, pictures), strict=True)) if self.around.jpegs else {},
            encoder=self.around.encoder,
        )
        around = replace(around, apart=Apart(self._hub_means(stands), self._expected(around, links)))
        inputs = graph_inputs(around, self.model.scaling, config=self.model.config.graph)
        with torch.no_grad():
            embeddings = tuple(
                member.embed(inputs, reader=Heard(told, stands, graph.size).read)
                for member, told in zip(self.model.graph, self._told, strict=True)
            )
        return Seen(around, inputs, embeddings), samples.with_columns(video_id=pl.Series(names))

    def _listening(self) -> Listening:
        return Listening.to(self.around.graph.hubs, {name: [one.row for one in mine] for name, mine in self.memberships.items()})  # fmt: skip

    def _listen(self, seen: Seen) -> list[Mapping[Key, Read]]:
        """What each member of stage 1 hears in the video's rows."""
        found: list[Mapping[Key, Read]] = []
        for member in self.model.graph:
            listening = self._listening()
            with torch.no_grad():
                member.eval().embed(seen.inputs, reader=listening.read)
            found.append(listening.told)
        return found

    def _listen_to_counts(self) -> Mapping[Key, Read]:
        """The same of the counts that boosted models read (extras.py)."""
        listening, values = self._listening(), counted(self.around.graph, self.model.main)
        for hub in self.around.graph.hubs:
            if hub.name in HUB_KINDS:
                for memory in MEMORIES_DAYS:
                    listening.read(0, hub, values, memory)
        return listening.told

    def _expected_of_each_link(self) -> OfOne | None:
        if self.model.effects is None:
            return None
        return self.model.effects.of(self.around.graph, vectors_of(self.around, self.model.scaling), self.video)

    def _stands(self, links: Sequence[set[tuple[str, str]] | None]) -> dict[str, np.ndarray]:
        """Which rows each state of the twins stands in, by hub, (twins x states, rows)."""
        each, found = len(self.states), {}
        for name, mine in self.memberships.items():
            kept = np.array([[_kept(one.link, those) for one in mine] for those in links], dtype=bool).reshape(len(links), 1, len(mine))  # fmt: skip
            own = np.array([one.state for one in mine], dtype=np.int64) == np.arange(each)[:, None]
            found[name] = (kept & own).reshape(len(links) * each, len(mine))
        return found

    def _hub_means(self, stands: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        for (_, name, memory), told in self._means.items():
            found |= mean_columns(name, memory, weighed(told, stands[name]))
        return found

    def _expected(self, around: Surroundings, links: Sequence[set[tuple[str, str]] | None]) -> np.ndarray | None:
        """What the crossed effects expect of the twins, (twins,)."""
        if self._effects is None:
            return None
        vectors = vectors_of(around, self.model.scaling)
        every = [(kind, key, (kind, target)) for kind, key, target in self.keys.select("kind", "key", "target").iter_rows()]  # fmt: skip
        return np.array([
            self._effects.expected([(kind, key) for kind, key, link in every if _kept(link, those)], {n: x[twin] for n, x in vectors.items()})
            for twin, those in enumerate(links)
        ])  # fmt: skip

    def _graph(self, samples: pl.DataFrame, names: Sequence[str]) -> Graph:
        """The twins' states alone; what they share with others is told apart from it."""
        graph, n, each = self.around.graph, len(names), len(self.states)
        own = graph.states[np.tile(self.states, n)]
        states = own.with_columns(
            state=pl.Series(np.arange(n * each), dtype=own.schema["state"]),
            video=pl.Series(np.repeat(np.arange(n), each), dtype=own.schema["video"]),
            video_id=pl.Series(np.repeat(names, each).tolist()),
        )
        numbers, mask = self._numbers(samples)
        nobody = np.full(n * each, -1, dtype=graph.before.dtype)
        return Graph(states, numbers, mask, nobody, graph.texts[np.full(n, self.video)], graph.keys.clear(), (), graph.platforms)  # fmt: skip

    def _numbers(self, samples: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and masks of the twins' states, (twins x states, numbers): the video's own but for what the samples change."""
        graph, each = self.around.graph, len(self.states)
        numbers, mask = np.tile(graph.numbers[self.states], (samples.height, 1)), np.tile(graph.mask[self.states], (samples.height, 1))  # fmt: skip
        own, told = (_graph_numbers(frame, self.model.main) for frame in (self.subject.sample, samples))
        columns = [NUMBERS.index(name) for name in told.columns]
        before, after = own.to_numpy()[0], told.to_numpy()  # NaN where unknown
        changed = (after != before) & ~(np.isnan(after) & np.isnan(before))
        known = ~np.isnan(after)
        values = np.where(known, after, 0.0).astype(np.float32)
        at_posting = np.array([name in _AT_POSTING for name in told.columns])
        for state in range(each):
            moved = changed if state == each - 1 else changed & at_posting
            rows, which = np.nonzero(moved)
            places = rows * each + state, np.take(columns, which)
            numbers[places], mask[places] = values[rows, which], known[rows, which]
        return numbers, mask

    def _text_vectors(self, contents: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(twins, dim); the video's own vector where its texts are as they are."""
        own = _text(self.subject.content)
        self._texts.setdefault(own, self.around.text[self.video])
        self._texts.setdefault("", np.zeros_like(self.around.text[self.video]))
        told = [_text(one) for one in contents]
        new = [text for text in dict.fromkeys(told) if text not in self._texts]
        if new and self.around.text.shape[1]:
            self._texts |= dict(
                zip(
                    new, _encoder(self.model.config.graph.text_encoder)([text[:MAX_CHARS] for text in new]), strict=True
                )
            )
        elif new:
            self._texts |= dict.fromkeys(new, self._texts[own])
        return np.stack([self._texts[text] for text in told]).astype(np.float32)

    def _pictures(self, content: Mapping[str, Any]) -> Sequence[bytes]:
        """The frames of a content; those that are as they were, and those that content does not show, as they are stored."""
        shown, stored = self.subject.content.get("frames"), self.subject.pictures
        if shown is None or content["frames"] is shown:
            return stored
        same = [bool(np.array_equal(new, old)) for new, old in zip(content["frames"], shown, strict=True)]
        return [
            *(old if kept else _png(new) for new, old, kept in zip(content["frames"], stored, same, strict=False)),
            *stored[len(shown) :],
        ]

    def _frame_vectors(self, pictures: Sequence[Sequence[bytes]]) -> np.ndarray:
        """(twins, dim): means over the frames, as models/frame_vectors.py has it; the video's own where its frames are as they are."""
        own = self.around.frames[self.video]
        if "frames" not in self.subject.content or not self.around.frames.shape[1]:
            return np.tile(own, (len(pictures), 1))
        stored = self.subject.pictures
        found = [own if tuple(every) == stored else np.mean([self._frame_vector(data) for data in every], axis=0) for every in pictures]  # fmt: skip
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
