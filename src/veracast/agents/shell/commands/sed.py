"""sed: s d p q Q a i c y = n N D P g G h H x b t T r { }, addresses by number, $, pattern, range, step; -n -e -f -E -i -s.

Replacements know &, \\1 .. \\9, \\n, \\t and \\U \\L \\u \\l \\E. Not modelled, flagged: w, e, F, l, z, the M flag, -z.
"""

from __future__ import annotations

import regex

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.commands.sed_parse import Address, Command, SedParser
from veracast.agents.shell.faults import CommandFault, LimitReached, StepsUsed, TreeFault
from veracast.agents.shell.posix_regex import Pattern
from veracast.agents.shell.streams import raw, text


class _Run:
    """One pass over lines."""

    def __init__(self, call: Call, commands: list[Command], rows: list[str], ended: bool, quiet: bool) -> None:
        self.call, self.commands, self.rows, self.ended, self.quiet = call, commands, rows, ended, quiet
        self.number, self.hold, self.space = 0, "", ""
        self.out: list[str] = []
        self.after: list[str] = []
        self.size = 0
        self.last_pattern: Pattern | None = None
        self.status: int | None = None
        self.replaced = self.lacks = False
        self.whole_line = self.whole_hold = (
            True  # whether a newline stood behind what the space, the hold came from last
        )

    def whole(self) -> bytes:
        for command in self.commands:
            command.active = command.first is not None and command.first.kind == "line" and command.first.number == 0 and command.second is not None  # fmt: skip
        restart = False
        while self.status is None and (restart or self.number < len(self.rows)):
            if not restart:
                self.space = self.following()
            self.replaced = False
            restart = self.cycle()
        return raw("".join(self.out))

    def following(self) -> str:
        self.number += 1
        self.whole_line = self.ended or self.number < len(self.rows)
        return self.rows[self.number - 1]

    def show(self) -> None:
        """The pattern space; the newline that the input's last line lacks is added only if more is written."""
        self.emit(self.space + "\n" if self.whole_line else self.space)
        self.lacks = not self.whole_line

    def emit(self, words: str) -> None:
        self.out.append("\n" + words if self.lacks else words)
        self.lacks = False
        self.size += len(words)
        if self.size > self.call.shell.limits.pipe_bytes * 2:
            raise LimitReached("more output of sed than a pipe may hold")

    def cycle(self) -> bool:
        """The commands once; whether D starts again without a new line."""
        at, again, shown = 0, False, not self.quiet
        while at < len(self.commands):
            command = self.commands[at]
            self.call.shell.meter.step()
            at += 1
            if not self.chosen(command):
                at = command.jump if command.name == "{" else at
                continue
            name = command.name
            if name in "dD":
                shown = False
                again = name == "D" and "\n" in self.space
                self.space = self.space.partition("\n")[2] if again else ""
                break
            if name == "c":
                shown = False
                if command.second is None or not command.active or command.negated:
                    self.emit(command.text)
                break
            if name in "nN" and self.number >= len(self.rows):
                self.status = 0
                break
            if name in "qQ":
                self.status, shown = command.nth, shown and name == "q"
                break
            if name in "btT":
                jumps = name == "b" or self.replaced == (name == "t")
                self.replaced = self.replaced and name != "t"
                at = command.jump if jumps else at
                continue
            self.act(command)
        if shown:
            self.show()
        for words in filter(None, self.after):
            self.emit(words)
        self.after = []
        return again

    def act(self, command: Command) -> None:
        name = command.name
        if name == "s":
            self.substitute(command)
        elif name == "y":
            self.space = self.space.translate({ord(old): new for old, new in command.parts})
        elif name == "p":
            self.show()
        elif name in "P=i":
            self.emit({"P": self.space.partition("\n")[0] + "\n", "=": f"{self.number}\n", "i": command.text}[name])  # fmt: skip
        elif name == "a":
            self.after.append(command.text)
        elif name == "r":
            self.after.append(self.read(command.text))
        elif name in "nN":
            if name == "n" and not self.quiet:
                self.show()
            following = self.following()
            self.space = following if name == "n" else f"{self.space}\n{following}"
        elif name in "gG":
            self.space = self.hold if name == "g" else f"{self.space}\n{self.hold}"
            self.whole_line = self.whole_hold
        elif name in "hH":
            self.hold = self.space if name == "h" else f"{self.hold}\n{self.space}"
            self.whole_hold = self.whole_line
        elif name == "x":
            self.space, self.hold = self.hold, self.space
            self.whole_line, self.whole_hold = self.whole_hold, self.whole_line
        self.call.shell.meter.room(len(self.space) + len(self.hold))

    def read(self, path: str) -> str:
        try:
            return self.call.text(path)
        except TreeFault:
            return ""

    # ---- addresses

    def chosen(self, command: Command) -> bool:
        if command.first is None:
            return not command.negated
        inside = self.fits(command.first) if command.second is None else self.in_range(command, command.second)
        return inside != command.negated

    def fits(self, address: Address) -> bool:
        if address.kind == "line":
            return self.number == address.number
        if address.kind == "$":
            return self.number == len(self.rows)
        if address.kind == "step":
            return self.number >= address.number and ((not address.step and self.number == address.number) or (bool(address.step) and (self.number - address.number) % address.step == 0))  # fmt: skip
        return self.pattern(address.pattern).search(self.space) is not None

    def in_range(self, command: Command, second: Address) -> bool:
        if not command.active:
            if command.first is None or not self.fits(command.first):
                return False
            command.active = True
            command.until = {"+": self.number + second.number, "~": -(-self.number // (second.number or 1)) * (second.number or 1), "line": second.number}.get(second.kind, 0)  # fmt: skip
            if second.kind in ("+", "~", "line") and command.until <= self.number:
                command.active = False
            return True
        if second.kind in ("+", "~", "line"):
            until = command.until or second.number
            command.active = self.number < until
            return self.number <= until
        command.active = not self.fits(second)
        return True

    def pattern(self, given: Pattern | None) -> Pattern:
        found = given or self.last_pattern
        if found is None:
            raise CommandFault("no previous regular expression")
        self.last_pattern = found
        return found

    # ---- s

    def substitute(self, command: Command) -> None:
        pattern, at, count, changed = self.pattern(command.pattern), 0, 0, False
        found: list[str] = []
        place = 0
        while place <= len(self.space):
            match = pattern.search(self.space, place)
            if match is None:
                break
            self.call.shell.meter.step(0)
            empty_behind = match.end() == match.start() == at and count > 0 and changed_at_end(found, at)
            if not empty_behind:
                count += 1
                if count >= command.nth:
                    found += [self.space[at : match.start()], _filled(command.parts, match)]
                    at, changed = match.end(), True
                    if not command.every:
                        break
            place = match.end() if match.end() > match.start() else match.end() + 1
        if changed:
            self.space = "".join(found) + self.space[at:]
            self.replaced = True
            if command.prints:
                self.show()


def changed_at_end(found: list[str], at: int) -> bool:
    """An empty match right behind a replaced one is none."""
    return at > 0 and bool(found)


def _filled(parts: list[tuple[str, str]], match: regex.Match[str]) -> str:
    found: list[str] = []
    mode, once = "", ""
    for kind, value in parts:
        if kind == "case":
            if value in "ul":
                once = value
            else:
                mode, once = value.replace("E", ""), ""
            continue
        if kind == "group":
            if int(value) > (match.re.groups or 0):
                raise CommandFault(f"-e expression #1: invalid reference \\{value} on `s' command's RHS")
            value = match[int(value)] or ""
        value = value.upper() if mode == "U" else value.lower() if mode == "L" else value
        if once and value:
            value = (value[0].upper() if once == "u" else value[0].lower()) + value[1:]
            once = ""
        found.append(value)
    return "".join(found)


def sed(call: Call) -> int:
    found = options(call, "nEre:f:i?su", {"quiet": "n", "silent": "n", "regexp-extended": "E", "expression": "e:", "file": "f:", "in-place": "i?", "separate": "s"})  # fmt: skip
    scripts = [
        value if name == "e" else call.text(value).removesuffix("\n") for name, value in found.given if name in "ef"
    ]
    paths = list(found.rest)
    if not scripts:
        if not paths:
            raise CommandFault("usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...")
        scripts = [paths.pop(0)]
    script = "\n".join(scripts)
    quiet = found.has("n") or script.startswith("#n\n")
    commands = SedParser(script, found.has("E", "r")).whole()
    status, joined = 0, b""
    for path in paths or ["-"]:
        try:
            data = call.read(path)
        except TreeFault as fault:
            call.error(f"couldn't edit {path}: not a regular file" if found.has("i") else f"can't read {path}: {fault}" if "directory" in str(fault) and "such" in str(fault) else f"couldn't read {path}: {fault}")  # fmt: skip
            status = 2
            continue
        if not found.has("i", "s"):
            joined += data if not joined or joined.endswith(b"\n") else b"\n" + data
            continue
        made, ended = _passed(call, commands, data, quiet, edits=found.has("i"))
        if found.has("i"):
            if found.value("i"):
                call.tree.write(f"{path}{found.value('i')}", data, call.cwd)
            call.tree.write(path, made, call.cwd)
        else:
            call.out(made)
        status = ended or status
    if not found.has("i", "s"):
        made, ended = _passed(call, commands, joined, quiet)
        call.out(made)
        status = ended or status
    return status


def _passed(call: Call, commands: list[Command], data: bytes, quiet: bool, *, edits: bool = False) -> tuple[bytes, int]:
    rows = text(data).split("\n")
    ended = rows[-1] == ""
    if ended:
        rows.pop()
    run = _Run(call, commands, rows, ended, quiet)
    try:
        return run.whole(), run.status or 0
    except StepsUsed:
        if not edits:  # in a pipeline what was done so far may be all that is asked for
            call.out("".join(run.out))
        raise
