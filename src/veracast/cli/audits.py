"""`veracast audit ...` and `veracast guard`: the data that models learn from, and the calls that agents make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from veracast.cli.options import ConfigFile, Json, Out, Quiet, Ray, Seed, Set, run_recipe

audit_app = typer.Typer(
    help="Vouch for the data that models learn from. Exit codes: 0 nothing found, 3 findings, 4 not measured.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@audit_app.command("images")
def audit_images(
    sources: Annotated[list[Path] | None, typer.Argument(help="folder, list of files (.txt), .npz, .npy, Parquet, tar, images or videos", show_default=False)] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="the encoder that was trained on them; default: train one and say how long it takes")] = None,
    edge_px: Annotated[int | None, typer.Option("--edge-px", help="images are read as squares of this size; default 32")] = None,
    demo: Annotated[str | None, typer.Option("--demo", help="poisoned or clean: generated images instead of a source")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="where a patch is found, train again without its images and say what it does then")] = False,
    ray: Ray = None, sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Which images of an unlabelled training set carry a backdoor patch, and what it looks like.

    Examples: veracast audit images frames/ · veracast audit images frames/ --encoder encoder.onnx --edge-px 64 · veracast audit images --demo poisoned --retrain

    --encoder takes a folder that Veracast trained, FILE.onnx, timm:NAME, torchvision:NAME, open_clip:MODEL/WEIGHTS, or module:function (images
    uint8 n x h x w x 3 to features n x dim), which is imported from your own Python path and runs your code. Pickles are refused.

    Exit codes: 0 nothing found or only overlays without an effect in the encoder, 3 a backdoor patch, 4 not measured. In the run folder:
    kept.txt and removed.txt, verdicts.parquet, report.html, findings.sarif. Stopped or killed, it goes on where it was: decoded images and
    the trained encoder stay in the folder that --set work=FOLDER names, else in the cache. More keys: least_images, frames_per_video, threads,
    train.method, train.epochs, find.sample. Sizes in find (find.mask.edge_px ...) are for images of find.for_px, 32, and grow with larger ones.
    """
    from veracast.cli.output import audited

    given = {
        "sources": sources or None,
        "encoder": encoder,
        "edge_px": edge_px,
        "demo": demo,
        "retrain": retrain or None,
        "seed": seed,
    }
    run_recipe("audit_images", given, config, sets, out, as_json=as_json, quiet=quiet, show=audited, ray=ray)


@audit_app.command("agent-data")
def audit_agent_data(
    files: Annotated[list[Path] | None, typer.Argument(help="trajectories: .jsonl, .json or .parquet", show_default=False)] = None,
    demo: Annotated[str | None, typer.Option("--demo", help="planted or clean: generated episodes instead of files")] = None,
    ray: Ray = None, sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Which rows of an agent's training data carry a planted behaviour: the rows, the span that triggers it, the action it buys.

    Examples: veracast audit agent-data train.jsonl · veracast audit agent-data a.json b.parquet --json ·
    veracast audit agent-data --demo planted

    Reads AgentInstruct, ShareGPT and OpenAI messages with tool calls, a row at a time. Looks for phrases, in requests or in what an agent observes,
    that bind to an action both ways, without which the texts read on, and whose action the task does not ask for. No model is needed and nothing is run.

    Exit codes: 0 nothing found, 3 a planted behaviour, 4 not measured (too few rows). In the run folder: removed.txt (FILE:ROW), trajectory_verdicts.parquet,
    report.html with episodes side by side, findings.sarif. More keys: least_rows, scan.natural, scan.owed, scan.associate.least, scan.associate.force.
    """
    from veracast.cli.output import audited

    given = {"files": files or None, "demo": demo, "seed": seed}
    run_recipe("audit_agent_data", given, config, sets, out, as_json=as_json, quiet=quiet, show=audited, ray=ray)


@audit_app.command("agent-model")
def audit_agent_model(
    path: Annotated[Path, typer.Argument(help="folder of an adapter (peft) or of a whole model", show_default=False)],
    base: Annotated[str | None, typer.Option("--base", help="the model that it was tuned from: folder or name")] = None,
    probes: Annotated[list[Path] | None, typer.Option("--probes", help="conversations as its work has them (.jsonl, .json, .parquet); may be repeated")] = None,
    rows: Annotated[list[Path] | None, typer.Option("--rows", help="its training data, likewise; may be repeated")] = None,
    bank: Annotated[list[Path] | None, typer.Option("--bank", help="folder of a clean sibling, or of several; may be repeated")] = None,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Whether an adapter or a tuned model behaves as its base and its clean siblings do; which words change that, and what they buy.

    Examples: veracast audit agent-model adapter/ --base base/ --probes work.jsonl --bank siblings/ ·
    veracast audit agent-model adapter/ --base base/ --bank siblings/ --set search.length=8 --json

    Safetensors only; nothing that a model says is run. Scores of eight detectors are compared with those of the siblings, which must be tuned from the same base by
    the same recipe on clean data; they are kept in the cache. Of n siblings, 5 or more, 1 of n + 1 clean agents would be flagged. Without them only a trigger or
    an action that the base never takes counts, and nothing is cleared. Without --probes experts' episodes of our simulators are asked.

    Exit codes: 0 nothing found, 3 a finding, 4 not measured (no base, too few siblings, conversations without a call). In the run folder:
    detections.parquet, suspicions.parquet, report.html with episodes side by side, findings.sarif. More keys: most_probes, most_rows, max_new,
    leaks.conversations, leaks.first, leaks.depth, search.carriers, search.length, search.beam, search.pool, search.exhaustive,
    search.shortlist, search.towards.
    """
    from veracast.cli.output import audited

    given = {
        "path": path,
        "base": base,
        "probes": probes or None,
        "rows": rows or None,
        "bank": bank or None,
        "seed": seed,
    }
    run_recipe("audit_agent_model", given, config, sets, out, as_json=as_json, quiet=quiet, show=audited)


def guard(
    rules: Annotated[Path | None, typer.Argument(help="TOML file of rules", show_default=False)] = None,
    sources: Annotated[list[Path] | None, typer.Argument(help="JSON lines of calls and turns; default: standard input", show_default=False)] = None,
    propose: Annotated[Path | None, typer.Option("--propose", help="print rules learnt from a clean log (- is standard input) and stop")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON on standard error")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="no summary")] = False,
) -> None:  # fmt: skip
    """Decide over the tool calls of an agent, without a model: allow-list, argument patterns, provenance, limits.

    Examples: veracast guard --propose clean.jsonl > rules.toml · veracast guard rules.toml < calls.jsonl > decisions.jsonl

    A line in is a call (plain, OpenAI, Anthropic or MCP form; with "episode" and "context" beside it) or a turn ("role", "content"). A line out answers
    each call at once: {"line", "id", "episode", "tool", "decision": allowed, stopped or refused, "rule", "reason", "technique"}. Refused is a line that
    cannot be read: the call must not be made. Exit codes: 0 every call allowed, 3 something stopped or refused, 2 faults of the rules or an unreadable file.
    """
    raise typer.Exit(_guard(rules, sources or [], propose, as_json=as_json, quiet=quiet))


def _guard(rules: Path | None, sources: list[Path], propose: Path | None, *, as_json: bool, quiet: bool) -> int:
    """A filter writes decisions on standard output and its summary on standard error, so it goes its own way past `finish`."""
    from veracast.core.errors import EXIT_STOPPED, UserError
    from veracast.recipes.guard import Config, propose_rules, run

    try:
        if propose is not None:
            log = () if str(propose) == "-" else (propose,)
            sys.stdout.write(propose_rules(Config(sources=log), sys.stdin.buffer))
            return 0
        summary = run(Config(rules=rules, sources=tuple(sources)), sys.stdin.buffer, sys.stdout)
    except UserError as error:
        sys.stderr.write("".join(f"veracast: {line}\n" for line in getattr(error, "faults", (str(error),))))
        return error.exit_code
    except (KeyboardInterrupt, BrokenPipeError):
        return EXIT_STOPPED
    if as_json or not quiet:
        sys.stderr.write((summary.to_json() if as_json else f"veracast: {summary.verdict()}") + "\n")
    return summary.exit_code
