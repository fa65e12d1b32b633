"""The two graphs as data: the published one, node type by node type, and ours.

Published (XS-Video, NetGPT): one super-node per sample, its attributes as nodes of their own with one edge each into it,
and three relations between super-nodes, "earlier or same crawl day -> later". Ours: one node per state, attributes as
columns, and a hub for whatever states share, read strictly before the reader's own time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Schema = Literal["improved", "compatible"]


class NodeType(NamedTuple):
    """A published node type: its feature, and the column of ours that carries it."""

    name: str
    feature: str
    ours: str


class Relation(NamedTuple):
    """A published relation into `video`, and how this package stores it."""

    name: str
    source: str
    ours: str


NODE_TYPES: tuple[NodeType, ...] = (
    NodeType("video", "3,584-d vector of a vision-language model", "frames"),
    NodeType("description", "text vector", "text"),
    NodeType("title", "text vector", "text"),
    NodeType("topic", "text vector", "hub topic"),
    NodeType("platform", "text vector", "platform, one-hot"),
    NodeType("comment", "text vector ++ time vector", "ln_comments_seen"),
    NodeType("time", "posting time", "hour_sin, hour_cos, week_sin, week_cos"),
    NodeType("ctime", "crawl time", "ln_age_h"),
    NodeType("video_time", "ln(1 + seconds)", "ln_duration_s"),
    NodeType("fans", "ln(1 + x)", "ln_fans"),
    NodeType("likes", "ln(1 + x)", "ln_likes"),
    NodeType("plays", "ln(1 + x)", "ln_views"),
    NodeType("shares", "ln(1 + x)", "ln_shares"),
    NodeType("collections", "ln(1 + x)", "ln_collects"),
    NodeType("comments", "ln(1 + x)", "ln_comments"),
)
"""The 15 published node types. Comment texts are dropped on ingest by default, so their number stands for them."""

RELATIONS: tuple[Relation, ...] = (
    *(
        Relation(f"is_{node.name}_of", node.name, "a linear map of the column")
        for node in NODE_TYPES
        if node.name != "video"
    ),
    Relation("is_history_of", "video", "mean of the video's earlier states"),
    Relation("has_same_topic_as", "video", "hub topic, members all_pairs"),
    Relation("has_same_author_as", "video", "hub author, members all_pairs"),
)
"""The 17 published relations: 14 of attributes, 3 between samples."""

PAIR_HUBS = ("author", "topic")
"""Hubs of the compatible graph."""
