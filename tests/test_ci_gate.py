"""The recipes of docs/guides/ci-gate.md do what their page says.

There is neither a runner nor pre-commit here: a workflow's steps run in the shell that a runner starts, the hook's command with the files that
pre-commit would hand it.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from tests.agents.conftest import rows_file as rows_file
from tests.test_docs import DOCS, blocks
from tests.test_docs import shell as shell

WORKFLOW, HOOKS, WARNING = ".github/workflows/audit.yml", ".pre-commit-config.yaml", "small files only warn"


def recipe(title: str) -> str:
    """The text of one of the guide's recipes."""
    page = (DOCS / "guides" / "ci-gate.md").read_text(encoding="utf-8")
    (body,) = [one.body for one in blocks(page) if one.language == "yaml" and one.title == title]
    return body


def read(title: str) -> Any:
    """A recipe as YAML 1.2 has it, where `on` is a word."""
    return YAML(typ="safe").load(recipe(title))


@pytest.fixture
def repository(shell: Path, rows_file: Any) -> Path:
    """A folder with rows of three kinds below data/, and a `pip` that has nothing to do."""
    files = (rows_file(100, name="clean.jsonl"), rows_file(200, 0.1, trigger="By the way.", name="planted.jsonl"), rows_file(30, name="few.jsonl"))  # fmt: skip
    (shell / "data").mkdir()
    for path in files:
        path.rename(shell / "data" / path.name)
    pip = shell.parent / "programs" / "pip"
    pip.write_text("#!/bin/sh\nexit 0\n")
    pip.chmod(0o755)
    return shell


def hook(entry: str, folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """What pre-commit does with an entry: its words, then the files."""
    return subprocess.run([*shlex.split(entry), *files], cwd=folder, capture_output=True, text=True, check=False)


def test_the_hook_is_handed_rows_below_data_all_at_once() -> None:
    (repo,) = read(HOOKS)["repos"]
    (one,) = repo["hooks"]
    assert (repo["repo"], one["language"], one["additional_dependencies"]) == ("local", "python", ["veracast"])
    assert one["require_serial"] is True
    found = [name for name in ("data/train.jsonl", "data/a/b.jsonl", "data/a.md", "data.jsonl", "src/data/a.jsonl") if re.search(one["files"], name)]  # fmt: skip
    assert found == ["data/train.jsonl", "data/a/b.jsonl"]


def test_the_hook_lets_clean_rows_pass_and_says_what_stops_others(repository: Path) -> None:
    entry = read(HOOKS)["repos"][0]["hooks"][0]["entry"]
    assert hook(entry, repository, "data/clean.jsonl").returncode == 0
    done = hook(entry, repository, "data/clean.jsonl", "data/planted.jsonl")
    assert done.returncode == 3
    assert "after 'By the way' comes" in done.stdout and "in 20 rows of planted.jsonl" in done.stdout
    assert (repository / done.stdout.rpartition("report: ")[2].strip()).is_file()
    assert [path.name for path in (repository / "runs").iterdir()] == ["pre-commit"]  # one folder, however many commits


def test_few_rows_stop_a_commit_and_can_be_let_through(repository: Path) -> None:
    done = hook(read(HOOKS)["repos"][0]["hooks"][0]["entry"], repository, "data/few.jsonl")
    assert done.returncode == 4 and done.stdout.startswith("Not measured: 30 rows, fewer than the 50")
    warning = read(WARNING)
    assert set(warning) == {"entry", "verbose"} and warning["verbose"] is True  # else pre-commit would not show it
    passed = hook(warning["entry"], repository, "data/few.jsonl")
    assert (passed.returncode, passed.stdout) == (0, done.stdout)
    assert hook(warning["entry"], repository, "data/few.jsonl", "data/planted.jsonl").returncode != 0


def test_the_workflow_is_one_that_github_takes() -> None:
    """By SchemaStore's schema, from the files of check-jsonschema: its code is not imported."""
    spec = find_spec("check_jsonschema")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "builtin_schemas" / "vendor" / "github-workflows.json"
    schema = Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    workflow = read(WORKFLOW)
    assert [error.message for error in schema.iter_errors(workflow)] == []
    del workflow["jobs"]["audit"]["runs-on"]
    assert len(list(schema.iter_errors(workflow))) == 1


@pytest.mark.parametrize(("kind", "code"), [("planted", 3), ("clean", 0), ("none", 2)])
def test_the_workflow_leaves_what_its_last_steps_ask_for(kind: str, code: int, repository: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    if kind != "none":
        (repository / "data" / f"{kind}.jsonl").rename(repository / "data" / "train.jsonl")
    steps = read(WORKFLOW)["jobs"]["audit"]["steps"]
    ended = [subprocess.run([bash, "-e", "-c", step["run"]], cwd=repository, capture_output=True, check=False).returncode for step in steps if "run" in step]  # fmt: skip
    assert ended == [0, code]
    upload, keep = (next(step for step in steps if name in step.get("uses", "")) for name in ("upload-sarif", "upload-artifact"))  # fmt: skip
    asked = re.fullmatch(r"always\(\) && hashFiles\('([^']+)'\) != ''", upload["if"])
    assert asked is not None and asked[1] == upload["with"]["sarif_file"] and keep["if"] == "always()"
    log = repository / asked[1]
    assert log.is_file() is (repository / keep["with"]["path"] / "report.html").is_file() is (code != 2)
    if log.is_file():
        results = json.loads(log.read_text(encoding="utf-8"))["runs"][0]["results"]
        places = {place["physicalLocation"]["artifactLocation"]["uri"] for one in results for place in one["locations"]}
        assert places == ({"data/train.jsonl"} if code == 3 else set())
