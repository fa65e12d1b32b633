"""Reading a command's options as getopt_long does: bundled letters, values attached or apart, long names cut short, `--`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from veracast.agents.shell.call import Call
from veracast.agents.shell.faults import CommandFault, Unsupported


@dataclass
class Options:
    """given: name and value of every option, in order; rest: the operands."""

    given: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.given)

    def value(self, name: str) -> str | None:
        """The last one given."""
        return next((value for found, value in reversed(self.given) if found == name), None)

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.given if found == name]

    def last(self, names: str) -> str:
        """Which of several letters came last; empty for none."""
        return next((name for name, _ in reversed(self.given) if name in names), "")


def options(call: Call, short: str, long: Mapping[str, str] | None = None, *, in_order: bool = False) -> Options:
    """short: as in getopt, `n:` takes a value, `n?` may have one attached. long: name -> short name, or a name of its own, with the same marks.

    in_order: operands end the options. Unsupported for an option that is not listed.
    """
    found, marks = Options(), _marks(short)
    names = {name: value.rstrip(":?") for name, value in (long or {}).items()}
    for value in (long or {}).values():
        marks.setdefault(value.rstrip(":?"), value[-1] if value[-1] in ":?" else "")
    words = list(call.args)
    while words:
        word = words.pop(0)
        if word == "--":
            found.rest += words
            break
        if word.startswith("--"):
            _long(call, word, words, names, marks, found)
        elif len(word) > 1 and word[0] == "-":
            _letters(call, word, words, marks, found)
        else:
            found.rest.append(word)
            if in_order:
                found.rest += words
                break
    return found


def _marks(short: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for c in short:
        if c in ":?":
            found[list(found)[-1]] = c
        else:
            found[c] = ""
    return found


def _long(
    call: Call, word: str, words: list[str], names: dict[str, str], marks: dict[str, str], found: Options
) -> None:
    given, equals, value = word[2:].partition("=")
    fits = [given] if given in names else [name for name in names if name.startswith(given)]
    if len({names[name] for name in fits}) != 1:
        raise Unsupported(f"{call.name} --{given}")
    name = names[fits[0]]
    if marks.get(name) == ":" and not equals:
        if not words:
            raise CommandFault(f"option '--{given}' requires an argument")
        value = words.pop(0)
    if equals and not marks.get(name):
        raise CommandFault(f"option '--{given}' doesn't allow an argument")
    found.given.append((name, value))


def _letters(call: Call, word: str, words: list[str], marks: dict[str, str], found: Options) -> None:
    at = 1
    while at < len(word):
        name = word[at]
        at += 1
        if name not in marks:
            raise Unsupported(f"{call.name} -{name}")
        if marks[name] == "?" or (marks[name] == ":" and at < len(word)):
            found.given.append((name, word[at:]))
            return
        if marks[name] == ":":
            if not words:
                raise CommandFault(f"option requires an argument -- '{name}'")
            found.given.append((name, words.pop(0)))
            return
        found.given.append((name, ""))
