"""The import ladder of docs/architecture.md, read from its table."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "veracast"
HEAVY = {"torch", "transformers", "peft", "torch_geometric"}


def ladder() -> dict[str, set[str]]:
    """Folder -> folders that it may import, from the table."""
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "docs" / "architecture.md").read_text().splitlines()
        if line.startswith("|")
    ]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == 3]
    return {row[0]: {name.strip() for name in row[2].split(",")} - {"-"} for row in cells if row[0].isalpha()}


def imports(source: str) -> Iterator[str]:
    """Folders of veracast that a source text imports."""
    for node in ast.walk(ast.parse(source)):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "veracast":
            names += [f"veracast.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "veracast" and len(parts) > 1:
                yield parts[1]


def faults(folder: str, source: str, allowed: dict[str, set[str]]) -> list[str]:
    """Imports that the table does not allow."""
    return sorted(
        {name for name in imports(source) if name in allowed and name != folder and name not in allowed[folder]}
    )


def test_every_folder_keeps_the_ladder() -> None:
    allowed = ladder()
    found = {
        str(path.relative_to(SOURCE)): bad
        for path in SOURCE.rglob("*.py")
        if (folder := path.relative_to(SOURCE).parts[0]) in allowed
        and (bad := faults(folder, path.read_text(encoding="utf-8"), allowed))
    }
    assert found == {}


def test_every_folder_stands_in_the_table() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(ladder())


def test_a_planted_import_is_noticed() -> None:
    allowed = ladder()
    assert faults("core", "from veracast.data.schema import VIDEOS", allowed) == ["data"]
    assert faults("explain", "import veracast.rating.model", allowed) == ["rating"]
    assert faults("rating", "from veracast.data.schema import VIDEOS", allowed) == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom veracast.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    assert loaded & (HEAVY | {"polars", "numpy", "lightgbm", "scipy", "vl_convert"}) == set()
