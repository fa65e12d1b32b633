"""Readers, in the order in which they are asked whether they know a file."""

from __future__ import annotations

from veracast.data.readers import bilibili, tiktok, xs_video, youtube

READERS = (xs_video, bilibili, youtube, tiktok)
