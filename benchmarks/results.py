"""Keep the scores of a run beside the documentation, and write the README's table from what was kept.

    python benchmarks/results.py keep bilibili RUN     docs/results/bilibili.json from RUN/record.json
    python benchmarks/results.py readme                the table between the README's result markers

Kept are scores of whole test sets and of age buckets, with what it takes to repeat them; no row of any data set.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
START, END = "<!-- results: written by benchmarks/results.py -->", "<!-- end of results -->"
KEPT_SLICES = {"split", "rater", "champion", "state", "variant", "horizon", "age_bucket"}
SIMPLE = ("constant", "median", "author", "szabo_huberman", "growth")
NAMES = {
    "constant": "constant", "median": "platform median", "author": "author mean",
    "szabo_huberman": "Szabo-Huberman", "growth": "growth fit",
}  # fmt: skip
TITLES = {
    "bilibili": "Bilibili", "tiktok": "TikTok", "xs": "XS-Video tail", "world": "generated world",
}  # fmt: skip


def keep(name: str, run: Path) -> Path:
    """Write docs/results/<name>.json."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    scores = [score for score in record["scores"] if set(score["slice"]) <= KEPT_SLICES]
    counts = {
        key: record["counts"][key] for key in ("videos", "snapshots", "rejects", "as_of", "horizon_days", "tasks")
    }
    head = {
        "data": name,
        **{key: record[key] for key in ("kind", "status", "verdict", "seed", "commit", "versions", "inputs")},
        "counts": counts,
    }
    lines = [json.dumps({**s, **{k: _short(s[k]) for k in ("value", "low", "high")}}) for s in scores]
    body = (
        json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
        + ',\n "scores": [\n  '
        + ",\n  ".join(lines)
        + "\n ]\n}\n"
    )
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    target.write_text(body, encoding="utf-8")
    return target


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def table() -> str:
    """The README's table, a line per task and target that was tested."""
    lines = [
        "| data | forecast | persistence | best simple rater | LightGBM | 80 % interval covers | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in TITLES:
        path = RESULTS / f"{name}.json"
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            lines += [_line(TITLES[name], task, kept["scores"]) for task in kept["counts"]["tasks"]]
    return "\n".join(lines)


def _line(title: str, task: dict[str, Any], scores: list[dict[str, Any]]) -> str:
    unit = "level" if task["target"] == "level" else f"ln {task['target']}"
    error = "mae" if task["target"] == "level" else f"mae_ln_{task['target']}"
    whole = [s for s in scores if s["slice"].get("variant") == task["task"] and "age_bucket" not in s["slice"]]
    of = {s["slice"]["rater"]: s for s in whole if s["name"] == error}
    simple = [of[rater] for rater in SIMPLE if rater in of and of[rater]["value"] is not None]
    best = min(simple, key=lambda s: s["value"], default=None)
    boosted = of.get("lightgbm")
    at = whole.index(boosted) if boosted in whole else 0
    covered = next((s for s in whole[at:] if s["name"] == "coverage_80"), None)
    cells = [
        title,
        f"{unit}: {task['words']}",
        _cell(of.get("persistence")),
        "-" if best is None else f"{_cell(best)} {NAMES[best['slice']['rater']]}",
        _cell(boosted, spread=True),
        "-" if covered is None or covered["value"] is None else f"{100 * covered['value']:.0f} %",
        f"{max((s['n'] for s in of.values()), default=0):,}",
    ]
    return "| " + " | ".join(cells) + " |"


def _cell(score: dict[str, Any] | None, *, spread: bool = False) -> str:
    if score is None or score["value"] is None:
        return "-"
    shown = f"{score['value']:.3f}".removeprefix("0")
    champion = f"**{shown}**" if score["slice"].get("champion") else shown
    if not spread or score["low"] is None:
        return champion
    low, high = (f"{score[end]:.3f}".removeprefix("0") for end in ("low", "high"))
    return f"{champion} [{low}, {high}]"


def readme() -> None:
    """Replace what stands between the markers."""
    path = ROOT / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(START)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{START}\n{table()}\n{END}{tail}", encoding="utf-8")


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["keep"] and len(sys.argv) == 4 and sys.argv[2] in TITLES:
        print(keep(sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:] == ["readme"]:
        readme()
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
