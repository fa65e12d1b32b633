"""What exists is what is listed."""

from __future__ import annotations

from tests.agents.shell.replay import flags, out
from veracast.agents.shell.commands.table import COMMANDS, STREAMING


def test_names() -> None:
    assert {"ls", "grep", "find", "awk", "sed", "sort", "wc", "xargs", "echo"} <= set(COMMANDS) and set(
        COMMANDS
    ) >= STREAMING
    assert not {"curl", "python", "python3", "perl", "nc", "ssh", "eval"} & set(COMMANDS)


def test_a_command_can_be_called_by_its_path() -> None:
    assert (
        out("/bin/echo a; /usr/bin/wc -l < /etc/hosts; which ls; command -v grep")
        == "a\n1\n/usr/bin/ls\n/usr/bin/grep\n"
    )
    assert flags("/opt/ls") == () and flags("which curl")
