"""The error tree as its docstring draws it, the messages, and the way of an error through a worker process."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from veracast.core import errors
from veracast.core.errors import (
    ConfigError,
    InputError,
    NotMeasuredError,
    StoppedError,
    StorageError,
    UserError,
    VeracastError,
)

Tree = dict[str, tuple[str, int]]


def drawn(text: str) -> Tree:
    """The tree of a docstring: name -> (name of the parent, exit code)."""
    tree: Tree = {}
    above: dict[int, str] = {0: "Exception"}
    for line in text.splitlines():
        found = re.match(r"^([│├└─ ]*)(\w+Error)\s+(\d+)\s", line)
        if found:
            depth = len(found[1]) // 4
            tree[found[2]] = (above[depth], int(found[3]))
            above[depth + 1] = found[2]
    return tree


def defined(module: object = errors) -> Tree:
    """The tree as the classes make it."""
    classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if issubclass(c, VeracastError)]
    return {c.__name__: (c.__bases__[0].__name__, c.exit_code) for c in classes}


def test_the_drawn_tree_is_the_tree() -> None:
    assert drawn(errors.__doc__ or "") == defined()
    assert set(defined()) == {
        "VeracastError", "UserError", "ConfigError", "InputError", "StorageError", "NotMeasuredError", "StoppedError",
    }  # fmt: skip


def test_a_wrong_drawing_is_noticed() -> None:
    """The planted failure: the same drawing with one branch hung elsewhere, and with one code changed."""
    text = errors.__doc__ or ""
    assert drawn(text.replace("│   └── StorageError", "└── StorageError")) != defined()
    assert drawn(text.replace("NotMeasuredError             4", "NotMeasuredError             2")) != defined()


def test_exit_codes_are_the_documented_ones() -> None:
    codes = {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert codes == {
        "EXIT_OK": 0,
        "EXIT_BUG": 1,
        "EXIT_USER": 2,
        "EXIT_FINDINGS": 3,
        "EXIT_NOT_MEASURED": 4,
        "EXIT_STOPPED": 130,
    }


def test_an_input_error_names_file_record_and_remedy() -> None:
    whole = InputError("the file is empty", file="a.csv", remedy="export it again")
    assert str(whole) == "a.csv: the file is empty -> export it again"
    assert (whole.file, whole.record, whole.remedy) == ("a.csv", None, "export it again")
    part = InputError("not a count in views: many", file="a.csv", record="row 2", remedy="mend the row")
    assert str(part) == "a.csv, row 2: not a count in views: many -> mend the row"


def test_a_config_error_keeps_every_fault() -> None:
    error = ConfigError(["unknown key a", "b: expected int, got 'x'"])
    assert error.faults == ("unknown key a", "b: expected int, got 'x'")
    assert str(error) == "unknown key a; b: expected int, got 'x'"


@pytest.mark.parametrize(
    "error",
    [
        InputError("cut short", file="a.json", record="byte 7", remedy="download it again"),
        InputError("cut short", file="a.json", remedy="download it again"),
        ConfigError(["one", "two"]),
        StorageError("d: is already there -> choose another name"),
        NotMeasuredError("too few"),
        StoppedError("stopped"),
        UserError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_whole_out_of_a_worker_process(error: VeracastError) -> None:
    """Worker processes hand errors over pickled; one that cannot be read back kills the pool without a message."""
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - made on the line itself
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
    assert back.exit_code == error.exit_code
