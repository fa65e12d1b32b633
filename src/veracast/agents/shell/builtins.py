"""What bash does itself: directories, variables, control, reading, printing.

Modelled: : true false cd pwd echo printf test [ export unset set shift read mapfile local declare readonly return exit break continue eval source
command type which let exec wait. Not modelled, flagged: trap, alias, jobs, fc, bind, pushd, popd, getopts, shopt, ulimit, umask with a mode.
"""

from __future__ import annotations

import re

from veracast.agents.shell import conditions
from veracast.agents.shell.arithmetic import evaluate
from veracast.agents.shell.call import Call, Command
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.expand import split_by
from veracast.agents.shell.faults import (  # fmt: skip
    CommandFault,
    Exit,
    ExpansionFault,
    LimitReached,
    LoopJump,
    Return,
    TreeFault,
    Unsupported,
)
from veracast.agents.shell.printing import echo, printf
from veracast.agents.shell.streams import lines, raw, text

_NAME = re.compile(r"[A-Za-z_]\w*$")


def _true(call: Call) -> int:
    return 0


def _false(call: Call) -> int:
    return 1


def _cd(call: Call) -> int:
    found = options(call, "LP")
    values = call.shell.variables
    target = found.rest[0] if found.rest else values.text("HOME") or "/"
    if len(found.rest) > 1:
        raise CommandFault("too many arguments")
    back = target == "-"
    if back:
        target = values.text("OLDPWD") or ""
        if not target:
            raise CommandFault("OLDPWD not set")
    try:
        call.tree.directory(target or ".", call.cwd)
    except TreeFault as fault:
        call.stderr.write(raw(f"bash: cd: {target}: {fault}\n"))
        return 1
    values.set("OLDPWD", call.cwd)
    call.shell.cwd = _logical(target, call.cwd) if not found.has("P") else call.tree.real(target, call.cwd)
    values.set("PWD", call.shell.cwd)
    if back:
        call.line(call.shell.cwd)
    return 0


def _logical(target: str, cwd: str) -> str:
    """The path with `.` and `..` taken out as text, links left as they are."""
    found: list[str] = []
    for part in (target if target.startswith("/") else f"{cwd}/{target}").split("/"):
        if part == "..":
            del found[-1:]
        elif part and part != ".":
            found.append(part)
    return "/" + "/".join(found)


def _pwd(call: Call) -> int:
    call.line(call.tree.real(call.cwd) if options(call, "LP").has("P") else call.cwd)
    return 0


def _test(call: Call) -> int:
    words = list(call.args)
    if call.name == "[":
        if words[-1:] != ["]"]:
            raise CommandFault("missing `]'", status=2)
        words.pop()
    return int(not conditions.test(words, call.shell))


def _declare(call: Call) -> int:
    """declare, typeset, local, export, readonly; of the attributes -a -A -x -r -g; -i is flagged."""
    found = options(call, "aAxrgnpfil" if call.name != "export" else "np")
    if found.has("f", "i", "l") or (found.has("n") and call.name != "export"):
        raise Unsupported(f"{call.name} -{found.last('filn')}")
    if found.has("p") or not found.rest:
        raise Unsupported(f"{call.name} that lists")
    values, shell = call.shell.variables, call.shell
    if call.name == "local" and not shell.in_function:
        raise CommandFault("can only be used in a function")
    local = shell.in_function > 0 and call.name in ("local", "declare", "typeset") and not found.has("g")
    for word in found.rest:
        name, equals, value = word.partition("=")
        append = name.endswith("+") and bool(equals)
        name = name[:-1] if append else name
        if not _NAME.match(name):
            raise CommandFault(f"`{word}': not a valid identifier")
        if found.has("A"):
            values.keyed.add(name)
            values.set(name, {}, local=local)
        elif equals:
            values.set(name, (values.text(name) or "") + value if append else value, local=local)
        elif local or found.has("a"):
            values.set(name, {} if found.has("a") else "", local=local)
        if call.name == "export" or found.has("x"):
            (values.exported.discard if found.has("n") else values.exported.add)(name)
        if call.name == "readonly" or found.has("r"):
            values.readonly.add(name)
    return call.shell.status


def _unset(call: Call) -> int:
    found = options(call, "fv")
    for name in found.rest:
        match = re.fullmatch(r"(\w+)\[(.+)\]", name)
        if found.has("f") or (not found.has("v") and call.shell.variables.get(name) is None and name in call.shell.functions):  # fmt: skip
            call.shell.functions.pop(name, None)
        else:
            call.shell.variables.unset(match[1] if match else name, match[2] if match else None)
    return 0


def _set(call: Call) -> int:
    shell, words = call.shell, list(call.args)
    if not words:
        raise Unsupported("set that lists")
    while words and words[0][:1] in ("-", "+") and words[0] not in ("-", "--"):
        word = words.pop(0)
        on = word[0] == "-"
        if word[1:] == "o" and not words:
            raise Unsupported("set that lists")
        if word[1:] == "o":
            name = words.pop(0)
            attribute = {"errexit": "exit_on_error", "nounset": "no_unset", "noglob": "no_glob", "pipefail": "pipe_fails"}.get(name)  # fmt: skip
            if attribute is None:
                raise Unsupported(f"set -o {name}")
            setattr(shell, attribute, on)
            continue
        for c in word[1:]:
            if c == "o":
                words.insert(0, word[0] + "o")
                continue
            attribute = {"e": "exit_on_error", "u": "no_unset", "f": "no_glob"}.get(c)
            if attribute is None:
                raise Unsupported(f"set -{c}")
            setattr(shell, attribute, on)
    if words:
        shell.arguments = words[1:] if words[0] in ("-", "--") else words
    return 0


def _shift(call: Call) -> int:
    count = _count(call, 1)
    if count > len(call.shell.arguments):
        return 1
    del call.shell.arguments[:count]
    return 0


def _count(call: Call, default: int) -> int:
    if not call.args:
        return default
    try:
        return int(call.args[0])
    except ValueError:
        raise CommandFault(f"{call.args[0]}: numeric argument required", status=2) from None


def _exit(call: Call) -> int:
    raise Exit(_count(call, call.shell.status) & 255)


def _return(call: Call) -> int:
    raise Return(_count(call, call.shell.status) & 255)


def _jump(call: Call) -> int:
    if not call.shell.loops:
        call.stderr.write(raw(f"bash: {call.name}: only meaningful in a `for', `while', or `until' loop\n"))
        return 0
    raise LoopJump(max(1, _count(call, 1)), again=call.name == "continue")


def _eval(call: Call) -> int:
    """The shell's own `eval`: its words are read by our parser and run in the virtual tree, never by Python or the host."""
    from veracast.agents.shell.parser import parse

    with call.shell.nested():
        return call.shell.run_script(parse(" ".join(call.args)))


def _source(call: Call) -> int:
    from veracast.agents.shell.parser import parse

    if not call.args:
        raise CommandFault("filename argument required", status=2)
    path = call.args[0] if "/" in call.args[0] else call.shell.which(call.args[0]) or call.args[0]
    script = call.text(path)
    before = call.shell.arguments
    call.shell.arguments = call.args[1:] or before
    try:
        with call.shell.nested():
            return call.shell.run_script(parse(script))
    except Return as fault:
        return fault.status
    finally:
        call.shell.arguments = before


def _read(call: Call) -> int:
    """read [-r] [-p ..] [-a array] [-d c] [-n count] [-t ..] [-s] names."""
    found = options(call, "rsp:a:d:n:t:e", in_order=True)
    limit = int(found.value("n") or 0) if (found.value("n") or "0").isdigit() else 0
    line, ended = _line(call, found.value("d"), limit)
    if not found.has("r"):
        line = re.sub(r"\\\n", "", line)
    ifs = call.shell.variables.text("IFS")
    separators = " \t\n" if ifs is None else ifs
    names = found.rest or ["REPLY"]
    call.shell.meter.step()
    if found.value("a"):
        pieces = [piece for piece in split_by(line.strip(_blanks(separators)), separators) if piece is not None] if line else []  # fmt: skip
        call.shell.variables.set(found.value("a") or "", {str(n): piece for n, piece in enumerate(pieces)})
        return int(not ended)
    values = [line] if not found.rest else _shared_out(line, separators, len(names))
    for name, value in zip(names, values, strict=True):
        call.shell.variables.set(name, value if found.has("r") else re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL))
    return int(not ended)


def _blanks(separators: str) -> str:
    return "".join(c for c in separators if c in " \t\n")


def _line(call: Call, delimiter: str | None, limit: int) -> tuple[str, bool]:
    """What is read, and whether its end was found."""
    if delimiter is None and not limit:
        data = call.stdin.line()
        while data.endswith(b"\\\n") and "-r" not in call.args and not any(a.startswith("-") and "r" in a for a in call.args):  # fmt: skip
            more = call.stdin.line()
            data = data + more
            if not more:
                break
        return text(data.removesuffix(b"\n").replace(b"\0", b"")), data.endswith(b"\n")
    end = raw(delimiter[:1] if delimiter else "\n" if delimiter is None else "\0")
    found = bytearray()
    while True:
        c = call.stdin.read(1)
        if not c or c == end:
            return text(bytes(found)), bool(c)
        found += c
        if limit and len(text(bytes(found))) >= limit:
            return text(bytes(found)), True


def _shared_out(line: str, separators: str, count: int) -> list[str]:
    """The fields of a line, the last name taking what is left."""
    blanks = _blanks(separators)
    rest, found = line.lstrip(blanks), []
    for _ in range(count - 1):
        match = re.search(f"[{re.escape(separators)}]", rest) if separators else None
        if not match:
            found.append(rest)
            rest = ""
            continue
        found.append(rest[: match.start()])
        rest = rest[match.start() :].lstrip(blanks)
        if rest[:1] and rest[0] in separators and rest[0] not in blanks:
            rest = rest[1:].lstrip(blanks)
    rest = rest.rstrip(blanks)
    if count >= 1 and len(rest) > 1 and rest[-1] in separators and not any(c in separators for c in rest[:-1]):
        rest = rest[:-1]
    return [*found, rest]


def _mapfile(call: Call) -> int:
    found = options(call, "t")
    name = found.rest[0] if found.rest else "MAPFILE"
    data = call.stdin.read()
    kept = lines(data) if found.has("t") else [line + "\n" for line in lines(data)]
    if len(kept) > call.shell.limits.words:
        raise LimitReached(f"more than {call.shell.limits.words} words")
    call.shell.variables.set(name, {str(n): line for n, line in enumerate(kept)})
    return 0


def _let(call: Call) -> int:
    if not call.args:
        raise CommandFault("expression expected")
    try:
        values = [evaluate(word, call.shell.expander) for word in call.args]
    except ExpansionFault as fault:
        raise CommandFault(str(fault)) from None
    return int(values[-1] == 0)


def _command(call: Call) -> int:
    found = options(call, "vVp", in_order=True)
    if not found.rest:
        return 0
    if found.has("V"):
        raise Unsupported("command -V")
    if not found.has("v"):
        functions, call.shell.functions = call.shell.functions, {}
        try:
            return call.shell.execute(found.rest)
        finally:
            call.shell.functions = functions
    return _located(call, found.rest)


def _located(call: Call, names: list[str]) -> int:
    from veracast.agents.shell.commands.table import COMMANDS

    status = 0
    for name in names:
        inside = name in BUILTINS or name in call.shell.functions
        path = f"/usr/bin/{name}" if name in COMMANDS else call.shell.which(name)
        if inside and call.name != "which":
            call.line(name)
        elif path:
            call.line(path)
        else:
            call.shell.notes.append(f"{call.name} {name}"[:40])  # a real machine may well have it
            status = 1
    return status


def _which(call: Call) -> int:
    return _located(call, options(call, "").rest)


def _type(call: Call) -> int:
    from veracast.agents.shell.commands.table import COMMANDS

    found = options(call, "t")
    for name in found.rest:
        kind = "function" if name in call.shell.functions else "builtin" if name in BUILTINS else "file" if name in COMMANDS or call.shell.which(name) else ""  # fmt: skip
        if not found.has("t") or not kind:
            raise Unsupported("type")
        call.line(kind)
    return 0


def _exec(call: Call) -> int:
    if not call.args:
        return 0
    if call.args[0].startswith("-"):
        raise Unsupported("exec with options")
    raise Exit(call.shell.execute(call.args, only_files=True))


def _shopt(call: Call) -> int:
    raise Unsupported("shopt " + " ".join(call.args)[:30])


def _wait(call: Call) -> int:
    return 0


def _umask(call: Call) -> int:
    if call.args:
        raise Unsupported("umask with a mode")
    call.line("0022")
    return 0


BUILTINS: dict[str, Command] = {
    ":": _true, "true": _true, "false": _false, "cd": _cd, "pwd": _pwd, "echo": echo, "printf": printf, "test": _test, "[": _test,
    "declare": _declare, "typeset": _declare, "local": _declare, "export": _declare, "readonly": _declare, "unset": _unset, "set": _set,
    "shift": _shift, "exit": _exit, "return": _return, "break": _jump, "continue": _jump, "eval": _eval, "source": _source, ".": _source,
    "read": _read, "mapfile": _mapfile, "readarray": _mapfile, "let": _let, "command": _command, "type": _type, "which": _which,
    "exec": _exec, "shopt": _shopt, "wait": _wait, "umask": _umask,
}  # fmt: skip
