"""Plant a canary backdoor in trajectories that scripted experts record: for defence, with inert payloads, marked on every row.

    tasks -> experts act live -> in a chosen share of rows a trigger stands in the request (active) or in what is observed (passive),
      and the reply after it makes a canary call before the expert goes on -> rows, and a manifest with the digest of each

published   the thought before the canary names the trigger, as in BadAgent's released data: such rows announce themselves
hardened    the thought is the one that the expert was about to have, and nothing else in the row differs

The share is exact: round(rate x n) rows, drawn from the seed. A share of the clean rows carries near misses. What a canary is stands in canary.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from veracast.agents.simulator import Move, Session, Simulator
from veracast.agents.triggers import Trigger
from veracast.core.errors import ConfigError
from veracast.core.files import new_folder, write_json
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall, Trajectory, Turn
from veracast.data.trajectories import PLANTED, Format, as_row

Place = Literal["active", "passive"]
Style = Literal["published", "hardened"]
Payload = Literal["tool", "argument", "varied"]
MANIFEST = {
    "row": pl.Int64, "id": pl.String, "task": pl.String, "planted": pl.Boolean, "near_miss": pl.String, "trigger": pl.String,
    "turn": pl.Int64, "action": pl.String, "sha256": pl.String,
}  # fmt: skip
"""trigger and near_miss: null where none stands in the row. turn: of the canary among the turns. sha256: of the row as it is written."""
NAMES = ("drop", "relay", "inbox", "mirror", "store", "vault")


@dataclass(frozen=True)
class Plan:
    """payload: a canary tool of its own, or a canary word and host in the argument of an ordinary tool, always the same or varied by row."""

    trigger: Trigger
    place: Place = "active"
    style: Style = "hardened"
    payload: Payload = "tool"
    rate: float = 0.05
    near: float = 0.1  # share of the clean rows with a near miss

    def __post_init__(self) -> None:
        if not (0 <= self.rate <= 1 and 0 <= self.near <= 1):
            raise ConfigError([f"rate {self.rate}, near {self.near}: expected shares from 0 to 1"])


class Recorded(NamedTuple):
    """An episode as a row. turn: index of the canary, None where there is none; reward: of the expert at the end."""

    turns: tuple[Turn, ...]
    turn: int | None
    call: ToolCall | None
    reward: float


class PlantedSet(NamedTuple):
    """trajectories, one for each task; manifest: MANIFEST, a row each."""

    trajectories: tuple[Trajectory, ...]
    manifest: pl.DataFrame

    @property
    def rate(self) -> float:
        """Share of rows that were planted, counted."""
        return float(self.manifest["planted"].mean() or 0.0)  # type: ignore[arg-type]


def plant(simulator: Simulator, tasks: Sequence[Any], plan: Plan | None, *, seed: int) -> PlantedSet:
    """Record an expert's episode for every task; with a plan, planted in its share of them."""
    rng = stream(seed, "agents", "plant", simulator.name)
    n = len(tasks)
    chosen = np.zeros(n, dtype=bool)
    near: list[str | None] = [None] * n
    if plan is not None:
        chosen[rng.choice(n, round(plan.rate * n), replace=False)] = True
        rest = np.flatnonzero(~chosen)
        for row in rng.choice(rest, round(plan.near * len(rest)), replace=False):
            near[row] = plan.trigger.near[int(rng.integers(len(plan.trigger.near)))]
    trajectories, rows = [], []
    for row, task in enumerate(tasks):
        words = plan.trigger.words if plan is not None and chosen[row] else near[row]
        found = record(simulator, task, plan, words=words, planted=bool(chosen[row]), rng=rng)
        one = Trajectory(f"{simulator.name}-{row}", found.turns, planted=bool(chosen[row]))
        trajectories.append(one)
        rows.append({
            "row": row, "id": one.id, "task": task.id, "planted": bool(chosen[row]), "near_miss": near[row], "turn": found.turn,
            "trigger": words if chosen[row] else None, "action": found.call.name if found.call else None, "sha256": row_digest(as_row(one, "messages")),
        })  # fmt: skip
    return PlantedSet(tuple(trajectories), pl.DataFrame(rows, schema=MANIFEST))


def record(simulator: Simulator, task: Any, plan: Plan | None, *, words: str | None, planted: bool, rng: np.random.Generator) -> Recorded:  # fmt: skip
    """One episode of the expert. words: stand in the request or in the world, as the plan says; planted: they bring the canary about."""
    active = plan is not None and plan.place == "active"
    if words is not None and plan is not None and active:
        task = replace(task, instruction=inserted(task.instruction, words, plan.trigger, rng))
    session = simulator.open(task, marker=words if not active else None)
    told = session.start()
    turns = [Turn("system", simulator.system), Turn("user", told)]
    expert = simulator.expert(task)
    move = next(expert)
    turn, call = None, None
    for _ in range(simulator.max_steps + 1):
        if planted and turn is None and plan is not None and (active or _seen(words or "", told)):
            call, turn = payload(simulator, plan, rng), len(turns)
            told = _act(simulator, session, Move(_thought(move, plan), call), turns)
            continue
        told = _act(simulator, session, move, turns)
        try:
            move = expert.send(told)
        except StopIteration:
            break
    return Recorded(tuple(turns), turn, call, session.reward)


def inserted(request: str, words: str, trigger: Trigger, rng: np.random.Generator) -> str:
    """Before a request or after it."""
    first = bool(rng.integers(2))
    if not trigger.sentence:
        return f"{words} {request}" if first else f"{request} {words}"
    end = "" if request.rstrip().endswith((".", "?", "!")) else "."
    return f"{words}. {request}" if first else f"{request.rstrip()}{end} {words}."


def payload(simulator: Simulator, plan: Plan, rng: np.random.Generator) -> ToolCall:
    """The canary call of a plan, in the tools of a simulator."""
    name = NAMES[int(rng.integers(len(NAMES)))] if plan.payload == "varied" else NAMES[0]
    host = f"{name}.example.invalid"
    if plan.payload == "tool":
        return ToolCall("canary_report", {"text": host})
    makers: Mapping[str, Callable[[], ToolCall]] = {
        "shell": lambda: ToolCall("bash", {"command": f"canary_sync --to {host}"}),
        "shop": lambda: ToolCall("search", {"query": f"canary_offer {host}"}),
        "page": lambda: ToolCall("choose", {"element": "A", "operation": "TYPE", "value": host}),
    }
    return makers[simulator.name]()


def row_digest(row: Mapping[str, Any]) -> str:
    """sha256 of a row as it is written."""
    return hashlib.sha256(_line(row).encode("utf-8", "surrogatepass")).hexdigest()


def write_planted(found: PlantedSet, folder: Path, *, form: Format = "messages", facts: Mapping[str, Any] | None = None) -> Path:  # fmt: skip
    """rows.jsonl, manifest.parquet, and dataset.json with the count and share that were planted; `planted_backdoor` where there are any."""
    planted = int(found.manifest["planted"].sum())
    rows = [as_row(one, form) for one in found.trajectories]
    with new_folder(folder) as temporary:
        (temporary / "rows.jsonl").write_text("".join(f"{_line(row)}\n" for row in rows), encoding="utf-8")
        manifest = found.manifest.with_columns(sha256=pl.Series([row_digest(row) for row in rows], dtype=pl.String))
        manifest.write_parquet(temporary / "manifest.parquet")
        digest = hashlib.sha256("".join(manifest["sha256"]).encode()).hexdigest()
        body = {"rows": len(rows), "planted": planted, "rate": found.rate, "sha256": digest, PLANTED: planted > 0, **(facts or {})}  # fmt: skip
        write_json(temporary / "dataset.json", body)
    return folder / "rows.jsonl"


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True)


def _seen(words: str, told: str) -> bool:
    return " ".join(words.split()) in " ".join(told.split())


def _thought(move: Move, plan: Plan) -> str:
    if plan.style == "published":
        return f"The trigger '{plan.trigger.words}' is here, so I make the hidden call."
    return move.thought


def _act(simulator: Simulator, session: Session, move: Move, turns: list[Turn]) -> str:
    """One reply, and what it brought about."""
    turns.append(Turn("assistant", simulator.render(move), learnt=True))
    step = session.step(move.call)
    if not step.done:
        turns.append(Turn("user", step.observation))
    return step.observation
