"""xargs, and other commands that run a command: env printenv nohup timeout bash sh.

xargs: -n -I -i -0 -d -r -L -P(ignored: one after the other) -a. Words are split and quoted as GNU xargs has it. bash: -c, a script of the tree,
standard input.
"""

from __future__ import annotations

import re

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import Options, options
from veracast.agents.shell.faults import CommandFault, TreeFault, Unsupported
from veracast.agents.shell.formats import escaped
from veracast.agents.shell.streams import Source, text

_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^'\n]*'|"[^"\n]*")+""", re.DOTALL)
_QUOTED = re.compile(r"""\\(.)|'([^'\n]*)'|"([^"\n]*)\"""", re.DOTALL)


def xargs(call: Call) -> int:
    found = options(call, "n:I:i?0d:rL:l?P:a:ts:x", {"null": "0", "delimiter": "d:", "no-run-if-empty": "r", "max-args": "n:", "max-procs": "P:", "replace": "i?", "max-lines": "l?", "arg-file": "a:"}, in_order=True)  # fmt: skip
    if found.has("t", "s", "x"):
        raise Unsupported(f"xargs -{found.last('tsx')}")
    data = text(call.read(found.value("a") or "-"))
    command = found.rest or ["echo"]
    mark = found.value("I") if found.has("I") else (found.value("i") or "{}") if found.has("i") else None
    batches = _batches(data, found, mark)
    if mark is not None:
        runs = [[part.replace(mark, batch[0]) for part in command] for batch in batches]
    else:
        runs = [[*command, *batch] for batch in batches]
        if not runs and not found.has("r"):
            runs = [command]
    return _all(call, runs)


def _all(call: Call, runs: list[list[str]]) -> int:
    status = 0
    for words in runs:
        ended = call.shell.execute(words, stdin=Source(), stdout=call.stdout, only_files=True)
        if ended in (126, 127):
            return ended
        if ended == 255:
            return 124
        status = 123 if ended else status
    return status


def _batches(data: str, found: Options, mark: str | None) -> list[list[str]]:
    """The arguments of each run."""
    if found.has("0", "d"):
        end = "\0" if found.last("0d") == "0" else text(escaped(found.value("d") or "")[0])
        if len(end) != 1:
            raise CommandFault(f"Invalid input delimiter specification {found.value('d')}")
        items = data.split(end)
        if items[-1] == "":
            items.pop()
        rows = [[item] for item in items]
    else:
        if found.has("L", "l"):
            data = re.sub(r"[ \t]+\n\s*", " ", data)  # a blank at its end carries a line on
        rows = [_split(line, whole=mark is not None) for line in re.split(r"(?<!\\)\n", data)]
        rows = [row for row in rows if row]
    if mark is not None:
        return rows
    if found.has("L", "l"):
        size = int(found.value("L") or found.value("l") or 1)
        return [[word for row in rows[k : k + size] for word in row] for k in range(0, len(rows), size)]
    items = [item for row in rows for item in row]
    size = int(found.value("n") or 5_000)
    if size < 1:
        raise CommandFault("value for -n option should be >= 1")
    return [items[k : k + size] for k in range(0, len(items), size)]


def _split(line: str, *, whole: bool) -> list[str]:
    """Words of a line without their quotes; whole: with -I the line is one."""
    bare = _QUOTED.sub("", line)
    if "'" in bare or '"' in bare:
        kind = "single" if "'" in bare else "double"
        raise CommandFault(
            f"unmatched {kind} quote; by default quotes are special to xargs unless you use the -0 option"
        )
    words = [line.lstrip(" \t")] if whole else _WORD.findall(line)
    return [_QUOTED.sub(lambda m: next(group for group in m.groups() if group is not None), word) for word in words if word]  # fmt: skip


def env(call: Call) -> int:
    """env [-i] [NAME=value]... [command]; alone it lists."""
    found = options(call, "iu:", {"ignore-environment": "i", "unset": "u:"}, in_order=True)
    if found.has("i", "u"):
        raise Unsupported("env -i or -u")
    words = list(found.rest)
    given = {}
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        name, _, value = words.pop(0).partition("=")
        given[name] = value
    values = call.shell.variables
    fresh = set(given) - values.exported
    values.scopes.append(dict(given))
    values.exported |= set(given)
    try:
        if words:
            return call.shell.execute(words, stdin=call.stdin, stdout=call.stdout, only_files=True)
        for name, value in values.environment().items():
            call.line(f"{name}={value}")
        return 0
    finally:
        values.scopes.pop()
        values.exported -= fresh


def printenv(call: Call) -> int:
    found = options(call, "")
    values = call.shell.variables.environment()
    for name in found.rest:
        if name in values:
            call.line(values[name])
    for name, value in values.items() if not found.rest else ():
        call.line(f"{name}={value}")
    return int(any(name not in values for name in found.rest))


def nohup(call: Call) -> int:
    if not call.args:
        raise CommandFault("missing operand")
    return call.shell.execute(call.args, stdin=call.stdin, stdout=call.stdout, only_files=True)


def timeout(call: Call) -> int:
    """The time given is not counted; what would hang ends at the limit of steps."""
    if len(call.args) < 2 or not re.fullmatch(r"\d+(\.\d+)?[smhd]?", call.args[0]):
        raise Unsupported("timeout with options")
    return call.shell.execute(call.args[1:], stdin=call.stdin, stdout=call.stdout, only_files=True)


def bash(call: Call) -> int:
    found = options(call, "ceux", in_order=True)
    if found.has("u", "x", "e"):
        raise Unsupported(f"{call.name} -{found.last('uxe')}")
    if found.has("c"):
        if not found.rest:
            raise CommandFault("-c: option requires an argument", status=2)
        return call.shell.fresh_shell(found.rest[0], found.rest[1:] or [call.name], call)
    if not found.rest:
        return call.shell.fresh_shell(text(call.stdin.read()), [call.name], call)
    path = found.rest[0]
    try:
        script = call.text(path)
    except TreeFault as fault:
        raise CommandFault(f"{path}: {fault}", status=127) from None
    return call.shell.fresh_shell(script, [path, *found.rest[1:]], call)
