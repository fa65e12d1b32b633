"""The false-alarm rate: as counted, or not measured; never a default."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.core.errors import InputError
from veracast.poison.controls import NOT_MEASURED, Controls, as_score, in_words, read_controls


def test_without_a_count_nothing_was_measured(tmp_path: Path) -> None:
    assert read_controls(tmp_path / "controls.json") is None
    assert in_words(None) == NOT_MEASURED
    score = as_score(None)
    assert (score.value, score.low, score.high, score.n) == (None, None, None, 0)


def test_a_count_gives_a_rate_with_its_wilson_interval(tmp_path: Path) -> None:
    path = tmp_path / "controls.json"
    path.write_text('{"controls": 40, "flagged": 0, "source": "bench of 2026-11-27"}')
    found = read_controls(path)
    assert found == Controls(40, 0, "bench of 2026-11-27")
    # z^2 / (n + z^2), the upper end of Wilson's interval of 0 of n, with z = 1.95996
    high = 3.841459 / 43.841459
    score = as_score(found)
    assert (score.value, score.low, score.n) == (0.0, 0.0, 40) and score.high == pytest.approx(high, abs=1e-6)
    assert in_words(found) == "false alarms: 0 of 40 clean controls were flagged (95 % interval 0 to 9 %)"


@pytest.mark.parametrize(
    "body", ["{", '{"controls": 4}', '{"controls": 4, "flagged": 5, "source": ""}', '{"controls": 0, "flagged": 0, "source": ""}']
)  # fmt: skip
def test_another_file_is_refused(body: str, tmp_path: Path) -> None:
    (tmp_path / "controls.json").write_text(body)
    with pytest.raises(InputError, match="no count of controls"):
        read_controls(tmp_path / "controls.json")
