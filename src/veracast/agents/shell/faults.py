"""How a command ends early: what is not modelled, limits, failures of the tree, and the shell's own control flow.

Shell faults never leave `Shell.run`; they become messages, statuses and flags of its Outcome.
"""

from __future__ import annotations


class ShellFault(Exception):
    """Root of what can end a command."""


class Unsupported(ShellFault):
    """A command, option or syntax that is not modelled. what: in a few words, such as `sort -R`."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class LimitReached(ShellFault):
    """The whole run ends: it took too many steps, or too much room."""


class StepsUsed(LimitReached):
    """Too many steps; a stage of a pipeline that wrote something is cut instead."""


class PipeFull(ShellFault):
    """A command wrote more than a pipe takes before it is read; it ends as by SIGPIPE."""


class TreeFault(ShellFault):
    """What the kernel would answer, such as `No such file or directory`."""


class SyntaxFault(ShellFault):
    """What bash calls a syntax error."""


class ExpansionFault(ShellFault):
    """A word that cannot be expanded, such as ${x:?message}; ends a script."""


class CommandFault(ShellFault):
    """A command ends with a message and a status."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class Exit(ShellFault):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Return(ShellFault):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class LoopJump(ShellFault):
    """break or continue. levels: how many loops it still leaves."""

    def __init__(self, levels: int, *, again: bool) -> None:
        super().__init__(levels)
        self.levels, self.again = levels, again


E_NOENT = "No such file or directory"
E_NOTDIR = "Not a directory"
E_ISDIR = "Is a directory"
E_EXIST = "File exists"
E_NOTEMPTY = "Directory not empty"
E_LOOP = "Too many levels of symbolic links"
E_ACCES = "Permission denied"
E_NAMETOOLONG = "File name too long"
E_INVAL = "Invalid argument"
E_NOTPERM = "Operation not permitted"
E_NOSPC = "No space left on device"
E_BUSY = "Device or resource busy"
