"""Extra columns of the strong baseline, against a mean written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rating.netgpt.conftest import World
from veracast.graph.build import NUMBERS
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import fit_scaling


def test_the_music_mean_is_that_of_the_other_videos_last_seen_counts(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    samples = with_extras(world.test["cold"], world.around, scaling, main="views")
    graph = world.around.graph
    hub = next(h for h in graph.hubs if h.name == "music")
    value = graph.numbers[:, NUMBERS.index("ln_views")]
    checked = 0
    for row in samples.iter_rows(named=True):
        state = graph.rows(samples.filter(video_id=row["video_id"]).head(1))[0]
        where = np.flatnonzero(hub.state == state)
        if not len(where):
            assert np.isnan(row["x_music_all_ln"])
            continue
        h = np.searchsorted(hub.starts, where[0], side="right") - 1
        mine = slice(hub.starts[h], hub.starts[h + 1])
        past = (hub.time[mine] < hub.time[where[0]]) & hub.known[mine]
        latest: dict[int, float] = {}
        for s in hub.state[mine][past]:
            latest[world.around.video[s]] = value[s]
        latest.pop(world.around.video[state], None)
        if latest:
            assert row["x_music_all_ln"] == pytest.approx(np.mean(list(latest.values())), abs=1e-4)
            assert row["x_music_all_n"] == pytest.approx(np.log1p(len(latest)), abs=1e-5)
            checked += 1
    assert checked > 20
