"""All raters, simplest first. Those of `NETWORK` learn from the data set itself and need the extra `netgpt`."""

from __future__ import annotations

from veracast.core.protocols import Rater
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.raters.author import AuthorMean
from veracast.rating.raters.constant import Constant
from veracast.rating.raters.growth import GrowthFit
from veracast.rating.raters.lightgbm import LightGBM
from veracast.rating.raters.median import PlatformMedian
from veracast.rating.raters.netgpt import network_raters
from veracast.rating.raters.persistence import Persistence
from veracast.rating.raters.szabo_huberman import SzaboHuberman

RATERS: tuple[Rater, ...] = (
    Constant(),
    PlatformMedian(),
    Persistence(),
    AuthorMean(),
    SzaboHuberman(),
    GrowthFit(),
    LightGBM(),
)
NAMES = tuple(rater.name for rater in RATERS)
NETWORK = tuple(rater.name for rater in network_raters())


def rater(name: str, *, netgpt: NetGPTConfig = NetGPTConfig()) -> Rater:
    """The rater of that name; netgpt: config of the raters of `NETWORK`."""
    return next(rater for rater in (*RATERS, *network_raters(netgpt)) if rater.name == name)
