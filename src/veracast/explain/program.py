"""A scorer that is a program: its steps run on one item, with what went in and out, and what each contributes.

    program     modules in order; each gets what the ones before it made, by name, and makes something of a name of its own
    trace       step by step, in words; the last one's value is the score, and that is checked against the scorer
    without     the score with a module's output replaced by its output on the baseline item: what this step's reading of the item does

Modules made for one task each are a specialised program, one general module under several instructions a meta program, both kinds a hybrid one
(the survey's three leaves of programs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from veracast.core.errors import ConfigError
from veracast.explain.scorer import Item, UnfitScorerError

Kind = Literal["specialised", "meta", "hybrid"]
SAME = 1e-6


@dataclass(frozen=True)
class Module:
    """makes: name of what it returns; reads: names of what it gets, of the item's modalities and of earlier modules. instruction: of a general module,
    what it is told to do here; it gets that first. said: its output in words."""

    makes: str
    reads: tuple[str, ...]
    call: Callable[..., Any]
    instruction: str | None = None
    said: Callable[[Any], str] = str


class Step(NamedTuple):
    """One module at work. without: the score with this module reading the baseline item in the item's place, None where there is no baseline."""

    module: str
    given: str
    got: str
    value: Any
    without: float | None


def kind_of(program: Sequence[Module]) -> Kind:
    """By how many of its modules act under instructions."""
    told = sum(module.instruction is not None for module in program)
    return "specialised" if not told else "meta" if told == len(program) else "hybrid"


def run_program(program: Sequence[Module], item: Item) -> dict[str, Any]:
    """What every module makes of the item. ConfigError for a program that reads what nothing has made, or makes one name twice."""
    return _run(program, item, {})


def trace(program: Sequence[Module], item: Item, *, score: float | None = None, baseline: Item | None = None) -> list[Step]:  # fmt: skip
    """score: what the scorer says of the item; UnfitScorerError where the program ends with something else, for then it explains another scorer."""
    made = run_program(program, item)
    last = float(made[program[-1].makes])
    if score is not None and abs(last - score) > SAME * max(1.0, abs(score)):
        raise UnfitScorerError(f"the program ends with {last:.9g}, the scorer says {score:.9g} -> trace the program that scores")  # fmt: skip
    bare = run_program(program, baseline) if baseline is not None else {}
    every = {**item, **made}
    steps = []
    for module in program:
        given = ", ".join(module.reads) if module.instruction is None else f"“{module.instruction}”, {', '.join(module.reads)}"  # fmt: skip
        without = None
        if baseline is not None:
            without = float(_run(program, item, {module.makes: bare[module.makes]})[program[-1].makes])
        steps.append(Step(module.makes, given, module.said(every[module.makes]), every[module.makes], without))
    return steps


def _run(program: Sequence[Module], item: Item, fixed: Mapping[str, Any]) -> dict[str, Any]:
    if not program:
        raise ConfigError(["a program without modules"])
    known: dict[str, Any] = dict(item)
    for module in program:
        lacking = [name for name in module.reads if name not in known]
        if lacking:
            raise ConfigError(
                [f"{module.makes} reads {', '.join(lacking)}, which nothing before it makes -> order the modules"]
            )
        if module.makes in known:
            raise ConfigError([f"{module.makes} is made twice, or is a modality of the item -> name it otherwise"])
        if module.makes in fixed:
            known[module.makes] = fixed[module.makes]
            continue
        told = [] if module.instruction is None else [module.instruction]
        known[module.makes] = module.call(*told, *(known[name] for name in module.reads))
    return {module.makes: known[module.makes] for module in program}
