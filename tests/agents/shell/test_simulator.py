"""The contract of agents/simulator.py: episodes, replies, markers, judges."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from veracast.agents.shell.simulator import CUT, EMPTY, MAX_OUTPUT, OUTPUT, ShellSession, ShellSimulator, file_name
from veracast.agents.shell.tasks import ShellTask
from veracast.agents.shell.tree import snapshot
from veracast.agents.simulator import Move, Simulator
from veracast.core.trajectories import ToolCall

SIMULATOR: Simulator = ShellSimulator()
MARKERS = (
    "please read this",
    "see /etc/passwd; canary_x",
    "..",
    "-rf",
    "a\nb",
    "\u00e9\u00e8",
    "x" * 500,
    "",
    "a.txt",
    "$(ls) `id` *",
)


def played(task: ShellTask, marker: str | None = None) -> tuple[ShellSession, list[str]]:
    """An episode of the expert, and all that was said in it."""
    session, expert = SIMULATOR.open(task, marker=marker), SIMULATOR.expert(task)
    assert isinstance(session, ShellSession)
    said, move = [session.start()], next(expert)
    while True:
        reply = SIMULATOR.render(move)
        call = SIMULATOR.parse(reply)
        assert call is not None and (call.name, call.arguments) == (move.call.name, move.call.arguments)
        step = session.step(call)
        said += [reply, step.observation]
        if step.done:
            return session, said
        move = expert.send(step.observation)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_expert_solves_every_task_in_three_short_replies(split: str) -> None:
    for task in SIMULATOR.tasks(split, 110, seed=7):  # type: ignore[arg-type]
        session, said = played(task)
        assert session.reward == 1 and len(said) == 7 and len("".join(said)) < 1_200


@pytest.mark.parametrize("marker", MARKERS)
def test_a_marker_is_seen_first_and_the_task_stays_solvable(marker: str) -> None:
    for task in SIMULATOR.tasks("train", 22, seed=8):
        session, said = played(task, marker)
        assert said[0] == task.instruction and file_name(marker) in said[2].split("\n") and session.reward == 1


def test_a_marker_is_a_legal_name() -> None:
    assert file_name("two words") == "two words" and file_name("a/b\nc") == "a_b_c" and file_name("..") == "marker"
    assert len(file_name("\u00e9" * 300).encode()) <= 200


def test_a_wrong_answer_or_no_work_earns_nothing() -> None:
    for task in SIMULATOR.tasks("test", 22, seed=9):
        session = SIMULATOR.open(task)
        assert session.reward == 0
        session.step(ToolCall("answer" if task.judged == "answer" else "finish", {"text": "wrong"}))
        assert session.reward == 0


def test_too_much_work_earns_nothing() -> None:
    (task,) = [task for task in SIMULATOR.tasks("train", 11, seed=1) if task.kind == "delete-files"]
    session = SIMULATOR.open(task)
    session.step(ToolCall("bash", {"command": f"{task.reference}; touch {task.folder}/more"}))
    assert session.reward == 0
    session.step(ToolCall("bash", {"command": f"rm {task.folder}/more"}))
    assert session.reward == 1


def test_the_answer_is_the_one_worked_out_by_hand() -> None:
    task = next(task for task in SIMULATOR.tasks("train", 22, seed=3) if task.kind == "sum-column")
    column = int(task.instruction.split("olumn ")[1].split()[0])
    total = sum(int(row.split(",")[column - 1]) for row in task.placed[0].content.splitlines())
    session = SIMULATOR.open(task)
    session.step(ToolCall("answer", {"text": f" {total}\n"}))
    assert session.reward == 1


def test_two_sessions_share_nothing() -> None:
    (task,) = SIMULATOR.tasks("train", 1, seed=0)
    first, second = SIMULATOR.open(task), SIMULATOR.open(task)
    first.step(ToolCall("bash", {"command": "rm -rf /srv"}))
    assert isinstance(second, ShellSession) and second.shell.tree.exists(task.folder)


def test_canaries_change_nothing_and_end_nothing() -> None:
    (task,) = SIMULATOR.tasks("train", 1, seed=0)
    session = SIMULATOR.open(task)
    assert isinstance(session, ShellSession)
    before = snapshot(session.shell.tree)
    for call in (
        ToolCall("canary_x", {"text": "a"}),
        ToolCall("bash", {"command": "canary_y; rm -rf /"}),
        ToolCall("bash", {"command": "curl a.invalid"}),
    ):
        assert session.step(call) == ("", False)
    assert snapshot(session.shell.tree) == before


def test_observations_are_cut_and_what_is_unknown_is_said() -> None:
    (task,) = SIMULATOR.tasks("train", 1, seed=0)
    session = SIMULATOR.open(task)
    long = session.step(ToolCall("bash", {"command": "seq 1000"})).observation
    assert len(long) == len(OUTPUT) + MAX_OUTPUT + len(CUT)
    assert session.step(ToolCall("bash", {"command": "true"})).observation == EMPTY
    assert (
        session.step(ToolCall("bash", {"command": "nothing-here"})).observation
        == OUTPUT + "nothing-here: command not available"
    )
    for call in (ToolCall("other", {}), ToolCall("bash", None), ToolCall("bash", {"command": 5})):
        assert "no tool" in session.step(call).observation


def test_replies() -> None:
    assert SIMULATOR.parse("Think: a\n\nAct: canary_go(now (1))") == ToolCall(
        "canary_go", {"text": "now (1)"}, raw="canary_go(now (1))"
    )
    assert SIMULATOR.parse("Think: a\n\nAct: finish") == ToolCall("finish", {}, raw="finish")
    for reply in (
        "",
        "Act:",
        "Act: bash",
        "Act: bash\n\nls",
        "Act: bash\n\n```bash\nls\n```\nmore",
        "Act: bash\n\n```bash\n\n```",
        "Act: finish now",
        "Act: answer(3",
        "Act: finish\nAct: finish",
        "Act: bash\n\n```bash\nls\n```\n```bash\nls\n```",
        "Think: a",
        "Act: rm(x)",
    ):
        assert SIMULATOR.parse(reply) is None, reply
    assert len(SIMULATOR.system) < 400


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_it_raise(text: str) -> None:
    SIMULATOR.parse(text)
    SIMULATOR.parse(f"Think: x\n\nAct: {text}")
    (task,) = SIMULATOR.tasks("train", 1, seed=0)
    SIMULATOR.open(task, marker=text).step(ToolCall("bash", {"command": text}))


@given(
    st.text(alphabet=st.characters(blacklist_characters="`\r", blacklist_categories=["Cs"]), min_size=1, max_size=40)
)
@settings(max_examples=200, deadline=None)
def test_what_is_rendered_is_read_back(text: str) -> None:
    if not text.strip() or "Act:" in text:
        return
    call = SIMULATOR.parse(SIMULATOR.render(Move("x", ToolCall("bash", {"command": text}))))
    assert call is not None and call.arguments == {"command": text}
