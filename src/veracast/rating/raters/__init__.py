"""First raters, simplest first. NetGPT and its parts join this list when they land."""

from __future__ import annotations

from veracast.core.protocols import Rater
from veracast.rating.raters.author import AuthorMean
from veracast.rating.raters.constant import Constant
from veracast.rating.raters.growth import GrowthFit
from veracast.rating.raters.lightgbm import LightGBM
from veracast.rating.raters.median import PlatformMedian
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


def rater(name: str) -> Rater:
    """The rater of that name."""
    return next(rater for rater in RATERS if rater.name == name)
