"""The policy guard: may an agent make this tool call? Decided without a model, from rules (core/guard_rules.py) and from what was said before.

    guard = Guard(load_rules(Path("rules.toml")))
    context = Context()                        # one for each episode
    context.hear("user", "what is new on example.org?")
    guard.decide(ToolCall("fetch", {"url": "https://example.org/"}), context)    # Decision(allowed=True, ...)

It fails closed: what it does not know, cannot read with certainty or cannot check in time is stopped. It is pure but for the context, which counts
calls; nothing is opened, run, resolved or contacted. What it cannot see: what an allowed tool or program does by itself, symbolic links, redirects and
DNS of allowed hosts, what a file holds that an earlier call wrote.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from veracast.core.addresses import (
    AddressFault,
    address_in_text,
    addresses_in,
    host_allowed,
    path_allowed,
    read_address,
    read_path,
)
from veracast.core.guard_context import Context, fold
from veracast.core.guard_rules import NAME_CHARS, ArgumentRule, Rules, ToolRule, plain
from veracast.core.shell_commands import ShellText, hosts_named, read_commands
from veracast.core.shell_words import ShellDoubt
from veracast.core.trajectories import ToolCall

AGENCY = "OWASP LLM06:2025 Excessive Agency; MITRE ATLAS AML.T0053"
INJECTION = "OWASP LLM01:2025 Prompt Injection; MITRE ATLAS AML.T0053"
MAX_DEPTH, MAX_STRINGS = 16, 2_000
SEARCH_S = 0.1
"""Time for all regular expressions of one call."""
_PATH_IN_TEXT = re.compile(r"(?<![\w:/.~-])~?/(?:[^\s\"'<>|;`/]+/?)+")
_SHOWN = 60


class Decision(NamedTuple):
    """rule: the key that decided, such as `bash.command.commands`, `default` or `limits.calls_per_episode`. technique: None where allowed."""

    allowed: bool
    rule: str
    reason: str
    technique: str | None = None


class _Stop(Exception):
    """A check that fails: key of the rule, reason, technique."""

    def __init__(self, key: str, reason: str, technique: str = AGENCY) -> None:
        self.key, self.reason, self.technique = key, reason, technique
        super().__init__(reason)


class Guard:
    """Rules, ready to decide."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._folded = {fold(name): name for name in rules.tools}

    def decide(self, call: ToolCall, context: Context | None = None) -> Decision:
        """Whether a call may be made. Counts it in the context, stopped or not; without a context limits do not count and nothing was said."""
        context = Context() if context is None else context
        try:
            strings = _strings(call.arguments or {})
            self._limit(call, context)
            rule = self._tool(call)
            if rule is None:
                self._size(strings)
                return Decision(True, "default", f"{shown(call.name)} is not named, and the default is allow")
            if call.arguments is None:
                raise _Stop(rule.name, "its arguments are no JSON object")
            self._arguments(call.arguments, rule, context)
        except _Stop as why:
            return Decision(False, why.key, why.reason, why.technique)
        return Decision(True, rule.name, "every argument is as the rules say")

    def _limit(self, call: ToolCall, context: Context) -> None:
        limits = self.rules.limits
        if limits.calls_per_episode is None and limits.same_call_repeated is None:
            return
        body = json.dumps(
            [call.name, call.arguments, "" if call.arguments is not None else call.raw], sort_keys=True, default=str
        )
        digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).digest()
        context.calls[digest] += 1
        if limits.calls_per_episode is not None and context.calls.total() > limits.calls_per_episode:
            raise _Stop("limits.calls_per_episode", f"more than {limits.calls_per_episode} calls in the episode")
        if limits.same_call_repeated is not None and context.calls[digest] > limits.same_call_repeated:
            raise _Stop("limits.same_call_repeated", f"the same call more than {limits.same_call_repeated} times")

    def _tool(self, call: ToolCall) -> ToolRule | None:
        """The tool's rule; None where the default lets it pass."""
        rule = self.rules.tools.get(call.name)
        if rule is not None:
            if rule.deny:
                raise _Stop(f"{rule.name}.deny", f"{shown(call.name)} is denied")
            return rule
        alike = self._folded.get(fold(call.name))
        if alike is not None:
            raise _Stop("default", f"{shown(call.name)} is not named, it only looks like {alike}")
        if not self.rules.default_allow:
            raise _Stop("default", f"{shown(call.name)} is not named in the rules")
        if len(call.name) > NAME_CHARS or not re.fullmatch(r"[A-Za-z0-9_.:/-]+", call.name):
            raise _Stop("default", f"{shown(call.name)} is no name that a tool has (letters, digits, _ . : / -)")
        return None

    def _arguments(self, arguments: Mapping[str, Any], rule: ToolRule, context: Context) -> None:
        for name in arguments:
            if name not in rule.arguments:
                raise _Stop(f"{rule.name}.arguments", f"argument {shown(name)} is not named in the rules")
        for name, one in rule.arguments.items():
            if name not in arguments and one.required:
                raise _Stop(f"{rule.name}.{name}.required", f"argument {name} is missing")
        deadline = time.monotonic() + SEARCH_S
        for name, value in arguments.items():
            try:
                self._value(value, rule.arguments[name], context, deadline)
            except _Stop as why:
                key = why.key if why.key.startswith("limits.") else f"{rule.name}.{name}.{why.key}"
                raise _Stop(key, f"{name}: {why.reason}", why.technique) from None

    def _size(self, strings: list[str]) -> int:
        """Characters of a value; stopped where there are more than any may have."""
        chars, most = sum(map(len, strings)), self.rules.limits.argument_chars
        if chars > most:
            raise _Stop("limits.argument_chars", f"{chars:,} characters, at most {most:,} are allowed")
        return chars

    def _value(self, value: Any, rule: ArgumentRule, context: Context, deadline: float) -> None:
        strings = _strings(value)
        chars = self._size(strings)
        if rule.max_chars is not None and chars > rule.max_chars:
            raise _Stop("max_chars", f"{chars:,} characters, at most {rule.max_chars:,} are allowed")
        _check_kind(value, rule)
        for text in strings:
            _check_patterns(text, rule, deadline)
        if (
            rule.commands is None
            and rule.hosts is None
            and rule.paths is None
            and rule.hosts_in_text is None
            and not rule.roles
        ):
            return
        texts = _only_strings(value, strings, rule)
        for text in texts:
            items = _check_places(text, rule)
            if rule.roles:
                _check_provenance(text, items, rule, context)


def _strings(value: Any, depth: int = 0) -> list[str]:
    """Every string inside, keys too, other scalars as JSON writes them; stops at what is nested too deep or has too many."""
    if depth > MAX_DEPTH:
        raise _Stop("limits.depth", f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        return [value]
    parts: list[str] = []
    inner: Iterable[Any] = ()
    if isinstance(value, Mapping):
        parts += [str(key) for key in value]
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    else:
        return [json.dumps(value, default=str)]
    for one in inner:
        parts += _strings(one, depth + 1)
        if len(parts) > MAX_STRINGS:
            raise _Stop("limits.strings", f"more than {MAX_STRINGS:,} values")
    return parts


def _only_strings(value: Any, strings: list[str], rule: ArgumentRule) -> list[str]:
    """The strings of a value that rules of places speak of; a number could be an address, so it is stopped where only texts belong."""
    flat = value if isinstance(value, list | tuple) else [value]
    strict = rule.commands is not None or rule.hosts is not None or rule.paths is not None
    if strict and not all(isinstance(one, str) for one in flat):
        raise _Stop("type", "expected a text, or a list of texts")
    return strings


def _check_kind(value: Any, rule: ArgumentRule) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    kinds = {
        "string": isinstance(value, str), "boolean": isinstance(value, bool), "number": number, "list": isinstance(value, list | tuple),
        "integer": number and value == int(value) if number and value == value and abs(value) != float("inf") else False, "object": isinstance(value, Mapping),
    }  # fmt: skip
    if rule.type is not None and not kinds[rule.type]:
        raise _Stop("type", f"expected {rule.type}, got {type(value).__name__}")
    low, high = rule.min, rule.max
    below = not number or (low is not None and not value >= low)
    if (low is not None or high is not None) and (below or (high is not None and not value <= high)):
        span = f"{'' if low is None else low} to {'' if high is None else high}"
        raise _Stop("min" if below and low is not None else "max", f"expected a number from {span}, got {shown(value)}")
    if rule.one_of is not None and not any(type(value) is type(one) and value == one for one in rule.one_of):
        raise _Stop("one_of", f"{shown(value)} is none of the listed values")


def _check_patterns(text: str, rule: ArgumentRule, deadline: float) -> None:
    forms = {text, plain(text)} if rule.deny else ()
    try:
        for pattern in rule.deny:
            if any(pattern.search(form, timeout=_left(deadline)) for form in forms):
                raise _Stop("deny", f"matches {pattern.pattern}")
        if rule.allow and not any(pattern.fullmatch(text, timeout=_left(deadline)) for pattern in rule.allow):
            raise _Stop("allow", f"{shown(text)} matches none of the allowed patterns")
    except TimeoutError:
        raise _Stop("deny" if rule.deny else "allow", f"a regular expression took longer than {SEARCH_S} s") from None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _check_places(text: str, rule: ArgumentRule) -> list[str]:
    """Commands, hosts and paths; the addresses found, for provenance."""
    if rule.commands is not None:
        return _check_shell(text, rule)
    if rule.hosts is not None:
        _check_host(text, rule.hosts, rule.schemes, "hosts")
        return [text]
    if rule.paths is not None:
        try:
            path = read_path(text)
        except AddressFault as why:
            raise _Stop("paths", f"{shown(text)}: {why}") from None
        if not path_allowed(path, rule.paths):
            raise _Stop("paths", f"{shown(text)} is outside the listed folders")
        return [path]
    found = addresses_in(plain(text))
    if rule.hosts_in_text is not None:
        for one in found:
            _check_mention(one, rule.hosts_in_text, "hosts_in_text")
    return [*found, *_PATH_IN_TEXT.findall(plain(text))]


def _check_shell(text: str, rule: ArgumentRule) -> list[str]:
    try:
        read = read_commands(text)
    except ShellDoubt as why:
        raise _Stop("commands", f"cannot be read with certainty: {why}") from None
    for command in read.commands:
        if not command.listed(rule.commands or frozenset()):
            raise _Stop("commands", f"{shown(command.name)} is not among the listed commands")
        if command.doubt and not command.listed(rule.unread):
            raise _Stop("commands", command.doubt)
    _check_writes(read, rule)
    found: list[str] = []
    try:
        found = hosts_named(read, strict=rule.hosts is not None)
    except ShellDoubt as why:
        raise _Stop("hosts", str(why)) from None
    if rule.hosts is not None:
        for one in found:
            _check_mention(one, rule.hosts, "hosts")
    return [*found, *(word.text for word in read.words if word.text.startswith(("/", "~")))]


def _check_writes(read: ShellText, rule: ArgumentRule) -> None:
    moved = any(command.name in ("cd", "pushd", "popd") for command in read.commands)
    for target in read.writes:
        if target.known and target.text in ("/dev/null", "/dev/stdout", "/dev/stderr"):
            continue
        try:
            path = read_path(target.text) if target.known else None
        except AddressFault as why:
            raise _Stop("writes", f"writes to {shown(target.text)}: {why}") from None
        if path is None or not path_allowed(path, rule.writes) or (moved and not path.startswith("/")):
            raise _Stop("writes", f"writes to {shown(target.text)}, which is not in a listed folder")


def _check_host(text: str, hosts: tuple[str, ...], schemes: tuple[str, ...], key: str) -> None:
    try:
        address = read_address(text)
    except AddressFault as why:
        raise _Stop(key, f"{shown(text)}: {why}") from None
    if address.scheme is not None and address.scheme not in schemes:
        raise _Stop("schemes", f"scheme {address.scheme} is not listed")
    if reason := host_allowed(address, hosts):
        raise _Stop(key, reason)


def _check_mention(text: str, hosts: tuple[str, ...], key: str) -> None:
    try:
        address = address_in_text(text)
    except AddressFault as why:
        raise _Stop(key, f"{shown(text)}: {why}") from None
    if reason := host_allowed(address, hosts):
        raise _Stop(key, reason)


def _check_provenance(text: str, items: list[str], rule: ArgumentRule, context: Context) -> None:
    """Each address, or else the whole value, stood in a turn of the roles; of a path a folder above it is enough."""
    whole = not items and rule.commands is None and rule.hosts_in_text is None
    for item in [text] if whole else items:
        if context.stood(item, rule.roles) or (not whole and _place_stood(item, rule, context)):
            continue
        reason = f"{shown(item)} did not stand in a turn of {' or '.join(rule.roles)}"
        raise _Stop("from", reason, INJECTION)


def _place_stood(item: str, rule: ArgumentRule, context: Context) -> bool:
    if item.startswith(("/", "~")) or rule.paths is not None:
        parts = item.split("/")
        above = ["/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
        return any(
            context.stood(one, rule.roles) or context.stood(f"{one}/", rule.roles) for one in above if one.strip("/~.")
        )
    if "@" in item and "://" not in item:
        return False
    try:
        return context.host_stood(address_in_text(item).host, rule.roles)
    except AddressFault:
        return False


def shown(value: Any) -> str:
    """A value as a reason shows it: ASCII, quoted, cut."""
    text = ascii(value if isinstance(value, str) else str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...({len(str(value)):,} characters)"
