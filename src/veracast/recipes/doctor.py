"""What this installation has, and what is missing for which command: environment, packages, extras, disk, models, data.

Nothing is loaded, fetched or written: versions come from the packages' metadata, sizes from the file system. A fault is what every
command needs, or what was asked for with `need`; an extra that nobody asked for is only missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from veracast.core.errors import EXIT_OK, EXIT_USER, ConfigError
from veracast.core.files import cache_folder
from veracast.models.pull import CHECKSUMS, NAMES, models_folder

PACKAGE = "veracast"
EXTRAS = {
    "media": "video files behind --media",
    "netgpt": "raters rgcn, lm and netgpt; veracast models pull",
    "text": "text encoders by name",
    "poison": "veracast audit images",
    "agents": "veracast audit agent-model, veracast bench agents",
    "explain": "explanations against references, veracast bench explain",
    "bench": "veracast bench poison, with poison",
    "web": "veracast serve",
    "mcp": "veracast mcp",
    "tracking": "veracast runs track",
    "ray": "--ray: ingest, run, rate and audits over a cluster",
}
"""Extra -> what it is for. Those for working on Veracast itself are looked at only where they are asked for."""
OWN = {"dev": "working on Veracast", "docs": "building the documentation"}
DATA = "data"
LEAST_GB, COMFORTABLE_GB = 0.5, 5.0
"""Free disk under which a run cannot be written, and under which a model or a larger data set will not fit."""


@dataclass(frozen=True)
class Config:
    """need: extras, models that can be pulled, or `data`, without which the installation counts as faulty."""

    need: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = (*EXTRAS, *OWN, *NAMES, DATA)
        if unknown := [name for name in self.need if name not in known]:
            raise ConfigError([f"need: {', '.join(unknown)} is none of {', '.join(known)}"])


class Look(NamedTuple):
    """One thing that was looked at. found: in words; remedy: what to do, None where nothing is wanted."""

    area: str
    name: str
    state: Literal["ok", "missing", "fault"]
    found: str
    remedy: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """All that was looked at; versions: of every package that any extra names, None where it is not installed."""

    looks: tuple[Look, ...]
    versions: dict[str, str | None]

    def of(self, state: str) -> list[Look]:
        return [one for one in self.looks if one.state == state]

    @property
    def exit_code(self) -> int:
        """0, or 2 where something is a fault."""
        return EXIT_USER if self.of("fault") else EXIT_OK

    def verdict(self) -> str:
        """One line."""
        if faults := self.of("fault"):
            return f"{len(faults)} to mend: {', '.join(one.name for one in faults)}"
        absent = [one.name for one in self.of("missing")]
        return f"ready; not there, and needed by some commands only: {', '.join(absent)}" if absent else "ready"

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        looks = [one._asdict() for one in self.looks]
        return {"status": "failed" if self.of("fault") else "ok", "verdict": self.verdict(), "looks": looks, "versions": self.versions}  # fmt: skip


def examine(config: Config) -> Diagnosis:
    """Look at everything; raises nothing for what is missing."""
    asked, required = _requirements()
    looks = [*_environment(), *_core(asked), *_extras(asked, config.need), *_disk(), *_models(config.need), *_data(config.need)]  # fmt: skip
    return Diagnosis(tuple(looks), {name: _version(name) for name in required})


def _requirements() -> tuple[list[Requirement], list[str]]:
    """What the installed package asks for, and the names of all of it but what only developers need."""
    try:
        asked = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
    except metadata.PackageNotFoundError:
        asked = []
    used = [one for one in asked if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in EXTRAS)]  # fmt: skip
    return asked, list(dict.fromkeys(one.name for one in used))


def _of_extra(asked: Sequence[Requirement], extra: str) -> list[Requirement]:
    """Requirements that an extra adds to the bare package; with "" those of the bare package."""
    bare = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [one for one in asked if one not in bare and one.marker and one.marker.evaluate({"extra": extra})] if extra else bare  # fmt: skip


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _lacking(asked: Sequence[Requirement]) -> list[str]:
    """Packages that are not there, or not in a version that fits."""
    found = ((one, _version(one.name)) for one in asked)
    return [
        one.name if version is None else f"{one.name} {version}, expected {one.specifier}"
        for one, version in found
        if version is None or not one.specifier.contains(version, prereleases=True)
    ]


def _environment() -> Iterator[Look]:
    python, wanted = platform.python_version(), _python_wanted()
    fits = wanted is None or SpecifierSet(wanted).contains(python, prereleases=True)
    yield Look("environment", "python", "ok" if fits else "fault", f"{python}, {sys.executable}", None if fits else f"use Python {wanted}")  # fmt: skip
    version = _version(PACKAGE)
    yield Look("environment", PACKAGE, "ok" if version else "fault", version or "not installed", None if version else "pip install veracast, or pip install --editable . in its folder")  # fmt: skip
    yield Look("environment", "system", "ok", f"{platform.system()} {platform.machine()}")
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS")
    yield Look("environment", "threads", "ok", f"{count} processors, OMP_NUM_THREADS {limit or 'not set'}")
    if (memory := _memory_gb()) is not None:
        yield Look("environment", "memory", "ok", f"{memory:.1f} GB")


def _python_wanted() -> str | None:
    try:
        return next(iter(metadata.metadata(PACKAGE).get_all("Requires-Python") or ()), None)
    except metadata.PackageNotFoundError:
        return None


def _memory_gb() -> float | None:
    """Of the machine; None on systems that do not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, OSError, ValueError):
        return None


def _core(asked: Sequence[Requirement]) -> Iterator[Look]:
    wanted = _of_extra(asked, "")
    lacking = _lacking(wanted)
    if lacking:
        yield Look("packages", "core", "fault", f"missing: {'; '.join(lacking)}", f"pip install --upgrade {PACKAGE}")
    elif wanted:
        yield Look("packages", "core", "ok", f"all {len(wanted)} packages fit")


def _extras(asked: Sequence[Requirement], need: Sequence[str]) -> Iterator[Look]:
    for extra, use in {**EXTRAS, **{name: use for name, use in OWN.items() if name in need}}.items():
        wanted = _of_extra(asked, extra)
        lacking = _lacking(wanted)
        if not wanted:
            yield _absent("extras", extra, extra in need, f"not an extra of what is installed ({use})", f"pip install --upgrade '{PACKAGE}[{extra}]'")  # fmt: skip
        elif lacking:
            yield _absent("extras", extra, extra in need, f"missing: {'; '.join(lacking)} ({use})", f"pip install '{PACKAGE}[{extra}]'")  # fmt: skip
        else:
            yield Look("extras", extra, "ok", f"all {len(wanted)} packages fit ({use})")


def _absent(area: str, name: str, needed: bool, found: str, remedy: str) -> Look:
    return Look(area, name, "fault" if needed else "missing", found, remedy)


def _disk() -> Iterator[Look]:
    for name, folder, elsewhere in (
        ("here", Path.cwd(), "change to a folder with more room, or give --out"),
        ("cache", cache_folder(""), "set VERACAST_CACHE to a folder that can be written and has room"),
    ):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(there).free / 1e9
        writable = os.access(there, os.W_OK | os.X_OK)
        words = f"{folder}, {free:.1f} GB free" + ("" if writable else ", not writable")
        if not writable or free < LEAST_GB:
            yield Look("disk", name, "fault", words, elsewhere)
        elif free < COMFORTABLE_GB:
            yield Look("disk", name, "missing", f"{words}: too little for models", elsewhere)
        else:
            yield Look("disk", name, "ok", words)


def _models(need: Sequence[str]) -> Iterator[Look]:
    for name in NAMES:
        folder = models_folder() / name
        if (folder / CHECKSUMS).is_file():
            size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
            yield Look("models", name, "ok", f"{folder}, {size:,.0f} MB; veracast models pull {name} verifies it")
        else:
            yield _absent("models", name, name in need, "not pulled", f"veracast models pull {name}")


def _data(need: Sequence[str]) -> Iterator[Look]:
    named = os.environ.get("VERACAST_DATA")
    remedy = "set VERACAST_DATA to the folder of the real sets"
    if not named:
        yield _absent("data", DATA, DATA in need, "VERACAST_DATA is not set: benches and tests on real sets are left out", remedy)  # fmt: skip
    elif not Path(named).is_dir():
        yield Look("data", DATA, "fault", f"VERACAST_DATA names {named}, which is no folder", remedy)
    else:
        yield Look("data", DATA, "ok", f"{named}, {sum(1 for _ in Path(named).iterdir())} entries")
