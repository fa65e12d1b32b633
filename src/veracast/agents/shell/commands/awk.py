"""awk: patterns and actions over records, as POSIX has it.

Modelled: -F -v -f, BEGIN END, ranges, fields, arrays, functions, print and printf to files and pipes, FS OFS RS ORS NR FNR NF FILENAME SUBSEP CONVFMT OFMT
ENVIRON RSTART RLENGTH. Characters are UTF-8 and intervals {n,m} work, as in gawk and newer mawk. `for (k in a)` goes in the order in which
elements were made, where a real one's is anybody's guess. Not modelled, flagged: getline, rand, what only gawk knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.awk_expressions import Expressions, Returned
from veracast.agents.shell.commands.awk_parse import AwkParser, Node, unescaped
from veracast.agents.shell.commands.awk_values import Entry, as_number
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.faults import CommandFault, ShellFault, TreeFault
from veracast.agents.shell.streams import FileSink, Sink, Source, raw, text


class _Next(ShellFault):
    pass


class _Exit(ShellFault):
    pass


class _Break(ShellFault):
    pass


class _Continue(ShellFault):
    pass


class Awk(Expressions):
    """One run of a program."""

    # ---- statements

    def run(self, node: Node) -> None:
        self.call.shell.meter.step()
        getattr(self, f"s_{node.kind}")(*node.parts)

    def s_block(self, *statements: Node) -> None:
        for statement in statements:
            self.run(statement)

    def s_do_expression(self, node: Node) -> None:
        self.value(node)

    def s_if(self, condition: Node, first: Node, second: Node | None) -> None:
        if self.truth(self.value(condition)):
            self.run(first)
        elif second is not None:
            self.run(second)

    def once(self, body: Node) -> bool:
        """Runs a loop's body; whether the loop goes on."""
        try:
            self.run(body)
        except _Break:
            return False
        except _Continue:
            pass
        return True

    def s_while(self, condition: Node, body: Node) -> None:
        while self.truth(self.value(condition)) and self.once(body):
            pass

    def s_do(self, body: Node, condition: Node) -> None:
        while self.once(body) and self.truth(self.value(condition)):
            pass

    def s_for(self, start: Node | None, condition: Node | None, step: Node | None, body: Node) -> None:
        if start is not None:
            self.run(start)
        while (condition is None or self.truth(self.value(condition))) and self.once(body):
            if step is not None:
                self.run(step)

    def s_forin(self, variable: str, name: str, body: Node) -> None:
        array = self.array(name)
        for key in list(array):
            if key in array:
                self.set(variable, Entry(key))
                if not self.once(body):
                    break

    def s_break(self) -> None:
        raise _Break

    def s_continue(self) -> None:
        raise _Continue

    def s_next(self) -> None:
        raise _Next

    def s_exit(self, node: Node | None) -> None:
        if node is not None:
            self.status = int(as_number(self.value(node))) & 255
        raise _Exit

    def s_return(self, node: Node | None) -> None:
        raise Returned(None if node is None else self.value(node))

    def s_delete(self, name: str, index: Node | None) -> None:
        array = self.array(name)
        if index is None:
            array.clear()
        else:
            array.pop(self.text(self.value(index)), None)

    def s_print(self, nodes: tuple[Node, ...], op: str, target: Node | None) -> None:
        values = [self.value(node) for node in nodes]
        shown = (
            self.text(self.globals["OFS"]).join(self.text(value, "OFMT") for value in values) if nodes else self.whole()
        )
        self.write(shown + self.text(self.globals["ORS"]), op, target)

    def s_printf(self, nodes: tuple[Node, ...], op: str, target: Node | None) -> None:
        values = [self.value(node) for node in nodes]
        if not values:
            raise CommandFault("printf: no format", status=2)
        self.write(self.formatted(self.text(values[0]), values[1:]), op, target)

    # ---- output

    def write(self, words: str, op: str, target: Node | None) -> None:
        if target is None:
            self.call.out(words)
            return
        name = self.text(self.value(target))
        if name not in self.outputs:
            self.outputs[name] = (op, self.opened(name, op))
        self.outputs[name][1].write(raw(words))

    def opened(self, name: str, op: str) -> Sink:
        if name in ("/dev/stderr", "/dev/stdout"):
            return self.call.stderr if name == "/dev/stderr" else self.call.stdout
        if op == "|":
            return Sink(self.call.shell.limits.pipe_bytes)
        if op == ">":
            self.call.tree.write(name, b"", self.call.cwd)
        node = self.call.tree.open_file(name, self.call.cwd)
        return FileSink(self.call.tree, node)

    def close(self, name: str) -> int:
        op, sink = self.outputs.pop(name, ("", None))
        if op == "|" and sink is not None:
            inner = Call(self.call.shell, "sh", [], Source(sink.value()), self.call.stdout, self.call.stderr)
            return self.call.shell.fresh_shell(name, ["sh"], inner)
        return 0 if op else -1

    # ---- the whole

    def records(self, paths: list[str]) -> Iterator[str]:
        for path in paths:
            assignment = re.fullmatch(r"([A-Za-z_]\w*)=(.*)", path, re.DOTALL)
            if assignment:
                self.set(assignment[1], Entry(unescaped(assignment[2])))
                continue
            try:
                whole = text(self.call.read(path))
            except TreeFault as fault:
                self.call.error(f"cannot open {path} ({fault})")
                self.status = 2
                continue
            self.globals["FILENAME"], self.globals["FNR"] = ("" if path == "-" else path), 0.0
            yield from self.cut(whole)

    def cut(self, whole: str) -> Iterator[str]:
        separator = self.text(self.globals["RS"])
        if separator == "":
            whole = whole.strip("\n")
            pieces = re.split(r"\n\n+", whole) if whole else []
        elif len(separator) == 1:
            pieces = whole.split(separator)
        else:
            pieces, at, pattern = [], 0, self.pattern(separator)
            while (match := pattern.search(whole, at)) is not None and match.end() > match.start():
                pieces.append(whole[at : match.start()])
                at = match.end()
            pieces.append(whole[at:])
        if separator and pieces and pieces[-1] == "":
            pieces.pop()
        yield from pieces

    def chosen(self, pattern: Node | None) -> bool:
        if pattern is None:
            return True
        if pattern.kind != "range":
            return self.truth(self.value(pattern))
        first, last, number_of = cast("tuple[Node, Node, int]", pattern.parts)
        if not self.in_range.get(number_of):
            if not self.truth(self.value(first)):
                return False
            self.in_range[number_of] = True
        if self.truth(self.value(last)):
            self.in_range[number_of] = False
        return True

    def rules(self) -> None:
        for pattern, action in self.program.rules:
            if self.chosen(pattern):
                if action is None:
                    self.call.out(self.whole() + self.text(self.globals["ORS"]))
                else:
                    self.run(action)

    def guarded(self, work: Callable[[], None]) -> bool:
        """Whether the program goes on."""
        try:
            work()
        except _Exit:
            return False
        except (_Next, _Break, _Continue, Returned):
            pass
        return True

    def main(self, paths: list[str]) -> int:
        going = all(self.guarded(lambda block=block: self.run(block)) for block in self.program.begin)  # type: ignore[misc]
        if going and (self.program.rules or self.program.end):
            inputs = paths if any(not re.match(r"[A-Za-z_]\w*=", path) for path in paths) else [*paths, "-"]
            for record in self.records(inputs):
                self.call.shell.meter.step()
                self.set_record(record)
                self.globals["NR"] = as_number(self.globals["NR"]) + 1
                self.globals["FNR"] = as_number(self.globals["FNR"]) + 1
                if not self.guarded(self.rules):
                    going = False
                    break
        for block in self.program.end:
            if not self.guarded(lambda block=block: self.run(block)):  # type: ignore[misc]
                break
        for name in list(self.outputs):
            self.close(name)
        return self.status


def awk(call: Call) -> int:
    found = options(call, "F:v:f:", in_order=True)
    rest = list(found.rest)
    if found.has("f"):
        source = "\n".join(call.text(path) for path in found.all("f"))
    elif rest:
        source = rest.pop(0)
    else:
        raise CommandFault("usage: awk [-F fs][-v var=value] 'program' [file ...]", status=2)
    run = Awk(call, AwkParser(source).program())
    if found.value("F") is not None:
        separator = unescaped(found.value("F") or "")
        run.globals["FS"] = "\t" if separator == "t" else separator
    for given in found.all("v"):
        name, equals, value = given.partition("=")
        if not equals:
            raise CommandFault("-v needs name=value", status=2)
        run.set(name, Entry(unescaped(value)))
    return run.main(rest)
