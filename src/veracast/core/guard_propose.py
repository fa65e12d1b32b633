"""Rules learnt from a clean log: what its calls did is allowed, with head room, and nothing else. The same log gives the same text.

What is learnt of an argument: its kind, its length (twice the longest, rounded up), numbers' range (one span more on both sides), few values as a list,
programs and hosts and folders of writing in shell text, hosts of URLs, folders of paths, and of other texts the hosts and unusual signs that occur.
A rule set so made is a draft for a person: it is as clean as its log. Calls that the draft itself would stop are counted on top of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from veracast.core.addresses import AddressFault, address_in_text, addresses_in, read_address, read_path
from veracast.core.guard import Guard
from veracast.core.guard_context import Context
from veracast.core.guard_rules import parse_rules, plain
from veracast.core.shell_commands import hosts_named, read_commands
from veracast.core.shell_words import ShellDoubt
from veracast.core.trajectories import ToolCall

FEW_VALUES, TIMES_EACH, ALWAYS = 12, 5, 5
"""Texts become a list of values where there are at most so many, each seen so often on average; an argument is required from so many calls on."""
_SHELL_ARGUMENT = re.compile(r"(?i)(?:.*_)?(?:command|cmd|bash|shell|script|commands)")
_SHELL_TOOL = re.compile(r"(?i).*(?:bash|shell|terminal|console|exec|command).*")
_SIGNS = "_`|<>{}[]\\^~="


def propose(calls: Sequence[ToolCall], *, episodes: Sequence[str | None] | None = None) -> str:
    """TOML of rules (core/guard_rules.py) under which the calls pass. episodes: of each call, for the limits; None = not known."""
    tools = sorted({call.name for call in calls})
    blocks = [_tool(name, [call for call in calls if call.name == name]) for name in tools if _nameable(name)]
    body = "\n".join(["version = 1", 'default = "deny"', "", *blocks, *_limits(calls, episodes)])
    guard, context = Guard(parse_rules(body, file="proposed rules")), Context()
    stopped = Counter(
        decision.rule
        for call in calls
        if not (decision := guard.decide(call, context)).allowed and not decision.rule.startswith("limits.")
    )
    head = [
        f"# learnt from {len(calls):,} calls of {len(tools):,} tools, of which {len(calls) - stopped.total():,} pass"
    ]
    head += [f"# stopped although in the log: {count:,} by {rule}" for rule, count in sorted(stopped.items())]
    return "\n".join([*head, body]) + "\n"


def _nameable(name: str) -> bool:
    return 0 < len(name) <= 128 and name == plain(name) == name.strip()


def _tool(name: str, calls: Sequence[ToolCall]) -> str:
    lines = [f"[[tool]]  # {len(calls):,} calls", f"name = {_text(name)}"]
    known = [call.arguments for call in calls if call.arguments is not None]
    for argument in sorted({key for one in known for key in one}):
        values = [one[argument] for one in known if argument in one]
        lines.append(f"[tool.arguments.{_text(argument)}]  # in {len(values):,} of {len(calls):,} calls")
        if len(values) == len(calls) >= ALWAYS:
            lines.append("required = true")
        lines += _argument(name, argument, values)
    return "\n".join([*lines, ""])


def _argument(tool: str, name: str, values: Sequence[Any]) -> list[str]:
    if all(isinstance(value, bool) for value in values):
        return ['type = "boolean"']
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _numbers(values)
    strings = [text for value in values for text in _strings(value)]
    longest = max((sum(map(len, _strings(value))) for value in values), default=0)
    lines = [f"max_chars = {_rounded(2 * longest)}  # longest {longest:,}"]
    if not all(isinstance(value, str) for value in values):
        return [*_kind(values), *lines, f"hosts_in_text = {_list(_mentioned(strings))}"]
    lines.insert(0, 'type = "string"')
    if _SHELL_ARGUMENT.fullmatch(name) or _SHELL_TOOL.fullmatch(tool):
        return lines + _shell(strings)
    distinct = sorted(set(strings))
    if len(distinct) <= FEW_VALUES and len(strings) >= TIMES_EACH * len(distinct):
        return [f"one_of = {_list(distinct)}"]
    return lines + (_urls(strings) or _folders(strings) or _words(strings))


def _kind(values: Sequence[Any]) -> list[str]:
    for kind, types in (("list", list), ("object", Mapping)):
        if all(isinstance(value, types) for value in values):
            return [f'type = "{kind}"']
    return []


def _numbers(values: Sequence[Any]) -> list[str]:
    low, high = min(values), max(values)
    span = high - low or abs(high) or 1
    kind = "integer" if all(isinstance(value, int) for value in values) else "number"
    return [f'type = "{kind}"', f"min = {low - span}  # least {low}", f"max = {high + span}  # most {high}"]


def _shell(texts: Sequence[str]) -> list[str]:
    commands, hosts, writes, doubts = Counter[str](), set[str](), set[str](), Counter[str]()
    for text in texts:
        try:
            read = read_commands(text)
            named = {_host(one) for one in hosts_named(read, strict=True)}
            doubt = next((one.doubt for one in read.commands if one.doubt), None)
            if doubt:
                raise ShellDoubt(doubt)
        except (ShellDoubt, AddressFault) as why:
            doubts[str(why).split(":")[0]] += 1
            continue
        hosts |= named
        commands.update(command.name for command in read.commands)
        writes |= {folder for word in read.writes if word.known and (folder := _folder_of_write(word.text))}
    counted = ", ".join(f"{name} {count:,}" for name, count in sorted(commands.items()))
    lines = [f"commands = {_list(commands)}  # {counted}"] if commands else ["commands = []"]
    lines += [f"writes = {_list(writes)}"] if writes else []
    lines.append(f"hosts = {_list(hosts)}")
    return lines + [f"# not learnt from {count:,}: {_comment(why)}" for why, count in sorted(doubts.items())]


def _folder_of_write(target: str) -> str | None:
    if target in ("/dev/null", "/dev/stdout", "/dev/stderr"):
        return None
    try:
        path = read_path(target)
    except AddressFault:
        return None
    return (path.rpartition("/")[0] or path) if path.startswith("/") else "."


def _host(found: str) -> str:
    address = address_in_text(found)
    return address.host if address.port is None else f"{address.host}:{address.port}"


def _urls(texts: Sequence[str]) -> list[str]:
    try:
        found = [read_address(text) for text in texts]
    except AddressFault:
        return []
    if not all(one.scheme for one in found):
        return []
    hosts = Counter(one.host if one.port is None else f"{one.host}:{one.port}" for one in found)
    counted = ", ".join(f"{host} {count:,}" for host, count in sorted(hosts.items()))
    return [f"hosts = {_list(hosts)}  # {counted}", f"schemes = {_list({one.scheme or '' for one in found})}"]


def _folders(texts: Sequence[str]) -> list[str]:
    """The folders of absolute paths; a folder inside another one is left out."""
    try:
        paths = [read_path(text) for text in texts]
    except AddressFault:
        return []
    if not all(path.startswith("/") for path in paths):
        return []
    folders = sorted({path.rpartition("/")[0] or path for path in paths})
    outer = [one for one in folders if not any(one.startswith(f"{other}/") for other in folders)]
    return [f"paths = {_list(outer)}"]


def _words(texts: Sequence[str]) -> list[str]:
    signs = {sign for text in texts for sign in _SIGNS if sign in text}
    refused = "".join(f"\\{sign}" for sign in _SIGNS if sign not in signs)
    lines = [f"deny = [{_text(f'[{refused}]')}]  # signs that no text of the log has"] if refused else []
    return [f"hosts_in_text = {_list(_mentioned(texts))}", *lines]


def _mentioned(texts: Sequence[str]) -> set[str]:
    hosts = set()
    for found in (one for text in texts for one in addresses_in(plain(text))):
        try:
            hosts.add(_host(found))
        except AddressFault:
            continue
    return hosts


def _strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for key, one in value.items() for text in (str(key), *_strings(one))]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _strings(one)]
    return [value if isinstance(value, str) else json.dumps(value)]


def _limits(calls: Sequence[ToolCall], episodes: Sequence[str | None] | None) -> list[str]:
    if episodes is None or all(one is None for one in episodes):
        return []
    length = max(Counter(episodes).values())
    same = Counter(
        (one, call.name, json.dumps(call.arguments, sort_keys=True, default=str), call.raw)
        for one, call in zip(episodes, calls, strict=True)
    )
    most = max(same.values())
    return ["[limits]", f"calls_per_episode = {_rounded(2 * length)}  # longest {length:,}", f"same_call_repeated = {_rounded(2 * most)}  # most {most:,}"]  # fmt: skip


def _rounded(number: int) -> int:
    """Up to 1, 2 or 5 times a power of ten."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale >= number:
                return step * scale
        scale *= 10


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's, but for half surrogates, which no log line has."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(_text(item) for item in sorted(items))}]"


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
