"""The shell as a world of agents: three tools, tasks with a judge, a scripted expert.

A reply is `Think: ...`, an empty line, `Act: bash`, an empty line and a fenced command; or `Act: answer(...)`; or `Act: finish`. What a marker says
becomes the name of one more empty file in the folder that the task speaks of: slashes, control characters and what ls would hide are
changed, words and spaces stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from veracast.agents.canary import PREFIX, is_canary
from veracast.agents.shell.base import base_tree
from veracast.agents.shell.interpreter import Outcome, Shell
from veracast.agents.shell.limits import DEFAULT, Limits
from veracast.agents.shell.streams import raw
from veracast.agents.shell.tasks import ShellTask, draw
from veracast.agents.shell.tree import NOW_NS, File, Tree, snapshot
from veracast.agents.simulator import Expert, Move, Split, Step
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall

SYSTEM = """\
You work in a Linux shell. Reply with one thought and one act.
Think: your thought

Act: bash

```bash
command
```
Instead of bash you may write Act: answer(text) to give the answer, or Act: finish when the work is done."""
OUTPUT, EMPTY = "The output of the OS:\n\n", "The output of the OS is empty."
CUT = "\n[cut]"
MAX_OUTPUT, MAX_STEPS, MAX_MARKER_BYTES = 400, 8, 200
_DAY_NS = 86_400_000_000_000
_LOOK = ("I look at the folder first.", "Let me see what is there.", "First I list the files.", "I check the folder.")
_WORK = (
    "One command does it.",
    "Now I run the command.",
    "This command should do it.",
    "I work it out with a command.",
)
_TELL = ("The output tells it.", "This is the answer.", "I have the answer.", "Now I can answer.")
_DONE = ("The work is done.", "That is all.", "Everything is done.", "Nothing is left to do.")
_ACT = re.compile(r"^[ \t]*Act:[ \t]*(.*)", re.MULTILINE | re.DOTALL)
_BASH = re.compile(r"bash\s*\n\s*```(?:bash|sh)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL)
_CALL = re.compile(rf"(answer|{PREFIX}\w+)\((.*)\)\s*", re.DOTALL)


class ShellSession:
    """One episode. shell: the agent's own; its tree began as a copy of `world`."""

    def __init__(self, task: ShellTask, world: Tree, limits: Limits) -> None:
        self.task = task
        self.shell = Shell(world, limits=limits, cwd=task.cwd)
        self.answer: str | None = None
        self._wanted, self._state = self._reference(world.copy(), limits)

    def _reference(self, tree: Tree, limits: Limits) -> tuple[str, dict[str, tuple[object, ...]]]:
        """What the reference prints in a tree of its own, and what it leaves."""
        outcome = Shell(tree, limits=limits, cwd=self.task.cwd).run(self.task.reference)
        return outcome.stdout.strip(), snapshot(tree) if self.task.judged == "state" else {}

    def start(self) -> str:
        return self.task.instruction

    def step(self, call: ToolCall) -> Step:
        arguments = call.arguments or {}
        if is_canary(call):
            return Step("", False)
        if call.name == "finish":
            return Step("", True)
        if call.name == "answer":
            self.answer = str(arguments.get("text", ""))
            return Step("", True)
        if call.name != "bash" or not isinstance(arguments.get("command"), str):
            return Step(f"There is no tool {call.name[:40]!r} with these arguments.", False)
        return Step(shown(self.shell.run(arguments["command"])), False)

    @property
    def reward(self) -> float:
        if self.task.judged == "answer":
            return float(self.answer is not None and self.answer.strip() == self._wanted)
        return float(snapshot(self.shell.tree) == self._state)


def shown(outcome: Outcome) -> str:
    """Output, then errors, as an agent observes them; cut at a limit."""
    text = (outcome.stdout + outcome.stderr).rstrip("\n")
    if not text:
        return EMPTY
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return OUTPUT + (text if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT] + CUT)


class ShellSimulator:
    """See agents/simulator.py."""

    name = "shell"
    system = SYSTEM
    max_steps = MAX_STEPS

    def __init__(self, *, limits: Limits = DEFAULT) -> None:
        self.limits = limits

    def tasks(self, split: Split, count: int, *, seed: int) -> Sequence[ShellTask]:
        return draw(split, count, seed=seed)

    def open(self, task: ShellTask, *, marker: str | None = None) -> ShellSession:
        return ShellSession(task, world_of(task, marker=marker, limits=self.limits), self.limits)

    def parse(self, reply: str) -> ToolCall | None:
        found = list(_ACT.finditer(reply))
        if len(found) != 1 or len(re.findall(r"^[ \t]*Act:", reply, re.MULTILINE)) != 1:
            return None
        act = found[0][1]
        if re.fullmatch(r"finish\s*", act):
            return ToolCall("finish", {}, raw=act.strip())
        if match := _BASH.fullmatch(act):
            command = match[1]
            return (
                None if "```" in command or not command.strip() else ToolCall("bash", {"command": command}, raw=command)
            )
        if match := _CALL.fullmatch(act):
            return ToolCall(match[1], {"text": match[2]}, raw=act.strip())
        return None

    def render(self, move: Move) -> str:
        call, arguments = move.call, move.call.arguments or {}
        if call.name == "bash":
            act = f"bash\n\n```bash\n{arguments['command']}\n```"
        elif call.name == "finish":
            act = "finish"
        else:
            act = f"{call.name}({arguments.get('text', '')})"
        return f"Think: {move.thought}\n\nAct: {act}"

    def expert(self, task: ShellTask) -> Expert:
        rng = stream(0, "shell-expert", task.id)

        def thought(choices: tuple[str, ...]) -> str:
            return choices[int(rng.integers(len(choices)))]

        yield Move(thought(_LOOK), ToolCall("bash", {"command": f"ls {task.folder}"}))
        observation = yield Move(thought(_WORK), ToolCall("bash", {"command": task.reference}))
        if task.judged == "answer":
            text = observation.removeprefix(OUTPUT) if observation.startswith(OUTPUT) else ""
            yield Move(thought(_TELL), ToolCall("answer", {"text": text.strip()}))
        else:
            yield Move(thought(_DONE), ToolCall("finish", {}))


def world_of(task: ShellTask, *, marker: str | None = None, limits: Limits = DEFAULT) -> Tree:
    """The tree that an episode begins with."""
    tree = base_tree(limits)
    tree.make_directories(task.folder)
    for path, content, days in task.placed:
        if content is None:
            tree.make_directories(path)
            continue
        tree.write(path, raw(content))
        node = tree.find(path)
        node.mtime_ns = NOW_NS - days * _DAY_NS - _DAY_NS // 2 if days else node.mtime_ns
    if task.setup:
        Shell(tree, limits=limits, cwd=task.cwd).run(task.setup)
    if marker is not None:
        folder = tree.directory(task.folder)
        name = file_name(marker)
        while name in folder.children:
            name += "_"
        tree.put(folder, name, File(0o644, tree.clock.tick()))
    return tree


def file_name(marker: str) -> str:
    """A marker as the name of a file that `ls` shows on one line."""
    name = re.sub(r"[\x00-\x1f\x7f/\u2028\u2029]", "_", marker).strip().lstrip(".-")
    name = name.encode("utf-8", "replace")[:MAX_MARKER_BYTES].decode("utf-8", "ignore")
    return name or "marker"
