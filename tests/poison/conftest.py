"""Searches of one planted set that several tests read: nobody changes what is in them."""

from __future__ import annotations

import pytest

from tests.poison.known import ATTACK, FIND, PICTURES, seeing
from veracast.poison.attacks import Planted, plant
from veracast.poison.find import PoisonFindings, find_patch_poisons


@pytest.fixture(scope="session")
def one_trigger() -> Planted:
    """The pictures with one trigger on some of them."""
    return plant(PICTURES.images, PICTURES.labels, [ATTACK])


@pytest.fixture(scope="session")
def followed(one_trigger: Planted) -> PoisonFindings:
    """What is found in them with an encoder that the trigger takes over."""
    return find_patch_poisons(one_trigger.images, seeing(one_trigger, takes_over=True), FIND)


@pytest.fixture(scope="session")
def seen(one_trigger: Planted) -> PoisonFindings:
    """What is found in them with one that sees the trigger and is not moved."""
    return find_patch_poisons(one_trigger.images, seeing(one_trigger, takes_over=False), FIND)
