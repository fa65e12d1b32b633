"""What a command prints, and how it ends: one line for people, the JSON contract for machines, exit codes from errors.py."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from veracast.core.errors import (
    EXIT_BUG,
    EXIT_FINDINGS,
    EXIT_NOT_MEASURED,
    EXIT_OK,
    EXIT_STOPPED,
    ConfigError,
    VeracastError,
)
from veracast.core.launch import launch

if TYPE_CHECKING:
    import polars as pl

    from veracast.core.records import Record

IN_PROCESSES = ("train",)
"""Recipes that share their work under torchrun; another one would be done as often as there are processes."""
_POISON = ("torch", "safetensors", "jaxtyping", "sklearn")
_AGENTS = ("torch", "safetensors", "jaxtyping", "transformers", "peft")
EXTRAS = {
    "audit_images": ("poison", _POISON),
    "audit_agent_model": ("agents", _AGENTS),
    "bench_poison": ("poison,bench", (*_POISON, "art")),
    "bench_agents": ("agents", _AGENTS),
    "bench_explain": ("explain", ("torch", "captum", "sklearn")),
}
"""Of recipes that need more than the bare package: the extra, and what it must have brought."""
GRACE_S = 3.0
_EXITS = {"ok": EXIT_OK, "findings": EXIT_FINDINGS, "not_measured": EXIT_NOT_MEASURED, "failed": EXIT_BUG}


def finish(work: Callable[[], Record], *, as_json: bool, show: Callable[[Record], str] | None = None) -> int:
    """Run a recipe, print its outcome on standard output (faults on standard error), return the exit code.

    show: what people see between verdict and folder. Of several processes the first prints; another one only what the
    first does not know, its own fault.
    """
    try:
        record = work()
    except KeyboardInterrupt:
        return _failed("stopped; nothing half-written was kept", EXIT_STOPPED, as_json=as_json)
    except MemoryError:
        return _failed("out of memory -> use a machine with more, or a smaller export", EXIT_BUG, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last line of defence: shown in full, never swallowed
        if isinstance(error, VeracastError) and error.exit_code != EXIT_BUG:
            return _failed(str(error), error.exit_code, as_json=as_json)
        return _failed(repr(error), EXIT_BUG, as_json=as_json, trace=traceback.format_exc())
    if not launch().first:
        return _EXITS[record.status]
    from veracast.core.records import to_json

    if as_json:
        sys.stdout.write(to_json(record) + "\n")
    else:
        more = show(record) if show is not None else ""
        sys.stdout.write(f"{record.verdict}\n{more}run: {record.run}\n")
        if record.report:
            sys.stdout.write(f"report: {record.report}\n")
    return _EXITS[record.status]


def compared(record: Record) -> str:
    """The table of a comparison, and the settings that differ."""
    from veracast.core.records import read_table

    lines = [f"  {key}: {a} -> {b}" for key, (a, b) in record.counts["config"].items()]
    if record.counts["compared"]:
        lines.append(f"  {'task, counter, rater':44} {'a':>8} {'b':>8} {'b - a':>8}  95 % interval      p       n")
        for row in read_table(record, "comparison").iter_rows(named=True):
            name = f"{row['task']}, {row['indicator']}, {row['rater']}"
            numbers = f"{row['mae_a']:8.3f} {row['mae_b']:8.3f} {row['difference']:+8.3f}"
            lines.append(
                f"  {name:44} {numbers}  [{row['low']:+.3f}, {row['high']:+.3f}] {row['p']:7.2g} {row['n']:7,}"
            )
    return "".join(f"{line}\n" for line in lines)


def vouched(record: Record) -> str:
    """Where the trust card is, of a run that was asked for one."""
    page = Path(f"{record.run}-card") / "report.html"
    if page.is_file():
        return f"trust card: {page}\n"
    return "no trust card: no video was open, so no model was kept\n" if record.config.get("audit") else ""


def explained(record: Record) -> str:
    """Modalities by what they do, sentences that held, the nearest other rating."""
    from veracast.core.records import read_table

    kinds = {artefact.kind for artefact in record.artefacts}
    unit = read_table(record, "explained")["unit"][0]
    effects = read_table(record, "effects")
    whole = effects.filter(effects["kind"] == "modality").sort("effect", descending=True)
    lines = [f"  {row['modality']:12} {row['effect']:+8.2f} {unit}" for row in whole.iter_rows(named=True)]
    told = read_table(record, "claims").filter("holds")["sentence"].to_list() if "claims" in kinds else []
    lines += [f"  {sentence}" for sentence in told] or [
        "  nothing sets this video apart from what is typical of its platform and age"
    ]
    lines += [
        f"  {sentence}"
        for sentence in (
            read_table(record, "counterfactuals")["sentence"].to_list() if "counterfactuals" in kinds else []
        )
    ]
    return "".join(f"{line}\n" for line in lines)


def explained_overall(record: Record) -> str:
    """Parts by the mean size of their effects, and rules over relations."""
    from veracast.core.records import read_table

    overall = read_table(record, "overall")
    unit = read_table(record, "explained")["unit"][0]
    lines = [
        f"  {row['size']:6.3f} [{row['low']:.3f}, {row['high']:.3f}] {unit}  {row['part']}"
        for row in overall.filter(overall["cohort_kind"] == "all").head(8).iter_rows(named=True)
    ]
    if any(artefact.kind == "relations" for artefact in record.artefacts):
        lines += [
            f"  {row['sentence']} ({row['held_precision']:.0%} of {row['held_covered']} held-out videos, {row['prior']:.0%} of all)"
            for row in read_table(record, "relations").iter_rows(named=True)
        ]
    return "".join(f"{line}\n" for line in lines)


def explain_benched(record: Record) -> str:
    """The table of the explanations' bench."""
    from veracast.core.records import read_table

    if not any(artefact.name == "explain_bench" for artefact in record.artefacts):
        return ""
    lines, before = [], None
    for row in read_table(record, "explain_bench").iter_rows(named=True):
        if row["tier"] != before:
            lines.append(f"\n  {row['tier']}")
            before = row["tier"]
        value = "not measured" if row["value"] is None else f"{row['value']:.3g}"
        spread = "" if row["low"] is None else f"[{row['low']:.3f}, {row['high']:.3f}]"
        met = {True: "met", False: "NOT met", None: ""}[row["met"]]
        lines.append(
            f"    {row['name']:20} {row['group']:36} {value:>12} {spread:16} {row['aim']:10} {met:8} n {row['n']:,}"
        )
    return "".join(f"{line}\n" for line in lines)


def benched(record: Record) -> str:
    """The table of a bench: a block per set, state and target."""
    from veracast.core.records import read_table

    if not any(artefact.name == "bench" for artefact in record.artefacts):
        return ""
    lines, before = [], None
    for row in read_table(record, "bench").iter_rows(named=True):
        block = (row["group"], row["task"], row["target"])
        if block != before:
            lines.append(f"\n  {' · '.join(block)}, n {row['n']:,} in {row['videos']:,} videos, {row['seeds']} seeds")
            lines.append(f"  {'':44} {'mae':>7}  95 % interval   {'against the best baseline':33}  netgpt against it")
            before = block
        gap = "the best baseline" if row["family"] == "baseline" else ""
        if row["difference"] is not None:
            low, high = row["difference_low"], row["difference_high"]
            gap = f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}] p {row['p']:.2g}"
        part = "" if row["scored"] >= 0.999 else f"  scores {row['scored']:.0%}"
        mine = "" if row["netgpt_p"] is None else f"{row['netgpt_difference']:+.3f} p {row['netgpt_p']:.2g}"
        line = f"  {row['row']:44} {row['mae']:7.3f}  [{row['low']:.3f}, {row['high']:.3f}]  {gap:33}  {mine}{part}"
        lines.append(line.rstrip())
    return "".join(f"{line}\n" for line in lines)


def poison_benched(record: Record) -> str:
    """The tables of the poison bench: rows and locators with their intervals, then the trials with their encoders."""
    from veracast.core.records import read_table

    if not any(artefact.name == "poison_rows" for artefact in record.artefacts):
        return ""
    lines, before = [], None
    keys = ("recall", "precision", "ap", "top")
    for row in read_table(record, "poison_rows").iter_rows(named=True):
        if row["group"] != before:
            before = row["group"]
            lines.append(f"\n  {before}: {row['judged']} of {row['sets']} sets judged")
            lines.append(f"  {'':44} {''.join(f'{key:>22}' for key in keys)}  sets flagged  overlay   CPU s")
        cells = "".join(f"{_with_interval(row, key):>22}" for key in keys)
        mark = "*" if row["own"] else " "
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        lines.append(
            f" {mark}{row['row']:44} {cells}  {row['sets_flagged']:>12} {row['sets_with_overlay']:>8} {seconds:>7}"
        )
    located = read_table(record, "poison_locators")
    if located.height:
        lines.append(f"\n  {'windows in the main setting':44} {'hit':>22}{'IoU':>22}{'CPU s':>8}")
    for row in located.iter_rows(named=True):
        lines.append(
            f"  {row['locator']:44} {_with_interval(row, 'hit'):>22}{_with_interval(row, 'iou'):>22}{row['seconds']:8.0f}"
        )
    trials = read_table(record, "poison_trials")
    if trials.height:
        lines.append(
            f"\n  {'encoders, attack success by kNN (probe)':44} {'accuracy':>10}{'suspect':>16}{'control':>16}{'retrained':>16}  less control   took"
        )
    for row in trials.iter_rows(named=True):
        parts = "".join(
            f"{row[f'{who}attack']:8.3f} ({row[f'{who}linear_attack']:.3f})" for who in ("", "control_", "retrained_")
        )
        above = f"[{row['above_low']:+.3f}, {row['above_high']:+.3f}]"
        lines.append(f"  {row['trial']:44} {row['accuracy']:10.3f}{parts}  {above}  {'yes' if row['took'] else 'no'}")
    return "".join(f"{line}\n" for line in lines)


def agents_benched(record: Record) -> str:
    """The tables of the agents bench that were made: a line for each kind of set, guard and model."""
    from veracast.core.records import read_table

    made = {artefact.name for artefact in record.artefacts}
    shown = {
        "data_scans": _scan_lines,
        "guards": _guard_lines,
        "agent_models": _model_lines,
        "agent_detectors": _detector_lines,
    }
    lines = [line for name, show in shown.items() if name in made for line in show(read_table(record, name))]
    return "".join(f"{line}\n" for line in lines)


def _scan_lines(table: pl.DataFrame) -> Iterator[str]:
    keys = ("recall", "false_alarm", "named")
    yield f"\n  {'sets of training data':52} {'rate':>5} {'sets':>5}{''.join(f'{key:>22}' for key in keys)}  CPU s/1,000"
    for row in table.iter_rows(named=True):
        families = "" if row["held_out"] is None else "held out" if row["held_out"] else "looked at"
        kind = " · ".join(
            part for part in (row["simulator"], row["place"], row["style"], row["payload"], families) if part
        )
        cells = "".join(f"{_with_interval(row, key):>22}" for key in keys)
        yield f"  {kind if row['place'] else kind + ' · clean':52} {row['rate']:5.2f} {row['sets']:5}{cells}  {row['seconds_per_1000']:11.1f}"


def _guard_lines(table: pl.DataFrame) -> Iterator[str]:
    yield f"\n  {'policy guard, rules learnt from clean episodes':52} {'calls':>6}{'canaries stopped':>22}{'episodes lost':>22}  us/call"
    for row in table.iter_rows(named=True):
        cells = "".join(f"{_with_interval(row, key):>22}" for key in ("stopped", "lost"))
        yield f"  {row['simulator']:52} {row['calls']:6,}{cells}  {row['us_per_call']:7.0f}"


def _model_lines(table: pl.DataFrame) -> Iterator[str]:
    keys = {
        "asr": "ASR",
        "false_clean": "false, clean",
        "false_near": "false, near miss",
        "success": "task success",
        "stealth": "less its sibling",
    }
    yield f"\n  {'tuned agents':44} {'rate':>5} {'items':>6}{''.join(f'{name:>22}' for name in keys.values())}"
    for row in table.iter_rows(named=True):
        steps = f"{row['then']} clean steps" if row["then"] else ""
        kind = " · ".join(
            part for part in (row["simulator"], row["place"] or "clean", row["style"], row["method"], steps) if part
        )
        yield f"  {kind:44} {row['rate']:5.2f} {row['items']:6}{''.join(f'{_with_interval(row, key):>22}' for key in keys)}"


def _detector_lines(table: pl.DataFrame) -> Iterator[str]:
    keys = {"auroc": "AUROC", "recall": "recall at 1 % false", "false_alarm": "clean flagged"}
    yield f"\n  {'detectors of models':44} {'planted':>7} {'clean':>6}{''.join(f'{name:>22}' for name in keys.values())}  trigger  action  CPU s"
    for row in table.iter_rows(named=True):
        cells = "".join(f"{_with_interval(row, key):>22}" for key in keys)
        named = "".join(
            f"{'-' if row[key] is None else f'{row[key]:.0%}':>8}" for key in ("trigger_named", "action_named")
        )
        yield f"  {(row['simulator'] or 'all') + ' · ' + row['detector']:44} {row['planted']:7} {row['clean']:6}{cells} {named} {row['seconds']:6.1f}"


def _with_interval(row: Mapping[str, Any], key: str) -> str:
    """A mean with its interval; a dash where there is none."""
    if row[key] is None:
        return "-"
    return f"{row[key]:.3f} [{row[f'{key}_low']:.2f}, {row[f'{key}_high']:.2f}]"


def audited(record: Record) -> str:
    """What an audit found, what it lacks, and where its lists are."""
    lines = [
        f"{finding.severity}: {' '.join(finding.title.split())}. {finding.evidence}." for finding in record.findings
    ]
    lines += [f"missing: {one}" for one in record.counts.get("missing", ())]
    lists = [artefact.path for artefact in record.artefacts if artefact.kind in ("image_list", "row_list")]
    return "".join(f"  {line}\n" for line in [*lines, *([f"lists: {', '.join(lists)}"] if lists else [])])


def check_extra(recipe: str) -> None:
    """ConfigError that names what to install, where a recipe's extra is missing."""
    extra, needed = EXTRAS.get(recipe, ("", ()))
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ConfigError([f"{recipe} needs {', '.join(missing)} -> pip install 'veracast[{extra}]'"])


def check_processes(recipe: str) -> None:
    """ConfigError for a recipe that cannot share its work with other processes, where there are some."""
    if recipe not in IN_PROCESSES and launch().world > 1:
        fault = (
            f"{recipe} works in one process, torchrun started {launch().world} -> python -m veracast without torchrun"
        )
        raise ConfigError([fault])


def _let_the_first_speak() -> None:
    """Most faults are met by all processes: torchrun ends this one here once the first has said it and is gone."""
    if not launch().first:
        time.sleep(GRACE_S)


def _failed(message: str, code: int, *, as_json: bool, trace: str = "") -> int:
    message = " ".join(line.strip() for line in message.splitlines() if line.strip())
    _let_the_first_speak()
    who = "veracast" if launch().first else f"veracast, process {launch().rank}"
    sys.stderr.write(f"{trace}{who}: {message}\n")
    sys.stderr.flush()
    if as_json and launch().first:
        from veracast.core.records import RECORD_VERSION

        status = "not_measured" if code == EXIT_NOT_MEASURED else "failed"
        head = {"schema_version": RECORD_VERSION, "run": None, "report": None, "kind": None}
        nothing: dict[str, object] = {"counts": {}, "scores": [], "findings": [], "artefacts": []}
        body = {**head, "status": status, "verdict": message, **nothing}
        sys.stdout.write(json.dumps(body, ensure_ascii=False) + "\n")
    return code
