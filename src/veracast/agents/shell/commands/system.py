"""The machine and its people: date sleep whoami id groups hostname uname nproc useradd groupadd usermod userdel groupdel getent.

The machine is called sandbox and has 2 processors. Flagged: what depends on a real one (ps, free, df, uptime), passwords, other time zones.
"""

from __future__ import annotations

import re

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.dates import parse_date, strftime
from veracast.agents.shell.faults import CommandFault, LimitReached, TreeFault, Unsupported
from veracast.agents.shell.people import Group, User, group_named, groups, groups_of, user_named, users
from veracast.agents.shell.streams import raw

_ISO = {"date": "%Y-%m-%d", "": "%Y-%m-%d", "hours": "%Y-%m-%dT%H+00:00", "minutes": "%Y-%m-%dT%H:%M+00:00", "seconds": "%Y-%m-%dT%H:%M:%S+00:00", "s": "%Y-%m-%dT%H:%M:%S+00:00"}  # fmt: skip


def date(call: Call) -> int:
    found = options(call, "d:ur:I?Rs:f:", {"date": "d:", "utc": "u", "universal": "u", "reference": "r:", "iso-8601": "I?", "rfc-email": "R"})  # fmt: skip
    if found.has("s", "f"):
        raise Unsupported("date -s or -f")
    if call.shell.variables.text("TZ") not in (None, "", "UTC", "UTC0", "GMT") and not found.has("u"):
        raise Unsupported("date in another time zone")
    ns = call.clock.now_ns
    if found.value("d") is not None:
        ns = parse_date(found.value("d") or "0:00", ns)
    elif found.value("r") is not None:
        ns = call.node(found.value("r") or "").mtime_ns
    form = "%a %b %e %H:%M:%S UTC %Y"
    if found.has("R"):
        form = "%a, %d %b %Y %H:%M:%S +0000"
    if found.has("I"):
        if found.value("I") not in _ISO:
            raise Unsupported(f"date -I{found.value('I')}")
        form = _ISO[found.value("I") or ""]
    for word in found.rest:
        if not word.startswith("+"):
            raise Unsupported("date that sets the clock")
        form = word[1:]
    call.line(strftime(form, ns))
    return 0


def sleep(call: Call) -> int:
    """Moves the session's clock, and takes no time."""
    total = 0.0
    for word in call.args:
        match = re.fullmatch(r"(\d*\.?\d+)([smhd]?)", word)
        if not match:
            raise CommandFault(f"invalid time interval \u2018{word}\u2019")
        total += float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]]
    if total > 86_400 * 366:
        raise LimitReached("slept for more than a year")
    call.clock.now_ns += int(total * 1e9)
    return 0


def whoami(call: Call) -> int:
    options(call, "")
    call.line("root")
    return 0


def hostname(call: Call) -> int:
    if call.args:
        raise Unsupported("hostname with options")
    call.out(call.tree.read("/etc/hostname"))
    return 0


def uname(call: Call) -> int:
    found = options(call, "asnm", {"all": "a"})
    if found.has("a"):
        raise Unsupported("uname -a")
    parts = {"s": "Linux", "n": "sandbox", "m": "x86_64"}
    call.line(" ".join(value for name, value in parts.items() if found.has(name)) or "Linux")
    return 0


def nproc(call: Call) -> int:
    options(call, "")
    call.line("2")
    return 0


# ---- who is who


def _user(call: Call, name: str | None) -> User:
    user = user_named(call.tree, name or "root")
    if user is None:
        raise CommandFault(f"\u2018{name}\u2019: no such user")
    return user


def id_(call: Call) -> int:
    found = options(call, "ugGnr", {"user": "u", "group": "g", "groups": "G", "name": "n"})
    user = _user(call, found.rest[0] if found.rest else None)
    own = groups_of(call.tree, user)
    if found.has("u"):
        call.line(user.name if found.has("n") else str(user.number))
    elif found.has("g"):
        call.line(next((g.name for g in own if g.number == user.group), str(user.group)) if found.has("n") else str(user.group))  # fmt: skip
    elif found.has("G"):
        call.line(" ".join(g.name if found.has("n") else str(g.number) for g in own))
    else:
        named = ",".join(f"{g.number}({g.name})" for g in own)
        first = next((g.name for g in own if g.number == user.group), "")
        call.line(f"uid={user.number}({user.name}) gid={user.group}({first}) groups={named}")
    return 0


def groups_(call: Call) -> int:
    if not call.args:
        call.line(" ".join(g.name for g in groups_of(call.tree, _user(call, None))))
    for name in call.args:
        call.line(f"{name} : {' '.join(g.name for g in groups_of(call.tree, _user(call, name)))}")
    return 0


def getent(call: Call) -> int:
    if not call.args or call.args[0] not in ("passwd", "group") or len(call.args) > 2:
        raise Unsupported("getent of other lists")
    path = f"/etc/{call.args[0]}"
    if len(call.args) == 1:
        call.out(call.tree.read(path))
        return 0
    for line in call.text(path).splitlines():
        fields = line.split(":")
        if call.args[1] in (fields[0], fields[2] if len(fields) > 2 else ""):
            call.line(line)
            return 0
    return 2


# ---- changing who is who


def _write_groups(call: Call, kept: list[Group]) -> None:
    call.tree.write("/etc/group", raw("".join(f"{g.name}:x:{g.number}:{','.join(g.members)}\n" for g in kept)))


def _free(taken: set[int]) -> int:
    return next(n for n in range(1000, 60_000) if n not in taken)


def groupadd(call: Call) -> int:
    found = options(call, "g:f", {"gid": "g:"})
    if len(found.rest) != 1:
        raise CommandFault("usage: groupadd [options] GROUP", status=2)
    name, kept = found.rest[0], groups(call.tree)
    if group_named(call.tree, name):
        if found.has("f"):
            return 0
        raise CommandFault(f"group '{name}' already exists", status=9)
    number = int(found.value("g") or 0) or _free({g.number for g in kept})
    _write_groups(call, [*kept, Group(name, number, ())])
    return 0


def groupdel(call: Call) -> int:
    found = options(call, "")
    kept = groups(call.tree)
    if not any(g.name == found.rest[0] for g in kept):
        raise CommandFault(f"group '{found.rest[0]}' does not exist", status=6)
    _write_groups(call, [g for g in kept if g.name != found.rest[0]])
    return 0


def useradd(call: Call) -> int:
    found = options(call, "md:s:g:G:u:c:NMU", {"create-home": "m", "home-dir": "d:", "shell": "s:", "gid": "g:", "groups": "G:", "uid": "u:", "comment": "c:"})  # fmt: skip
    if len(found.rest) != 1:
        raise CommandFault("usage: useradd [options] LOGIN", status=2)
    name = found.rest[0]
    if user_named(call.tree, name):
        raise CommandFault(f"user '{name}' already exists", status=9)
    if not re.fullmatch(r"[a-z_][a-z0-9_-]*\$?", name):
        raise CommandFault(f"invalid user name '{name}'", status=3)
    number = int(found.value("u") or 0) or _free({user.number for user in users(call.tree)})
    own = found.value("g")
    if own is None:
        if group_named(call.tree, name):
            raise CommandFault(f"group {name} exists - if you want to add this user to that group, use -g.", status=9)
        gid = (
            number
            if number not in {g.number for g in groups(call.tree)}
            else _free({g.number for g in groups(call.tree)})
        )
        _write_groups(call, [*groups(call.tree), Group(name, gid, ())])
    else:
        group = group_named(call.tree, own)
        if group is None:
            raise CommandFault(f"group '{own}' does not exist", status=6)
        gid = group.number
    _join(call, name, found.value("G"), keep=True)
    home = found.value("d") or f"/home/{name}"
    line = f"{name}:x:{number}:{gid}:{found.value('c') or ''}:{home}:{found.value('s') or '/bin/sh'}\n"
    call.tree.write("/etc/passwd", raw(line), append=True)
    if found.has("m") and not call.tree.exists(home):
        node = call.tree.make_directory(home)
        node.owner = node.group = name
    return 0


def _join(call: Call, name: str, listed: str | None, *, keep: bool) -> None:
    """Puts a user into groups; keep: stays in those it is in."""
    if listed is None:
        return
    wanted = [part for part in listed.split(",") if part]
    for part in wanted:
        if group_named(call.tree, part) is None:
            raise CommandFault(f"group '{part}' does not exist", status=6)
    made = []
    for group in groups(call.tree):
        members = [m for m in group.members if m != name or keep]
        if group.name in wanted and name not in members:
            members.append(name)
        made.append(group._replace(members=tuple(members)))
    _write_groups(call, made)


def usermod(call: Call) -> int:
    found = options(call, "aG:", {"append": "a", "groups": "G:"})
    if len(found.rest) != 1 or not found.has("G"):
        raise Unsupported("usermod of other than groups")
    if user_named(call.tree, found.rest[0]) is None:
        raise CommandFault(f"user '{found.rest[0]}' does not exist", status=6)
    _join(call, found.rest[0], found.value("G"), keep=found.has("a"))
    return 0


def userdel(call: Call) -> int:
    found = options(call, "r", {"remove": "r"})
    user = user_named(call.tree, found.rest[0]) if found.rest else None
    if user is None:
        raise CommandFault(f"user '{found.rest[0] if found.rest else ''}' does not exist", status=6)
    kept = [line for line in call.text("/etc/passwd").splitlines() if line.split(":")[0] != user.name]
    call.tree.write("/etc/passwd", raw("".join(line + "\n" for line in kept)))
    _write_groups(call, [g._replace(members=tuple(m for m in g.members if m != user.name)) for g in groups(call.tree) if g.name != user.name])  # fmt: skip
    if found.has("r"):
        try:
            call.tree.remove(user.home, tree=True)
        except TreeFault as fault:
            call.error(f"{user.home}: {fault}")
    return 0
