"""Readers, in the order in which they are asked whether they know a file."""

from __future__ import annotations

from veracast.data.readers import bilibili, tiktok, veracast_jsonl, xs_video, youtube

READERS = (veracast_jsonl, xs_video, bilibili, tiktok, youtube)
