"""Users and groups are what the files of the tree say."""

from __future__ import annotations

from veracast.agents.shell.base import base_tree
from veracast.agents.shell.people import group_named, groups_of, user_id, user_named, users


def test_from_the_files() -> None:
    tree = base_tree()
    tree.write("/etc/group", b"x:x:7:user\nuser:x:1000:\nbroken\n")
    user = user_named(tree, "1000")
    assert user is not None and user.name == "user" and user.home == "/home/user"
    assert [group.name for group in groups_of(tree, user)] == ["user", "x"]
    assert (
        user_id(tree, "root") == 0
        and user_id(tree, "nobody-known") == "nobody-known"
        and group_named(tree, "none") is None
    )
    tree.remove("/etc/passwd")
    assert users(tree) == []
