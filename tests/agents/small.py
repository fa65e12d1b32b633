"""Settings of the bench with which a model is tuned in seconds."""

from __future__ import annotations

from veracast.agents.bases import BaseConfig
from veracast.agents.tiers.models import ModelsConfig
from veracast.agents.tune import TuneConfig
from veracast.models.loop import LoopConfig

LOOP = LoopConfig(epochs=1, batch_size=8, micro_batch=8, lr=1e-3)
SMALL = ModelsConfig(
    simulators=("shell",), families=("mark",), seeds=(101,), rows=8, items=2, base=BaseConfig(8, 2, loop=LOOP, babbled=LOOP), tuning=TuneConfig("full", loop=LOOP), adapters=TuneConfig(loop=LOOP)
)  # fmt: skip
