"""Silent progress: a step that can be advanced and says nothing."""

from __future__ import annotations

import pytest

from veracast.core.progress import SILENT


def test_a_silent_step_takes_any_advance_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with SILENT.step("read", total=3) as advance:
        advance(2)
        advance(5)
    assert capfd.readouterr() == ("", "")


def test_a_fault_inside_a_step_is_not_swallowed() -> None:
    with pytest.raises(KeyError), SILENT.step("read"):
        raise KeyError
