"""`veracast bench ...`: what is claimed, measured beside honest opponents."""

from __future__ import annotations

from typing import Annotated

import typer

from veracast.cli.options import Budget, ConfigFile, Data, Json, Out, Quiet, Seed, Set, run_recipe

bench_app = typer.Typer(
    help="Measure what is claimed, beside honest opponents.", no_args_is_help=True, rich_markup_mode=None
)


@bench_app.command("rating")
def bench_rating(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): one world, core rows; small: three worlds, real sets, all rows")] = None,
    data: Data = None,
    budget: Budget = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Every rater on the same splits: baselines, parts of NetGPT, NetGPT, its ablations, and an oracle on generated worlds.

    Stopped or killed, it goes on where it was. Examples: veracast bench rating · veracast bench rating --scale small --set rows=lightgbm,netgpt
    """
    from veracast.cli.output import benched

    given = {"scale": scale, "data": data, "budget_only": budget or None, "seed": seed}
    run_recipe("bench_rating", given, config, sets, out, as_json=as_json, quiet=quiet, show=benched)


@bench_app.command("poison")
def bench_poison(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): generated images, one planted and one clean set; small: CIFAR-10, nine planted, three exact, ten clean sets")] = None,
    data: Data = None,
    budget: Budget = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Every locator, route and baseline of the image audit on planted and clean sets, and what retraining mends.

    Stopped or killed, it goes on where it was. Examples: veracast bench poison · veracast bench poison --scale small --set groups=main,clean ·
    veracast bench poison --scale small --set groups=unseen
    """
    from veracast.cli.output import poison_benched

    given = {"scale": scale, "data": data, "budget_only": budget or None, "seed": seed}
    run_recipe("bench_poison", given, config, sets, out, as_json=as_json, quiet=quiet, show=poison_benched)


@bench_app.command("agents")
def bench_agents(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): two ratios, two held-out families; small: all families, four ratios, three seeds")] = None,
    budget: Budget = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Detectors of planted behaviour, on canary backdoors in three simulators: recall, false alarms, is the trigger named.

    Stopped or killed, it goes on where it was.
    Examples: veracast bench agents · veracast bench agents --scale small --budget
    """
    from veracast.cli.output import agents_benched

    given = {"scale": scale, "budget_only": budget or None, "seed": seed}
    run_recipe("bench_agents", given, config, sets, out, as_json=as_json, quiet=quiet, show=agents_benched)


@bench_app.command("explain")
def bench_explain(
    scale: Annotated[str | None, typer.Option("--scale", help="tiny (default): the raters are lightgbm; small: rgcn and netgpt too")] = None,
    budget: Budget = False,
    sets: Set = None, out: Out = None, config: ConfigFile = None, seed: Seed = None, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Explanations of scorers whose truth is known, and of raters: closed forms, planted signals, decoys, shortcuts, captum, other baselines.

    Stopped or killed, it goes on where it was. Examples: veracast bench explain · veracast bench explain --set tiers=known,speed
    """
    from veracast.cli.output import explain_benched

    given = {"scale": scale, "budget_only": budget or None, "seed": seed}
    run_recipe("bench_explain", given, config, sets, out, as_json=as_json, quiet=quiet, show=explain_benched)
