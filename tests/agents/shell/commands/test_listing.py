"""ls, stat, du and paths, as GNU's commands answered."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import differences, flags, out
from veracast.agents.shell.commands.listing import human


def test_it_answers_as_gnu_did() -> None:
    assert differences("listing") == []


@pytest.mark.parametrize(("count", "shown"), [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1025, "1.1K"), (10240, "10K"), (10241, "11K"), (1048575, "1.0M"), (1572864, "1.5M"), (3 * 1024**3, "3.0G")])  # fmt: skip
def test_sizes_are_rounded_up(count: int, shown: str) -> None:
    assert human(count) == shown


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "ls -Z",
        "ls -u",
        "tree",
        "stat /etc",
        "stat -c %W /etc",
        "du --inodes",
        "file /etc/passwd -z",
        "ls --time-style=x -l /etc",
        "readlink -m a",
    ):
        assert flags(script), script


def test_a_long_line_is_that_of_ls() -> None:
    assert out("touch -d '2024-02-01 08:09' f; chmod 4751 f; ls -l f; touch -d 2020-01-01 f; ls -l f") == (
        "-rwsr-x--x 1 root root 0 Feb  1 08:09 f\n-rwsr-x--x 1 root root 0 Jan  1  2020 f\n"
    )
