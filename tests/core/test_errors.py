"""The error tree: exit codes by branch, and messages that name place and remedy."""

from __future__ import annotations

import pytest

from veracast.core import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.VeracastError("x"), 1),
        (errors.ConfigError(["x"]), 2),
        (errors.InputError("x", file="f", remedy="r"), 2),
        (errors.StorageError("x"), 2),
        (errors.NotMeasuredError("x"), 4),
        (errors.StoppedError("x"), 130),
    ],
)
def test_each_branch_ends_with_its_code(error: errors.VeracastError, code: int) -> None:
    assert error.exit_code == code
    mendable = isinstance(error, errors.UserError)
    assert mendable == (code == 2)


def test_an_input_error_names_file_record_and_remedy() -> None:
    whole = errors.InputError("is empty", file="a.csv", remedy="export it again")
    part = errors.InputError("is empty", file="a.csv", record="row 7", remedy="export it again")
    assert str(whole) == "a.csv: is empty -> export it again"
    assert str(part) == "a.csv, row 7: is empty -> export it again"
    assert (part.file, part.record, part.remedy) == ("a.csv", "row 7", "export it again")


def test_all_faults_of_a_config_stand_in_one_message() -> None:
    found = errors.ConfigError(["a is wrong", "b is unknown"])
    assert found.faults == ("a is wrong", "b is unknown")
    assert str(found) == "a is wrong; b is unknown"
