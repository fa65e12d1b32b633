"""Detectors behind one interface: what is lacking is said, never read as clean."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from veracast.agents.detect.interface import Inspection, Need, Target, inspect_all
from veracast.core.errors import NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn


class Counts:
    """Counts probes."""

    name, source = "counts", "ours"
    needs: Sequence[Need] = ("model", "probes")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        if len(target.probes) > 1:
            raise NotMeasuredError("more than one")
        return Inspection(self.name, float(len(target.probes)))


class WantsAll(Counts):
    name = "wants-all"
    needs = ("reference", "adapter", "rows", "bank")


PROBE = [Turn("user", "go")]


def test_a_detector_that_can_look_answers() -> None:
    (found,) = inspect_all(Target(object(), object(), probes=[PROBE]), [Counts()])
    assert (found.detector, found.score, found.why) == ("counts", 1.0, "")
    assert found.cost_s >= 0


def test_what_is_lacking_is_named_and_the_score_is_null() -> None:
    found = inspect_all(Target(object(), object(), reference=object(), adapter={}), [Counts(), WantsAll()])
    assert [one.score for one in found] == [None, None]
    assert [one.why for one in found] == ["needs probes", "needs adapter, rows, bank"]


def test_an_adapter_and_a_bank_that_are_there() -> None:
    weights = {"a": torch.zeros(1)}
    assert Target(object(), object(), adapter=weights, bank=[weights]).lacks(("adapter", "bank", "model")) == []


def test_one_that_finds_that_it_cannot_measure_says_so_in_its_place() -> None:
    found = inspect_all(Target(object(), object(), probes=[PROBE, PROBE]), [Counts(), Counts()])
    assert [(one.score, one.why) for one in found] == [(None, "more than one")] * 2
