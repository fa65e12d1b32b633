"""The README keeps its word: its table is what the kept records say, its commands and options exist."""

from __future__ import annotations

import importlib.util
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
