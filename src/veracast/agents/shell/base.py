"""The tree that every session begins with: a small container whose user is root, and who has an account."""

from __future__ import annotations

from functools import cache

from veracast.agents.shell.limits import DEFAULT, Limits
from veracast.agents.shell.tree import NOW_NS, Clock, Device, Directory, Link, Tree

HOME = "/root"
_DAY_NS = 86_400_000_000_000
_FOLDERS = (  # noqa: SIM905
    "/bin /boot /dev /etc /etc/default /home /home/user /lib /media /mnt /opt /root /run /sbin /srv /tmp /usr /usr/bin /usr/lib /usr/local "
    "/usr/local/bin /usr/sbin /usr/share /var /var/backups /var/cache /var/lib /var/log /var/mail /var/spool /var/tmp"
).split()
_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
user:x:1000:1000::/home/user:/bin/bash
"""  # noqa: S105
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
mail:x:8:
sudo:x:27:
www-data:x:33:
users:x:100:
nogroup:x:65534:
user:x:1000:
"""
_FILES = {
    "/etc/passwd": _PASSWD,
    "/etc/group": _GROUP,
    "/etc/hostname": "sandbox\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n",
    "/etc/shells": "/bin/sh\n/bin/bash\n",
    "/etc/issue": "Sandbox 1.0\n",
    "/var/log/dpkg.log": "2024-01-15 08:00:00 startup archives install\n",
}


def base_tree(limits: Limits = DEFAULT) -> Tree:
    """A tree of its own, of the size that fits the copying of thousands."""
    tree = _built().copy()
    tree.limits = limits
    return tree


@cache
def _built() -> Tree:
    tree = Tree(Clock(NOW_NS - 30 * _DAY_NS))
    for path in _FOLDERS:
        tree.make_directory(path)
    for path, content in _FILES.items():
        tree.write(path, content.encode())
    devices = tree.directory("/dev")
    for kind in ("null", "zero", "full", "tty", "urandom", "random"):
        tree.put(devices, kind, Device(0o666, tree.clock.now_ns, kind=kind))
    tree.put(tree.directory("/bin"), "sh", Link(0o777, tree.clock.now_ns, target="bash"))
    for path, mode in (("/root", 0o700), ("/tmp", 0o1777), ("/var/tmp", 0o1777)):  # noqa: S108
        tree.find(path).mode = mode
    home = tree.find("/home/user")
    home.owner = home.group = "user"
    tree.clock.now_ns = NOW_NS
    tree.bytes = 0
    return tree


def is_base(path: str) -> bool:
    """Whether a path is a directory that the tree began with."""
    return path == "/" or path in _FOLDERS


__all__ = ["HOME", "Directory", "base_tree", "is_base"]
