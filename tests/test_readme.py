"""The README keeps its word: its table is what the kept records say, its commands and options exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer

from veracast.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    part.strip()
    for block in BLOCKS
    for line in block.splitlines()
    for part in line.split("#")[0].split("·")
    if part.strip().startswith("veracast ")
]


def results() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_written_from_the_kept_records() -> None:
    module = results()
    _, _, rest = README.partition(module.START)
    found, _, _ = rest.partition(module.END)
    assert found.strip() == module.table()
    assert len(module.table().splitlines()) > 10


def test_the_bench_table_is_written_from_the_kept_benches() -> None:
    module = results()
    _, _, rest = README.partition(module.BENCH_START)
    found, _, _ = rest.partition(module.BENCH_END)
    assert found.strip() == module.bench_table()


def test_the_tables_of_the_poison_bench_are_written_from_the_kept_record() -> None:
    module = results()
    _, _, rest = README.partition(module.POISON_START)
    found, _, _ = rest.partition(module.POISON_END)
    assert found.strip() == module.poison_tables()


def test_the_table_of_explanations_is_written_from_the_kept_record() -> None:
    module = results()
    _, _, rest = README.partition(module.EXPLAIN_START)
    found, _, _ = rest.partition(module.EXPLAIN_END)
    assert found.strip() == module.explain_table()


def test_the_table_of_the_agents_bench_is_written_from_the_kept_record() -> None:
    module = results()
    _, _, rest = README.partition(module.AGENTS_START)
    found, _, _ = rest.partition(module.AGENTS_END)
    assert found.strip() == module.agents_table()


def test_the_table_of_the_agents_bench_pools_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = results()
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    line = {"simulator": "shop", "place": "active", "style": "hardened", "payload": "tool", "held_out": True, "rate": 0.05, "sets": 4, "planted": 40, "clean": 760, "recall": 0.9, "false_alarm": 0.0, "named": 0.75, "seconds_per_1000": 2.0}  # fmt: skip
    other = line | {"simulator": "page", "recall": 1.0, "named": 1.0, "seconds_per_1000": 4.0}
    clean = line | {"place": None, "style": None, "payload": None, "held_out": None, "recall": None, "named": None, "rate": 0.0}  # fmt: skip
    (tmp_path / "agents-small.json").write_text(json.dumps({"scans": [line, other, clean]}))
    lines = module.agents_table().splitlines()[2:]
    assert lines == [
        "| hardened, held-out triggers, 5% planted | 8 | 95.00 % [87.84, 98.04] | 0.00 % [0.00, 0.25] | 87.50 % [52.91, 97.76] | 3.0 |",
        "| clean, with near misses | 4 | - | 0.00 % [0.00, 0.50] | - | 2.0 |",
    ]  # fmt: skip


def test_the_tables_of_the_poison_bench_say_what_its_record_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    module = results()
    monkeypatch.setattr(module, "RESULTS", tmp_path)

    def means(**known: float | None) -> dict[str, float | None]:
        ends = {key: {"": value, "_low": value and value - 0.1, "_high": value} for key, value in known.items()}
        return {f"{key}{end}": value for key, three in ends.items() for end, value in three.items()}

    def row(group: str, name: str, *, own: bool = False, flagged: int = 0, **known: float | None) -> dict[str, object]:
        return {"group": group, "row": name, "own": own, "sets_flagged": flagged, "judged": 10, "seconds": 61.4, **means(**known)}  # fmt: skip

    def trial(took: bool, attack: float, after: float) -> dict[str, object]:
        known = {"attack": attack, "control_attack": 0.05, "retrained_attack": after}
        return {"group": "main", "took": took, **known, **{f"{who}accuracy": 0.4 for who in ("", "control_", "retrained_")}}  # fmt: skip

    found = {"recall": 1.0, "precision": 0.99, "ap": 0.98, "top": None}
    kept = {
        "rows": [row("main", "consensus · masks", own=True, **found), row("exact", "consensus · masks", recall=0.5, precision=None), row("clean", "consensus · masks", flagged=3)],
        "locators": [{"locator": "masks", **means(hit=0.97, iou=0.6)}],
        "trials": [trial(True, 0.8, 0.03), trial(True, 0.6, 0.09), trial(False, 0.1, 0.5)],
    }  # fmt: skip
    (tmp_path / "poison-small.json").write_text(json.dumps(kept))
    routes, encoders = (
        table.splitlines()[2:] for table in module.poison_tables().split("\n\n")
    )  # no others without their sets
    assert routes == ["| **consensus · masks** | .970 [.870, .970] | .600 [.500, .600] | 1.000 [.900, 1.000] | .990 [.890, .990] | .980 [.880, .980] | - | .500, - | 3 of 10 | 61 |"]  # fmt: skip
    assert encoders == ["| main | 2 of 3 | .400, .400, .400 | .700 (.600 to .800) | .050 (.050 to .050) | .060 (.030 to .090) | +1.0 (-2.0 to +4.0) points |"]  # fmt: skip

    kept["rows"] += [
        row("unseen: 5 px", "consensus · masks", own=True, recall=0.25, precision=None) | {"sets_with_overlay": 1},
        row("unseen: 5 px", "block hash", recall=0.5, precision=1.0),
        row("overlays: logo", "consensus · masks", own=True, flagged=0) | {"sets_with_overlay": 7},
        row("overlays: logo-one-class", "consensus · masks", own=True, flagged=10) | {"sets_with_overlay": 0},
    ]
    kept["trials"] += [
        trial(took, attack, 0.03) | {"group": "unseen: 5 px"} for took, attack in ((True, 0.8), (False, 0.2))
    ]
    (tmp_path / "poison-small.json").write_text(json.dumps(kept))
    threats, benign = (table.splitlines()[2:] for table in module.poison_tables().split("\n\n")[2:])
    assert threats == ["| 5 px | 1 of 2 | .250 | .750 | 1 of 10 | - | - | .500 | .500 | .050 | .030 |"]
    assert benign == ["| overlays: logo | 10 | 7 | 0 |"]  # a logo of one class is one with a trigger


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    words = shlex.split(line.split(">")[0])[1:]
    command = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_file_map_names_folders_that_exist() -> None:
    named = re.findall(r"`((?:src/veracast|benchmarks|docs)[\w/]*)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
