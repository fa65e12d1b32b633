"""What every session begins with."""

from __future__ import annotations

from tests.agents.shell.replay import out
from veracast.agents.shell.base import base_tree, is_base
from veracast.agents.shell.tree import snapshot


def test_trees_are_alike_and_their_own() -> None:
    first, second = base_tree(), base_tree()
    assert snapshot(first) == snapshot(second)
    first.write("/etc/passwd", b"")
    assert second.read("/etc/passwd").startswith(b"root:x:0:0:")


def test_a_plausible_machine() -> None:
    assert (
        out("whoami; hostname; pwd; id -un; ls /home; date +%F; stat -c %a /tmp /root")
        == "root\nsandbox\n/root\nroot\nuser\n2024-03-01\n1777\n700\n"
    )
    assert is_base("/etc") and not is_base("/root/x")
