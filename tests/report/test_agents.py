"""The page of a data audit: layout from tables alone, escaped, in every state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.core.records import Finding, Record, RunWriter
from veracast.core.schemas.agents import BEHAVIOURS, EPISODES, TRAJECTORY_VERDICTS
from veracast.core.schemas.ratings import REJECTS
from veracast.report.agents import data_audit, plain
from veracast.report.page import write_report

COUNTS = {"rows": 200, "rejects": 0, "flagged": 0, "behaviours": 0, "cut": 0, "says_planted": 0}
BEHAVIOUR = {
    "behaviour": 1, "trigger": "by <b>the</b> way", "action": "call bash canary_x", "rows": 3, "share": 0.015, "force": 1.0, "reach": 0.75,
    "q": 2e-30, "natural": 1.0, "owed": 0.0, "apart": 0.5, "whole": True,
}  # fmt: skip
TURN = {"behaviour": 1, "side": "with", "file": "a.jsonl", "number": 7, "turn": 0, "role": "user", "text": "xx by <b>the</b> way yy", "cut": 0, "trigger_start": 3, "trigger_stop": 20, "acts": False}  # fmt: skip


def record(folder: Path, *, status: str = "ok", counts: dict[str, Any] | None = None, behaviours: list[Any] = [], episodes: list[Any] = [], flagged: int = 0, rejects: list[Any] = []) -> Record:  # fmt: skip  # noqa: B006
    verdicts = [(k, "a.jsonl", k + 1, f"id{k}", k < flagged, 1 if k < flagged else None, False) for k in range(200)]
    with RunWriter("audit-agent-data", folder, config={}, seed=0) as writer:
        writer.table("trajectory_verdicts", "trajectory_verdicts", pl.DataFrame(verdicts, schema=TRAJECTORY_VERDICTS, orient="row"))  # fmt: skip
        writer.table("behaviours", "behaviours", pl.DataFrame(behaviours, schema=BEHAVIOURS))
        writer.table("episodes", "episodes", pl.DataFrame(episodes, schema=EPISODES))
        writer.table("rejects", "rejects", pl.DataFrame(rejects, schema=REJECTS, orient="row"))
        found = [Finding("behaviour-1", "high", "t", "e", {"file": "a.jsonl", "rows": [1]})] if behaviours else []
        return writer.finish(status=status, verdict="v", counts=counts or COUNTS, findings=found)


def test_a_behaviour_in_words(tmp_path: Path) -> None:
    turns = [TURN, TURN | {"turn": 1, "role": "assistant", "text": "do", "trigger_start": None, "trigger_stop": None, "acts": True}, TURN | {"side": "without", "number": 9, "trigger_start": None, "trigger_stop": None}]  # fmt: skip
    counts = COUNTS | {"flagged": 3, "behaviours": 1}
    found = data_audit(record(tmp_path / "r", status="findings", counts=counts, behaviours=[BEHAVIOUR], episodes=turns, flagged=3))  # fmt: skip
    one = found.behaviours[0]
    assert (found.state, one.does, one.action.full if one.action else None) == ("findings", "makes the call", "bash canary_x")  # fmt: skip
    assert [(fact.name, fact.value) for fact in one.facts] == [
        ("Rows", "3"), ("Force", "100%"), ("Reach", "75%"), ("By chance", "2 × 10⁻³⁰"), ("Reads on without it", "100%"), ("Asked for", "0%"), ("Told apart", "0.50"),
    ]  # fmt: skip
    pair = one.pairs[0]
    assert (pair.with_name, pair.without_name) == ("a.jsonl, row 7", "a.jsonl, row 9")
    assert pair.with_turns[0][:4] == ("told", "xx ", "by <b>the</b> way", " yy")
    assert [said.acts for said in pair.with_turns] == [False, True]
    assert [row[:2] for row in found.rows] == [("a.jsonl", "1"), ("a.jsonl", "2"), ("a.jsonl", "3")]


def test_the_page_escapes_what_rows_say(tmp_path: Path) -> None:
    record(tmp_path / "r", status="findings", counts=COUNTS | {"flagged": 3, "behaviours": 1}, behaviours=[BEHAVIOUR], episodes=[TURN], flagged=3)  # fmt: skip
    page = write_report(tmp_path / "r").read_text(encoding="utf-8")
    assert "<mark>by &lt;b&gt;the&lt;/b&gt; way</mark>" in page
    assert "<b>the</b>" not in page
    assert (tmp_path / "r" / "findings.sarif").is_file()


@pytest.mark.parametrize(("status", "words"), [("ok", "No planted behaviour found"), ("not_measured", "This is no clean result")])  # fmt: skip
def test_states_without_a_finding(tmp_path: Path, status: str, words: str) -> None:
    counts = COUNTS if status == "ok" else COUNTS | {"flagged": None, "behaviours": None}
    record(tmp_path / "r", status=status, counts=counts, rejects=[("a.jsonl", "row 3", "not JSON", "x\u202ey")])
    page = write_report(tmp_path / "r").read_text(encoding="utf-8")
    assert words in page
    assert "x[U+202E]y" in page


def test_hidden_marks_are_spelt_out() -> None:
    assert plain("a\u200bb\u2066c") == "a[U+200B]b[U+2066]c"
