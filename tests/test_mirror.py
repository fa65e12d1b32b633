"""Every source file has its test at the same path, and every test a source file."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src" / "veracast", ROOT / "tests"
NO_CODE = {
    "core/protocols.py",
    "core/trajectories.py",
    "agents/simulator.py",
    "data/readers/protocol.py",
    "data/schema.py",
    "__main__.py",
}


def sources() -> set[str]:
    found = (path for path in SOURCE.rglob("*.py") if path.name != "__init__.py" and path.parent.name != "schemas")
    examples = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    return {str(path.relative_to(SOURCE)) for path in found} - NO_CODE | examples


def with_tests() -> set[str]:
    found = (path for path in TESTS.rglob("test_*.py") if path.parent != TESTS)
    return {str(path.relative_to(TESTS).with_name(path.name.removeprefix("test_"))) for path in found}


def test_every_source_file_has_its_test() -> None:
    assert sources() - with_tests() == set()


def test_every_test_has_its_source_file() -> None:
    # second tests of data/ingest.py and recipes/train.py, kept apart for their length; one known answer for each leaf of the taxonomy;
    # requests that mean harm, and the application in a browser
    apart = {
        "data/ingest_bad_input.py",
        "recipes/train_netgpt.py",
        "explain/leaves.py",
        "web/hostile.py",
        "web/browser.py",
    }
    assert with_tests() - sources() - NO_CODE - apart == set()
