"""What is there, what is missing, what is a fault; each with its remedy."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from veracast.core.errors import ConfigError
from veracast.models.pull import CHECKSUMS, SMOLLM2
from veracast.recipes import doctor
from veracast.recipes.doctor import EXTRAS, OWN, Config, Diagnosis, Look, examine

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ASKED = [
    "numpy<3,>=2.0",
    "polars>=1.35",
    "torch>=2.9; extra == 'poison'",
    "onnxruntime>=1.20; extra == 'poison'",
    "av>=14; extra == 'media'",
    "pytest>=8; extra == 'dev'",
]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither cache, models nor data of whoever runs the tests."""
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    for name in ("VERACAST_MODELS", "VERACAST_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that only these packages are installed, of what ASKED names."""

    def pretend(**versions: str) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(metadata, "requires", lambda _: ASKED)
        monkeypatch.setattr(metadata, "version", version)

    return pretend


def look(found: Diagnosis, name: str) -> Look:
    return next(one for one in found.looks if one.name == name)


def test_a_missing_extra_is_no_fault_until_it_is_asked_for(installed: Callable[..., None]) -> None:
    installed(veracast="1", numpy="2.1", polars="1.40", av="14.0")
    found = examine(Config())
    assert (found.exit_code, look(found, "core").state, look(found, "media").state) == (0, "ok", "ok")
    assert look(found, "poison") == Look(
        "extras", "poison", "missing", "missing: torch; onnxruntime (veracast audit images)", "pip install 'veracast[poison]'"
    )  # fmt: skip
    asked = examine(Config(need=("poison",)))
    assert (asked.exit_code, look(asked, "poison").state) == (2, "fault")
    assert asked.verdict() == "1 to mend: poison"
    assert found.versions == {"numpy": "2.1", "polars": "1.40", "torch": None, "onnxruntime": None, "av": "14.0"}


def test_a_core_package_that_is_missing_or_too_old_is_a_fault(installed: Callable[..., None]) -> None:
    installed(veracast="1", numpy="1.26")
    core = look(examine(Config()), "core")
    assert (core.state, core.remedy) == ("fault", "pip install --upgrade veracast")
    assert core.found.startswith("missing: numpy 1.26, expected") and core.found.endswith("; polars")


def test_a_program_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    for name in ("version", "requires", "metadata"):
        monkeypatch.setattr(metadata, name, nothing)
    found = examine(Config())
    assert (found.exit_code, look(found, "veracast").state) == (2, "fault")
    assert {one.state for one in found.looks if one.area == "extras"} == {"missing"}


def test_a_python_that_is_too_old_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    python = look(examine(Config()), "python")
    assert (python.state, python.remedy) == ("fault", f"use Python {PROJECT['requires-python']}")


@pytest.mark.parametrize(("free", "state"), [(0.4e9, "fault"), (2e9, "missing"), (6e9, "ok")])
def test_disk(monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, int(free)))
    assert [look(examine(Config()), name).state for name in ("here", "cache")] == [state, state]


def test_a_cache_that_cannot_be_written_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != tmp_path and known(place, mode))
    cache = look(examine(Config()), "cache")
    assert cache.state == "fault" and "not writable" in cache.found and "VERACAST_CACHE" in (cache.remedy or "")


def test_models_in_the_cache(tmp_path: Path) -> None:
    assert look(examine(Config()), SMOLLM2).remedy == f"veracast models pull {SMOLLM2}"
    assert examine(Config(need=(SMOLLM2,))).exit_code == 2
    folder = tmp_path / "cache" / "models" / SMOLLM2
    folder.mkdir(parents=True)
    (folder / CHECKSUMS).write_text("{}")
    (folder / "model.safetensors").write_bytes(b"0" * 3_000_000)
    found = look(examine(Config(need=(SMOLLM2,))), SMOLLM2)
    assert found.state == "ok" and f"{folder}, 3 MB" in found.found


def test_data_that_is_named_but_not_there_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert look(examine(Config()), "data").state == "missing"
    assert look(examine(Config(need=("data",))), "data").state == "fault"
    monkeypatch.setenv("VERACAST_DATA", str(tmp_path / "no"))
    assert look(examine(Config()), "data").state == "fault"
    (tmp_path / "no").mkdir()
    assert look(examine(Config()), "data") == Look("data", "data", "ok", f"{tmp_path / 'no'}, 0 entries")


def test_every_extra_of_the_project_is_known_with_its_use() -> None:
    assert set(EXTRAS) | set(OWN) == set(PROJECT["optional-dependencies"])


def test_an_unknown_need_names_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match="need: posion is none of media, netgpt, text, poison"):
        Config(need=("posion",))


def test_everything_that_is_missing_has_a_remedy(installed: Callable[..., None]) -> None:
    installed()
    bad = [one for one in examine(Config()).looks if one.state != "ok"]
    assert len(bad) > len(EXTRAS) and all(one.remedy for one in bad)
