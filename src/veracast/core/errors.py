"""The error tree, and the exit code that each branch ends a command with.

VeracastError                    1   a bug or an unexpected failure (shown with a traceback)
├── UserError                    2   a fault that the user can mend (shown as one line)
│   ├── ConfigError              2   one or more unknown keys or bad values
│   ├── InputError               2   a file or record that cannot be read: names file, record, remedy
│   └── StorageError             2   the disk is full, or a target cannot be written
├── NotMeasuredError             4   what was asked for could not be measured (never reads as clean)
└── StoppedError               130   interrupted; nothing half-written was kept
"""

from __future__ import annotations

from functools import partial

EXIT_OK = 0
EXIT_BUG = 1
EXIT_USER = 2
EXIT_FINDINGS = 3
EXIT_NOT_MEASURED = 4
EXIT_STOPPED = 130


class VeracastError(Exception):
    """Root of every error that Veracast raises on purpose."""

    exit_code = EXIT_BUG


class UserError(VeracastError):
    """A fault that the user can mend; the message says what was got, what was expected, what to do."""

    exit_code = EXIT_USER


class ConfigError(UserError):
    """All faults of a configuration, one per line."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (list(self.faults),)


class InputError(UserError):
    """A file, or one record of it, that cannot be read.

    `record` names the place inside the file (a key, a row number, a byte offset); None means the whole file.
    """

    def __init__(self, message: str, *, file: str, record: str | None = None, remedy: str) -> None:
        self.file, self.record, self.remedy = file, record, remedy
        place = file if record is None else f"{file}, {record}"
        super().__init__(f"{place}: {message} -> {remedy}")
        self._message = message

    def __reduce__(self) -> tuple[object, ...]:
        # errors cross from worker processes pickled, and BaseException's own way knows no keyword-only arguments
        return partial(type(self), file=self.file, record=self.record, remedy=self.remedy), (self._message,)


class StorageError(UserError):
    """The target cannot be written: no space, no permission, already there."""


class NotMeasuredError(VeracastError):
    """What was asked for could not be measured on this input."""

    exit_code = EXIT_NOT_MEASURED


class StoppedError(VeracastError):
    """The run was interrupted; its temporary folder was removed."""

    exit_code = EXIT_STOPPED
