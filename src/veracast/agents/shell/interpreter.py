"""Running a script over the virtual tree.

Modelled: lists, pipelines, subshells, functions, if / for / while / until / case, [[ ]], (( )), redirections, here-documents, set -e -u -f -o pipefail,
scripts of the tree. Not modelled, flagged: jobs, traps, aliases, set -x. Known difference: a script with a syntax error runs not even up to it,
and the stages of a pipeline run one after the other, each whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from veracast.agents.shell import conditions, globs
from veracast.agents.shell.base import HOME, base_tree
from veracast.agents.shell.commands.table import STREAMING
from veracast.agents.shell.expand import Expander
from veracast.agents.shell.faults import (
    CommandFault,
    Exit,
    ExpansionFault,
    LimitReached,
    LoopJump,
    PipeFull,
    Return,
    StepsUsed,
    SyntaxFault,
    Unsupported,
)
from veracast.agents.shell.launcher import BROKEN_PIPE, NOT_FOUND, STOPPED, Launcher
from veracast.agents.shell.limits import DEFAULT, Limits, Meter
from veracast.agents.shell.parser import parse
from veracast.agents.shell.posix_regex import compile_pattern
from veracast.agents.shell.streams import Sink, Source, raw, text
from veracast.agents.shell.syntax import (
    AndOr,
    Case,
    Command,
    Condition,
    CountedFor,
    For,
    Function,
    Group,
    If,
    Let,
    Pipeline,
    Script,
    Simple,
    Test,
    While,
    Word,
)
from veracast.agents.shell.tree import Tree
from veracast.agents.shell.variables import Variables

ENVIRONMENT = {"HOME": HOME, "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PWD": HOME, "SHLVL": "1", "LANG": "C.UTF-8", "TERM": "dumb"}  # fmt: skip


class Outcome(NamedTuple):
    """unsupported: what was met and is not modelled, in order; empty where a real shell would have done the same. A limit counts too."""

    stdout: str
    stderr: str
    status: int
    unsupported: tuple[str, ...]


class Shell(Launcher):
    """A session: variables, functions and the directory stay from one `run` to the next."""

    def __init__(self, tree: Tree | None = None, *, limits: Limits = DEFAULT, cwd: str = HOME) -> None:
        self.tree = tree if tree is not None else base_tree(limits)
        self.limits = limits
        self.meter = Meter(limits)
        self.variables = Variables(ENVIRONMENT)
        self.functions: dict[str, Function] = {}
        self.cwd, self.name, self.status = cwd, "bash", 0
        self.arguments: list[str] = []
        self.exit_on_error = self.no_unset = self.no_glob = self.pipe_fails = False
        self.notes: list[str] = []
        self.files: dict[int, Source | Sink] = {}
        self.conditional = 0  # inside what `set -e` does not count
        self.in_function = self.loops = 0
        self.pipe_statuses: list[int] = [0]
        self.expander = Expander(self)

    def run(self, command: str, *, stdin: bytes = b"") -> Outcome:
        """Never raises, always ends."""
        self.meter = Meter(self.limits)
        self.notes = []
        out, err = Sink(self.limits.output_bytes), Sink(self.limits.output_bytes)
        self.files = {0: Source(stdin), 1: out, 2: err}
        self.conditional = self.in_function = self.loops = 0
        try:
            if len(command) > self.limits.command_bytes:
                raise LimitReached(f"command of more than {self.limits.command_bytes} characters")
            # lone surrogates that stand for no byte, which a model's text may hold, are text that no file could
            whole = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\N{REPLACEMENT CHARACTER}", command)
            self.status = self.guarded(whole.replace("\0", ""))
        except (LimitReached, RecursionError) as fault:
            reason = str(fault) if isinstance(fault, LimitReached) else "nested too deep"
            err.parts.append(raw(f"bash: stopped: {reason}\n"))
            self.notes.append(f"limit: {reason}")
            self.status = STOPPED
            del self.variables.scopes[1:]
        except PipeFull:
            self.status = BROKEN_PIPE
        return Outcome(text(out.value()), text(err.value()), self.status, tuple(self.notes))

    def guarded(self, script: str) -> int:
        """Runs the text of a script to its end, whatever ends it."""
        try:
            return self.run_script(parse(script))
        except SyntaxFault as fault:
            self.say(f"bash: {fault}")
            return 2
        except Unsupported as fault:
            self.say(f"bash: {fault.what}: not available")
            self.notes.append(fault.what)
            return NOT_FOUND
        except ExpansionFault as fault:
            self.say(f"bash: {fault}")
            return 1
        except Exit as fault:
            return fault.status
        except (Return, LoopJump):
            return self.status

    # ---- what expansion asks for

    def fork(self, *, files: dict[int, Source | Sink] | None = None) -> Shell:
        """A subshell: the tree, the meter and the notes are shared, all else is its own."""
        child = Shell.__new__(Shell)
        child.__dict__.update(self.__dict__)
        child.variables, child.functions, child.arguments = self.variables.copy(), dict(self.functions), list(self.arguments)  # fmt: skip
        child.files = dict(self.files if files is None else files)
        child.expander = Expander(child)
        return child

    def inside(self, script: Script) -> int:
        """Runs in this subshell."""
        with self.nested():
            try:
                self.status = self.run_script(script)
            except Exit as fault:
                self.status = fault.status
            except ExpansionFault as fault:
                self.say(f"bash: {fault}")
                self.status = 1
            except LoopJump:
                self.status = 0
            except Return as fault:
                self.status = fault.status
        return self.status

    def substitute(self, script: Script) -> str:
        out = Sink(self.limits.word_bytes)
        child = self.fork(files=self.files | {1: out})
        self.status = child.inside(script)
        return text(out.value().replace(b"\0", b"").rstrip(b"\n"))

    def process_file(self, script: Script) -> str:
        """A file in the tree that holds what the script wrote."""
        out = Sink(self.limits.word_bytes)
        self.fork(files=self.files | {1: out}).inside(script)
        path = f"/dev/fd/{63 + self.meter.steps}"
        if not self.tree.exists("/dev/fd"):
            self.tree.make_directory("/dev/fd")
        self.tree.write(path, out.value())
        return path

    def flags(self) -> str:
        return "h" + "e" * self.exit_on_error + "f" * self.no_glob + "u" * self.no_unset + "B"

    @contextmanager
    def nested(self) -> Iterator[None]:
        self.meter.deeper()
        try:
            yield
        finally:
            self.meter.back()

    # ---- lists and pipelines

    def run_script(self, script: Script) -> int:
        for item in script.items:
            self.status = self._and_or(item)
        return self.status if script.items else 0

    def _and_or(self, item: AndOr) -> int:
        pipelines = [("", item.first), *item.rest]
        status, last = 0, None
        for n, (op, pipeline) in enumerate(pipelines):
            if n and (status == 0) != (op == "&&"):
                continue
            followed = n < len(pipelines) - 1
            self.conditional += followed
            try:
                status = self._pipeline(pipeline)
            finally:
                self.conditional -= followed
            self.status = status
            last = None if followed else pipeline
        if status and self.exit_on_error and not self.conditional and last is not None and not last.negated:
            raise Exit(status)
        return status

    def _pipeline(self, pipeline: Pipeline) -> int:
        self.conditional += pipeline.negated
        try:
            if len(pipeline.commands) == 1:
                status = self.command(pipeline.commands[0])
                self.pipe_statuses = [status]
            else:
                status = self._stages(pipeline)
        finally:
            self.conditional -= pipeline.negated
        return int(not status) if pipeline.negated else status

    def _stages(self, pipeline: Pipeline) -> int:
        """One stage after the other. What a full pipe cut off may be read by a stage that works line by line; its own output is then cut."""
        source: Source | Sink = self.files.get(0) or Source()
        statuses = []
        for n, command in enumerate(pipeline.commands):
            last = n == len(pipeline.commands) - 1
            sink = (
                (self.files.get(1) or Sink(self.limits.output_bytes))
                if last
                else Sink(self.limits.pipe_bytes, pipe=True)
            )
            child = self.fork(files=self.files | {0: source, 1: sink})
            if not last and pipeline.both[n]:
                child.files[2] = sink
            if isinstance(source, Source) and not last:
                source.lenient = _streams(command)
            statuses.append(child.stage(command) if last else child.early_stage(command, sink))
            if isinstance(sink, Sink):
                source = Source(sink.value(), cut=sink.full or (isinstance(source, Source) and source.starved))
        self.pipe_statuses = statuses
        return next((s for s in reversed(statuses) if s), 0) if self.pipe_fails else statuses[-1]

    def early_stage(self, command: Command, sink: Source | Sink) -> int:
        """A stage that others read from: it may use half of the steps that are left, and what it wrote so far is then cut."""
        before = self.meter.most
        self.meter.most = self.meter.steps + max(0, before - self.meter.steps) // 2
        depth = self.meter.depth
        try:
            return self.stage(command)
        except StepsUsed:
            if not isinstance(sink, Sink) or not sink.size:
                raise
            sink.full, self.meter.depth = True, depth
            return BROKEN_PIPE
        finally:
            self.meter.most = before

    def stage(self, command: Command) -> int:
        try:
            return self.inside(Script((AndOr(Pipeline((command,))),)))
        except PipeFull:
            return BROKEN_PIPE

    # ---- commands

    def command(self, command: Command) -> int:
        if isinstance(command, Simple):
            return self.simple(command)
        if isinstance(command, Function):
            self.functions[command.name] = command
            return 0
        self.meter.step()
        with self.nested(), self.redirected(command.redirects) as fine:
            return self._compound(command) if fine else 1

    def _compound(self, command: Command) -> int:
        if isinstance(command, Group):
            return self.fork().inside(command.body) if command.own else self.run_script(command.body)
        if isinstance(command, If):
            return self._if(command)
        if isinstance(command, For):
            return self._for(command)
        if isinstance(command, CountedFor):
            return self._counted(command)
        if isinstance(command, While):
            return self._while(command)
        if isinstance(command, Case):
            return self._case(command)
        if isinstance(command, Let):
            return int(self._number(command.expression) == 0)
        if isinstance(command, Test):
            try:
                return int(not self._condition(command.condition))
            except CommandFault as fault:
                self.say(f"bash: [[: {fault}")
                return fault.status
        raise TypeError(command)

    def _number(self, expression: Word) -> int:
        try:
            return self.expander.number(self.expander.text(expression, tilde=False))
        except ExpansionFault as fault:
            self.say(f"bash: ((: {fault}")
            return 0

    def tested(self, script: Script) -> bool:
        """Whether a condition holds; its failure never ends a script."""
        self.conditional += 1
        try:
            return self.run_script(script) == 0
        finally:
            self.conditional -= 1

    def _if(self, command: If) -> int:
        for condition, body in command.branches:
            if self.tested(condition):
                return self.run_script(body)
        return self.run_script(command.otherwise) if command.otherwise else 0

    def _for(self, command: For) -> int:
        words = list(self.arguments) if command.words is None else self.expander.fields(command.words)
        status = 0
        for word in words:
            self.variables.set(command.name, word)
            stop, status = self._round(command.body)
            if stop:
                break
        return status

    def _counted(self, command: CountedFor) -> int:
        status = 0
        self._number(command.start)
        while not command.condition.parts or self._number(command.condition):
            stop, status = self._round(command.body)
            if stop:
                break
            self._number(command.step)
        return status

    def _while(self, command: While) -> int:
        status = 0
        while True:
            self.loops += 1
            try:
                if self.tested(command.condition) == command.until:
                    return status
            except LoopJump as jump:
                if jump.levels > 1:
                    raise LoopJump(jump.levels - 1, again=jump.again) from None
                if not jump.again:
                    return 0
                continue
            finally:
                self.loops -= 1
            stop, status = self._round(command.body)
            if stop:
                return status

    def _round(self, body: Script) -> tuple[bool, int]:
        """One round of a loop: whether it was the last, and its status."""
        self.meter.step()
        self.loops += 1
        try:
            return False, self.run_script(body)
        except LoopJump as jump:
            if jump.levels > 1:
                raise LoopJump(jump.levels - 1, again=jump.again) from None
            return not jump.again, 0
        finally:
            self.loops -= 1

    def _case(self, command: Case) -> int:
        subject = self.expander.text(command.subject)
        status, falls = 0, False
        for patterns, body, end in command.branches:
            if falls or any(globs.matches(self.expander.pattern(word), subject) for word in patterns):
                status = self.run_script(body)
                falls = end == ";&"
                if not falls:
                    return status
        return status

    def _condition(self, condition: Condition) -> bool:
        op, inner = condition.op, condition.inner
        if op == "!":
            return not self._condition(inner[0])
        if op in ("&&", "||"):
            first = self._condition(inner[0])
            return self._condition(inner[1]) if first == (op == "&&") else first
        left = self.expander.text(condition.words[0])
        if len(condition.words) == 1:
            return bool(left) if not op else conditions.unary(op, left, self)
        if op in ("=", "==", "!="):
            return globs.matches(self.expander.pattern(condition.words[1]), left) == (op != "!=")
        if op == "=~":
            return self._matched(left, self.expander.regular(condition.words[1]))
        right = self.expander.text(condition.words[1])
        if op in conditions.NUMBERS:
            left, right = (str(self.expander.number(side)) for side in (left, right))
        return conditions.binary(op, left, right, self)

    def _matched(self, value: str, pattern: str) -> bool:
        match = compile_pattern(pattern, "extended").search(value)
        groups = [] if match is None else [match[0], *match.groups()]
        self.variables.set("BASH_REMATCH", {str(n): group or "" for n, group in enumerate(groups)})
        return match is not None


def _streams(command: Command) -> bool:
    """Whether a stage works through its input from front to back."""
    first = command.words[0] if isinstance(command, Simple) and command.words else None
    return isinstance(first, Word) and first.bare in STREAMING
