"""Rules of the policy guard: a TOML file, read with all its faults told at once.

    version = 1
    default = "deny"                       # of tools that no rule names: deny (default) or allow
    [[tool]]
    name = "bash"                          # exact; `deny = true` forbids the tool
    [tool.arguments.command]               # every argument must be named: an argument that is not is denied
    required = true                        # false: may be missing
    commands = ["ls", "git log"]           # shell text: only these programs may start (core/shell_commands.py); `find -delete`, `sed -i`,
    unread = ["python3"]                   #   `python3 -m pytest` are listed as such. unread: of these the guard need not know what they run
    writes = ["/tmp", "."]                 # where redirections may write; default: nowhere but /dev/null
    hosts = ["example.org"]                # with commands: every host that the text names
    [[tool]]
    name = "fetch"
    [tool.arguments.url]
    hosts = ["example.org", "*.example.org", "example.org:8443"]   # * is one label more
    schemes = ["https"]                    # default: https
    from = ["user", "system"]              # provenance: each URL, host, path or mail address in it, or else the whole value, stood in such a turn
    [[tool]]
    name = "write_file"
    [tool.arguments.path]
    paths = ["/srv/data"]                  # POSIX, absolute, without `..`; "." is any relative one
    [tool.arguments.text]
    type = "string"                        # string, integer, number, boolean, list, object
    max_chars = 2000                       # of all strings in it; default: limits.argument_chars
    deny = ['(?i)password']                # regular expressions, searched in the text and in its plain form (NFKC, invisible characters gone)
    allow = ['[\\w ,.]+']                   # each string must match one of these whole
    hosts_in_text = []                     # running text may name only these hosts
    one_of = ["a", "b"]                    # the value is one of these; min, max: of numbers
    [limits]                               # calls_per_episode, same_call_repeated: no limit where not given
    argument_chars = 100000

Rules of one argument hold together, for every string inside lists and objects, keys too. Expressions are run by the package `regex`, which can stop
one that takes too long (re cannot); such a call is stopped.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import regex

from veracast.core.addresses import AddressFault, read_address, read_path
from veracast.core.errors import ConfigError

TYPES = ("string", "integer", "number", "boolean", "list", "object")
ROLES = ("user", "system", "assistant", "tool")
NAME_CHARS = 128
_TOP, _TOOL, _LIMITS = ("version", "default", "tool", "limits"), ("name", "deny", "arguments"), ("calls_per_episode", "same_call_repeated", "argument_chars")  # fmt: skip


@dataclass(frozen=True)
class ArgumentRule:
    """What the value of one argument may be; None or empty: not limited by this."""

    required: bool = False
    type: str | None = None
    max_chars: int | None = None
    min: float | None = None
    max: float | None = None
    one_of: tuple[Any, ...] | None = None
    deny: tuple[regex.Pattern[str], ...] = ()
    allow: tuple[regex.Pattern[str], ...] = ()
    commands: frozenset[str] | None = None
    unread: frozenset[str] = frozenset()
    writes: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None
    schemes: tuple[str, ...] = ("https",)
    hosts_in_text: tuple[str, ...] | None = None
    paths: tuple[str, ...] | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolRule:
    """One tool by its exact name."""

    name: str
    deny: bool = False
    arguments: Mapping[str, ArgumentRule] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """None: no limit."""

    calls_per_episode: int | None = None
    same_call_repeated: int | None = None
    argument_chars: int = 100_000


@dataclass(frozen=True)
class Rules:
    """All rules. default_allow: tools that no rule names pass."""

    tools: Mapping[str, ToolRule]
    limits: Limits = Limits()
    default_allow: bool = False


def load_rules(path: Path) -> Rules:
    """Rules of a file; ConfigError with every fault, also for a file that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read ({error}) -> give a TOML file of rules"]) from error
    return parse_rules(text, file=str(path))


def parse_rules(text: str, *, file: str = "rules") -> Rules:
    """Rules of a text; ConfigError with every fault, each with its line and key."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{file}: {error}"]) from error
    reader = _Reader(file, lines_of(text))
    rules = reader.rules(body)
    if reader.faults:
        raise ConfigError(reader.faults)
    return rules


def lines_of(text: str) -> dict[tuple[str | int, ...], int]:
    """The line on which a key stands, by its path such as ("tool", 0, "name"). Keys of inline tables have that of their table."""
    found: dict[tuple[str | int, ...], int] = {}
    at: tuple[str | int, ...] = ()
    quoted = ""
    for number, line in enumerate(text.splitlines(), start=1):
        inside = quoted
        for mark in re.findall(r"\"\"\"|'''", line):
            quoted = "" if quoted == mark else quoted or mark
        if inside:
            continue
        if header := re.match(r"\s*(\[\[?)([^\[\]]+)\]", line):
            path = [part.strip(" \"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", header[2].strip())]
            at = tuple(path)
            if path[0] == "tool":
                count = sum(1 for key in found if len(key) == 2 and key[0] == "tool")
                at = ("tool", count if header[1] == "[[" and len(path) == 1 else max(count - 1, 0), *path[1:])
            found[at] = number
        elif key := re.match(r"\s*([\w.-]+|\"[^\"]*\"|'[^']*')\s*=", line):
            found[(*at, *(part.strip("\"'") for part in key[1].split(".")))] = number
    return found


class _Reader:
    """Faults found so far, and where keys stand."""

    def __init__(self, file: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
        self.file, self.lines, self.faults = file, lines, list[str]()

    def fault(self, path: tuple[str | int, ...], message: str) -> None:
        """Note a fault at a key, or at the nearest table above that has a line."""
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)
        line = f", line {self.lines[known]}" if known is not None else ""
        name = ".".join(f"{part + 1}" if isinstance(part, int) else part for part in path)
        self.faults.append(f"{self.file}{line}: {name or 'the file'}: {message}")

    def rules(self, body: Mapping[str, Any]) -> Rules:
        self._known(body, _TOP, ())
        if body.get("version") != 1 or isinstance(body.get("version"), bool):
            self.fault(("version",), f"expected version = 1, got {body.get('version')!r}")
        if body.get("default", "deny") not in ("deny", "allow"):
            self.fault(("default",), f"expected deny or allow, got {body['default']!r}")
        tools: dict[str, ToolRule] = {}
        listed = body.get("tool", [])
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            self.fault(("tool",), "expected [[tool]] tables")
            listed = []
        for i, one in enumerate(listed):
            rule = self._tool(one, ("tool", i))
            if rule is not None and rule.name in tools:
                self.fault(("tool", i, "name"), f"a second rule for {rule.name!r} -> put both in one")
            elif rule is not None:
                tools[rule.name] = rule
        return Rules(tools, self._limits(body.get("limits", {})), body.get("default") == "allow")

    def _known(self, body: Mapping[str, Any], names: tuple[str, ...], path: tuple[str | int, ...]) -> None:
        for key in body:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)
                self.fault((*path, key), f"unknown key {key}, did you mean {near[0] if near else names[0]}?")

    def _limits(self, body: Any) -> Limits:
        if not isinstance(body, dict):
            self.fault(("limits",), f"expected a table, got {body!r}")
            return Limits()
        self._known(body, _LIMITS, ("limits",))
        values = {key: self._count(value, ("limits", key)) for key, value in body.items() if key in _LIMITS}
        return Limits(**{key: value for key, value in values.items() if value is not None})

    def _count(self, value: Any, path: tuple[str | int, ...]) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.fault(path, f"expected a whole number above 0, got {value!r}")
        return None

    def _tool(self, body: Mapping[str, Any], path: tuple[str | int, ...]) -> ToolRule | None:
        self._known(body, _TOOL, path)
        name, arguments = body.get("name"), body.get("arguments", {})
        if (
            not isinstance(name, str)
            or not name
            or len(name) > NAME_CHARS
            or name != plain(name)
            or name != name.strip()
        ):
            self.fault(
                (*path, "name"), f"expected the exact name of a tool, without invisible characters, got {name!r}"
            )
            name = None
        if not isinstance(body.get("deny", False), bool):
            self.fault((*path, "deny"), f"expected true or false, got {body['deny']!r}")
        if not isinstance(arguments, dict):
            self.fault((*path, "arguments"), f"expected a table for each argument, got {arguments!r}")
            arguments = {}
        if body.get("deny") is True and arguments:
            self.fault((*path, "deny"), "a tool that is denied has no arguments to rule")
        rules = {key: self._argument(value, (*path, "arguments", key)) for key, value in arguments.items()}
        return None if name is None else ToolRule(name, body.get("deny") is True, rules)

    def _argument(self, body: Any, path: tuple[str | int, ...]) -> ArgumentRule:
        if not isinstance(body, dict):
            self.fault(path, f"expected a table, got {body!r}")
            return ArgumentRule()
        self._known(body, tuple(_KEYS), path)
        values: dict[str, Any] = {}
        for key, value in body.items():
            if key not in _KEYS:
                continue
            target, read = _KEYS[key]
            try:
                values[target] = read(value)
            except (ValueError, TypeError) as error:
                self.fault((*path, key), str(error))
        for key, needs in (("unread", ("commands",)), ("writes", ("commands",)), ("schemes", ("hosts",))):
            if key in body and not any(need in body for need in needs):
                self.fault((*path, key), f"says something only beside {needs[0]}")
        if "paths" in body and ("commands" in body or "hosts" in body):
            self.fault((*path, "paths"), "a value is a path, or it is shell text or a URL")
        return ArgumentRule(**values)


def plain(text: str) -> str:
    """NFKC, without invisible characters (format, control but for tab and newline, fillers and variation selectors)."""
    if text.isascii() and text.isprintable():
        return text
    kept = (c for c in unicodedata.normalize("NFKC", text) if c in "\t\n" or not _invisible(c))
    return unicodedata.normalize("NFKC", "".join(kept))


def _invisible(c: str) -> bool:
    return unicodedata.category(c) in ("Cf", "Cc") or c in "\u115f\u1160\u3164\uffa0\u034f" or "\ufe00" <= c <= "\ufe0f"


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _type(value: Any) -> str:
    if value not in TYPES:
        near = difflib.get_close_matches(str(value), TYPES, n=1, cutoff=0.0)
        raise ValueError(f"{value!r} is none of {', '.join(TYPES)}; nearest: {near[0] if near else TYPES[0]}")
    return str(value)


def _chars(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"expected a whole number, got {value!r}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"expected a number, got {value!r}")
    return value


def _choices(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str | int | float | bool) for one in value):
        raise ValueError(f"expected a list of texts or numbers, got {value!r}")
    return tuple(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(f"expected a list of texts, got {value!r}")
    return tuple(value)


def _patterns(value: Any) -> tuple[regex.Pattern[str], ...]:
    found, faults = [], []
    for one in _texts(value):
        try:
            found.append(regex.compile(one, regex.VERSION0))
        except regex.error as error:
            faults.append(f"{one!r} is no regular expression ({error})")
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(found)


def _commands(value: Any) -> frozenset[str]:
    found = [" ".join(one.split()) for one in _texts(value)]
    if bad := [one for one in found if not one.isascii() or not one.isprintable()]:
        raise ValueError(f"{bad[0]!r} is no program's name")
    return frozenset(found)


def _hosts(value: Any) -> tuple[str, ...]:
    found, faults = [], []
    for one in _texts(value):
        bare = one.removeprefix("*.")
        try:
            address = read_address(bare)
        except AddressFault as why:
            faults.append(f"{one!r} is no host: {why}")
            continue
        port = "" if address.port is None else f":{address.port}"
        if address.scheme is not None or f"{address.host}{port}" != bare.lower().removesuffix("."):
            faults.append(f"{one!r} is more than a host -> {address.host}{port}")
        elif one != bare and "." not in address.host:
            faults.append(f"{one!r} is every host under a top domain")
        found.append(f"{'*.' if one != bare else ''}{address.host}{port}")
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(found)


def _schemes(value: Any) -> tuple[str, ...]:
    found = tuple(one.lower() for one in _texts(value))
    if bad := [one for one in found if not re.fullmatch(r"[a-z][a-z0-9+.-]*", one)]:
        raise ValueError(f"{bad[0]!r} is no scheme, such as https")
    return found


def _paths(value: Any) -> tuple[str, ...]:
    found, faults = [], []
    for one in _texts(value):
        try:
            found.append(read_path(one))
        except AddressFault as why:
            faults.append(f"{one!r} is no plain path: {why}")
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(found)


def _roles(value: Any) -> tuple[str, ...]:
    found = _texts(value)
    if bad := [one for one in found if one not in ROLES]:
        near = difflib.get_close_matches(bad[0], ROLES, n=1, cutoff=0.0)
        raise ValueError(f"{bad[0]!r} is none of {', '.join(ROLES)}; nearest: {near[0] if near else ROLES[0]}")
    if not found:
        raise ValueError("expected one role or more")
    return found


# key in the file -> field, reader
_KEYS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "required": ("required", _flag), "type": ("type", _type), "max_chars": ("max_chars", _chars), "min": ("min", _number), "max": ("max", _number),
    "one_of": ("one_of", _choices), "deny": ("deny", _patterns), "allow": ("allow", _patterns), "commands": ("commands", _commands),
    "unread": ("unread", _commands), "writes": ("writes", _paths), "hosts": ("hosts", _hosts), "schemes": ("schemes", _schemes),
    "hosts_in_text": ("hosts_in_text", _hosts), "paths": ("paths", _paths), "from": ("roles", _roles),
}  # fmt: skip
