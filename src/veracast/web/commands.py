"""What a job does, as the command that a person would type. Every value was checked or looked up; none can pass for an option."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from veracast.web.refusals import Refusal


@dataclass(frozen=True)
class Kind:
    """A kind of job. record: of the run that it writes; suffixes: of the files that it takes, none for one that takes none."""

    name: str
    title: str
    record: str
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


TEXTS = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson")
KINDS = (
    Kind("run", "Rate and explain an export", "run", (*TEXTS, ".parquet", ".zip"), ("as_of", "horizon_days", "alert_level", "on_error", "observed_at", "timezone", "audit")),
    Kind("audit-agent-data", "Audit trajectories of agents", "audit-agent-data", (".jsonl", ".json", ".parquet")),
    Kind("audit-images", "Audit images", "audit-images", (".tar", ".npz", ".parquet")),
    Kind("explain", "Explain a rating", "explain", (), ("run", "video")),
    Kind("explain-overall", "Explain all ratings of a run", "explain-overall", (), ("run",)),
    Kind("card", "Make a trust card", "card", (), ("run",)),
    Kind("compare", "Compare two runs", "compare", (), ("a", "b")),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}
TAKES_FILES = tuple(kind for kind in KINDS if kind.suffixes)
_MOST_DAYS = 3_650.0


def kind_of(name: str) -> Kind:
    """Refusal 422 for a name that is none."""
    if name not in BY_NAME:
        raise Refusal(422, "unknown-job", f"“{name[:40]}” is no kind of job.", f"one of {', '.join(BY_NAME)}")
    return BY_NAME[name]


def checked(kind: Kind, given: Mapping[str, str]) -> dict[str, str]:
    """Options of a job that takes files, as text that fits their type; empty ones are left out. Refusal 422 for the first that does not fit."""
    unknown = sorted(set(given) - set(kind.options))
    if unknown:
        raise Refusal(422, "unknown-option", f"{kind.title} has no option “{unknown[0][:40]}”.", f"options: {', '.join(kind.options) or 'none'}")  # fmt: skip
    return {name: _CHECKS[name](name, text.strip()) for name, text in given.items() if text.strip()}


def argv(kind: Kind, options: Mapping[str, str], *, runs: Path, out: Path, sources: Sequence[Path], mapping: Path | None) -> list[str]:  # fmt: skip
    """The words after `veracast`. options: checked, or ids that were looked up; paths are absolute."""
    last = [f"--out={out}", "--json"]
    if kind.name in ("explain", "explain-overall"):
        more = [f"--video={options['video']}"] if kind.name == "explain" else ["--overall"]
        return ["explain", str(runs / options["run"]), *more, *last]
    if kind.name == "card":
        return ["card", str(runs / options["run"]), f"--records={runs}", *last]
    if kind.name == "compare":
        return ["runs", "compare", str(runs / options["a"]), str(runs / options["b"]), *last]
    files = [str(path) for path in sources]
    if kind.name != "run":
        return [*kind.name.split("-", 1), *files, *last]
    words = {"alert_level": "--set=alert_level={}"}
    more = [words.get(name, f"--{name.replace('_', '-')}={{}}").format(value) for name, value in options.items()]
    return ["run", *files, *more, *([f"--mapping={mapping}"] if mapping else []), *last]


def _time(name: str, text: str) -> str:
    try:
        return dt.datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise _unfit(name, text, "a date such as 2025-01-10, or 2025-01-10T12:00") from None


def _days(name: str, text: str) -> str:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 < days <= _MOST_DAYS:
        raise _unfit(name, text, f"a number of days up to {_MOST_DAYS:g}")
    return f"{days:g}"


def _level(name: str, text: str) -> str:
    if text not in "0123456789":
        raise _unfit(name, text, "a level from 0 to 9")
    return text


def _on_error(name: str, text: str) -> str:
    if text not in ("stop", "skip"):
        raise _unfit(name, text, "stop or skip")
    return text


def _audit(name: str, text: str) -> str:
    if text not in ("miniature", "whole"):
        raise _unfit(name, text, "miniature or whole")
    return text


def _zone(name: str, text: str) -> str:
    if text not in zoneinfo.available_timezones():
        raise _unfit(name, text, "a zone such as Asia/Ho_Chi_Minh")
    return text


def _unfit(name: str, text: str, expected: str) -> Refusal:
    return Refusal(422, "unfit-option", f"{name.replace('_', ' ').capitalize()} is “{text[:40]}”.", f"give {expected}, or leave it empty")  # fmt: skip


_CHECKS = {"as_of": _time, "horizon_days": _days, "alert_level": _level, "on_error": _on_error, "observed_at": _time, "timezone": _zone, "audit": _audit}  # fmt: skip
