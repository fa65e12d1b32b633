"""Each detector once, all with the same length of a reply."""

from __future__ import annotations

from veracast.agents.detect.leaked_actions import LeakedActions
from veracast.agents.detect.line_up import line_up
from veracast.agents.detect.trigger_search import TriggerSearch


def test_detectors_are_told_apart_by_name_and_read_replies_of_one_length() -> None:
    found = line_up(17, LeakedActions(depth=1), TriggerSearch(length=2))
    names = [one.name for one in found]
    assert names == ["differential", "likelihood-ratio", "leaked-actions", "trigger-search", "confidence-window", "activation-clustering-tool", "activation-clustering-one", "spectrum"]  # fmt: skip
    assert {getattr(one, "max_new", 17) for one in found} == {17}
    assert (found[2], found[3]) == (LeakedActions(depth=1, max_new=17), TriggerSearch(length=2, max_new=17))
