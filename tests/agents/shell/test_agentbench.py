"""AgentBench's layout; answers worked out by hand; how much is covered."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from veracast.agents.shell.agentbench import cover, coverage, histogram, read_tasks
from veracast.agents.shell.simulator import ShellSimulator
from veracast.core.errors import InputError
from veracast.core.trajectories import ToolCall

EXPECTED = json.loads(Path(__file__).with_name("expected_answers.json").read_text(encoding="utf-8"))
FILE = "agentbench_os_train.json"
RECORDS = [
    {
        "description": "How many files?",
        "create": {"init": "mkdir d; touch d/a d/b"},
        "evaluation": {"check": [None], "example": "ls d | wc -l"},
    },
    {
        "description": "Code.",
        "create": {"init": {"code": "echo 5 > f"}, "local": "default"},
        "start": "echo 6 >> f",
        "evaluation": {"example": {"code": "wc -l < f"}},
    },
    {"description": "Match.", "evaluation": {"match": "it's"}},
    {"description": "No.", "create": {"init": ""}, "evaluation": {"example": "You should use grep & friends"}},
]


def written(folder: Path, content: object) -> Path:
    path = folder / "tasks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_variants_of_the_layout(tmp_path: Path) -> None:
    tasks = read_tasks(written(tmp_path, RECORDS[:1] + RECORDS[2:]))
    found = coverage(tasks)
    assert [(row.reason, row.answer) for row in found[:2]] == [("ok", "2"), ("ok", "it's")]
    assert found[2].reason.startswith("reference: ") and histogram(found)[0] == ("ok", 2)


def test_a_task_can_be_played(tmp_path: Path) -> None:
    simulator = ShellSimulator()
    (task,) = read_tasks(written(tmp_path, RECORDS[:1]))
    session = simulator.open(task, marker="note")
    assert "note" in session.step(ToolCall("bash", {"command": "ls"})).observation
    session.step(ToolCall("answer", {"text": "2"}))
    assert session.reward == 1


@pytest.mark.parametrize(("content", "message"), [("{", "is not JSON"), ({"a": 1}, "holds dict, expected a list"), ([5], "record 0: is int"), ([RECORDS[0], {"description": ""}], "record 1: has no description"), ([{"description": "x", "evaluation": {}}], "record 0: has neither"), ([{"description": "x", "create": {"init": [1]}, "evaluation": {"example": "ls"}}], "neither text nor"), ([{"description": "x", "create": 5, "evaluation": {}}], "must be objects"), ("[" * 100_000, "is not JSON")])  # fmt: skip
def test_what_is_no_such_file_is_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_tasks(written(tmp_path, content))
    assert "tasks.json" in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_tasks(tmp_path / "none.json")


def test_answers_worked_out_by_hand(real_data: Path) -> None:
    if not (real_data / FILE).is_file():
        pytest.skip(f"{FILE} is not in VERACAST_DATA")
    tasks = read_tasks(real_data / FILE)
    assert len(EXPECTED) >= 50
    wrong = []
    for one in EXPECTED:
        task = tasks[one["index"]]
        assert hashlib.sha256(task.instruction.encode()).hexdigest() == one["sha256"], one["index"]
        found = cover(task)
        if found.answer != one["answer"]:
            wrong.append((one["index"], one["answer"], found))
    assert wrong == []


def test_how_much_is_covered(real_data: Path) -> None:
    if not (real_data / FILE).is_file():
        pytest.skip(f"{FILE} is not in VERACAST_DATA")
    table = coverage(read_tasks(real_data / FILE))
    assert dict(histogram(table))["ok"] >= 980 and len(table) == 1_000
