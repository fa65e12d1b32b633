"""Users and groups as /etc/passwd and /etc/group of the tree tell of them."""

from __future__ import annotations

from typing import NamedTuple

from veracast.agents.shell.faults import TreeFault
from veracast.agents.shell.streams import lines
from veracast.agents.shell.tree import Tree


class User(NamedTuple):
    name: str
    number: int
    group: int
    home: str
    shell: str


class Group(NamedTuple):
    name: str
    number: int
    members: tuple[str, ...]


def users(tree: Tree) -> list[User]:
    rows = (row.split(":") for row in _rows(tree, "/etc/passwd"))
    return [User(r[0], int(r[2]), int(r[3]), r[5], r[6]) for r in rows if len(r) == 7 and r[2].isdigit() and r[3].isdigit()]  # fmt: skip


def groups(tree: Tree) -> list[Group]:
    rows = (row.split(":") for row in _rows(tree, "/etc/group"))
    return [
        Group(r[0], int(r[2]), tuple(filter(None, r[3].split(",")))) for r in rows if len(r) == 4 and r[2].isdigit()
    ]


def user_named(tree: Tree, name: str) -> User | None:
    return next((user for user in users(tree) if user.name == name or str(user.number) == name), None)


def group_named(tree: Tree, name: str) -> Group | None:
    return next((group for group in groups(tree) if group.name == name or str(group.number) == name), None)


def user_id(tree: Tree, name: str) -> int | str:
    user = user_named(tree, name)
    return user.number if user else name


def group_id(tree: Tree, name: str) -> int | str:
    group = group_named(tree, name)
    return group.number if group else name


def groups_of(tree: Tree, user: User) -> list[Group]:
    """The user's own group first, then those that list the name, in the file's order."""
    found = groups(tree)
    return [g for g in found if g.number == user.group] + [g for g in found if user.name in g.members and g.number != user.group]  # fmt: skip


def _rows(tree: Tree, path: str) -> list[str]:
    try:
        return lines(tree.read(path))
    except TreeFault:
        return []
