"""What does not go together is refused, with the key and the way out named."""

from __future__ import annotations

import pytest

from veracast.core.config import load_config
from veracast.core.errors import ConfigError
from veracast.rating.netgpt.config import GraphConfig, NetGPTConfig, Stage1Config


def test_fan_out_is_read_from_the_command_line() -> None:
    config = load_config(NetGPTConfig, overrides=["stage1.fan_out=50,25", "graph.recent_k=4"])
    assert config.stage1.fan_out == (50, 25) and config.graph.recent_k == 4
    assert NetGPTConfig().stage1.fan_out == () and NetGPTConfig().graph.hub_reading == "running"


@pytest.mark.parametrize(
    ("graph", "stage1", "named"),
    [
        (GraphConfig(layers=2), Stage1Config(fan_out=(50,)), "fan_out"),
        (GraphConfig(layers=2), Stage1Config(fan_out=(50, 0)), "fan_out"),
        (GraphConfig(), Stage1Config(fan_out=(5, 5), batch=0), "batch"),
        (GraphConfig(), Stage1Config(fan_out=(5, 5), objective="self-supervised"), "self-supervised"),
        (GraphConfig(hub_reading="recent"), Stage1Config(fan_out=(5, 5)), "hub_reading"),
    ],
)
def test_a_sample_that_cannot_be_drawn_is_refused(graph: GraphConfig, stage1: Stage1Config, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        NetGPTConfig(graph=graph, stage1=stage1)


def test_no_most_recent_member_is_refused() -> None:
    with pytest.raises(ConfigError, match="recent_k"):
        GraphConfig(recent_k=0)
