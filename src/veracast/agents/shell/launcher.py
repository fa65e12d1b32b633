"""Simple commands: redirections, assignments, and finding what a name stands for. Shell (interpreter.py) adds lists and compound commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, cast

from veracast.agents.shell.builtins import BUILTINS
from veracast.agents.shell.call import Call
from veracast.agents.shell.call import Command as Run
from veracast.agents.shell.commands.table import COMMANDS
from veracast.agents.shell.expand import Expander
from veracast.agents.shell.faults import CommandFault, Return, TreeFault, Unsupported
from veracast.agents.shell.limits import Limits, Meter
from veracast.agents.shell.streams import FileSink, Sink, Source, raw, text
from veracast.agents.shell.syntax import Assignment, Command, Function, Redirect, Simple, Word
from veracast.agents.shell.tree import Device, Directory, File, Tree
from veracast.agents.shell.variables import Variables

if TYPE_CHECKING:
    from veracast.agents.shell.interpreter import Shell

CANARY = "canary_"
NOT_FOUND, NOT_EXECUTABLE, BROKEN_PIPE, STOPPED = 127, 126, 141, 137


class Launcher(ABC):
    """What a shell holds, and how it runs a simple command."""

    tree: Tree
    limits: Limits
    meter: Meter
    variables: Variables
    functions: dict[str, Function]
    arguments: list[str]
    cwd: str
    name: str
    status: int
    notes: list[str]
    files: dict[int, Source | Sink]
    expander: Expander
    in_function: int
    loops: int

    @abstractmethod
    def command(self, command: Command) -> int: ...

    @abstractmethod
    def fork(self, *, files: dict[int, Source | Sink] | None = None) -> Shell: ...

    @abstractmethod
    def nested(self) -> AbstractContextManager[None]: ...

    def say(self, message: str) -> None:
        """A line on standard error."""
        sink = self.files.get(2)
        if isinstance(sink, Sink):
            sink.write(raw(message + "\n"))

    # ---- redirections

    @contextmanager
    def redirected(self, redirects: tuple[Redirect, ...]) -> Iterator[bool]:
        """Whether all could be opened; the streams are put back at the end."""
        before = dict(self.files)
        try:
            yield self.redirect(redirects)
        finally:
            self.files = before

    def redirect(self, redirects: tuple[Redirect, ...]) -> bool:
        for one in redirects:
            target = self.expander.text(one.target)
            try:
                self._open(one, target)
            except TreeFault as fault:
                self.say(f"bash: {target}: {fault}")
                return False
        return True

    def _open(self, one: Redirect, target: str) -> None:
        number = one.descriptor if one.descriptor is not None else 0 if one.op[0] == "<" else 1
        if one.op in ("<<", "<<<"):
            self.files[number] = Source(raw(target if one.op == "<<" else target + "\n"))
        elif one.op == "<":
            self.files[number] = Call(cast("Shell", self), "", [], self._source(), Sink(0), Sink(0)).source(target)
        elif one.op in (">&", "<&") and (target.isdigit() or target == "-"):
            if target == "-":
                self.files.pop(number, None)
            elif int(target) in self.files:
                self.files[number] = self.files[int(target)]
            else:
                raise TreeFault("Bad file descriptor")
        else:
            self._open_to_write(one, target, number)

    def _open_to_write(self, one: Redirect, target: str, number: int) -> None:
        if target in ("/dev/stdout", "/dev/stderr"):
            self.files[number] = self.files[1 if target == "/dev/stdout" else 2]
            return
        if target.startswith(("/dev/tcp/", "/dev/udp/")):
            raise Unsupported("redirection to a network")
        node = self.tree.open_file(target, self.cwd)
        if isinstance(node, File) and one.op not in (">>", "&>>"):
            self.tree.truncate(node, 0)
        self.files[number] = FileSink(self.tree, node)
        if one.op in ("&>", "&>>") or (one.op == ">&" and number == 1):
            self.files[2] = self.files[number]

    def _source(self) -> Source:
        found = self.files.get(0)
        return found if isinstance(found, Source) else Source()

    # ---- simple commands

    def simple(self, command: Simple) -> int:
        self.meter.step()
        before = self.status
        try:
            self.status = 0
            arguments = self._arguments(command, before)
            if not arguments:
                return self._assigned_alone(command)
            with self.redirected(command.redirects) as fine:
                status = self._called(command, arguments) if fine else 1
                if arguments == ["exec"] and fine:
                    kept = dict(self.files)
            if arguments == ["exec"] and fine:
                self.files = kept
            return status
        except CommandFault as fault:
            self.say(f"bash: {fault}")
            return fault.status
        except Unsupported as fault:
            self.say(f"{fault.what}: not available")
            self.notes.append(fault.what)
            return NOT_FOUND

    def _arguments(self, command: Simple, status: int) -> list[str]:
        """The words expanded; `$?` in them is the status of the command before."""
        self.status = status
        found: list[str] = []
        plain: list[Word] = []
        for word in command.words:
            if isinstance(word, Word):
                plain.append(word)
                continue
            found += self.expander.fields(plain)
            plain = []
            found.append(self._assignment_text(word))
        found += self.expander.fields(plain)
        if command.assignments and not found:
            return found
        return found

    def _assignment_text(self, one: Assignment) -> str:
        """An argument of `declare` and the like; arrays are assigned when it is done."""
        if isinstance(one.value, tuple):
            return one.name
        value = self.expander.text(one.value)
        return f"{one.name}{'+' if one.append else ''}={value}"

    def _assigned_alone(self, command: Simple) -> int:
        self.status = 0
        for one in command.assignments:
            self.assign(one)
        with self.redirected(command.redirects) as fine:
            return self.status if fine else 1

    def assign(self, one: Assignment, *, local: bool = False) -> None:
        if isinstance(one.value, tuple):
            self._assign_array(one.name, one.value, append=one.append, local=local)
            return
        value = self.expander.text(one.value)
        if one.index is not None:
            place = self.expander.place(one.name, one.index)
            old = self.variables.elements(one.name).get(place, "") if one.append else ""
            self.variables.set_element(one.name, place, old + value)
        else:
            old = self.variables.text(one.name) or "" if one.append else ""
            self.meter.room(len(old) + len(value))
            self.variables.set(one.name, old + value, local=local)

    def _assign_array(self, name: str, words: tuple[Word, ...], *, append: bool, local: bool) -> None:
        made = dict(self.variables.elements(name)) if append else {}
        following = int(list(made)[-1]) + 1 if made and name not in self.variables.keyed else 0
        for word in words:
            head = word.parts[0] if word.parts else None
            if head is not None and getattr(head, "text", "").startswith("[") and not getattr(head, "quoted", True):
                key, _, value = self.expander.text(word)[1:].partition("]=")
                made[key if name in self.variables.keyed else str(self.expander.number(key))] = value
                following = int(key) + 1 if key.isdigit() else following
                continue
            for value in self.expander.fields([word]):
                made[str(following)] = value
                following += 1
        self.variables.set(name, made, local=local)

    def _called(self, command: Simple, arguments: list[str]) -> int:
        if not command.assignments:
            status = self.execute(arguments)
        else:
            status = self._with_environment(command.assignments, arguments)
        for word in command.words:
            if isinstance(word, Assignment) and isinstance(word.value, tuple):
                self.assign(word, local=bool(self.in_function) and arguments[0] != "export")
        return status

    def _with_environment(self, assignments: tuple[Assignment, ...], arguments: list[str]) -> int:
        """Variables that only this command sees."""
        values = {one.name: self.expander.text(one.value) for one in assignments if isinstance(one.value, Word)}
        fresh = set(values) - self.variables.exported
        self.variables.scopes.append(dict(values))
        self.variables.exported |= set(values)
        try:
            return self.execute(arguments)
        finally:
            self.variables.scopes.pop()
            self.variables.exported -= fresh

    def execute(self, arguments: list[str], *, stdin: Source | None = None, stdout: Sink | None = None, only_files: bool = False) -> int:  # fmt: skip
        """Runs a command with its arguments. only_files: no functions and builtins, as xargs and find have it."""
        name = arguments[0]
        self.meter.step()
        if name.startswith(CANARY):
            return 0
        out, err = self.files.get(1), self.files.get(2)
        call = Call(
            cast("Shell", self),
            name,
            arguments[1:],
            stdin or self._source(),
            stdout or (out if isinstance(out, Sink) else Sink(self.limits.output_bytes)),
            err if isinstance(err, Sink) else Sink(self.limits.output_bytes),
        )
        if name in self.functions and not only_files:
            return self._function(self.functions[name], arguments)
        run = (None if only_files else BUILTINS.get(name)) or COMMANDS.get(name.rpartition("/")[2] if name.startswith(("/bin/", "/usr/bin/")) else name)  # fmt: skip
        if run is None:
            return self._from_tree(call)
        return self._guarded_call(call, run)

    def _guarded_call(self, call: Call, run: Run) -> int:
        try:
            return int(run(call))
        except CommandFault as fault:
            if str(fault):
                call.error(str(fault))
            return fault.status
        except TreeFault as fault:
            call.error(str(fault))
            return 1
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            # a number or name that the command did not expect; a real one would say more, so the run does not count as modelled
            raise Unsupported(f"{call.name} with such arguments ({type(error).__name__})") from None

    def _function(self, function: Function, arguments: list[str]) -> int:
        before, self.arguments = self.arguments, arguments[1:]
        self.variables.scopes.append({})
        depth = len(self.variables.scopes)
        loops, self.loops = self.loops, 0
        self.in_function += 1
        try:
            with self.nested():
                return self.command(function.body)
        except Return as fault:
            return fault.status
        finally:
            self.in_function -= 1
            self.loops = loops
            del self.variables.scopes[depth - 1 :]
            self.arguments = before

    # ---- scripts of the tree

    def _from_tree(self, call: Call) -> int:
        """A script that the tree holds, by its path or on PATH."""
        path = self.which(call.name)
        if path is None:
            if "/" in call.name:
                self.say(f"bash: {call.name}: No such file or directory")
            else:
                self.say(f"{call.name}: command not available")
                self.notes.append(call.name[:40] or "empty command")
            return NOT_FOUND
        node = self.tree.find(path, self.cwd)
        if isinstance(node, Directory | Device):
            self.say(f"bash: {call.name}: Is a directory")
            return NOT_EXECUTABLE
        if not node.mode & 0o111:
            self.say(f"bash: {call.name}: Permission denied")
            return NOT_EXECUTABLE
        return self.script_file(path, [call.name, *call.args], call)

    def which(self, name: str) -> str | None:
        if "/" in name:
            return name if self.tree.exists(name, self.cwd) else None
        for folder in (self.variables.text("PATH") or "").split(":"):
            path = f"{folder}/{name}"
            if folder and self.tree.exists(path, self.cwd):
                return path
        return None

    def script_file(self, path: str, arguments: list[str], call: Call) -> int:
        """A script of the tree in a shell of its own; what is no shell script is not modelled."""
        script = text(self.tree.read(path, self.cwd))
        first = script.split("\n", 1)[0]
        if (
            first.startswith("#!")
            and first[2:].split()[:1]
            and first.split("/")[-1].split()[-1] not in ("bash", "sh", "dash", "-e")
        ):
            raise Unsupported(f"script of {first[2:].strip()[:30]}")
        return self.fresh_shell(script, arguments, call)

    def fresh_shell(self, script: str, arguments: list[str], call: Call) -> int:
        """As `bash -c` does: only what is exported is known."""
        child = self.fork(files={0: call.stdin, 1: call.stdout, 2: call.stderr})
        child.variables = Variables(self.variables.environment())
        child.functions, child.arguments, child.name = {}, arguments[1:], arguments[0]
        child.exit_on_error = child.no_unset = child.no_glob = child.pipe_fails = False
        child.conditional = child.in_function = child.loops = 0
        with self.nested():
            return child.guarded(script)
