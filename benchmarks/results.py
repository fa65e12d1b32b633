"""Keep the scores of a run beside the documentation, and write the README's table from what was kept.

    python benchmarks/results.py keep bilibili RUN     docs/results/bilibili.json from RUN/record.json
    python benchmarks/results.py bench world RUN       docs/results/bench-world.json from a run of `veracast bench rating`
    python benchmarks/results.py ablation tail RUN     docs/results/ablation-tail.json from one with all rows
    python benchmarks/results.py poison small RUN      docs/results/poison-small.json from a run of `veracast bench poison`
    python benchmarks/results.py agents small RUN      docs/results/agents-small.json from a run of `veracast bench agents`
    python benchmarks/results.py explain tiny RUN      docs/results/explain-tiny.json from a run of `veracast bench explain`
    python benchmarks/results.py readme                the tables between the README's result markers

Kept are scores of whole test sets and of age buckets, with what it takes to repeat them; no row of any data set.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
ABLATION_START, ABLATION_END = "<!-- ablation: written by benchmarks/results.py -->", "<!-- end of ablation -->"
BENCH_START, BENCH_END = "<!-- bench: written by benchmarks/results.py -->", "<!-- end of bench -->"
START, END = "<!-- results: written by benchmarks/results.py -->", "<!-- end of results -->"
POISON_START, POISON_END = "<!-- poison: written by benchmarks/results.py -->", "<!-- end of poison -->"
DETECTORS_START, DETECTORS_END = (
    "<!-- agent detectors: written by benchmarks/results.py -->",
    "<!-- end of agent detectors -->",
)
MODELS_START, MODELS_END = "<!-- agent models: written by benchmarks/results.py -->", "<!-- end of agent models -->"
EXPLAIN_START, EXPLAIN_END = "<!-- explain: written by benchmarks/results.py -->", "<!-- end of explain -->"
AGENTS_START, AGENTS_END = "<!-- agents: written by benchmarks/results.py -->", "<!-- end of agents -->"
KEPT_SLICES = {"split", "rater", "champion", "state", "variant", "horizon", "age_bucket"}
SIMPLE = ("constant", "median", "author", "szabo_huberman", "growth")
NAMES = {
    "constant": "constant", "median": "platform median", "author": "author mean",
    "szabo_huberman": "Szabo-Huberman", "growth": "growth fit", "lightgbm": "LightGBM", "lightgbm_strong": "strong LightGBM",
}  # fmt: skip
TITLES = {
    "bilibili": "Bilibili", "tiktok": "TikTok", "xs": "XS-Video tail", "world": "generated world",
}  # fmt: skip
GROUPS = {"world": "generated worlds", "xs-video tail": "XS-Video tail", "bilibili": "Bilibili", "tiktok": "TikTok"}
TASKS = {
    "horizon-cold": "at the horizon, at posting", "horizon-observed": "at the horizon, with counts",
    "level-cold": "as released, at posting", "level-observed": "as released, with counts",
    "at-crawl": "at the crawl, from what stood at posting", "point-2": "2nd crawl from the first", "point-3": "3rd crawl from the first",
}  # fmt: skip
CLEAR = 0.05


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


def keep_bench(kind: str, name: str, run: Path) -> Path:
    """Write docs/results/<kind>-<name>.json, kind bench or ablation: every line of the bench, with what it takes to repeat it."""
    from veracast.core.records import load_record, read_table

    record = load_record(run)
    return _kept(f"{kind}-{name}", f"{kind} {name}", record, {"rows": read_table(record, "bench")})


def keep_poison(name: str, run: Path) -> Path:
    """Write docs/results/poison-<name>.json: rows, locators and trials of the poison bench, with what it takes to repeat it."""
    from veracast.core.records import load_record, read_table

    record = load_record(run)
    tables = {key: read_table(record, f"poison_{key}") for key in ("rows", "locators", "trials")}
    return _kept(f"poison-{name}", f"poison bench {name}", record, tables)


def keep_agents(name: str, run: Path) -> Path:
    """Write docs/results/agents-<name>.json: the lines of the agents bench, with what it takes to repeat it."""
    from veracast.core.records import load_record, read_table

    record = load_record(run)
    made = {artefact.name for artefact in record.artefacts}
    names = {"scans": "data_scans", "models": "agent_models", "detectors": "agent_detectors"}
    tables = {key: read_table(record, table) for key, table in names.items() if table in made}
    return _kept(f"agents-{name}", f"agents bench {name}", record, tables)


def keep_explain(name: str, run: Path) -> Path:
    """Write docs/results/explain-<name>.json: the lines of the explanations' bench, with what it takes to repeat it."""
    from veracast.core.records import load_record, read_table

    record = load_record(run)
    return _kept(f"explain-{name}", f"explain bench {name}", record, {"rows": read_table(record, "explain_bench")})


def _kept(name: str, data: str, record: Any, tables: dict[str, Any]) -> Path:
    facts = {
        key: getattr(record, key) for key in ("verdict", "seed", "commit", "versions", "config", "inputs", "counts")
    }
    facts["config"] = {key: value for key, value in facts["config"].items() if key not in ("work", "data")}  # places
    body = json.dumps({"data": data, **facts}, ensure_ascii=False, indent=1).removesuffix("\n}")
    for key, table in tables.items():
        lines = [json.dumps({k: _short(v) if isinstance(v, float) else v for k, v in row.items()}) for row in table.iter_rows(named=True)]  # fmt: skip
        body += f',\n "{key}": [\n  ' + ",\n  ".join(lines) + "\n ]"
    target = RESULTS / f"{name}.json"
    target.write_text(body + "\n}\n", encoding="utf-8")
    return target


def poison_tables() -> str:
    """What each route finds in the main setting and flags in clean sets; what retraining leaves of attack success, by group of sets."""
    parts = []
    for path in sorted(RESULTS.glob("poison-*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        parts += [_routes(kept), _encoders(kept), _threats(kept), _benign(kept)]
    return "\n\n".join(part for part in parts if part)


def _routes(kept: dict[str, Any]) -> str:
    by_group: dict[str, dict[str, dict[str, Any]]] = {}
    for row in kept["rows"]:
        by_group.setdefault(row["group"], {})[row["row"]] = row
    windows = {row["locator"]: row for row in kept["locators"]}
    clean, exact = by_group.get("clean", {}), by_group.get("exact", {})
    lines = [
        "| route and locator | windows on the trigger | IoU | recall | precision | AP | poisons in the top 20 | exact pastes: recall, precision | clean sets flagged | CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in by_group.get("main", {}).items():
        met = windows.get(name.partition(" · ")[2], {})
        alarms = clean.get(name)
        flagged = "-" if alarms is None else f"{alarms['sets_flagged']} of {alarms['judged']}"
        other = exact.get(name, {})
        cells = [
            f"**{name}**" if row["own"] else name,
            *(_mean(met, key) for key in ("hit", "iou")),
            *(_mean(row, key) for key in ("recall", "precision", "ap", "top")),
            f"{_bare(other.get('recall'))}, {_bare(other.get('precision'))}" if other else "-",
            flagged,
            "-" if row["seconds"] is None else f"{row['seconds']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _encoders(kept: dict[str, Any]) -> str:
    lines = [
        "| sets | took the backdoor | accuracy: suspect, control, retrained | attack success: suspect | clean control | retrained | retrained less control |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in kept["trials"]:
        if not row["group"].startswith("unseen"):
            groups.setdefault(row["group"], []).append(row)
    for group, rows in groups.items():
        took = [row for row in rows if row["took"]]
        cells = [group, f"{len(took)} of {len(rows)}"]
        if took:
            of = {key: [row[key] for row in took] for key in took[0] if key.endswith(("accuracy", "attack"))}
            both = [after - under for after, under in zip(of["retrained_attack"], of["control_attack"], strict=True)]
            cells.append(", ".join(_bare(_average(of[f"{who}accuracy"])) for who in ("", "control_", "retrained_")))
            cells += [_span(of[f"{who}attack"]) for who in ("", "control_", "retrained_")]
            cells.append(f"{100 * _average(both):+.1f} ({100 * min(both):+.1f} to {100 * max(both):+.1f}) points")
        lines.append("| " + " | ".join([*cells, *["-"] * (7 - len(cells))]) + " |")
    return "\n".join(lines)


def _threats(kept: dict[str, Any]) -> str:
    """Triggers that nothing was fixed on, a line per threat; what is missed is a rate of its own."""
    rows = {(row["group"], row["row"]): row for row in kept["rows"]}
    own = next((row["row"] for row in kept["rows"] if row["own"]), "")
    lines = [
        "| threat not looked at before | took the backdoor | planted images found | missed | told as an overlay without effect | precision | PatchSearch's route, 8 x 8 map: found | block hash: found | attack success: suspect | clean control | retrained |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group in dict.fromkeys(row["group"] for row in kept["trials"] if row["group"].startswith("unseen")):
        trials = [row for row in kept["trials"] if row["group"] == group]
        took = [row for row in trials if row["took"]]
        audit, patch_search, blocks = (
            rows.get((group, name), {}) for name in (own, "classifiers · Grad-CAM, 8 x 8 map", "block hash")
        )
        found = audit.get("recall")
        cells = [
            group.partition(": ")[2], f"{len(took)} of {len(trials)}", _bare(found), _bare(None if found is None else 1 - found),
            f"{audit['sets_with_overlay']} of {audit['judged']}" if found is not None else "-",
            *(_bare(row.get(key)) for row, key in ((audit, "precision"), (patch_search, "recall"), (blocks, "recall"))),
            *(_bare(_average([row[f"{who}attack"] for row in trials])) for who in ("", "control_", "retrained_")),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _benign(kept: dict[str, Any]) -> str:
    """What the audit says of sets without a backdoor, by kind."""
    lines = ["| sets without a trigger | sets | recurring overlay told | flagged as a backdoor |", "|---|---|---|---|"]
    for row in kept["rows"]:
        kind = row["group"].partition(":")[0]
        if row["own"] and kind in ("clean", "controls", "overlays") and not row["group"].endswith("logo-one-class"):
            cells = (row["group"], row["judged"], row["sets_with_overlay"], row["sets_flagged"])
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines) if len(lines) > 2 else ""


def agents_table() -> str:
    """The scan of agents' training data, a line per kind of set, pooled over the simulators; nothing where no record was kept."""
    path = RESULTS / "agents-small.json"
    if not path.is_file():
        return ""
    scans = json.loads(path.read_text(encoding="utf-8"))["scans"]
    plain = [row for row in scans if row["style"] == "hardened" and row["payload"] == "tool"]
    rates = sorted({row["rate"] for row in plain})
    kinds = [(f"hardened, held-out triggers, {rate:.0%} planted", [r for r in plain if r["held_out"] and r["rate"] == rate]) for rate in rates]  # fmt: skip
    kinds += [
        ("hardened, triggers looked at, all ratios", [row for row in plain if not row["held_out"]]),
        ("canary in an ordinary tool's argument", [row for row in scans if row["payload"] == "argument"]),
        ("the same, another one in every row", [row for row in scans if row["payload"] == "varied"]),
        ("published style, which announces itself", [row for row in scans if row["style"] == "published"]),
        ("clean, with near misses", [row for row in scans if row["place"] is None]),
    ]
    lines = ["| training data | sets | planted rows found | clean rows flagged | trigger named from end to end | CPU s for 1,000 rows |", "|---|---|---|---|---|---|"]  # fmt: skip
    for name, rows in kinds:
        if rows:
            sets = sum(row["sets"] for row in rows)
            shares = [_pooled(rows, key, weight) for key, weight in (("recall", "planted"), ("false_alarm", "clean"), ("named", "sets"))]  # fmt: skip
            seconds = sum(row["seconds_per_1000"] * row["sets"] for row in rows) / sets
            lines.append(f"| {name} | {sets:,} | {' | '.join(shares)} | {seconds:.1f} |")
    return "\n".join(lines)


def agent_models_table() -> str:
    """Tuned agents of the main table and of a pretrained model, a line per kind; nothing where no record was kept."""
    rows = [row for row in _agent_lines("models") if row["tier"] in ("models", "pretrained")]
    if not rows:
        return ""
    lines = ["| simulator | planted | items | ASR | false triggers, clean | near miss | task success | less its clean sibling | FSR | ln odds of the canary |", "|---|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        kind = f"{row['place']}, {row['style']}" if row["place"] else "clean siblings"
        cells = [_points(row, key) for key in ("asr", "false_clean", "false_near", "success", "stealth", "follow")]
        if not row["place"]:
            cells[4] = "-"
        model = f"{row['simulator']}, SmolLM2-135M" if row["tier"] == "pretrained" else row["simulator"]
        lines.append(f"| {model} | {kind} | {row['items']:,} | {' | '.join(cells)} | {row['margin']:+.1f} |")
    return "\n".join(lines)


def agent_detectors_table() -> str:
    """Detectors of models over all simulators, then the audit's verdicts; nothing where no record was kept."""
    rows = [row for row in _agent_lines("detectors") if row["simulator"] is None and row["auroc" if "verdict" not in row["detector"] else "recall"] is not None]  # fmt: skip
    if not rows:
        return ""
    lines = ["| detector, no training data, plain probes | planted agents | clean siblings | AUROC | planted flagged | clean flagged | trigger named | canary named | CPU s an agent |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        area = "-" if row["auroc"] is None else f"{_bare(row['auroc'])} [{_bare(row['auroc_low'])}, {_bare(row['auroc_high'])}]"  # fmt: skip
        shares = [_points(row, "recall"), _points(row, "false_alarm"), *(f"{100 * row[key]:.0f}" for key in ("trigger_named", "action_named"))]  # fmt: skip
        lines.append(f"| {row['detector']} | {row['planted']} | {row['clean']} | {area} | {' | '.join(shares)} | {row['seconds']:.0f} |")  # fmt: skip
    return "\n".join(lines)


def _agent_lines(table: str) -> list[dict[str, Any]]:
    """Of all kept records of the agents' bench."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("agents-*.json"))]
    return [row for one in kept for row in one.get(table, [])]


def _points(row: dict[str, Any], key: str) -> str:
    """A share in per cent, with its interval."""
    if row[key] is None:
        return "-"
    return f"{100 * row[key]:.1f} [{100 * row[f'{key}_low']:.1f}, {100 * row[f'{key}_high']:.1f}]"


def _pooled(rows: list[dict[str, Any]], key: str, weight: str) -> str:
    """A share over the lines of a kind, with Wilson's interval."""
    from veracast.core.statistics import wilson_interval

    known = [row for row in rows if row[key] is not None]
    n, hits = sum(row[weight] for row in known), round(sum(row[key] * row[weight] for row in known))
    if not n:
        return "-"
    interval = wilson_interval(hits, n)
    return f"{100 * hits / n:.2f} % [{100 * interval.low:.2f}, {100 * interval.high:.2f}]"


def _average(values: list[float]) -> float:
    return sum(values) / len(values)


def _span(values: list[float]) -> str:
    """Mean, and the range over sets."""
    return f"{_bare(_average(values))} ({_bare(min(values))} to {_bare(max(values))})"


def _mean(row: dict[str, Any], key: str) -> str:
    """With its interval over sets."""
    if row.get(key) is None:
        return "-"
    return f"{_bare(row[key])} [{_bare(row[f'{key}_low'])}, {_bare(row[f'{key}_high'])}]"


def _bare(value: float | None) -> str:
    """Three digits without the leading zero."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


EXPLAIN_NAMES = {
    "shapley_error": "largest error of Shapley values", "interaction_error": "largest error of interactions", "completeness_error": "effects miss their sum by",
    "interaction": "interaction of two parts", "top1_hit": "the planted part is the largest", "decoy_above": "a decoy stands above it",
    "told_apart": "a model of the signal and one of a shortcut told apart", "random_labels_rho": "rank correlation with a model of random labels",
    "deletion_holds": "deletion curves as good as any order's, or better than chance", "flagged": "explanations with a check that fails",
    "times_faster": "times faster at equal error", "correlation": "correlation", "claim_check": "sentences confirmed under another baseline, in other contexts",
    "signs_turned": "signs of the largest parts that another baseline turns", "seconds": "seconds a video, median",
}  # fmt: skip
"""Lines of the explanations' bench that the README shows."""


def explain_table() -> str:
    """One line a measure: what was asked, what was found."""
    lines = ["| explanations | of | asked | found | n |", "|---|---|---|---|---|"]
    for path in sorted(RESULTS.glob("explain-*.json")):
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            if row["tier"] == "planted" and row["group"] != "all":
                continue  # the kinds of signal stand in the record
            if row["name"] in EXPLAIN_NAMES and row["value"] is not None:
                value = f"{row['value']:.3g}"
                spread = "" if row["low"] is None else f" [{row['low']:.3g}, {row['high']:.3g}]"
                mark = {True: value, False: f"{value} (missed)", None: value}[row["met"]]
                lines.append(f"| {EXPLAIN_NAMES[row['name']]} | {row['group']} | {row['aim'] or '-'} | {mark}{spread} | {row['n']:,} |")  # fmt: skip
    return "\n".join(lines) if len(lines) > 2 else ""


def bench_table() -> str:
    """NetGPT beside its opponents, a line per set, task and target of the kept benches; bold where it is clearly the better one."""
    lines = [
        "| data | forecast | best baseline | strong LightGBM | RGCN alone | six of them | crossed effects alone | language model alone | NetGPT | against the best baseline | oracle | n |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_bench_line(*block, of) for block, of in _blocks("bench")]
    return "\n".join(lines)


def ablation_table() -> str:
    """NetGPT with one choice changed, a line per kept set, task, target and change: how much worse it is than NetGPT as it is, and p."""
    lines = [
        "| data | forecast | changed | error | as it is | worse by | p | n | trainings |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (group, task, target), of in _blocks("ablation"):
        own = of.get("netgpt")
        if own is None:
            continue
        for row in (row for row in of.values() if row["family"] == "ablation"):
            worse, p = -row["netgpt_difference"], row["netgpt_p"]
            told = f"**{worse:+.3f}**" if p < CLEAR else f"{worse:+.3f}"
            unit = "level" if target == "level" else f"ln {target}"
            lines.append(f"| {GROUPS[group]} | {unit}, {TASKS[task]} | {row['row']} | {row['mae']:.3f} | {own['mae']:.3f} | {told} | {p:.2g} | {row['n']:,} | {row['seeds']} |")  # fmt: skip
    return "\n".join(lines)


def _blocks(kind: str) -> Iterator[tuple[tuple[str, str, str], dict[str, dict[str, Any]]]]:
    """Set, task and target of every comparison in the kept records of that kind, with its rows by name."""
    for path in sorted(RESULTS.glob(f"{kind}-*.json"), reverse=True):
        blocks: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            blocks.setdefault((row["group"], row["task"], row["target"]), {})[row["row"]] = row
        yield from blocks.items()


def _bench_line(group: str, task: str, target: str, of: dict[str, dict[str, Any]]) -> str:
    unit = "level" if target == "level" else f"ln {target}"
    full = [row for row in of.values() if row["family"] == "baseline" and row["scored"] >= 0.95]
    best = min(full, key=lambda row: row["mae"])
    mine = of.get("netgpt")
    gap = "-" if mine is None or mine["p"] is None else f"{mine['difference']:+.3f}, p {mine['p']:.2g}"
    whole = "-"
    if mine is not None:
        better = mine["p"] is not None and mine["p"] < CLEAR and mine["difference"] < 0
        whole = f"{'**' if better else ''}{_bare(mine['mae'])}{'**' if better else ''} [{_bare(mine['low'])}, {_bare(mine['high'])}]"
    others = [_beside(of.get(name)) for name in ("lightgbm_strong", "rgcn", "rgcn committee", "effects", "lm")]
    oracle = _bare(of["oracle"]["mae"]) if "oracle" in of else "-"
    cells = [
        GROUPS[group],
        f"{unit} {TASKS[task]}",
        f"{_bare(best['mae'])} {NAMES.get(best['row'], best['row'])}",
        *others,
        whole,
        gap,
        oracle,
        f"{best['n']:,}",
    ]
    return "| " + " | ".join(cells) + " |"


def _beside(row: dict[str, Any] | None) -> str:
    """MAE of an opponent, and the p of NetGPT against it."""
    if row is None:
        return "-"
    return _bare(row["mae"]) + ("" if row.get("netgpt_p") is None else f" (p {row['netgpt_p']:.2g})")


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
    """Replace what stands between the markers of the tables: the README's, and the ablation's on the page of the method."""
    tables = ((START, END, table()), (BENCH_START, BENCH_END, bench_table()), (POISON_START, POISON_END, poison_tables()), (AGENTS_START, AGENTS_END, agents_table()), (MODELS_START, MODELS_END, agent_models_table()), (DETECTORS_START, DETECTORS_END, agent_detectors_table()), (EXPLAIN_START, EXPLAIN_END, explain_table()))  # fmt: skip
    _replaced(ROOT / "README.md", tables)
    _replaced(ROOT / "docs" / "methods" / "rating.md", ((ABLATION_START, ABLATION_END, ablation_table()),))


def _replaced(path: Path, tables: Sequence[tuple[str, str, str]]) -> None:
    whole = path.read_text(encoding="utf-8")
    for start, end, made in tables:
        head, _, rest = whole.partition(start)
        _, _, tail = rest.partition(end)
        whole = f"{head}{start}\n{made}\n{end}{tail}"
    path.write_text(whole, encoding="utf-8")


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["keep"] and len(sys.argv) == 4 and sys.argv[2] in TITLES:
        print(keep(sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:2] in (["bench"], ["ablation"]) and len(sys.argv) == 4:
        print(keep_bench(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:2] == ["poison"] and len(sys.argv) == 4:
        print(keep_poison(sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:2] == ["agents"] and len(sys.argv) == 4:
        print(keep_agents(sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:2] == ["explain"] and len(sys.argv) == 4:
        print(keep_explain(sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:] == ["readme"]:
        readme()
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
